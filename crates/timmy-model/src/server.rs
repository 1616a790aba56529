//! A model behind an HTTP server, in any dialect.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::Value;
use timmy_core::Clock;
use timmy_core::receipt::Provenance;
use url::Url;

use crate::chat::ChatModel;
use crate::chat::ChatRequest;
use crate::chat::Reply;
use crate::error::ModelError;
use crate::hermes::verdict;
use crate::http::Answered;
use crate::http::Endpoint;
use crate::recording::Exchange;
use crate::recording::Recorder;
use crate::settings::DEFAULT_CONTEXT_TOKENS;
use crate::settings::ProviderKind;
use crate::settings::ProviderSettings;
use crate::wire::dialect::Api;
use crate::wire::dialect::Dialect;
use crate::wire::draft::Draft;
use crate::wire::draft::Ending;
use crate::wire::draft::Unusable;
use crate::wire::request::Shape;
use crate::wire::stream;
use crate::wire::stream::Fault;
use crate::wire::stream::Tee;

/// The header in which the playback of a recording reports that the run differs from it.
pub(crate) const REPLAY_WARNING: &str = "x-timmy-replay-warning";

/// A model behind an HTTP server.
pub struct ModelAtServer {
    name: String,
    kind: ProviderKind,
    endpoint: Endpoint,
    shape: Shape,
    recorder: Option<Arc<Recorder>>,
}

impl ModelAtServer {
    /// The model that the settings name, at the base URL they name or the usual one.
    ///
    /// # Errors
    /// [`ModelError::Settings`] when something is missing.
    pub fn open(
        settings: &ProviderSettings,
        key: Option<SecretString>,
        recorder: Option<Arc<Recorder>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelError> {
        let Some(model) = settings.model.clone() else {
            return Err(settings.wrong("`model` is missing"));
        };
        let base = match &settings.base_url {
            Some(base) => base.clone(),
            None => usual_base(settings)?,
        };
        let endpoint = Endpoint::new(settings, &base, key, clock)?;
        let dialect = Dialect::with(settings);
        Ok(Self::new(settings, endpoint, dialect, model, recorder))
    }

    pub(crate) fn new(
        settings: &ProviderSettings,
        endpoint: Endpoint,
        dialect: Dialect,
        model: String,
        recorder: Option<Arc<Recorder>>,
    ) -> Self {
        Self {
            name: settings.name.clone(),
            kind: settings.kind,
            endpoint,
            shape: Shape {
                dialect,
                model,
                context_tokens: settings.context_tokens.unwrap_or(DEFAULT_CONTEXT_TOKENS),
            },
            recorder,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.shape.dialect
    }

    /// Sends a body and reads the reply to it.
    pub(crate) async fn exchange(
        &self,
        request: &ChatRequest,
        body: &Value,
    ) -> Result<Reply, ModelError> {
        let path = self.shape.path();
        let tee = self.recorder.as_ref().map(|_| Tee::default());
        let started = self.endpoint.clock().monotonic();
        let answered = self
            .endpoint
            .post(path, body.to_string(), tee.clone())
            .await?;
        let (status, headers) = (answered.status, answered.headers.clone());
        let mut outcome = self.read(request, answered).await;
        if let (Some(recorder), Some(tee)) = (&self.recorder, tee) {
            let latency = self.endpoint.clock().monotonic().saturating_sub(started);
            let seen = Seen {
                status,
                headers: &headers,
                text: tee.text(),
                latency,
            };
            recorder.keep(&self.recorded(request, body, seen, &outcome))?;
        }
        if let (Ok(reply), Some(warning)) = (&mut outcome, headers.get(REPLAY_WARNING)) {
            reply
                .warnings
                .push(String::from_utf8_lossy(warning.as_bytes()).into_owned());
        }
        outcome
    }

    fn recorded(
        &self,
        request: &ChatRequest,
        body: &Value,
        seen: Seen<'_>,
        outcome: &Result<Reply, ModelError>,
    ) -> Exchange {
        let exchange = Exchange::of(self.kind, self.dialect(), request, body);
        let broken = matches!(outcome, Err(ModelError::CutOff(_) | ModelError::TooSlow(_)));
        let mut exchange = exchange.answered(seen.status, seen.headers, seen.text, seen.latency);
        exchange.response.complete = !broken;
        exchange.reply = outcome.as_ref().ok().cloned();
        exchange
    }

    async fn read(&self, request: &ChatRequest, answered: Answered) -> Result<Reply, ModelError> {
        let path = self.shape.path();
        if !answered.is_success() {
            return Err(self.endpoint.refusal(path, answered).await);
        }
        let draft = match self.dialect().api {
            Api::Ollama => stream::read_lines(answered.chunks).await,
            Api::ChatCompletions if answered.is_event_stream() => {
                stream::read_events(answered.chunks).await
            }
            Api::ChatCompletions => {
                let completion = stream::read_completion(answered.chunks).await;
                completion.and_then(whole_draft)
            }
        };
        let draft = draft.map_err(|fault| self.endpoint.fault(path, fault))?;
        self.finish(request, draft)
    }

    fn finish(&self, request: &ChatRequest, draft: Draft) -> Result<Reply, ModelError> {
        let ending = Ending {
            text_calls: self.dialect().text_calls,
            tools: &request.tools,
            turn: request.messages.len(),
        };
        let path = self.shape.path();
        draft.finish(&ending).map_err(|unusable| match unusable {
            Unusable::Empty => ModelError::Malformed(
                self.endpoint
                    .failure(path, "the reply has neither text nor tool calls"),
            ),
            Unusable::Filtered => ModelError::Refused(
                self.endpoint
                    .failure(path, "the content filter left nothing of the reply"),
            ),
        })
    }
}

struct Seen<'a> {
    status: u16,
    headers: &'a HeaderMap,
    text: String,
    latency: Duration,
}

#[async_trait]
impl ChatModel for ModelAtServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn provenance(&self) -> Provenance {
        match self.kind {
            ProviderKind::Replay => Provenance::Replayed,
            _ => Provenance::Live,
        }
    }

    fn context_tokens(&self) -> u64 {
        self.shape.context_tokens
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Reply, ModelError> {
        let body = self.shape.body(request);
        self.exchange(request, &body).await
    }
}

impl ModelAtServer {
    pub(crate) fn body(&self, request: &ChatRequest) -> Value {
        self.shape.body(request)
    }
}

/// A completion as a draft. Hermes tells of a failure with status 200 and the error as the text.
fn whole_draft(completion: Value) -> Result<Draft, Fault> {
    if let Some(fault) = verdict::of_completion(&completion) {
        return Err(fault);
    }
    let mut draft = Draft::default();
    draft.take_completion(&completion);
    Ok(draft)
}

impl ProviderSettings {
    /// Where its server listens: as the configuration says, or where that kind usually does. None for
    /// what is no server, or one whose place nobody knows.
    #[must_use]
    pub fn server_url(&self) -> Option<Url> {
        match self.kind {
            ProviderKind::HermesCli | ProviderKind::HermesImport | ProviderKind::Replay => None,
            _ => self.base_url.clone().or_else(|| usual_base(self).ok()),
        }
    }
}

/// Where a kind of server listens when nothing else is said.
fn usual_base(settings: &ProviderSettings) -> Result<Url, ModelError> {
    let base = match settings.kind {
        ProviderKind::Openai => "https://api.openai.com/v1",
        ProviderKind::Ollama => "http://127.0.0.1:11434",
        ProviderKind::OllamaV1 => "http://127.0.0.1:11434/v1",
        ProviderKind::Vllm => "http://127.0.0.1:8000/v1",
        ProviderKind::LlamaServer => "http://127.0.0.1:8080/v1",
        ProviderKind::Nous => "https://inference-api.nousresearch.com/v1",
        ProviderKind::HermesGateway => "http://127.0.0.1:8642/v1",
        ProviderKind::Generic
        | ProviderKind::HermesCli
        | ProviderKind::HermesImport
        | ProviderKind::Replay => return Err(settings.wrong("`base_url` is missing")),
    };
    Url::parse(base).map_err(|error| settings.wrong(error.to_string()))
}
