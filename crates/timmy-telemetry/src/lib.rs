//! What the fleet really did.
//!
//! - [`collect`] looks at everything once: what the modules of [`probe`] see becomes rows, and what
//!   changed becomes changes;
//! - [`files`] keeps both, and what the next look is compared with;
//! - [`rows`] are the lines of the telemetry files: samples and changes;
//! - [`analysis`] reads them, however many there are;
//! - [`finding`] is what health, watchdog and logins have to say;
//! - [`health`] concludes findings from evidence, and [`alert`] makes news of them;
//! - [`watchdog`] compares models with what is expected of them, and puts them back;
//! - [`export`] tells other programs: Prometheus, and OpenTelemetry collectors;
//! - [`auth`] keeps the tokens of logins alive.
//!
//! [`report`] is written from the event log and the forge's own state, not from what an agent said.
//! [`slots`] gives every running attempt a place in the live views.
//!
//! [`energy`] reads or works out what runs took from the socket, [`merged`] what a merged pull request
//! cost.
//!
//! # Rules
//! - No model takes part in anything here.
//! - What was replayed is called replayed.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test stops at the first surprise")
)]

pub mod alert;
pub mod analysis;
pub mod auth;
pub mod chart;
pub mod collect;
pub mod compare;
pub mod energy;
pub mod error;
pub mod export;
pub mod files;
pub mod finding;
pub mod health;
pub mod merged;
mod off_thread;
pub mod probe;
mod program;
mod readings;
mod replace;
pub mod report;
pub mod rows;
pub mod run_lock;
pub mod series;
pub mod settings;
pub mod slots;
pub mod snapshot;
pub mod watchdog;
