//! One record of habits per server. What a server does differently is a field here, not a branch
//! elsewhere.

use crate::settings::ProviderKind;
use crate::settings::ProviderSettings;

/// The API a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `POST {base}/chat/completions`.
    ChatCompletions,
    /// Ollama's `POST {base}/api/chat`, with lines of JSON instead of server-sent events.
    Ollama,
}

/// How tools are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tools {
    /// In `tools`. Calls written as text count all the same when `text_calls` is set.
    Native,
    /// In the prompt, with the conversation flattened to text.
    Text,
}

/// The habits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) api: Api,
    /// The field for the limit on output; none where the server ignores it.
    pub(crate) max_tokens: Option<&'static str>,
    pub(crate) tools: Tools,
    /// Whether `<tool_call>` in the text of a reply is a call.
    pub(crate) text_calls: bool,
    /// The field in which reasoning is sent back, for models that lose the thread without it.
    pub(crate) echo_reasoning: Option<&'static str>,
    /// Whether replies are streamed when the settings say nothing.
    pub(crate) stream: bool,
    /// Whether usage has to be asked for in a stream.
    pub(crate) ask_usage: bool,
}

const GENERIC: Dialect = Dialect {
    api: Api::ChatCompletions,
    max_tokens: Some("max_tokens"),
    tools: Tools::Native,
    text_calls: true,
    echo_reasoning: None,
    stream: true,
    ask_usage: true,
};

impl Dialect {
    /// The record of a kind of server.
    pub(crate) fn of(kind: ProviderKind) -> Self {
        match kind {
            ProviderKind::Openai => Self {
                max_tokens: Some("max_completion_tokens"),
                text_calls: false,
                ..GENERIC
            },
            ProviderKind::Ollama => Self {
                api: Api::Ollama,
                max_tokens: Some("num_predict"),
                echo_reasoning: Some("thinking"),
                ask_usage: false,
                ..GENERIC
            },
            ProviderKind::LlamaServer => Self {
                echo_reasoning: Some("reasoning_content"),
                ..GENERIC
            },
            ProviderKind::OllamaV1
            | ProviderKind::Vllm
            | ProviderKind::Nous
            | ProviderKind::HermesImport
            | ProviderKind::Replay
            | ProviderKind::Generic => GENERIC,
            ProviderKind::HermesGateway | ProviderKind::HermesCli => Self {
                max_tokens: None,
                tools: Tools::Text,
                stream: false,
                ask_usage: false,
                ..GENERIC
            },
        }
    }

    /// The record of a kind of server, with what the settings say otherwise.
    pub(crate) fn with(settings: &ProviderSettings) -> Self {
        let dialect = Self::of(settings.kind);
        let tools = match settings.tools_as_text {
            Some(true) => Tools::Text,
            Some(false) => Tools::Native,
            None => dialect.tools,
        };
        Self {
            tools,
            text_calls: dialect.text_calls || tools == Tools::Text,
            stream: settings.stream.unwrap_or(dialect.stream),
            ..dialect
        }
    }
}
