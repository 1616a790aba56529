//! How a command ended and what it printed.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::Redactor;
use timmy_core::receipt::SandboxLevel;
use timmy_core::text::clean;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It exited with this code. A program that was not found is 127, one that could not be
    /// executed is 126, as in a shell.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It passed a limit and was killed with everything it had started.
    OverLimit(Limit),
}

/// The limit that a command passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// [`Limits::wall`](crate::Limits::wall).
    Time,
    /// [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    Memory,
    /// [`Limits::output_spool_bytes`](crate::Limits::output_spool_bytes).
    Output,
    /// [`Limits::workspace_bytes`](crate::Limits::workspace_bytes).
    WorkspaceBytes,
    /// [`Limits::workspace_inodes`](crate::Limits::workspace_inodes).
    WorkspaceInodes,
    /// [`Limits::free_bytes`](crate::Limits::free_bytes).
    FreeSpace,
}

/// A command that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// What it printed, its middle left out when it was long. Hostile bytes: see
    /// [`text`](Self::text).
    pub stdout: Vec<u8>,
    /// The same for its errors.
    pub stderr: Vec<u8>,
    /// Whether something of the output was left out.
    pub truncated: bool,
    /// Wall time, from its start to the end of its last process.
    pub duration: Duration,
    /// How strongly it was isolated.
    pub level: SandboxLevel,
}

impl Finished {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.end == End::Exited(0)
    }

    /// Standard output, then standard error, safe to store and show: lossy UTF-8 without control
    /// sequences, hidden characters and secrets.
    #[must_use]
    pub fn text(&self, redactor: &Redactor) -> String {
        let mut joined = String::from_utf8_lossy(&self.stdout).into_owned();
        if !joined.is_empty() && !joined.ends_with('\n') && !self.stderr.is_empty() {
            joined.push('\n');
        }
        joined.push_str(&String::from_utf8_lossy(&self.stderr));
        redactor.redact(&clean(&joined))
    }
}
