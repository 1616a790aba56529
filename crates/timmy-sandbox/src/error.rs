//! What can go wrong around a command, as opposed to in it.

use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

use crate::choose::LevelReport;

/// Why a command could not be run, or a file not be used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No level works, or not the one that was demanded. The program ends before any work begins;
    /// each report names the missing piece and its fix.
    #[error("commands of agents cannot be isolated on this machine: {}", missing(.0))]
    Refused(Vec<LevelReport>),

    /// timmy is root and the user that commands should run as does not exist. The program ends.
    #[error("the user {user:?} that commands run as does not exist")]
    NoAgentUser {
        /// The configured name.
        user: String,
    },

    /// The user that commands run as cannot reach a path of the policy, and this process may not
    /// mount. The run stops; the operator opens or moves the path.
    #[error("the user that commands run as cannot reach {}", path.display())]
    Unreachable {
        /// The path of the policy.
        path: PathBuf,
    },

    /// A policy or a command names something impossible. The caller shows it to whoever asked: for
    /// a tool call, the model.
    #[error("{place} {value:?} {reason}")]
    Policy {
        /// The field.
        place: &'static str,
        /// Its value, or the beginning of it.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The isolation that worked when it was chosen could not be set up now; nothing ran. The run
    /// stops and can be tried again.
    #[error("the sandbox could not be set up: {detail}")]
    Setup {
        /// What the failing step said.
        detail: String,
    },

    /// Processes outlived their command although everything was done to end them. The run stops;
    /// the operator looks at them.
    #[error("processes of a command are still there after it ended: {detail}")]
    Survivors {
        /// Where they can be found.
        detail: String,
    },

    /// A file in an agent's tree is not a plain file below the tree. The caller shows it to whoever
    /// asked, or stops the publication.
    #[error("{path:?} {reason}")]
    Tree {
        /// The path inside the tree.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },

    /// A file or directory in an agent's tree is not there. The caller shows it to whoever asked.
    #[error("{path:?} does not exist")]
    Missing {
        /// The path inside the tree.
        path: String,
    },

    /// A file in an agent's tree is larger than the caller accepts. The caller shows it to whoever
    /// asked.
    #[error("{path:?} is larger than {limit} bytes")]
    TooLarge {
        /// The path inside the tree.
        path: String,
        /// The most that is read.
        limit: u64,
    },

    /// The operating system refused something that should work. The run stops and can be tried
    /// again.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

fn missing(reports: &[LevelReport]) -> String {
    let lines: Vec<String> = reports
        .iter()
        .map(|report| format!("{}: {}", report.level.word(), report.detail))
        .collect();
    lines.join("; ")
}

fn fixes(reports: &[LevelReport]) -> String {
    let lines: Vec<&str> = reports.iter().filter_map(|r| r.fix.as_deref()).collect();
    lines.join("; or ")
}

impl SandboxError {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    pub(crate) fn setup(detail: impl Into<String>) -> Self {
        Self::Setup {
            detail: detail.into(),
        }
    }
}

impl Coded for SandboxError {
    fn problem(&self) -> Problem {
        let told = |number, exit| Problem::new(Code::new(number), exit, self.to_string());
        match self {
            Self::Refused(reports) => told(301, ExitStatus::Refused)
                .at("[sandbox] in timmy.toml")
                .fix(fixes(reports)),
            Self::NoAgentUser { user } => told(302, ExitStatus::Refused)
                .at("sandbox.agent_user in timmy.toml")
                .fix(create_user(user)),
            Self::Unreachable { path } => told(303, ExitStatus::Refused)
                .at(path.display().to_string())
                .fix("let that user pass through its parent directories (chmod o+x), move it, or allow timmy CAP_SYS_ADMIN"),
            Self::Policy { place, .. } => told(304, ExitStatus::Data).at(*place),
            Self::Setup { .. } => told(305, ExitStatus::Internal)
                .fix("run `timmy doctor` to see which level works now"),
            Self::Survivors { detail } => told(306, ExitStatus::Internal)
                .at(detail)
                .fix("end these processes by hand and report this as a defect"),
            Self::Tree { path, .. } => told(307, ExitStatus::Data).at(path),
            Self::Missing { path } => told(308, ExitStatus::NotFound).at(path),
            Self::TooLarge { path, .. } => told(309, ExitStatus::Data).at(path),
            Self::Io { .. } => told(310, ExitStatus::Internal),
        }
    }
}

pub(crate) fn create_user(user: &str) -> String {
    format!(
        "useradd --system --no-create-home {user}, or set sandbox.agent_user to a user that exists"
    )
}
