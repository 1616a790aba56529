//! A recording, played back: a loopback server serves the recorded responses in order, and the
//! ordinary client talks to it over HTTP.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use serde_json::Value;
use timmy_core::Clock;
use timmy_core::receipt::Provenance;
use timmy_loopback::Handler;
use timmy_loopback::Reply as HttpReply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::sync::mpsc;
use url::Url;

use crate::chat::ChatModel;
use crate::chat::ChatRequest;
use crate::chat::Reply;
use crate::error::Failure;
use crate::error::ModelError;
use crate::http::Endpoint;
use crate::recording;
use crate::recording::Exchange;
use crate::recording::Recorder;
use crate::server::ModelAtServer;
use crate::server::REPLAY_WARNING;
use crate::settings::ProviderKind;
use crate::settings::ProviderSettings;
use crate::wire::dialect::Dialect;
use crate::wire::dialect::Tools;

/// The longest recording that is read, in bytes.
const LONGEST_RECORDING: u64 = 512 << 20;

/// A recording, played back.
pub struct Replay {
    inner: ModelAtServer,
    used_up: Arc<AtomicBool>,
    place: String,
    // Serves for as long as the model lives.
    _server: Server,
}

impl Replay {
    /// Reads the recording that `settings.file` names and serves it.
    ///
    /// # Errors
    /// The recording errors of [`ModelError`], or [`ModelError::Settings`].
    pub async fn open(
        settings: &ProviderSettings,
        recorder: Option<Arc<Recorder>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelError> {
        let Some(file) = &settings.file else {
            return Err(settings.wrong("`file` is missing"));
        };
        let place = file.display().to_string();
        let exchanges = recording::parse(&read(file, &place)?, &place)?;
        let (dialect, model) = habits(&exchanges);
        let used_up = Arc::new(AtomicBool::new(false));
        let playback = Playback {
            left: Mutex::new(exchanges.into()),
            used_up: Arc::clone(&used_up),
        };
        let server = Server::start(playback).await;
        let server = server.map_err(|error| settings.wrong(error.to_string()))?;
        let base = Url::parse(&server.url()).map_err(|error| settings.wrong(error.to_string()))?;
        let settings = ProviderSettings {
            kind: ProviderKind::Replay,
            ..settings.clone()
        };
        let endpoint = Endpoint::new(&settings, &base, None, clock)?;
        Ok(Self {
            inner: ModelAtServer::new(&settings, endpoint, dialect, model, recorder),
            used_up,
            place,
            _server: server,
        })
    }
}

fn read(file: &Path, place: &str) -> Result<String, ModelError> {
    let size = std::fs::metadata(file).map(|data| data.len());
    let size = size.map_err(|error| recording::file_error(place, &error.to_string()))?;
    if size > LONGEST_RECORDING {
        return Err(recording::file_error(
            place,
            "it is too long for a recording",
        ));
    }
    std::fs::read_to_string(file).map_err(|error| recording::file_error(place, &error.to_string()))
}

/// The dialect the recording was made in, and the model that was asked.
fn habits(exchanges: &[Exchange]) -> (Dialect, String) {
    let Some(first) = exchanges.first() else {
        return (Dialect::of(ProviderKind::Generic), String::new());
    };
    let mut dialect = Dialect::of(first.kind);
    if first.tools_as_text {
        dialect.tools = Tools::Text;
        dialect.text_calls = true;
    }
    (dialect, first.request.model.clone())
}

#[async_trait]
impl ChatModel for Replay {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn provenance(&self) -> Provenance {
        Provenance::Replayed
    }

    fn context_tokens(&self) -> u64 {
        self.inner.context_tokens()
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Reply, ModelError> {
        let answer = self.inner.chat(request).await;
        if !self.used_up.load(Ordering::Acquire) {
            return answer;
        }
        Err(ModelError::RecordingUsedUp(Failure {
            provider: self.name().to_owned(),
            place: self.place.clone(),
            detail: "the run asks for one reply more than was recorded".to_owned(),
        }))
    }
}

struct Playback {
    left: Mutex<VecDeque<Exchange>>,
    used_up: Arc<AtomicBool>,
}

impl Handler for Playback {
    async fn handle(&self, request: Request) -> HttpReply {
        let next = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.pop_front()
        };
        match next {
            Some(exchange) => serve(&exchange, &request),
            None => {
                self.used_up.store(true, Ordering::Release);
                HttpReply::empty(StatusCode::GONE)
            }
        }
    }
}

fn serve(exchange: &Exchange, request: &Request) -> HttpReply {
    let recorded = &exchange.response;
    let (sender, body) = mpsc::channel(2);
    // The channel has room for both.
    let _ = sender.try_send(Ok(Bytes::from(recorded.body.clone())));
    if !recorded.complete {
        let _ = sender.try_send(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
    }
    let mut response = http::Response::new(body);
    *response.status_mut() = StatusCode::from_u16(recorded.status).unwrap_or_default();
    for (name, value) in &recorded.headers {
        let name = name.parse::<HeaderName>();
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    if let Some(warning) = difference(exchange, request)
        && let Ok(warning) = HeaderValue::from_str(&warning)
    {
        let name = HeaderName::from_static(REPLAY_WARNING);
        response.headers_mut().insert(name, warning);
    }
    HttpReply::Streamed(response)
}

/// What is different in shape from the request that was recorded. The words of a conversation differ
/// from run to run; its tools and its length do not, as long as it goes the recorded way.
fn difference(exchange: &Exchange, request: &Request) -> Option<String> {
    let body: Value = serde_json::from_slice(request.body()).ok()?;
    let recorded = &exchange.request;
    let offered = body["tools"].as_array().into_iter().flatten();
    let offered: Vec<&str> = offered
        .filter_map(|tool| tool.pointer("/function/name").and_then(Value::as_str))
        .collect();
    if !exchange.tools_as_text && offered != recorded.tools {
        return Some(format!(
            "the recorded request offered the tools [{}], this one [{}]",
            recorded.tools.join(", "),
            offered.join(", ")
        ));
    }
    let messages = body["messages"].as_array().map_or(0, Vec::len);
    if !exchange.tools_as_text && messages != recorded.messages {
        return Some(format!(
            "the recorded request had {} messages, this one {messages}",
            recorded.messages
        ));
    }
    None
}
