//! What was sent before.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::figures::Figures;
use crate::export::ExportError;
use crate::export::measure::Measure;
use crate::replace::replace_json;

/// Its name in the directory of the telemetry files.
pub(crate) const FILE: &str = "otlp.json";

/// How far the collector has been told, and the figures at that place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The place in the log of the newest end of a run that was sent.
    pub(super) traces: i64,
    /// The collector asked not to be bothered before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<Timestamp>,
    /// When the first event of the figures was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Timestamp>,
    pub(super) measure: Measure,
    pub(super) figures: Figures,
}

impl Cursor {
    /// A file that is missing means that nothing was sent yet.
    pub(super) fn read(path: &Path) -> Result<Self, ExportError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(lost(path, &error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| lost(path, &error))
    }

    /// How many seconds the collector still wants to be left alone.
    pub(super) fn wait(&self, now: Timestamp) -> Option<u64> {
        let left = self.not_before?.duration_since(now);
        u64::try_from(left.as_secs()).ok().filter(|left| *left > 0)
    }

    /// Replaces the file: a reader finds the old one or the new one.
    pub(super) fn write(&self, path: &Path) -> Result<(), ExportError> {
        replace_json(path, self).map_err(|error| lost(path, &error))
    }
}

fn lost(path: &Path, reason: &dyn std::fmt::Display) -> ExportError {
    ExportError::Cursor {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}
