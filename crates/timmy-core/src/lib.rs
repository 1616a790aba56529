//! The vocabulary every other crate of timmy speaks.
//!
//! Nothing in here performs I/O or knows about an async runtime. It holds
//!
//! - [`ids`]: runs, repositories, issue numbers, object names;
//! - [`event`]: everything that can happen, as one typed enum, and the [`EventSink`] it is sent to;
//! - [`fault`]: whose fault a failed attempt is;
//! - [`problem`]: coded errors that say what, where and what to do;
//! - [`receipt`]: the evidence a success needs;
//! - [`money`]: tokens and cost, in integers;
//! - [`clock`]: the only way to read time;
//! - [`text`] and [`redact`]: what makes hostile text safe to store, show and publish.
//!
//! # Rules
//! - An event, once written, can always be read again: fields are added with defaults, never renamed.
//! - Text that came from an issue, a repository, a model or a tool passes through [`text::clean`] and
//!   a [`redact::Redactor`] before it reaches a disk, a terminal, a model or a forge.

pub mod clock;
pub mod event;
pub mod fault;
pub mod ids;
pub mod money;
pub mod problem;
pub mod receipt;
pub mod redact;
pub mod text;

pub use clock::Clock;
pub use clock::SystemClock;
pub use event::Event;
pub use event::EventKind;
pub use event::EventSink;
pub use ids::IssueName;
pub use ids::IssueNumber;
pub use ids::ObjectName;
pub use ids::RepoName;
pub use ids::RunId;
pub use problem::Code;
pub use problem::Coded;
pub use problem::ExitStatus;
pub use problem::Problem;
pub use receipt::Receipt;
pub use redact::Redactor;
