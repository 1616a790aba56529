//! One server over HTTP: requests out, bounded bodies in, every failure named.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Value;
use timmy_core::Clock;
use timmy_core::Redactor;
use timmy_core::text;
use url::Host;
use url::Url;

use crate::classify::ErrorAnswer;
use crate::error::Failure;
use crate::error::ModelError;
use crate::settings::ProviderSettings;
use crate::wire::stream;
use crate::wire::stream::Chunks;
use crate::wire::stream::Fault;
use crate::wire::stream::Tee;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Probes and error bodies are short.
const LONGEST_PROBE: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("timmy/", env!("CARGO_PKG_VERSION"));

/// A server with its key and the patience it is met with.
pub(crate) struct Endpoint {
    client: Client,
    provider: String,
    base: Url,
    key: Option<SecretString>,
    idle: Duration,
    clock: Arc<dyn Clock>,
    redactor: Redactor,
}

/// A response whose body is still to be read.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) chunks: Chunks,
}

impl Answered {
    /// Whether the body is a stream of events, whatever was asked for.
    pub(crate) fn is_event_stream(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        content_type.is_some_and(|value| value.starts_with("text/event-stream"))
    }

    /// Whether the status means success.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Endpoint {
    /// An endpoint at a base URL, which keeps its connections.
    pub(crate) fn new(
        settings: &ProviderSettings,
        base: &Url,
        key: Option<SecretString>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelError> {
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(settings.wrong(format!("base_url {base} is no http or https URL")));
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err(settings.wrong("base_url holds a user, a password or a query"));
        }
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = client(&base).map_err(|error| settings.wrong(stream::chain(&error)))?;
        Ok(Self {
            client,
            provider: settings.name.clone(),
            base,
            redactor: Redactor::new(key.as_ref()),
            key,
            idle: settings.idle_timeout(),
            clock,
        })
    }

    /// Where a path lies, for people.
    pub(crate) fn place(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The time by this endpoint's clock.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Sends a body. The answer may be an error answer; see [`Self::refusal`].
    pub(crate) async fn post(
        &self,
        path: &str,
        body: String,
        tee: Option<Tee>,
    ) -> Result<Answered, ModelError> {
        let request = self.client.post(self.place(path)).body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        self.send(request, path, self.idle, tee).await
    }

    /// Asks for a small JSON document: `(status, document)`.
    pub(crate) async fn probe(&self, path: &str) -> Result<(u16, Value), ModelError> {
        let patience = self.idle.min(LONGEST_PROBE);
        let request = self.client.get(self.place(path));
        let answered = self.send(request, path, patience, None).await?;
        let status = answered.status;
        let body = stream::read_all(answered.chunks).await;
        let body = body.map_err(|fault| self.fault(path, fault))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        path: &str,
        patience: Duration,
        tee: Option<Tee>,
    ) -> Result<Answered, ModelError> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let Ok(answer) = tokio::time::timeout(patience, request.send()).await else {
            return Err(self.fault(path, Fault::Silent));
        };
        let response = answer.map_err(|error| self.not_sent(path, error))?;
        Ok(Answered {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            chunks: stream::bounded(response.bytes_stream(), patience, tee),
        })
    }

    /// What an error answer means.
    pub(crate) async fn refusal(&self, path: &str, answered: Answered) -> ModelError {
        let body = stream::read_all(answered.chunks).await.unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        self.classify(path, answered.status, &answered.headers, &body)
    }

    /// What a broken reply means.
    pub(crate) fn fault(&self, path: &str, fault: Fault) -> ModelError {
        match fault {
            Fault::Silent => ModelError::TooSlow(self.failure(
                path,
                &format!("nothing came for {} seconds", self.idle.as_secs()),
            )),
            Fault::Cut(detail) => ModelError::CutOff(self.failure(path, &detail)),
            Fault::Unreadable(detail) => ModelError::Malformed(self.failure(path, &detail)),
            Fault::Reported(body) => self.classify(path, 200, &HeaderMap::new(), &body.to_string()),
        }
    }

    pub(crate) fn classify(
        &self,
        path: &str,
        status: u16,
        headers: &HeaderMap,
        body: &str,
    ) -> ModelError {
        let answer = ErrorAnswer {
            provider: &self.provider,
            place: &self.place(path),
            status,
            headers,
            body,
            now: self.now(),
            redactor: &self.redactor,
        };
        answer.classify()
    }

    pub(crate) fn failure(&self, path: &str, detail: &str) -> Failure {
        Failure {
            provider: self.provider.clone(),
            place: self.place(path),
            detail: self.redactor.redact(&text::clean_line(detail)),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn not_sent(&self, path: &str, error: reqwest::Error) -> ModelError {
        let unreachable = error.is_connect();
        let failure = self.failure(path, &stream::chain(&error.without_url()));
        if unreachable {
            return ModelError::Unreachable(failure);
        }
        ModelError::Transient {
            failure,
            retry_after: None,
        }
    }
}

/// A client that follows no redirect, since a redirect would carry the conversation elsewhere. For
/// plain HTTP the certificates of the system, which take time to load, are left alone.
pub(crate) fn client(base: &Url) -> Result<Client, reqwest::Error> {
    // Fails when a provider is installed already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .user_agent(USER_AGENT);
    if base.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
