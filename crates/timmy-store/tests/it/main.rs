//! The store on both databases, through its public API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod cluster;
mod databases;
mod forge;
mod log;
mod outages;
mod queue;
mod root;
mod runs;
mod spending;
