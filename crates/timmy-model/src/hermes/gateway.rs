//! The API server of a running Hermes gateway.
//!
//! The gateway ignores the tools of a client and runs a whole agent for every request. It serves as
//! a plain model only when its platform `api_server` has no toolset; that is checked before the first
//! request, and without it nothing is asked.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use timmy_core::Clock;
use timmy_core::receipt::Provenance;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::chat::ChatModel;
use crate::chat::ChatRequest;
use crate::chat::Reply;
use crate::error::ModelError;
use crate::recording::Recorder;
use crate::server::ModelAtServer;
use crate::settings::ProviderSettings;

/// What Hermes puts before a conversation when it has no tools, in tokens (about 1.8 kB of text).
const ADDED_TOKENS: u64 = 1_000;
/// The same with its usual toolsets (12,744 were reported for a short question).
const ADDED_TOKENS_WITH_TOOLS: u64 = 20_000;

/// A model behind a Hermes gateway.
pub struct HermesGateway {
    inner: ModelAtServer,
    /// Without it Hermes gives two conversations that begin alike the same session.
    conversation: Uuid,
    tools_allowed: bool,
    checked: OnceCell<()>,
}

impl HermesGateway {
    /// The gateway at the settings' base URL, or at `http://127.0.0.1:8642/v1`.
    ///
    /// # Errors
    /// [`ModelError::Settings`]. Whether the gateway runs is found out by the first request.
    pub fn open(
        settings: &ProviderSettings,
        key: Option<SecretString>,
        recorder: Option<Arc<Recorder>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelError> {
        let mut settings = settings.clone();
        settings
            .model
            .get_or_insert_with(|| "hermes-agent".to_owned());
        Ok(Self {
            inner: ModelAtServer::open(&settings, key, recorder, clock)?,
            conversation: Uuid::now_v7(),
            tools_allowed: settings.allow_tools_outside_sandbox,
            checked: OnceCell::new(),
        })
    }

    /// Asks for the gateway's health, then for its tools.
    async fn check(&self) -> Result<(), ModelError> {
        let endpoint = self.inner.endpoint();
        let (status, health) = endpoint.probe("health").await?;
        if status != 200 || health["status"] != json!("ok") {
            let detail = format!("GET health answered {status}; this is no Hermes gateway");
            return Err(ModelError::Unreachable(endpoint.failure("health", &detail)));
        }
        if self.tools_allowed {
            return Ok(());
        }
        let (status, toolsets) = endpoint.probe("toolsets").await?;
        let refuse = |detail: String| {
            Err(ModelError::HermesTools(
                endpoint.failure("toolsets", &detail),
            ))
        };
        match status {
            200 => {}
            401 | 403 => {
                let headers = http::HeaderMap::new();
                return Err(endpoint.classify("toolsets", status, &headers, &toolsets.to_string()));
            }
            status => return refuse(format!("its tools cannot be asked for: status {status}")),
        }
        match enabled_tools(&toolsets) {
            None => refuse("its tools cannot be asked for: no list in the answer".to_owned()),
            Some(tools) if tools.is_empty() => Ok(()),
            Some(tools) => refuse(format!("its enabled toolsets are {}", tools.join(", "))),
        }
    }
}

fn enabled_tools(toolsets: &Value) -> Option<Vec<String>> {
    let listed = toolsets["data"].as_array()?.iter();
    let enabled = listed.filter(|toolset| toolset["enabled"] != json!(false));
    Some(
        enabled
            .map(|toolset| toolset["name"].as_str().unwrap_or("unnamed").to_owned())
            .collect(),
    )
}

/// Adds a line that makes the conversation unlike any other.
fn mark(body: &mut Value, conversation: &Uuid) {
    let mark = format!("[conversation {conversation}]");
    let Some(messages) = body["messages"].as_array_mut() else {
        return;
    };
    match messages.first_mut() {
        Some(first) if first["role"] == json!("system") => {
            let text = first["content"].as_str().unwrap_or_default();
            first["content"] = json!(format!("{text}\n\n{mark}"));
        }
        _ => messages.insert(0, json!({"role": "system", "content": mark})),
    }
}

#[async_trait]
impl ChatModel for HermesGateway {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn provenance(&self) -> Provenance {
        Provenance::Live
    }

    fn context_tokens(&self) -> u64 {
        self.inner.context_tokens()
    }

    fn added_input_tokens(&self) -> u64 {
        if self.tools_allowed {
            return ADDED_TOKENS_WITH_TOOLS;
        }
        ADDED_TOKENS
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Reply, ModelError> {
        self.checked.get_or_try_init(|| self.check()).await?;
        let mut body = self.inner.body(request);
        mark(&mut body, &self.conversation);
        self.inner.exchange(request, &body).await
    }
}
