//! Everything that is tried against a real sandbox, at every level this machine offers.
//!
//! As root, each attempt is made by a command of root's (dropped to the agent's user) and by one of
//! an ordinary user. The numbers in the names are those
//! of the 25 attempts in `docs/sandbox.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod choosing;
mod files;
mod limits;
mod machine;
mod network;
mod ordinary;
mod place;
mod tree;
