//! One request to a server beside a conversation: what models are loaded, tokens for other tokens,
//! figures for a collector.
//!
//! # Rules
//! - No redirect is followed: it would carry a key elsewhere.
//! - Answers are bounded in length and time.
//! - Keys travel in headers only, and no error says one.

use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use url::Url;

use crate::http::client;
use crate::wire::stream::chain;

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why there is no answer. Nothing is repeated here; the caller knows what a second request would do.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address cannot be asked. The operator mends it.
    #[error("{0}")]
    Address(String),
    /// Nothing listens there.
    #[error("{place} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// The request may or may not have been taken.
    #[error("{place} did not answer: {reason}")]
    Unanswered {
        /// Where.
        place: String,
        /// What happened.
        reason: String,
    },
}

/// A server that is asked now and then.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    base: Url,
    patience: Duration,
}

/// A request.
#[derive(Debug)]
pub struct Call<'a> {
    /// GET, POST, ...
    pub method: Method,
    /// Below the base, without a slash in front.
    pub path: &'a str,
    /// Further headers. Their values are treated as secrets.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// The body and what it is; none for a request without.
    pub body: Option<(&'static str, Vec<u8>)>,
}

impl<'a> Call<'a> {
    /// A request without headers and body.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: Vec::new(),
            body: None,
        }
    }

    /// A request with a body of a media type.
    #[must_use]
    pub fn post(path: &'a str, media_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            path,
            headers: Vec::new(),
            body: Some((media_type, body)),
        }
    }

    /// The same request with one header more.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: SecretString) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Called {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Called {
    /// Whether the status means success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Caller {
    /// A server at a base address. `patience` bounds each request as a whole.
    ///
    /// # Errors
    /// [`CallError::Address`] when the base is no http or https address, or holds a user, a password or
    /// a query.
    pub fn new(base: &Url, patience: Duration) -> Result<Self, CallError> {
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(CallError::Address(format!(
                "{base} is no http or https address"
            )));
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            let what = "the address holds a user, a password or a query".to_owned();
            return Err(CallError::Address(what));
        }
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = client(&base).map_err(|error| CallError::Address(chain(&error)))?;
        Ok(Self {
            client,
            base,
            patience,
        })
    }

    /// Where a path lies, for people.
    #[must_use]
    pub fn place(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks once.
    ///
    /// # Errors
    /// See [`CallError`]. An answer with an error status is an answer.
    pub async fn call(&self, call: Call<'_>) -> Result<Called, CallError> {
        let place = self.place(call.path);
        let mut request = self.client.request(call.method, &place);
        for (name, value) in &call.headers {
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
                CallError::Address(format!("the value of {name} is not fit for a header"))
            })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        if let Some((media_type, body)) = call.body {
            request = request.header(CONTENT_TYPE, media_type).body(body);
        }
        let unanswered = |reason: String| CallError::Unanswered {
            place: place.clone(),
            reason,
        };
        match tokio::time::timeout(self.patience, answer(request, &place)).await {
            Ok(answered) => answered,
            Err(_) => {
                let seconds = self.patience.as_secs_f64();
                Err(unanswered(format!("nothing came for {seconds} seconds")))
            }
        }
    }
}

async fn answer(request: reqwest::RequestBuilder, place: &str) -> Result<Called, CallError> {
    let unanswered = |reason: String| CallError::Unanswered {
        place: place.to_owned(),
        reason,
    };
    let mut response = request.send().await.map_err(|error| {
        let unreachable = error.is_connect();
        let reason = chain(&error.without_url());
        if unreachable {
            let place = place.to_owned();
            CallError::Unreachable { place, reason }
        } else {
            unanswered(reason)
        }
    })?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| unanswered(chain(&error.without_url())))?
    {
        if body.len() + piece.len() > LONGEST_ANSWER {
            return Err(unanswered(format!(
                "the answer is longer than {LONGEST_ANSWER} bytes"
            )));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Called {
        status,
        headers,
        body,
    })
}
