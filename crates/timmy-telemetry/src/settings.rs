//! What an operator decides about telemetry.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::probe::timers::TimerSettings;

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Whether `timmy loop` collects while it runs.
    pub in_loop: bool,
    /// Seconds between two looks of the loop.
    pub every_s: u64,
    /// Seconds between two questions to the forge about how much is open.
    pub forge_every_s: u64,
    /// Bytes after which a file is put aside and a new one begun. That happens once a day as well.
    pub rotate_bytes: u64,
    /// Days for which files that were put aside and snapshots are kept.
    pub keep_days: u32,
    /// Sockets of further tmux servers, beside timmy's own and the user's default one.
    pub tmux_sockets: Vec<PathBuf>,
    /// Sockets whose panes are captured beside those of timmy's own.
    pub snapshot_sockets: Vec<PathBuf>,
    /// Snapshots that are kept, at most.
    pub snapshots_keep: u32,
    /// Further places whose disk is looked at, beside the private root.
    pub disk_paths: Vec<PathBuf>,
    /// Where timers are looked for.
    pub timers: TimerSettings,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            in_loop: true,
            every_s: 60,
            forge_every_s: 300,
            rotate_bytes: 64 << 20,
            keep_days: 30,
            tmux_sockets: Vec::new(),
            snapshot_sockets: Vec::new(),
            snapshots_keep: 48,
            disk_paths: Vec::new(),
            timers: TimerSettings::default(),
        }
    }
}

impl TelemetrySettings {
    /// The time between two looks; at least a second.
    #[must_use]
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_s.max(1))
    }
}
