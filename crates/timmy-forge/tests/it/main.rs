//! Integration tests of the forge crate: real HTTP, real git, real SQLite.

mod embedded;
mod forge_server;
