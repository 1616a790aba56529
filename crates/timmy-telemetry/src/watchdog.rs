//! The model watchdog: what is expected against what is configured or runs, and putting it back.
//!
//! [`look()`] reads and changes nothing. A thing that is not there (no Hermes, no tmux, a server that is
//! away) is said and is no drift. But a profile that is expected by name is missed where Hermes itself
//! is there: its jobs would run under another model, or not at all.
//!
//! # Rules
//! - Nothing is put back in a person's session.
//! - Each subject is put back at most once an hour, as the event log tells.
//! - A plan is made and shown before anything is changed.

mod diff;
mod error;
mod fix;
mod look;
mod pane;
mod person;
mod plan;
mod processes;
mod profile;
mod scalar;
mod server;
mod settings;
mod yaml;

pub use error::WatchdogError;
pub use fix::Restored;
pub use fix::Restorer;
pub use look::Seen;
pub use look::Standing;
pub use look::Surroundings;
pub use look::examine;
pub use look::look;
pub use pane::PanePlace;
pub use plan::Edit;
pub use plan::Plan;
pub use plan::Step;
pub use settings::Expectation;
pub use settings::WatchdogSettings;
