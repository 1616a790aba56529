//! What an operator decides about directories below the private root.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

const GIBIBYTE: u64 = 1 << 30;

/// `[workspace]`: room on the disk, build caches, and the workspaces of named agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// Bytes that runs, workspaces and caches may hold together. No attempt begins above that.
    pub total_bytes: u64,
    /// Bytes of the disk that stay free. No attempt begins below that.
    pub keep_free_bytes: u64,
    /// Build caches, by name: the environment variable that points a tool at its directory, such as
    /// `cargo = "CARGO_TARGET_DIR"`. They are filled by checks of the base branch alone; every run
    /// gets a copy.
    pub caches: BTreeMap<String, String>,
    /// The first port that named workspaces are given.
    pub port_base: u16,
    /// Ports of one named workspace.
    pub ports: u16,
}

impl Default for WorkspaceSettings {
    fn default() -> Self {
        Self {
            total_bytes: 20 * GIBIBYTE,
            keep_free_bytes: 2 * GIBIBYTE,
            caches: BTreeMap::new(),
            port_base: 20_000,
            ports: 10,
        }
    }
}
