//! What a script is made of.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_loopback::Reply;

/// One answer of the scripted model.
#[derive(Debug, Clone)]
pub struct Turn {
    pub(super) gated: bool,
    pub(super) said: Said,
}

#[derive(Debug, Clone)]
pub(super) enum Said {
    Message(Message),
    Raw(Raw),
    Dropped,
    Never,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) reasoning: Option<String>,
    pub(super) calls: Vec<(String, Value)>,
    pub(super) finish: Option<String>,
    pub(super) usage: Option<(u64, u64)>,
    pub(super) ids: Ids,
    pub(super) cut: bool,
}

/// How a message numbers and names its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    Right,
    IndexZero,
    NoIndex,
    NoId,
}

#[derive(Debug, Clone)]
pub(super) struct Raw {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

impl Raw {
    pub(super) fn reply(&self) -> Reply {
        let mut response = http::Response::new(Bytes::from(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers.iter().cloned());
        Reply::Whole(response)
    }
}

/// What a server does wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Status 429 for a passing overload.
    RateLimited {
        /// `Retry-After`, in seconds.
        retry_after_s: u64,
    },
    /// Status 429 for a quota that is spent until a time.
    Quota {
        /// Seconds since the Unix epoch, sent as `x-ratelimit-reset`.
        resets_at_s: i64,
    },
    /// Status 401.
    WrongKey,
    /// Status 500.
    ServerError,
    /// Status 400, as OpenAI words an overflow of the context.
    ContextOverflow,
    /// Status 404, as OpenAI words an unknown model.
    NoSuchModel,
    /// A message that starts and is then cut off with the connection.
    CutStream {
        /// What it manages to say.
        text: String,
    },
    /// The connection is closed without an answer.
    DroppedConnection,
    /// The request is read and nothing ever comes.
    NeverAnswers,
    /// Several calls, all with `index` 0, as Ollama sends them.
    IndexZero(Vec<(String, Value)>),
    /// Several calls without `index`.
    NoIndex(Vec<(String, Value)>),
    /// Calls without `id`.
    NoId(Vec<(String, Value)>),
    /// A message with neither text nor calls.
    EmptyReply,
    /// Status 200 with a body that is no JSON.
    InvalidJson,
    /// A call whose arguments are this text.
    Arguments {
        /// The tool.
        tool: String,
        /// The arguments as they are sent.
        text: String,
    },
    /// A call that the limit on output cut off.
    CutCall {
        /// The tool.
        tool: String,
        /// The arguments as far as they came.
        text: String,
    },
}

impl Turn {
    /// The model says a text and is done.
    #[must_use]
    pub fn say(text: impl Into<String>) -> Self {
        Self::message(text.into(), Vec::new())
    }

    /// The model asks for one tool.
    #[must_use]
    pub fn call(tool: impl Into<String>, arguments: Value) -> Self {
        Self::calls([(tool.into(), arguments)])
    }

    /// The model asks for several tools at once.
    #[must_use]
    pub fn calls(calls: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self::message(String::new(), calls.into_iter().collect())
    }

    /// The server does something wrong.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        match fault {
            Fault::RateLimited { retry_after_s } => {
                let body = json!({"error": {"message": "Rate limit reached", "type": "requests",
                    "code": "rate_limit_exceeded"}});
                Self::raw(429, body.to_string()).with_header("retry-after", retry_after_s)
            }
            Fault::Quota { resets_at_s } => {
                let body = json!({"error": {"message": "You exceeded your current quota",
                    "type": "insufficient_quota", "code": "insufficient_quota"}});
                Self::raw(429, body.to_string()).with_header("x-ratelimit-reset", resets_at_s)
            }
            Fault::WrongKey => Self::refusal(401, "Incorrect API key provided", "invalid_api_key"),
            Fault::ServerError => Self::refusal(500, "The server had an error", "server_error"),
            Fault::ContextOverflow => Self::refusal(
                400,
                "This model's maximum context length is 8192 tokens. However, your messages \
                 resulted in 9000 tokens.",
                "context_length_exceeded",
            ),
            Fault::NoSuchModel => {
                Self::refusal(404, "The model `x` does not exist", "model_not_found")
            }
            Fault::CutStream { text } => Self::say(text).edited(|message| message.cut = true),
            Fault::DroppedConnection => Self::of(Said::Dropped),
            Fault::NeverAnswers => Self::of(Said::Never),
            Fault::IndexZero(calls) => Self::calls(calls).edited(|m| m.ids = Ids::IndexZero),
            Fault::NoIndex(calls) => Self::calls(calls).edited(|m| m.ids = Ids::NoIndex),
            Fault::NoId(calls) => Self::calls(calls).edited(|m| m.ids = Ids::NoId),
            Fault::EmptyReply => Self::say(""),
            Fault::InvalidJson => Self::raw(200, "<html>it works</html>"),
            Fault::Arguments { tool, text } => Self::call(tool, Value::String(text)),
            Fault::CutCall { tool, text } => {
                Self::call(tool, Value::String(text)).with_finish("length")
            }
        }
    }

    /// The server answers exactly this.
    ///
    /// # Panics
    /// When the status is no HTTP status.
    #[must_use]
    pub fn raw(status: u16, body: impl Into<String>) -> Self {
        let Ok(status) = StatusCode::from_u16(status) else {
            panic!("{status} is no HTTP status");
        };
        Self::of(Said::Raw(Raw {
            status,
            headers: Vec::new(),
            body: body.into(),
        }))
    }

    /// The same raw answer with one more header. Other turns have none and stay as they are.
    ///
    /// # Panics
    /// When name or value cannot stand in a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        let Ok(value) = HeaderValue::from_str(&value.to_string()) else {
            panic!("the value of {name} cannot stand in a header");
        };
        if let Said::Raw(raw) = &mut self.said {
            raw.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// The same turn, held back until [`super::ModelServer::release`].
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// The same message with reasoning in `reasoning_content`.
    #[must_use]
    pub fn with_reasoning(self, reasoning: impl Into<String>) -> Self {
        self.edited(|message| message.reasoning = Some(reasoning.into()))
    }

    /// The same message with a text beside its calls.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        self.edited(|message| message.text = text.into())
    }

    /// The same message with another finish reason.
    #[must_use]
    pub fn with_finish(self, finish: impl Into<String>) -> Self {
        self.edited(|message| message.finish = Some(finish.into()))
    }

    /// The same message with these input and output tokens, instead of a quarter of the bytes.
    #[must_use]
    pub fn with_usage(self, input: u64, output: u64) -> Self {
        self.edited(|message| message.usage = Some((input, output)))
    }

    fn refusal(status: u16, message: &str, code: &str) -> Self {
        let body = json!({"error": {"message": message, "type": "invalid_request_error",
            "code": code}});
        Self::raw(status, body.to_string()).with_header("content-type", "application/json")
    }

    fn message(text: String, calls: Vec<(String, Value)>) -> Self {
        Self::of(Said::Message(Message {
            text,
            reasoning: None,
            calls,
            finish: None,
            usage: None,
            ids: Ids::Right,
            cut: false,
        }))
    }

    fn of(said: Said) -> Self {
        Self { gated: false, said }
    }

    fn edited(mut self, edit: impl FnOnce(&mut Message)) -> Self {
        if let Said::Message(message) = &mut self.said {
            edit(message);
        }
        self
    }
}
