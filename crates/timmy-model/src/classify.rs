//! What an error answer means: the tables that turn status and words into a [`ModelError`].

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;
use timmy_core::Redactor;
use timmy_core::text;

use crate::error::Failure;
use crate::error::ModelError;
use crate::reset;

/// How much of a server's words is kept, in bytes.
const KEPT: usize = 400;
/// A rate limit that lasts longer than this is a quota: waiting for it in place helps nobody.
const LONGEST_RATE_LIMIT: Duration = Duration::from_secs(120);

/// Words of OpenAI, vLLM, llama-server, Ollama, OpenRouter, Anthropic and Google.
const OVERFLOW: [&str; 14] = [
    "context_length_exceeded",
    "maximum context length",
    "exceed_context_size",
    "exceeds the available context size",
    "context window",
    "context length",
    "context size",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input length exceeds",
    "input token count",
    "reduce the length of the messages",
    "request too large",
];
const SPENT: [&str; 14] = [
    "insufficient_quota",
    "exceeded your current quota",
    "quota exceeded",
    "insufficient credits",
    "insufficient balance",
    "insufficient_funds",
    "billing",
    "payment required",
    "out of credits",
    "usage limit",
    "usage_limit_reached",
    "per-day",
    "per day",
    "daily",
];
const PASSING: [&str; 5] = ["per minute", "per second", "per-min", "(rpm)", "(tpm)"];
const POLICY: [&str; 8] = [
    "content_policy",
    "content policy",
    "content_filter",
    "content management policy",
    "moderation",
    "flagged",
    "safety system",
    "responsibleaipolicyviolation",
];
const NO_MODEL: [&str; 8] = [
    "model_not_found",
    "model not found",
    "unknown model",
    "not a valid model",
    "no such model",
    "invalid model",
    "no endpoints found",
    "try pulling it first",
];
const WRONG_KEY: [&str; 6] = [
    "invalid_api_key",
    "invalid api key",
    "incorrect api key",
    "api key not valid",
    "authentication_error",
    "invalid_grant",
];
const OVERLOADED: [&str; 6] = [
    "overloaded",
    "server busy",
    "temporarily unavailable",
    "try again later",
    "loading model",
    "rate limit",
];

/// An error answer and where it came from.
pub(crate) struct ErrorAnswer<'a> {
    pub(crate) provider: &'a str,
    pub(crate) place: &'a str,
    /// The status; 0 when the error stood inside of a reply or a program's output.
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a str,
    pub(crate) now: Timestamp,
    /// Knows the key, which servers like to repeat.
    pub(crate) redactor: &'a Redactor,
}

impl ErrorAnswer<'_> {
    /// What it means.
    pub(crate) fn classify(&self) -> ModelError {
        let body: Value = serde_json::from_str(self.body).unwrap_or(Value::Null);
        let said = Said::read(&body, self.body);
        let status = match (self.status, said.status) {
            (0 | 200..=299, inner) => inner.unwrap_or(0),
            (status, _) => status,
        };
        let wait = reset::wait(self.headers, &body, &said.message, self.now);
        let failure = Failure {
            provider: self.provider.to_owned(),
            place: self.place.to_owned(),
            detail: self.detail(status, &said.message),
        };
        let words = said.words();
        let says = |list: &[&str]| list.iter().any(|word| words.contains(word));
        let policy = says(&POLICY);
        match status {
            0 | 400 | 413 | 414 | 422 | 500..=599 if says(&OVERFLOW) => {
                ModelError::ContextOverflow(failure)
            }
            413 => ModelError::ContextOverflow(failure),
            400 | 403 | 422 | 451 if policy => ModelError::Refused(failure),
            402 => self.quota(failure, wait),
            403 | 0 if says(&SPENT) => self.quota(failure, wait),
            401 | 403 => ModelError::Auth(failure),
            429 => self.limited(failure, wait, says(&SPENT), says(&PASSING)),
            404 | 410 => ModelError::NotFound(failure),
            _ if says(&WRONG_KEY) => ModelError::Auth(failure),
            0 | 400 | 422 if says(&NO_MODEL) => ModelError::NotFound(failure),
            0 if policy => ModelError::Refused(failure),
            0 | 408 | 409 | 425 | 500..=599 => transient(failure, wait),
            _ if says(&OVERLOADED) => transient(failure, wait),
            _ => ModelError::Rejected(failure),
        }
    }

    fn limited(
        &self,
        failure: Failure,
        wait: Option<Duration>,
        spent: bool,
        passing: bool,
    ) -> ModelError {
        let long = wait.is_some_and(|wait| wait > LONGEST_RATE_LIMIT);
        if long || (spent && !passing) {
            return self.quota(failure, wait);
        }
        transient(failure, wait)
    }

    fn quota(&self, failure: Failure, wait: Option<Duration>) -> ModelError {
        let resets_at = wait.and_then(|wait| self.now.checked_add(wait).ok());
        ModelError::Quota { failure, resets_at }
    }

    fn detail(&self, status: u16, message: &str) -> String {
        let message = self.redactor.redact(&text::clean_line(message));
        let message = text::bound(&message, KEPT);
        match (status, message.as_ref()) {
            (0, message) => message.to_owned(),
            (status, "") => format!("status {status}"),
            (status, message) => format!("status {status}: {message}"),
        }
    }
}

fn transient(failure: Failure, retry_after: Option<Duration>) -> ModelError {
    ModelError::Transient {
        failure,
        retry_after,
    }
}

/// The parts of an error body, wherever the server puts them.
struct Said {
    message: String,
    kind: String,
    status: Option<u16>,
}

impl Said {
    fn read(body: &Value, raw: &str) -> Self {
        let error = body.get("error").unwrap_or(body);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let message = text(error)
            .or_else(|| text(&error["message"]))
            .or_else(|| text(&body["message"]))
            .or_else(|| text(&body["detail"]))
            .unwrap_or_else(|| raw.to_owned());
        let upstream = error.pointer("/metadata/raw").and_then(text);
        let message = match upstream {
            Some(upstream) => format!("{message}: {upstream}"),
            None => message,
        };
        let code = &error["code"];
        let status = code.as_u64().and_then(|code| u16::try_from(code).ok());
        let kind = [&error["type"], code, &error["status"]];
        let kind: Vec<String> = kind.into_iter().filter_map(text).collect();
        Self {
            message,
            kind: kind.join(" "),
            status: status.filter(|status| (400..600).contains(status)),
        }
    }

    fn words(&self) -> String {
        format!("{} {}", self.kind, self.message).to_lowercase()
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
