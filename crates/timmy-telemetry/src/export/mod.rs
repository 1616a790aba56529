//! What happened, for programs that gather figures and traces: Prometheus and OpenTelemetry.
//!
//! Everything is read from the event log, the books and the newest telemetry rows; nothing in the rest
//! of timmy is instrumented. docs/decisions/008-export-from-the-log.md says why.
//!
//! - [`measure`] turns events into counts and durations, once for both;
//! - [`prometheus`] answers scrapes at `/metrics`;
//! - [`otlp`] sends one trace a run, and the same figures, to a collector;
//! - [`conventions`] holds the names that OpenTelemetry gives to things.
//!
//! # Rules
//! - Nothing is listened to and nothing is sent unless the operator configured it.
//! - No prompt, argument, result or text of a model leaves, unless `export.content` says so.
//! - The number of series has a bound that hostile names cannot move.

pub mod conventions;
mod error;
mod latest;
pub mod measure;
pub mod otlp;
pub mod prometheus;
mod settings;
mod standing;

pub use error::ExportError;
pub use settings::ExportSettings;
