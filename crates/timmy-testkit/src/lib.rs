//! Parts that only tests use: a clock the test owns, a list of events, and, module by module,
//! scripted servers and sample repositories.
//!
//! Nothing in here replaces code of timmy. The only thing that is ever scripted is a model.

mod clock;
mod events;
mod git_server;
pub mod model_server;
pub mod portal;

pub use clock::ManualClock;
pub use events::EventList;
pub use git_server::GitServer;
pub use git_server::PushFault;
pub use git_server::Seen;
