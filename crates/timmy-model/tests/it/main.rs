//! Models over real HTTP: scripted servers, recordings, captured shapes of Hermes.

mod hermes;
mod import;
mod parts;
mod replay;
mod router;
mod server;
