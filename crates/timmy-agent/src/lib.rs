//! The agent: a model, tools, a sandbox, and a loop that ends.
//!
//! [`Agent::run`] is the loop. Around it:
//!
//! - [`prompt`]: one template for every model and for people;
//! - [`tools`]: what a model may ask for, each a type of its own;
//! - [`conversation`]: everything said so far, bounded and shortened when it must be;
//! - [`loops`]: the detector for five ways of going in circles;
//! - [`limits`]: steps and time. Tokens and cost are held by the router's reservations.
//!
//! # Rules
//! - Limits are checked before a model call, never after.
//! - Every tool result is cleaned, redacted and bounded before the model or the log sees it.
//! - The agent changes nothing outside its workspace. What it wants of the forge is a proposal.

mod agent;
pub mod conversation;
mod error;
pub mod limits;
pub mod loops;
mod presentable;
pub mod prompt;
pub mod tools;

pub use agent::Agent;
pub use agent::Ending;
pub use agent::Report;
pub use error::AgentError;
pub use limits::Limits;
pub use tools::Proposals;
pub use tools::ToolBox;
