//! The git tools: typed questions, typed answers, and where git runs for them.
//!
//! Eight of the eleven work inside one repository and run wherever a [`GitRunner`] runs git: in the
//! sandbox for an agent's clone ([`SandboxRunner`]), on the host for a repository that only timmy
//! writes ([`HostRunner`]). The three that speak to another repository (clone, pull, push) need the
//! network and perhaps a credential: an agent's call of them is a [`Proposal`], and [`remote`]
//! fulfils one on the host, in a repository that only timmy writes.

mod blame;
mod branch;
mod change;
mod log;
pub mod remote;
mod runner;
mod stash;
mod status;

pub use blame::BlameArguments;
pub use blame::BlameLine;
pub use blame::Blamed;
pub use blame::blame;
pub use branch::BranchArguments;
pub use branch::Branches;
pub use branch::branch;
pub use change::AddArguments;
pub use change::Added;
pub use change::CommitArguments;
pub use change::Committed;
pub use change::Diff;
pub use change::DiffArguments;
pub use change::add;
pub use change::commit;
pub use change::diff;
pub use log::Log;
pub use log::LogArguments;
pub use log::LogEntry;
pub use log::log;
pub use remote::CloneArguments;
pub use remote::Proposal;
pub use remote::PullArguments;
pub use remote::PushArguments;
pub use runner::GitCall;
pub use runner::GitOutput;
pub use runner::GitRunner;
pub use runner::HostRunner;
pub use runner::SandboxRunner;
pub(crate) use runner::sandbox_environment;
pub use stash::StashArguments;
pub use stash::Stashed;
pub use stash::stash;
pub use status::Renamed;
pub use status::Status;
pub use status::StatusArguments;
pub use status::status;
