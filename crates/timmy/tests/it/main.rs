//! The program as a person uses it, and the promises of the repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod edges;
mod pages;
