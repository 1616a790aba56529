//! Why a model is not put back.

use std::path::PathBuf;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_store::StoreError;

/// A model that was not put back.
#[derive(Debug, thiserror::Error)]
pub enum WatchdogError {
    /// Another `timmy watchdog --fix` is at work. It passes.
    #[error("another `timmy watchdog --fix` is at work")]
    Busy(PathBuf),
    /// The place for what telemetry keeps cannot be written. The operator mends it.
    #[error("what is needed to put a model back cannot be written: {reason}")]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It is not touched: a person is there, or it is not the watchdog's business. A person mends it.
    #[error("{subject} is not touched: {reason}")]
    NotTouched {
        /// What drifts.
        subject: String,
        /// Why.
        reason: String,
    },
    /// It was put back less than an hour ago, or that was tried. It is tried again later.
    #[error(
        "putting {subject} back was tried at {last} already; it failed, or something else changes it"
    )]
    TooSoon {
        /// What drifts.
        subject: String,
        /// When that was tried.
        last: Timestamp,
        /// When it may be put back again.
        again: Timestamp,
    },
    /// The configuration cannot be changed without changing something else. A person changes it.
    #[error("the model is not changed by a program there: {reason}")]
    NotEditable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file changed since the plan was made. Nothing was written; it may be tried again.
    #[error("the file changed while it was to be changed")]
    Changed(PathBuf),
    /// The file could not be replaced. It is as it was.
    #[error("the file cannot be replaced: {reason}")]
    NotReplaced {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The program that was asked refused.
    #[error("{subject} could not be put back: {reason}")]
    Refused {
        /// What drifts.
        subject: String,
        /// What it said.
        reason: String,
    },
    /// Everything went well, and the model is still another one.
    #[error("{subject} is as it was after it was put back: {found}")]
    StillDrifting {
        /// What drifts.
        subject: String,
        /// What is there.
        found: String,
    },
    /// The log could not be read or written.
    #[error(transparent)]
    Log(#[from] StoreError),
}

impl Coded for WatchdogError {
    fn problem(&self) -> Problem {
        let problem = |code, exit| Problem::new(code, exit, self.to_string());
        match self {
            Self::Busy(path) => problem(Code::new(1030), ExitStatus::Later)
                .at(path.display().to_string())
                .fix("wait until it has ended"),
            Self::Unwritable { path, .. } => problem(Code::new(1031), ExitStatus::Internal)
                .at(path.display().to_string())
                .fix("check the disk and whose directory that is"),
            Self::NotTouched { .. } => problem(Code::new(1032), ExitStatus::Refused)
                .fix("do what it says, or change the entry in [watchdog]"),
            Self::TooSoon { again, .. } => problem(Code::new(1033), ExitStatus::Later)
                .fix("find out what changes it; `timmy events` tells when it was put back")
                .until(Some(*again)),
            Self::NotEditable { path, .. } => problem(Code::new(1034), ExitStatus::Refused)
                .at(path.display().to_string())
                .fix("change the model there by hand"),
            Self::Changed(path) => problem(Code::new(1035), ExitStatus::Later)
                .at(path.display().to_string())
                .fix("run `timmy watchdog --fix` again"),
            Self::NotReplaced { path, .. } => problem(Code::new(1036), ExitStatus::Internal)
                .at(path.display().to_string())
                .fix("check the disk and whose file that is; nothing was changed"),
            Self::Refused { .. } => problem(Code::new(1037), ExitStatus::Unavailable)
                .fix("try it by hand; its own log tells more"),
            Self::StillDrifting { .. } => problem(Code::new(1038), ExitStatus::Failure)
                .fix("look what sets the model there: a command line, a variable, another file"),
            Self::Log(error) => error.problem(),
        }
    }
}
