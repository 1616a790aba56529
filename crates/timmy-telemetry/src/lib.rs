//! timmy-telemetry
