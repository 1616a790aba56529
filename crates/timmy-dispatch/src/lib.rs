//! From an issue to a pull request.
//!
//! - [`selection`] says which issue comes next, and why the others do not;
//! - [`Sprint`] is one issue, one private workspace, one attempt, one pull request;
//! - [`workflow`] reads what a repository says about itself;
//! - [`policy`] says what may be published;
//! - [`follow_up`] says what becomes of an own pull request;
//! - [`merge_queue`] merges what was checked together;
//! - [`evidence`] writes what people read about it;
//! - [`workspace`] holds what lies on the disk: quotas, the reaper;
//! - [`results`] keeps the row per run for people who have scripts around it.
//!
//! # Rules
//! - Nothing is published without a receipt for exactly the commit that is published.
//! - A branch moves only in the same atomic push that renews the claim.
//! - A process that is killed anywhere leaves a state from which the next one goes on: whether a run
//!   lives is told by a lock that the kernel drops with its process, never by a stored status.

pub mod attempt;
mod error;
pub mod evidence;
pub mod follow_up;
pub mod merge_queue;
pub mod night;
pub mod policy;
pub mod results;
pub mod selection;
pub mod shell;
pub mod simulation;
mod sprint;
pub mod workflow;
pub mod workspace;

pub use error::SprintError;
pub use sprint::Attempted;
pub use sprint::Choice;
pub use sprint::Declined;
pub use sprint::Desk;
pub use sprint::Explanation;
pub use sprint::Observer;
pub use sprint::Order;
pub use sprint::Settings;
pub use sprint::Sprint;
pub use sprint::SprintReport;
pub use sprint::SprintRequest;
pub use sprint::TOPIC;
pub use sprint::Verification;
pub use sprint::Wish;
