//! Talking to language models: a wire layer that survives what servers really send, one record of
//! habits per server, a cascade with health and budgets, and recordings that can be played back.
//!
//! - [`chat`] is the vocabulary: messages, tools, replies, and the [`ChatModel`] trait;
//! - [`error`] names every way in which a call can fail, each with an answer of its own;
//! - [`settings`] is what the configuration says about a provider, and [`open()`] makes models of it;
//! - [`router`] is the cascade with health and budgets;
//! - [`recording`] keeps conversations so that they can be played back;
//! - [`call`] is one request beside a conversation;
//! - [`hermes`] uses a Hermes agent as nothing but a way to a model.
//!
//! # Rules
//! - A tool call that was cut off is never handed out: half a command is another command.
//! - Model keys stay inside this crate: no argument list, URL, event, recording or `Debug` holds one.
//! - Nothing is asked before its tokens and cost are reserved.
//! - A passing fault, a spent quota and a refused key are three things with three answers.

pub mod call;
pub mod chat;
mod classify;
pub mod error;
pub mod hermes;
mod http;
mod open;
pub mod recording;
mod replay;
mod reset;
pub mod router;
mod server;
pub mod settings;
mod wire;

pub use chat::Arguments;
pub use chat::ChatModel;
pub use chat::ChatRequest;
pub use chat::Finish;
pub use chat::Message;
pub use chat::Reply;
pub use chat::TokenCount;
pub use chat::ToolCall;
pub use chat::ToolSpec;
pub use error::Failure;
pub use error::ModelError;
pub use error::RouteError;
pub use open::Opened;
pub use open::Surroundings;
pub use open::open;
pub use recording::Recorder;
pub use replay::Replay;
pub use router::Answer;
pub use router::Patience;
pub use router::Provider;
pub use router::Router;
pub use server::ModelAtServer;
pub use settings::ProviderKind;
pub use settings::ProviderSettings;
pub use settings::SecretReference;
