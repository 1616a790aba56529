//! A command under a policy: how anything that an agent asked for is run.
//!
//! [`choose()`] finds the strongest isolation this machine offers by running a canary command in it,
//! and gives back a [`Sandbox`]. Its levels, strongest first:
//!
//! - **L3**: bubblewrap namespaces with almost nothing of the host in them, and inside them
//!   no-new-privileges, limits, Landlock and seccomp. Loopback works, nothing else of a network.
//! - **L2**: Landlock, seccomp and limits without namespaces. No sockets at all, so programs that
//!   listen on loopback fail; command lines of other processes can be seen; `/tmp` and `/dev/shm`
//!   cannot be used (`TMPDIR` can).
//! - **L1**: a container runner that the operator supplied, judged by the same canary.
//! - **L0**: nothing, only with a setting of the host and a flag of the run.
//!
//! # Rules
//! - A command never runs as uid 0. As root, timmy drops to a user of its own first.
//! - Nothing degrades silently: what is missing is a refusal (exit 78) that names the fix.
//! - When a run ends, whichever way, no process of it is left.
//! - The policy reaches the inner process over its standard input; argv and environment carry none
//!   of it.
//! - What an agent may have written is read through [`Tree`] only.

mod agent;
mod canary;
mod choose;
mod environment;
mod error;
mod hand_over;
mod host;
mod inner;
mod outcome;
mod plan;
mod policy;
mod remove;
mod settings;
mod tree;
mod wire;

pub use choose::LevelReport;
pub use choose::choose;
pub use choose::survey;
pub use error::SandboxError;
pub use host::Footprint;
pub use host::Room;
pub use host::footprint;
pub use host::room;
pub use inner::run_inner_helper_if_asked;
pub use outcome::End;
pub use outcome::Finished;
pub use outcome::Limit;
pub use policy::Command;
pub use policy::Limits;
pub use policy::Policy;
pub use remove::remove_tree;
pub use settings::Helper;
pub use settings::INNER_COMMAND;
pub use settings::Settings;
pub use settings::Unsandboxed;
pub use timmy_core::receipt::SandboxLevel;
pub use tree::Entry;
pub use tree::EntryKind;
pub use tree::Tree;

use std::path::Path;

use async_trait::async_trait;

/// A place where commands run under a policy.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// How strongly a command is isolated, as the canary proved.
    fn level(&self) -> SandboxLevel;

    /// Runs a command to its end and leaves no process behind. Dropping the future kills it.
    ///
    /// # Errors
    /// When the policy cannot be applied. A command that fails, is killed or passes a limit is a
    /// [`Finished`], not an error.
    async fn run(&self, policy: &Policy, command: &Command) -> Result<Finished, SandboxError>;

    /// Gives a freshly prepared directory to the user that commands run as. Does nothing when that
    /// is the user of this process. Follows no symbolic link, and refuses hard links, whose owner
    /// would change elsewhere too.
    ///
    /// # Errors
    /// When the tree cannot be walked or given away.
    fn hand_over(&self, tree: &Path) -> Result<(), SandboxError>;

    /// Whether a directory belongs to the user that commands run as: what a person keeps somewhere
    /// is not for timmy to give away.
    ///
    /// # Errors
    /// When the directory cannot be looked at.
    fn belongs(&self, directory: &Path) -> Result<bool, SandboxError>;
}
