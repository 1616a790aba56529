//! Hermes as a source of models: its gateway, its command, and its configuration.
//!
//! Hermes is an agent of its own, with tools that run as its user and outside of any sandbox. It is
//! used here as nothing but a way to a model: with no toolset, one turn a call, and timmy's tools
//! described in the prompt.

pub mod command;
mod configuration;
pub mod gateway;
pub mod homes;
pub mod import;
pub(crate) mod verdict;
