//! The program as a person uses it, and the promises of the repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod alerts;
mod analyze;
mod auth;
mod bad_input;
mod budget;
mod caches;
mod control;
mod demo;
mod edges;
mod export;
mod home;
mod hosts;
mod hurdles;
mod kill;
mod loop_decisions;
mod loop_ends;
mod loop_follow_up;
mod loop_stage;
mod loop_upsets;
mod matrix;
mod namespaces;
mod night;
mod outage;
mod pages;
mod partition;
mod planted;
mod postgres;
mod private_root;
mod providers;
mod queue;
mod readme;
mod report;
mod served;
mod tap;
mod telemetry;
mod together;
mod top;
mod units;
mod watch;
mod watchdog;
mod way;
mod workflow;
mod workspace;
mod workspace_kills;
