//! Safe git: what the host does with repositories, and what an agent may ask for.
//!
//! The host works in a [`BareRepository`] of its own. An agent gets a clone made by
//! [`prepare_workspace`]; whatever it does there, the host only reads back one bundle file, checks
//! its objects and makes the commit that is published itself.
//!
//! # Rules
//! - The host never runs git inside a tree that an agent can write: git obeys configuration, hooks,
//!   filters and attributes that it finds there, and no list of overrides closes that.
//! - A token travels in one environment variable, scoped to one URL. Never in argv, never in a URL.
//! - What goes on a command line is a [`RefName`], [`BranchName`], [`RepoPath`], [`Revision`],
//!   [`GitUrl`] or an object name. None of them can be an option.
//! - Output is read NUL-delimited where git offers it.
//! - No push without a lease, and none that is not atomic.
//! - No limit on the whole of a transfer, only on silence ([`program::DEFAULT_IDLE_LIMIT`]).

mod bare;
mod bundle;
mod changes;
mod classify;
mod collect;
mod error;
mod keeping;
mod merge;
mod names;
pub mod program;
mod push;
mod remote;
mod stream;
pub mod tools;
mod workspace;

pub use bare::BareRepository;
pub use changes::ChangeKind;
pub use changes::FileChange;
pub use changes::Patch;
pub use collect::BUNDLE_LIMIT;
pub use collect::collect;
pub use error::GitError;
pub use merge::MergedTree;
pub use names::BranchName;
pub use names::RefName;
pub use names::RefPattern;
pub use names::Refspec;
pub use names::RepoPath;
pub use names::Revision;
pub use program::Git;
pub use push::Expect;
pub use push::PushRef;
pub use push::PushResult;
pub use push::PushStatus;
pub use remote::Credential;
pub use remote::GitUrl;
pub use remote::Remote;
pub use workspace::prepare_workspace;
