//! What can go wrong with a report beside the log it is read from.

use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

/// A report could not be made as asked, or not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A word for a moment is not understood. The operator writes another one.
    #[error("{text:?} is no moment that a report can begin or end at")]
    Moment {
        /// What was given, cut.
        text: String,
    },
    /// A window ends before it begins. The operator gives other moments.
    #[error("the report would end before it begins")]
    Backwards {
        /// Both moments.
        window: String,
    },
    /// What lies where the report is to go is something else. The operator names another file, or
    /// says that it may go.
    #[error("a file that is no report lies there already")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written. The operator mends the path, the rights, or makes room.
    #[error("the report cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Nobody said which repository a report is posted to.
    #[error("there are several repositories, and none is named to post the report to")]
    NoRepository,
    /// The settings about mail are missing or cannot be used. The operator mends them.
    #[error("the report cannot be mailed: {reason}")]
    MailSettings {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The command that sends mail failed. The message is kept.
    #[error("the command that sends mail failed: {reason}")]
    MailCommand {
        /// Its program.
        program: String,
        /// How it failed.
        reason: String,
        /// Where the message lies now.
        kept: Option<PathBuf>,
    },
}

impl Coded for ReportError {
    fn problem(&self) -> Problem {
        let (code, exit, place, fix) = match self {
            Self::Moment { .. } => (
                Code::new(1060),
                ExitStatus::Usage,
                "--since, --until".to_owned(),
                "give hours (8 or 8h), days (3d), `night`, a date (2026-01-31) or a time \
                 (2026-01-31T22:00, 22:00)"
                    .to_owned(),
            ),
            Self::Backwards { window } => (
                Code::new(1061),
                ExitStatus::Usage,
                window.clone(),
                "give a --since that is earlier than --until".to_owned(),
            ),
            Self::Foreign { path } => (
                Code::new(1062),
                ExitStatus::Refused,
                path.display().to_string(),
                "name another file, or replace this one with --force".to_owned(),
            ),
            Self::Write { path, reason } => (
                Code::new(1063),
                ExitStatus::Internal,
                format!("{}: {reason}", path.display()),
                "check that the directory exists, that you may write there, and that there is room"
                    .to_owned(),
            ),
            Self::NoRepository => (
                Code::new(1064),
                ExitStatus::Usage,
                "--post".to_owned(),
                "name it: `--post OWNER/NAME`, or set report.post in timmy.toml".to_owned(),
            ),
            Self::MailSettings { setting, .. } => (
                Code::new(1065),
                ExitStatus::Refused,
                (*setting).to_owned(),
                "mend [report] in timmy.toml; docs/report.md shows it".to_owned(),
            ),
            Self::MailCommand { program, kept, .. } => (
                Code::new(1066),
                ExitStatus::Unavailable,
                program.clone(),
                match kept {
                    Some(path) => format!(
                        "the message is kept in {}; mend report.mail and send it, or ask for the \
                         report again",
                        path.display()
                    ),
                    None => "mend report.mail and ask for the report again".to_owned(),
                },
            ),
        };
        Problem::new(code, exit, self.to_string())
            .at(place)
            .fix(fix)
    }
}
