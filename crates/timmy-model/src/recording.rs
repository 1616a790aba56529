//! Conversations as files: one JSON line for each exchange, readable by people, free of secrets.
//!
//! Request headers are not stored, since the key stands there. The request itself is stored as its
//! digest and the end of its last message. What the server sent is stored as it was sent, so that it
//! can be served again in the same wire format.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::HeaderMap;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::Redactor;
use timmy_core::text;

use crate::chat::ChatRequest;
use crate::chat::Finish;
use crate::chat::Message;
use crate::chat::Reply;
use crate::error::Failure;
use crate::error::ModelError;
use crate::settings::ProviderKind;
use crate::wire::dialect::Api;
use crate::wire::dialect::Dialect;

/// The version written to each line. Raised when a reader of the older one would be misled.
pub const RECORDING_VERSION: u32 = 1;
/// How much of a conversation's last message is kept for people, in bytes.
const TAIL: usize = 300;
/// The headers that matter when a response is served again.
const KEPT_HEADERS: [&str; 9] = [
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-hermes-completed",
];

/// One exchange, one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// [`RECORDING_VERSION`].
    pub timmy_recording: u32,
    /// What kind of server answered.
    pub kind: ProviderKind,
    /// Whether tools were described in the prompt.
    pub tools_as_text: bool,
    /// What was asked.
    pub request: RecordedRequest,
    /// What was answered.
    pub response: RecordedResponse,
    /// The reply as it was understood, while it is not written yet. A secret that was cut in pieces
    /// by streaming shows only here.
    #[serde(skip)]
    pub(crate) reply: Option<Reply>,
}

/// What is kept of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// SHA-256 of the whole body, in hexadecimal.
    pub sha256: String,
    /// The model that was asked for.
    pub model: String,
    /// How many messages the conversation had.
    pub messages: usize,
    /// The names of the tools that were offered.
    pub tools: Vec<String>,
    /// The end of the last message, for people.
    pub tail: String,
}

/// A response as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that matter when it is served again.
    pub headers: Vec<(String, String)>,
    /// The body: JSON, server-sent events or lines of JSON.
    pub body: String,
    /// False when the connection broke before the end.
    pub complete: bool,
    /// How long it took.
    pub latency_ms: u64,
}

impl Exchange {
    pub(crate) fn of(
        kind: ProviderKind,
        dialect: Dialect,
        request: &ChatRequest,
        body: &Value,
    ) -> Self {
        let last = request.messages.last().map_or("", Message::text);
        let tools = request.tools.iter().map(|tool| tool.name.clone());
        Self {
            timmy_recording: RECORDING_VERSION,
            kind,
            tools_as_text: dialect.has_tools_as_text(),
            request: RecordedRequest {
                sha256: digest(body.to_string().as_bytes()),
                model: body["model"].as_str().unwrap_or_default().to_owned(),
                messages: request.messages.len(),
                tools: tools.collect(),
                tail: text::clean(&text::tail(last, TAIL)),
            },
            response: RecordedResponse {
                status: 0,
                headers: Vec::new(),
                body: String::new(),
                complete: true,
                latency_ms: 0,
            },
            reply: None,
        }
    }

    pub(crate) fn answered(
        mut self,
        status: u16,
        headers: &HeaderMap,
        body: String,
        latency: Duration,
    ) -> Self {
        let kept = KEPT_HEADERS.iter().filter_map(|name| {
            let value = headers.get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        });
        self.response = RecordedResponse {
            status,
            headers: kept.collect(),
            body,
            complete: true,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
        };
        self
    }

    /// The same without secrets. A body in which a secret was cut in pieces is written anew from the
    /// reply, as one whole message.
    fn redacted(mut self, redactor: &Redactor) -> Self {
        self.request.tail = redactor.redact(&self.request.tail);
        let said = self.reply.as_ref().map(|reply| json!(reply).to_string());
        self.response.body = match said.filter(|said| redactor.finds(said)) {
            Some(said) => {
                self.response
                    .headers
                    .retain(|(name, _)| name != "content-type");
                let clean = serde_json::from_str(&redactor.redact(&said));
                clean.map_or_else(|_| String::new(), |reply| whole(self.kind, &reply))
            }
            None => redactor.redact(&self.response.body),
        };
        self
    }
}

/// A reply as one whole message, in the wire format of a kind of server.
pub(crate) fn whole(kind: ProviderKind, reply: &Reply) -> String {
    match Dialect::of(kind).api {
        Api::ChatCompletions => completion(reply),
        Api::Ollama => ollama(reply),
    }
    .to_string()
}

fn completion(reply: &Reply) -> Value {
    let calls = reply.calls.iter().map(|call| {
        json!({"id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": call.arguments.as_text()}})
    });
    let calls: Vec<Value> = calls.collect();
    let finish = match reply.finish {
        Finish::Length => "length",
        _ if calls.is_empty() => "stop",
        _ => "tool_calls",
    };
    let mut message = json!({"role": "assistant", "content": reply.text,
        "reasoning_content": reply.reasoning});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let mut completion = json!({"object": "chat.completion", "model": reply.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}]});
    if let Some(tokens) = reply.tokens {
        completion["usage"] =
            json!({"prompt_tokens": tokens.input, "completion_tokens": tokens.output});
    }
    completion
}

fn ollama(reply: &Reply) -> Value {
    let calls = reply.calls.iter().map(|call| {
        let arguments = call.arguments.as_text();
        json!({"function": {"name": call.name, "arguments": arguments}})
    });
    let calls: Vec<Value> = calls.collect();
    let reason = match reply.finish {
        Finish::Length => "length",
        _ => "stop",
    };
    let mut line = json!({"model": reply.model, "done": true, "done_reason": reason,
        "message": {"role": "assistant", "content": reply.text, "thinking": reply.reasoning,
            "tool_calls": calls}});
    if let Some(tokens) = reply.tokens {
        line["prompt_eval_count"] = json!(tokens.input);
        line["eval_count"] = json!(tokens.output);
    }
    line
}

fn digest(bytes: &[u8]) -> String {
    text::hexadecimal(&Sha256::digest(bytes))
}

/// Writes exchanges to a file.
pub struct Recorder {
    file: Mutex<File>,
    place: String,
    redactor: Mutex<Redactor>,
}

impl Recorder {
    /// Starts a recording in a new file with mode 0600.
    ///
    /// # Errors
    /// [`ModelError::RecordingFile`] when the file exists or cannot be made.
    pub fn create(path: &Path, redactor: Redactor) -> Result<Self, ModelError> {
        let place = path.display().to_string();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = file.map_err(|error| file_error(&place, &error.to_string()))?;
        Ok(Self {
            file: Mutex::new(file),
            place,
            redactor: Mutex::new(redactor),
        })
    }

    /// Adds a secret that must not reach the file.
    pub fn learn(&self, secret: &SecretString) {
        let mut redactor = self.redactor.lock().unwrap_or_else(PoisonError::into_inner);
        redactor.learn(secret);
    }

    pub(crate) fn keep(&self, exchange: &Exchange) -> Result<(), ModelError> {
        let exchange = {
            let redactor = self.redactor.lock().unwrap_or_else(PoisonError::into_inner);
            exchange.clone().redacted(&redactor)
        };
        let line = serde_json::to_string(&exchange)
            .map_err(|error| file_error(&self.place, &error.to_string()))?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{line}\n").as_bytes())
            .map_err(|error| file_error(&self.place, &error.to_string()))
    }
}

pub(crate) fn file_error(place: &str, detail: &str) -> ModelError {
    ModelError::RecordingFile(recording_failure(place, detail))
}

fn recording_failure(place: &str, detail: &str) -> Failure {
    Failure {
        provider: "replay".to_owned(),
        place: place.to_owned(),
        detail: text::clean_line(detail),
    }
}

/// Reads a whole recording.
///
/// # Errors
/// [`ModelError::RecordingDamaged`] names the first line that is not readable,
/// [`ModelError::RecordingTooNew`] the first of a newer version.
pub fn parse(recording: &str, place: &str) -> Result<Vec<Exchange>, ModelError> {
    let lines = recording.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let exchanges: Result<Vec<Exchange>, ModelError> = lines
        .map(|(at, line)| parse_line(line, &format!("{place}, line {}", at + 1)))
        .collect();
    match exchanges {
        Ok(none) if none.is_empty() => Err(ModelError::RecordingDamaged(recording_failure(
            place,
            "it holds no exchange",
        ))),
        other => other,
    }
}

fn parse_line(line: &str, place: &str) -> Result<Exchange, ModelError> {
    let damaged = |detail: String| ModelError::RecordingDamaged(recording_failure(place, &detail));
    let value: Value = serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
    let version = value["timmy_recording"].as_u64();
    match version {
        None => return Err(damaged("this is no line of a recording".to_owned())),
        Some(version) if version > u64::from(RECORDING_VERSION) => {
            let detail = format!("it has version {version}, this timmy reads {RECORDING_VERSION}");
            return Err(ModelError::RecordingTooNew(recording_failure(
                place, &detail,
            )));
        }
        Some(_) => {}
    }
    let exchange: Exchange =
        serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    match http::StatusCode::from_u16(exchange.response.status) {
        Ok(_) => Ok(exchange),
        Err(error) => Err(damaged(error.to_string())),
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
