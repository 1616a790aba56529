//! All SQL of timmy, on SQLite (embedded) or PostgreSQL (several hosts).
//!
//! One [`Store`] per process. Around it:
//!
//! - [`EventLog`]: the append-only log that everything else is a reader of;
//! - [`Spending`]: tokens and cost, reserved before and settled after every model call;
//! - [`runs`]: what the log says about runs. Nothing about a run is stored a second time;
//! - [`Queue`]: what waits, and who is at it, for several hosts on one PostgreSQL;
//! - [`forge`]: the tables of the embedded forge.
//!
//! # Rules
//! - Every change but those of the queue goes through [`Store`]'s one write transaction. SQLite takes its write lock at
//!   once (`BEGIN IMMEDIATE`), PostgreSQL an advisory lock, so writers queue on both and neither
//!   loses an update nor fails half-way. See docs/decisions/001-one-writer.md.
//! - SQL stays portable: BIGINT flags and times, TEXT ids and JSON, `$n` placeholders.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test stops at the first surprise")
)]

mod database;
mod error;
pub mod forge;
mod log;
mod migrations;
mod queue;
pub mod runs;
mod spending;

pub use database::Store;
pub use error::StoreError;
pub use log::EventLog;
pub use log::Query;
pub use log::StandingPause;
pub use log::Started;
pub use queue::Item;
pub use queue::Length;
pub use queue::Offer;
pub use queue::Queue;
pub use spending::Account;
pub use spending::BudgetScope;
pub use spending::Cap;
pub use spending::DayStanding;
pub use spending::IssueStanding;
pub use spending::RepositoryStanding;
pub use spending::Reservation;
pub use spending::SpendError;
pub use spending::SpendLimits;
pub use spending::Spending;
pub use spending::Standing;
