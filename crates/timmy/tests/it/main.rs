//! The program as a person uses it, and the promises of the repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod bad_input;
mod demo;
mod edges;
mod home;
mod kill;
mod night;
mod pages;
mod providers;
mod readme;
mod served;
mod together;
mod units;
mod watch;
mod workflow;
mod workspace;
