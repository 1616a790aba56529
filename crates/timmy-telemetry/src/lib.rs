//! What the fleet really did.
//!
//! [`report`] is written from the event log and the forge's own state, not from what an agent said.
//!
//! # Rules
//! - No model takes part in anything here.
//! - What was replayed is called replayed.

pub mod report;
