//! What can go wrong with the embedded forge itself.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_git::GitError;
use timmy_store::StoreError;

/// The embedded forge could not do what was asked. Over HTTP a client sees status 500.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file or directory under the forge's root cannot be used. The operator mends its rights or
    /// makes room.
    #[error("the embedded forge cannot use its files")]
    Files {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The git program cannot be started. The operator installs it.
    #[error("git cannot be started")]
    GitMissing(#[source] io::Error),
    /// git's own private directory cannot be used. The operator mends its rights.
    #[error(transparent)]
    Git(#[from] GitError),
    /// git failed. A defect, a damaged repository or a full disk; nothing was half-written.
    #[error("git {command} failed: {said}")]
    GitFailed {
        /// The subcommand.
        command: String,
        /// What git said, cleaned and bounded.
        said: String,
    },
    /// Merging needs a newer git. The operator updates it.
    #[error("git {found} cannot merge without a working tree")]
    GitTooOld {
        /// The version that is installed.
        found: String,
    },
    /// The name is taken. The operator chooses another, or uses what is there.
    #[error("{0} exists already")]
    Exists(String),
    /// The name cannot be used. The operator chooses another.
    #[error("{0:?} cannot be a name on the forge")]
    BadName(String),
    /// There is no such user or repository. The operator names one that exists.
    #[error("there is no {0} on the embedded forge")]
    Unknown(String),
    /// The database failed. The caller stops; nothing was half-written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EmbeddedError {
    pub(super) fn files(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Files { path, source }
    }
}

impl Coded for EmbeddedError {
    fn problem(&self) -> Problem {
        let what = self.to_string();
        match self {
            Self::Files { path, source } => {
                Problem::new(Code::new(550), ExitStatus::Internal, what)
                    .at(format!("{}: {source}", path.display()))
                    .fix("check the rights of TIMMY_HOME and the free disk space")
            }
            Self::GitMissing(source) => Problem::new(Code::new(551), ExitStatus::Unavailable, what)
                .at(source.to_string())
                .fix("install git and make sure that it is in PATH"),
            Self::GitFailed { .. } => Problem::new(Code::new(552), ExitStatus::Internal, what)
                .fix("check the free disk space, then run `git fsck` in the repository"),
            Self::GitTooOld { .. } => Problem::new(Code::new(553), ExitStatus::Unavailable, what)
                .fix("install git 2.38 or newer"),
            Self::Exists(_) => Problem::new(Code::new(554), ExitStatus::Data, what)
                .fix("choose another name, or use the one that exists"),
            Self::BadName(_) => Problem::new(Code::new(555), ExitStatus::Data, what)
                .fix("use letters, digits, '.', '_' and '-', and start with a letter or digit"),
            Self::Unknown(_) => Problem::new(Code::new(556), ExitStatus::NotFound, what)
                .fix("check the spelling, or create it first"),
            Self::Git(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}
