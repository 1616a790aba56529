//! What the fleet really did.
//!
//! - [`rows`] are the lines of the telemetry files: samples and changes;
//! - [`finding`] is what health, watchdog and logins have to say;
//! - [`watchdog`] compares models with what is expected of them, and puts them back;
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

pub mod auth;
pub mod energy;
pub mod finding;
pub mod merged;
mod replace;
pub mod report;
pub mod rows;
pub mod slots;
pub mod watchdog;
