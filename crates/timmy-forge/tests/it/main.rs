//! The crate over real HTTP.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod errors;
mod quirks;
mod scripted;
mod writes;
