//! What keeps telemetry from being written.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

/// Why nothing was sampled or kept. The operator mends it; a loop goes on without.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A file or directory cannot be made, read or written.
    #[error("telemetry cannot {doing}: {source}")]
    Files {
        /// What was about to be done.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory lies in a git repository that would take it for its own.
    #[error("telemetry would be written into a git repository")]
    InRepository {
        /// The directory.
        directory: PathBuf,
        /// The repository's work tree.
        repository: PathBuf,
    },
    /// Another process holds the files for longer than anybody waits.
    #[error("another process is writing telemetry and does not end")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// There is no tmux, and a snapshot is one of its panes.
    #[error("tmux does not work, and snapshots are of its panes")]
    NoTmux {
        /// What was tried and what came of it.
        reason: String,
    },
}

impl TelemetryError {
    /// For `map_err`: what was about to be done, and where.
    pub(crate) fn files(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + Copy {
        move |source| Self::Files {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl Coded for TelemetryError {
    fn problem(&self) -> Problem {
        let problem = |code, exit| Problem::new(code, exit, self.to_string());
        match self {
            Self::Files { path, .. } => problem(Code::new(1020), ExitStatus::Internal)
                .at(path.display().to_string())
                .fix("check the rights of the directory and the room on its disk"),
            Self::InRepository {
                directory,
                repository,
            } => problem(Code::new(1021), ExitStatus::Refused)
                .at(directory.display().to_string())
                .fix(format!(
                    "set TIMMY_HOME to a place outside of {0}, or name it in {0}/.gitignore",
                    repository.display()
                )),
            Self::Busy { path } => problem(Code::new(1022), ExitStatus::Later)
                .at(path.display().to_string())
                .fix("see who holds the file (`fuser FILE`), and end it"),
            Self::NoTmux { reason } => problem(Code::new(1023), ExitStatus::Unavailable)
                .at(reason.clone())
                .fix("install tmux (on Debian: apt install tmux)"),
        }
    }
}
