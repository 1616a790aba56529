//! What the operator decides about the sandbox.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::receipt::SandboxLevel;

/// The first argument that makes the program act as the process inside the sandbox.
pub const INNER_COMMAND: &str = "sandbox-exec";

/// The user that commands run as when timmy itself is root.
pub(crate) const DEFAULT_AGENT_USER: &str = "timmy-agent";

/// The `[sandbox]` section of `timmy.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Demand exactly this level. Without it the strongest one that works is taken.
    pub level: Option<SandboxLevel>,
    /// The user that commands run as when timmy is root; `timmy-agent` by default.
    pub agent_user: Option<String>,
    /// The beginning of the command line of a container runner, for level L1. `{workspace}`,
    /// `{directory}`, `{uid}` and `{gid}` are filled in.
    pub runner: Vec<String>,
    /// Whether a run may ask for no isolation at all. The run has to ask as well.
    pub allow_unsandboxed: bool,
}

impl Settings {
    /// The name of the user that commands run as when timmy is root.
    #[must_use]
    pub fn agent_user(&self) -> &str {
        self.agent_user.as_deref().unwrap_or(DEFAULT_AGENT_USER)
    }
}

/// Whether this run may go without isolation, should the settings allow it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsandboxed {
    /// It may not.
    Forbidden,
    /// The person who started the run asked for it.
    Allowed,
}

/// How the program starts itself as the process inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// The absolute path of the program, then [`INNER_COMMAND`].
    pub argv: Vec<OsString>,
}

impl Helper {
    /// A program that calls [`run_inner_helper_if_asked`](crate::run_inner_helper_if_asked) first
    /// thing.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            argv: vec![program.into().into_os_string(), INNER_COMMAND.into()],
        }
    }

    /// The program that is running.
    ///
    /// # Errors
    /// When its path cannot be found out.
    pub fn this_program() -> std::io::Result<Self> {
        std::env::current_exe().map(Self::new)
    }
}
