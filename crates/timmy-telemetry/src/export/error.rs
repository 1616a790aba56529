//! Why something was not exported.

use std::net::SocketAddr;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_loopback::LoopbackError;
use timmy_store::StoreError;

use crate::error::TelemetryError;

/// Why something was not exported. Nothing of the night depends on it: a loop says it once and goes on.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The address for Prometheus is one of a network. The operator chooses another.
    #[error("{0} is not an address of this machine alone")]
    Facing(SocketAddr),
    /// The settings for the collector cannot be used.
    #[error("the settings for the collector cannot be used: {reason}")]
    Settings {
        /// Which setting.
        setting: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers. What was to be sent is still in the log, and is sent the next time.
    #[error("the collector does not answer: {0}")]
    Away(String),
    /// The collector asked for patience. It is asked again when it said.
    #[error("the collector asks to wait {seconds} s")]
    Busy {
        /// How long.
        seconds: u64,
    },
    /// The collector does not take requests of ours at all. The operator mends it.
    #[error("the collector answers with status {status}")]
    Refused {
        /// Where.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of its answer, cleaned and redacted.
        said: String,
    },
    /// What was sent before cannot be read or written down.
    #[error("the place in the log up to which was sent cannot be kept: {reason}")]
    Cursor {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// There is no place for what is to be remembered.
    #[error(transparent)]
    Files(#[from] TelemetryError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] LoopbackError),
}

impl Coded for ExportError {
    fn problem(&self) -> Problem {
        let problem = |code, exit| Problem::new(code, exit, self.to_string());
        match self {
            Self::Facing(_) => problem(Code::new(1050), ExitStatus::Refused)
                .at("export.prometheus")
                .fix("use 127.0.0.1 or ::1, and a proxy with a login in front of it for others"),
            Self::Settings { setting, .. } => problem(Code::new(1051), ExitStatus::Refused)
                .at(setting.clone())
                .fix("mend [export] in timmy.toml; docs/export.md explains it"),
            Self::Away(_) => problem(Code::new(1052), ExitStatus::Unavailable)
                .at("export.otlp")
                .fix("start the collector; nothing is lost, the log is sent from where it stopped"),
            Self::Busy { .. } => problem(Code::new(1053), ExitStatus::Later)
                .at("export.otlp")
                .fix("wait; nothing is lost, the log is sent from where it stopped"),
            Self::Refused { place, said, .. } => problem(Code::new(1054), ExitStatus::Unavailable)
                .at(format!("{place} {said}").trim_end().to_owned())
                .fix(
                    "check export.otlp and export.headers, and the collector's OTLP/HTTP receiver",
                ),
            Self::Cursor { path, .. } => problem(Code::new(1055), ExitStatus::Internal).at(path.clone()).fix(
                "check the disk; a damaged file can be removed, and the last week is sent again",
            ),
            Self::Files(error) => error.problem(),
            Self::Store(error) => error.problem(),
            Self::Listen(error) => error.problem(),
        }
    }
}
