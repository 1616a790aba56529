//! The evidence a success needs.

use serde::Deserialize;
use serde::Serialize;

use crate::ids::ObjectName;

/// Where an artefact came from. Said wherever the artefact is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// A model answered while the work was done.
    Live,
    /// A stored conversation was played back.
    Replayed,
}

impl Provenance {
    /// The word shown to people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replayed => "replayed",
        }
    }
}

/// How strongly a command was isolated, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SandboxLevel {
    /// bubblewrap namespaces, then Landlock, seccomp and limits inside.
    L3,
    /// Landlock, seccomp and limits without namespaces.
    L2,
    /// A container runner that the operator supplied.
    L1,
    /// Nothing. Only with a setting on the host and a flag on the run.
    L0,
}

impl SandboxLevel {
    /// `L3` to `L0`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::L3 => "L3",
            Self::L2 => "L2",
            Self::L1 => "L1",
            Self::L0 => "L0",
        }
    }
}

/// Proof that a command ran on a tree, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The command line, as given to `sh -c`.
    pub command: String,
    /// Its exit code; absent when a signal or a limit ended it.
    pub exit_code: Option<i32>,
    /// The git tree it ran on.
    pub tree: ObjectName,
    /// The commit that holds the tree.
    pub commit: ObjectName,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// The end of what it printed, cleaned, redacted and bounded.
    pub output_tail: String,
    /// The isolation it ran under.
    pub sandbox: SandboxLevel,
    /// SHA-256 of the cleaned, redacted output before it was cut to its tail, in hexadecimal.
    pub output_sha256: String,
}

impl Receipt {
    /// Whether the command ended with exit code 0.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.exit_code == Some(0)
    }
}
