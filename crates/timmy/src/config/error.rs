//! What can be wrong with the configuration.

use std::io;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

/// Why the configuration cannot be used. The operator mends it; nothing ran.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// There is no file, and the command needs one.
    #[error("there is no configuration yet")]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the configuration cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key is not known.
    #[error("`{key}` is not a setting")]
    UnknownKey {
        /// File and line, or environment variable.
        place: String,
        /// The key.
        key: String,
        /// The known key that is nearest to it.
        nearest: Option<String>,
    },
    /// It is not TOML, or a value has the wrong form.
    #[error("the configuration is wrong: {reason}")]
    Wrong {
        /// File and line, or environment variable.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings that are each fine do not fit together.
    #[error("the configuration is incomplete: {reason}")]
    Incomplete {
        /// The setting.
        setting: &'static str,
        /// What is missing.
        reason: String,
    },
    /// Neither a home directory nor `TIMMY_HOME` tells where to keep things.
    #[error("there is no place to keep anything: {0}")]
    NoHome(String),
}

impl Coded for ConfigError {
    fn problem(&self) -> Problem {
        let problem = |code| Problem::new(code, ExitStatus::Refused, self.to_string());
        match self {
            Self::Missing { path } => problem(Code::new(101))
                .at(path.display().to_string())
                .fix("run `timmy init`"),
            Self::Unreadable { path, .. } => problem(Code::new(102))
                .at(path.display().to_string())
                .fix("check that the file is yours and readable"),
            Self::UnknownKey { place, nearest, .. } => {
                let fix = match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => "`timmy config explain` lists every setting".to_owned(),
                };
                problem(Code::new(103)).at(place.clone()).fix(fix)
            }
            Self::Wrong { place, .. } => problem(Code::new(104)).at(place.clone()).fix(
                "mend the line; with the rest understood, `timmy config explain` shows every value",
            ),
            Self::Incomplete { setting, .. } => problem(Code::new(105))
                .at((*setting).to_owned())
                .fix(format!(
                    "set {setting} in timmy.toml; `timmy config path` says where that is"
                )),
            Self::NoHome(_) => {
                problem(Code::new(106)).fix("set TIMMY_HOME to a directory of yours")
            }
        }
    }
}
