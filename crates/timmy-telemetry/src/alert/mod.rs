//! News of findings: each told once, again when it gets worse, and when it is over.
//!
//! The state is folded from the log ([`open`]) and nowhere else, so a process that is killed anywhere
//! is carried on by the next one. [`step()`] says which events follow from a look, [`news`] what has to be
//! told; [`Alerts::tick`] does both under a lease that hosts with one log share.
//!
//! # The life of an alert
//! - A finding that is there is *raised* at once: how long something has to last is part of each rule.
//! - It is *escalated* when the finding becomes more pressing; a warning also when it is as old as
//!   `escalate_after_s`. A notice stays one for as long as the finding is. Nothing becomes less pressing.
//! - It is *cleared* by the first look that could have seen it and does not ([`Verdict::sees`]).
//! - Its end is told after `quiet_s`. A finding that comes back before is the same life: it is raised in
//!   the log again, and told only when it is more pressing than what was told.
//!
//! # Rules
//! - Of several raises without a clear between them the one of the lowest place in the log counts; so do
//!   the first escalation to a severity and the first clear.
//! - [`EventKind::AlertTold`] is appended after the command took the news. A process that is killed
//!   between the two leaves news that is told again: at least once, not at most.
//!
//! [`Verdict::sees`]: crate::health::Verdict::sees
//! [`EventKind::AlertTold`]: timmy_core::EventKind::AlertTold

mod delivery;
mod fold;
mod settings;
mod step;
#[cfg(test)]
mod tests;
mod tick;

pub use fold::Life;
pub use fold::OpenAlerts;
pub use fold::TYPES;
pub use fold::open;
pub use settings::AlertSettings;
pub use step::News;
pub use step::Turn;
pub use step::news;
pub use step::step;
pub use tick::Alerts;
pub use tick::Ticked;
