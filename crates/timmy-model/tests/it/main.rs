//! Models over real HTTP: scripted servers, recordings, captured shapes of Hermes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hermes;
mod import;
mod parts;
mod replay;
mod router;
mod server;
