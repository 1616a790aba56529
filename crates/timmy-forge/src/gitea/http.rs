//! One HTTP exchange with the forge: bounded, timed, and with the outcome of writes told apart.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Client;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use timmy_core::Clock;
use timmy_core::Redactor;
use timmy_core::text;
use url::Url;

use super::pacing::Pacing;
use super::refusal;
use crate::error::ForgeError;

/// The largest JSON answer that is read, in bytes: a page of fifty issues with room for a few
/// absurdly long ones.
pub const ANSWER_LIMIT: usize = 32 << 20;
/// The most of a pull request's patch that is read, in bytes.
pub const DIFF_LIMIT: usize = 2 << 20;

const USER_AGENT: &str = concat!("timmy/", env!("CARGO_PKG_VERSION"));
/// No answer may take longer than this from its first byte to its last.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(180);

/// The way to one forge.
pub(super) struct Http {
    client: Client,
    root: Url,
    authorization: HeaderValue,
    redactor: Redactor,
    pacing: Pacing,
    clock: Arc<dyn Clock>,
}

/// What is asked of the forge.
pub(super) struct Call {
    method: Method,
    url: Url,
    body: Option<Value>,
}

/// What it answered with a success.
#[derive(Debug)]
pub(super) struct Answer {
    /// Method and URL of the call.
    pub(super) call: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn new(
        base: &Url,
        token: &SecretString,
        pacing: Pacing,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ForgeError> {
        let refuse = |why: &str| ForgeError::Address {
            value: base.host_str().unwrap_or_default().to_owned(),
            why: why.to_owned(),
        };
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refuse("it does not start with http:// or https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refuse("a user or password does not belong into an address"));
        }
        let mut authorization = HeaderValue::from_str(&format!("token {}", token.expose_secret()))
            .map_err(|_| refuse("the token for it holds characters that no token has"))?;
        authorization.set_sensitive(true);
        let client = build_client(base, &pacing).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self {
            client,
            root: api_root(base),
            authorization,
            redactor: Redactor::new([token]),
            pacing,
            clock,
        })
    }

    pub(super) fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    /// A call to a path below `/api/v1`, given as segments that are escaped here.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Call {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        Call {
            method,
            url,
            body: None,
        }
    }

    /// Reads, again and again while the fault is a passing one.
    pub(super) async fn read(&self, call: &Call) -> Result<Answer, ForgeError> {
        (|| self.once(call, Overflow::Refuse(ANSWER_LIMIT)))
            .retry(Waits(self.pacing.clone()))
            .when(ForgeError::is_passing)
            .adjust(|error, next| self.pacing.wait_after(error, next))
            .await
    }

    /// Reads text, of which what is too much is left out.
    pub(super) async fn read_text(&self, call: &Call, limit: usize) -> Result<String, ForgeError> {
        let answer = (|| self.once(call, Overflow::Cut(limit)))
            .retry(Waits(self.pacing.clone()))
            .when(ForgeError::is_passing)
            .adjust(|error, next| self.pacing.wait_after(error, next))
            .await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Writes, once.
    pub(super) async fn write(&self, call: &Call) -> Result<Answer, ForgeError> {
        self.once(call, Overflow::Refuse(ANSWER_LIMIT)).await
    }

    async fn once(&self, call: &Call, overflow: Overflow) -> Result<Answer, ForgeError> {
        let mut request = self
            .client
            .request(call.method.clone(), call.url.clone())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json, text/plain");
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await;
        let response = response.map_err(|error| self.transport_error(call, &error))?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = if status.is_success() {
            self.read_body(call, response, overflow).await?
        } else {
            let part = Overflow::Cut(refusal::READ_LIMIT);
            self.read_body(call, response, part)
                .await
                .unwrap_or_default()
        };
        tracing::debug!(call = %call.name(), status = status.as_u16(), bytes = body.len(), "forge answered");
        if status.is_success() {
            if refusal::is_page(&headers, &body) {
                return Err(call.page(format!("{} bytes of HTML", body.len())));
            }
            let call = call.name();
            return Ok(Answer {
                call,
                headers,
                body,
            });
        }
        Err(self.refused(call, status, &headers, &body))
    }

    async fn read_body(
        &self,
        call: &Call,
        mut response: reqwest::Response,
        overflow: Overflow,
    ) -> Result<Vec<u8>, ForgeError> {
        let (Overflow::Refuse(limit) | Overflow::Cut(limit)) = overflow;
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| self.transport_error(call, &error))? else {
                return Ok(body);
            };
            let room = limit - body.len();
            if chunk.len() <= room {
                body.extend_from_slice(&chunk);
                continue;
            }
            if let Overflow::Cut(_) = overflow {
                body.extend_from_slice(&chunk[..room]);
                return Ok(body);
            }
            return Err(ForgeError::TooLarge {
                call: call.name(),
                what: format!("the answer is longer than {limit} bytes"),
            });
        }
    }

    /// The error for a status that is no success.
    fn refused(
        &self,
        call: &Call,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ForgeError {
        let said = self.redactor.redact(&refusal::message(headers, body));
        if status == StatusCode::TOO_MANY_REQUESTS {
            return ForgeError::RateLimited {
                call: call.name(),
                retry_after: retry_after(headers, self.clock.now()),
            };
        }
        if status.is_redirection() {
            let location = headers.get(header::LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()));
            let to = location.unwrap_or_default();
            // What stands behind the question mark says where a person wanted to go.
            let place = to.split(['?', '#']).next().unwrap_or_default();
            let shown = text::clean_line(place);
            let to = self.redactor.redact(&text::bound(&shown, 300));
            // A forge that moved points into an API; a login or maintenance page does not.
            if place.contains("/api/v1") {
                let call = call.name();
                return ForgeError::Redirected { call, to };
            }
            let call = call.name();
            let what = format!("it sends everybody to {to}");
            return ForgeError::Page { call, what };
        }
        if status.is_server_error() {
            let why = if said.is_empty() {
                format!("HTTP {status}")
            } else {
                format!("HTTP {status}: {said}")
            };
            return call.fault(why);
        }
        refusal::classify(call.name(), status, said)
    }

    fn transport_error(&self, call: &Call, error: &reqwest::Error) -> ForgeError {
        let why = self.redactor.redact(&root_cause(error));
        if error.is_connect() || error.is_builder() {
            return ForgeError::Unavailable {
                call: call.name(),
                why,
            };
        }
        call.fault(why)
    }
}

impl Call {
    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(key, value);
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Method and URL. No token is ever in an URL.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    /// Whatever stands before the forge answered in its place; it may have let a write through.
    fn page(&self, what: String) -> ForgeError {
        let call = self.name();
        if self.method == Method::GET {
            ForgeError::Page { call, what }
        } else {
            let why = format!("a page came instead of an answer: {what}");
            ForgeError::UnknownOutcome { call, why }
        }
    }

    /// After a fault in the middle a read can be repeated, but what became of a write is unknown.
    fn fault(&self, why: String) -> ForgeError {
        let call = self.name();
        if self.method == Method::GET {
            ForgeError::Unavailable { call, why }
        } else {
            ForgeError::UnknownOutcome { call, why }
        }
    }
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            if error.is_eof() && !self.body.is_empty() {
                return self.cut_off();
            }
            self.malformed(&error.to_string())
        })
    }

    /// JSON that ends in the middle, under a head that promised no length.
    fn cut_off(&self) -> ForgeError {
        let call = self.call.clone();
        let why = format!("the answer breaks off after {} bytes", self.body.len());
        if call.starts_with(Method::GET.as_str()) {
            ForgeError::Unavailable { call, why }
        } else {
            ForgeError::UnknownOutcome { call, why }
        }
    }

    pub(super) fn malformed(&self, why: &str) -> ForgeError {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let what = format!(
            "{} bytes of {}: {why}",
            self.body.len(),
            content_type.unwrap_or("no content type"),
        );
        ForgeError::Malformed {
            call: self.call.clone(),
            what: text::bound(&text::clean_line(&what), 400).into_owned(),
        }
    }
}

/// What to do with a body that is longer than its limit.
#[derive(Clone, Copy)]
enum Overflow {
    Refuse(usize),
    Cut(usize),
}

struct Waits(Pacing);

impl backon::BackoffBuilder for Waits {
    type Backoff = backon::ExponentialBackoff;

    fn build(self) -> Self::Backoff {
        self.0.waits()
    }
}

fn api_root(base: &Url) -> Url {
    let mut root = base.clone();
    root.set_query(None);
    root.set_fragment(None);
    if let Ok(mut path) = root.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1"]);
    }
    root
}

fn build_client(base: &Url, pacing: &Pacing) -> Result<Client, reqwest::Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing this race means that another part of the program installed one: just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .http1_only()
        .connect_timeout(pacing.connect_timeout)
        .read_timeout(pacing.idle_timeout)
        .timeout(WHOLE_TIMEOUT);
    if base.scheme() == "http" {
        // Reading the machine's root certificates costs CPU time that plain http does not need.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Seconds, or a date as in RFC 9110.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = rfc2822::parse(value).ok()?.timestamp();
    let seconds = date.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The innermost cause, which is the one that tells a person something.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    text::bound(&text::clean_line(&cause.to_string()), 300).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_lies_below_the_path_of_the_address() {
        let root = |base: &str| api_root(&base.parse().unwrap()).to_string();
        assert_eq!("http://h/api/v1", root("http://h"));
        assert_eq!("http://h/api/v1", root("http://h/"));
        assert_eq!("http://h/git/api/v1", root("http://h/git/?x=1#y"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let parse = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
            retry_after(&headers, now).map(|time| time.as_secs())
        };
        assert_eq!(Some(7), parse("7"));
        assert_eq!(Some(90), parse("Thu, 01 Jan 2026 00:01:30 GMT"));
        assert_eq!(Some(0), parse("Wed, 31 Dec 2025 00:00:00 GMT"));
        assert_eq!(None, parse("soon"));
    }
}
