//! timmy-forge on real servers, real repositories and real processes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod claim;
