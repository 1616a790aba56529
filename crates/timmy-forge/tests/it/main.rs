//! The forge crate over real HTTP, with real git and real SQLite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod changes;
mod claim;
mod edits;
mod embedded;
mod errors;
mod forge_server;
mod quirks;
mod scripted;
mod settled;
mod webhook;
mod writes;
