//! What a repository says about itself: `WORKFLOW.md`, as the Symphony specification has it.
//!
//! - [`Workflow`] is the file as typed values: YAML front matter, then a prompt body;
//! - [`Template`] renders the body for one issue, and fails where it says something unknown;
//! - [`Source`] keeps the last good workflow while the file changes;
//! - [`hooks`] runs the project's own scripts around an attempt;
//! - [`tracker`] reads issues in the normalised form that templates and schedulers know;
//! - [`workspace_key()`] names a directory after an issue;
//! - [`read_project`] reads all of it at a commit, for a sprint.
//!
//! # Rules
//! - A file from a repository is never asked where to send a token: `$NAME` is resolved and the
//!   tracker's address taken only from a file that the operator named ([`Surroundings`]).
//! - What an issue says is data for a template. It is bounded, kept on its line or quoted, and
//!   never read as a template again.
//! - Keys that timmy does not know are left alone, except below `timmy:`, where a misspelt policy
//!   would be lost in silence.
//!
//! `docs/symphony.md` has the table of what the specification asks for and the tests that hold it.

mod error;
mod front_matter;
pub mod hooks;
mod issue;
mod project;
mod section;
mod settings;
mod source;
mod surroundings;
mod template;
pub mod tracker;
mod workspace_key;

pub use error::WorkflowError;
pub use issue::BlockerReference;
pub use issue::TrackedIssue;
pub use project::Project;
pub use project::Said;
pub use project::read_project;
pub use project::set_up_command;
pub use settings::AgentSection;
pub use settings::CodexSection;
pub use settings::HooksSection;
pub use settings::Provider;
pub use settings::TimmySection;
pub use settings::TrackerSection;
pub use settings::Workflow;
pub use source::Change;
pub use source::DEFAULT_FILE;
pub use source::Origin;
pub use source::Source;
pub use source::read_file;
pub use surroundings::Adapter;
pub use surroundings::Surroundings;
pub use template::Template;
pub use workspace_key::workspace_key;
pub use workspace_key::workspace_path;
