//! What lies below the private root: how much it may be, and who removes it.
//!
//! - [`Quota`] says whether there is room for another attempt;
//! - [`Workspaces`] gives named agents a clone, ports and a data directory each;
//! - [`warm`] fills the build caches that every run gets a copy of;
//! - [`Reaper`] removes what runs left behind;
//! - [`WorkspaceSettings`] is the operator's part.
//!
//! # Rules
//! - Nothing is removed without two facts that do not depend on each other; one that could not be
//!   found out speaks against. Each removal is an event with both.
//! - Removing follows no link, and needs no right that an agent could take away.

mod base;
pub(crate) mod cache;
mod copy;
mod error;
mod facts;
mod named;
mod quota;
mod reap;
mod references;
mod settings;
#[cfg(test)]
mod stage;

pub use cache::Warmed;
pub use cache::warm;
pub use error::WorkspaceError;
pub use named::Bootstrap;
pub use named::Environment;
pub use named::Force;
pub use named::LastCheck;
pub use named::Listed;
pub use named::New;
pub use named::PortRange;
pub use named::Record;
pub use named::Reset;
pub use named::Resume;
pub use named::State;
pub use named::Step;
pub use named::WorkspaceName;
pub use named::Workspaces;
pub use named::environment;
pub use named::list;
pub use quota::Quota;
pub use reap::Kept;
pub use reap::Reaper;
pub use reap::Removal;
pub use reap::Sweep;
pub use reap::Sweeping;
pub use settings::WorkspaceSettings;

pub(crate) use reap::entries;
