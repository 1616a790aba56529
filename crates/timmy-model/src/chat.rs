//! The vocabulary of a conversation with a model.

use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use timmy_core::receipt::Provenance;

use crate::error::ModelError;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Rules, from timmy.
    System(String),
    /// The task, or a remark of timmy to the model.
    User(String),
    /// What the model said.
    Assistant {
        /// Its text, without reasoning.
        text: String,
        /// The tools it asked for.
        #[serde(default)]
        calls: Vec<ToolCall>,
        /// Its reasoning, where the server gave any.
        #[serde(default)]
        reasoning: Option<String>,
    },
    /// The result of a tool call.
    Tool {
        /// The [`ToolCall::id`] it answers.
        call_id: String,
        /// The tool.
        name: String,
        /// What came of it, bounded by the caller.
        text: String,
    },
}

impl Message {
    /// The message that a reply becomes in the next request.
    #[must_use]
    pub fn from_reply(reply: &Reply) -> Self {
        Self::Assistant {
            text: reply.text.clone(),
            calls: reply.calls.clone(),
            reasoning: reply.reasoning.clone(),
        }
    }

    /// The result of a call.
    #[must_use]
    pub fn result(call: &ToolCall, text: impl Into<String>) -> Self {
        Self::Tool {
            call_id: call.id.clone(),
            name: call.name.clone(),
            text: text.into(),
        }
    }

    /// Its text, whoever said it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::System(text)
            | Self::User(text)
            | Self::Assistant { text, .. }
            | Self::Tool { text, .. } => text,
        }
    }
}

/// A tool the model may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// Its parameters as a JSON Schema of type `object`.
    pub parameters: Value,
}

/// A tool the model asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the result to the call. Unique in its reply; invented where the server sent none.
    pub id: String,
    /// The tool's name as the model wrote it. It may not exist.
    pub name: String,
    /// What it is called with.
    pub arguments: Arguments,
}

/// The arguments of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// A JSON object, as it should be.
    Object(Map<String, Value>),
    /// Not a JSON object, even after mending. The model is told and may try again.
    Invalid {
        /// What the model wrote, bounded.
        text: String,
        /// What is wrong with it.
        error: String,
    },
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools it may ask for.
    pub tools: Vec<ToolSpec>,
    /// The most it may produce, reasoning included.
    pub max_output_tokens: u32,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Its text, without reasoning. Empty when it only called tools.
    pub text: String,
    /// The tools it asked for, in order. Always empty when [`Self::finish`] is [`Finish::Length`].
    pub calls: Vec<ToolCall>,
    /// Its reasoning, where the server gave any.
    pub reasoning: Option<String>,
    /// Why it stopped.
    pub finish: Finish,
    /// What it used, where the server said so.
    pub tokens: Option<TokenCount>,
    /// The model's name, as the server gave it.
    pub model: String,
    /// Oddities a person should hear of, such as a recording that fits the run no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    Stop,
    /// It asked for tools.
    ToolCalls,
    /// It ran into the limit on its output. Calls it had begun are dropped.
    Length,
    /// The server's content filter stopped it.
    Filtered,
    /// Something else, in the server's word.
    Other(String),
}

/// Tokens of one call, as the server counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// Tokens of the request.
    pub input: u64,
    /// Tokens of the reply, reasoning included.
    pub output: u64,
}

/// Something that answers conversations.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// The provider's name in the configuration.
    fn name(&self) -> &str;

    /// Whether a model answers, or a recording.
    fn provenance(&self) -> Provenance;

    /// How many tokens request and reply may have together.
    fn context_tokens(&self) -> u64;

    /// Input tokens that the provider adds to every request on its own account.
    fn added_input_tokens(&self) -> u64 {
        0
    }

    /// Asks once, without retries.
    ///
    /// # Errors
    /// See [`ModelError`]: each variant says what its answer is.
    async fn chat(&self, request: &ChatRequest) -> Result<Reply, ModelError>;
}
