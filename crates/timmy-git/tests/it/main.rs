//! timmy-git on real repositories, real processes, a real sandbox and real HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod bare;
mod collect;
mod names;
mod poison;
mod sample;
mod server;
mod tools;
mod workshop;
