//! Asking a portal for new tokens, once.

use std::time::Duration;

use http::HeaderMap;
use http::header::ACCEPT;
use http::header::AUTHORIZATION;
use http::header::DATE;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use timmy_core::Redactor;
use timmy_core::text;
use timmy_model::call::Call;
use timmy_model::call::CallError;
use timmy_model::call::Called;
use timmy_model::call::Caller;
use url::Url;

use super::settings::AuthProvider;
use super::settings::Carrier;

const FORM: &str = "application/x-www-form-urlencoded";
/// Words by which a portal says that the refresh token will never work again.
const TERMINAL: [&str; 3] = ["invalid_grant", "invalid_token", "refresh_token_reused"];
/// The least life that a made key is asked to have, in seconds, as Hermes 0.14 asks for it.
const KEY_LIFE: u32 = 1_800;
/// The part of a portal's own words that is repeated, in bytes.
const WORDS: usize = 300;

/// What a portal answered.
pub(super) enum Answer {
    /// New tokens.
    Tokens {
        /// The fields of the answer.
        fields: Map<String, Value>,
        /// The portal's clock.
        date: Option<Timestamp>,
    },
    /// The login is over.
    Terminal {
        /// The portal's word for it.
        code: String,
        /// What else it said.
        message: String,
    },
    /// It did not take the request. The refresh token is as good as before.
    NotTaken(String),
    /// It may have taken it. The refresh token may be spent.
    Uncertain(String),
}

/// Whether tokens may be sent there: by https to a known host, or to this machine.
pub(super) fn may_have_tokens(portal: &Url, hosts: &[String]) -> bool {
    let host = portal.host_str().unwrap_or_default();
    match portal.scheme() {
        "https" => hosts.iter().any(|known| known == host),
        "http" => ["127.0.0.1", "localhost", "[::1]"].contains(&host),
        _ => false,
    }
}

/// Exchanges a refresh token.
pub(super) async fn exchange(
    endpoint: &Url,
    provider: &AuthProvider,
    refresh_token: &SecretString,
    patience: Duration,
) -> Answer {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token");
    if let Some(client) = &provider.client_id {
        form.append_pair("client_id", client);
    }
    let mut header = None;
    match &provider.refresh_token_in {
        Carrier::Form(field) => {
            form.append_pair(field, refresh_token.expose_secret());
        }
        Carrier::Header(name) => header = Some((name.clone(), refresh_token.clone())),
    }
    let body = form.finish().into_bytes();
    let redactor = Redactor::new([refresh_token]);
    match ask(endpoint, FORM, body, header, patience).await {
        Ok(called) => answer(&called, &redactor),
        Err(error @ (CallError::Address(_) | CallError::Unreachable { .. })) => {
            Answer::NotTaken(redactor.redact(&error.to_string()))
        }
        Err(error @ CallError::Unanswered { .. }) => {
            Answer::Uncertain(redactor.redact(&error.to_string()))
        }
    }
}

/// Has the portal make a key for inference, as Hermes did until 0.15. Asking twice costs nothing.
pub(super) async fn mint(
    endpoint: &Url,
    access_token: &SecretString,
    patience: Duration,
) -> Result<Map<String, Value>, String> {
    let bearer = SecretString::from(format!("Bearer {}", access_token.expose_secret()));
    let body = json!({ "min_ttl_seconds": KEY_LIFE })
        .to_string()
        .into_bytes();
    let header = Some((AUTHORIZATION, bearer));
    let redactor = Redactor::new([access_token]);
    let called = ask(endpoint, "application/json", body, header, patience).await;
    let called = called.map_err(|error| redactor.redact(&error.to_string()))?;
    let fields: Option<Map<String, Value>> = serde_json::from_slice(&called.body).ok();
    match fields.filter(|fields| called.is_success() && fields["api_key"].is_string()) {
        Some(fields) => Ok(fields),
        None => Err(said(&called, &redactor)),
    }
}

async fn ask(
    endpoint: &Url,
    media_type: &'static str,
    body: Vec<u8>,
    header: Option<(http::HeaderName, SecretString)>,
    patience: Duration,
) -> Result<Called, CallError> {
    let mut base = endpoint.clone();
    base.set_path("/");
    let caller = Caller::new(&base, patience)?;
    let path = endpoint.path().trim_start_matches('/');
    let json = SecretString::from("application/json");
    let mut call = Call::post(path, media_type, body).with(ACCEPT, json);
    if let Some((name, value)) = header {
        call = call.with(name, value);
    }
    caller.call(call).await
}

fn answer(called: &Called, redactor: &Redactor) -> Answer {
    let fields: Option<Map<String, Value>> = serde_json::from_slice(&called.body).ok();
    let text = |name: &str| {
        let value = fields
            .as_ref()
            .and_then(|fields| fields.get(name)?.as_str());
        value.unwrap_or_default().trim().to_owned()
    };
    let told = said(called, redactor);
    match called.status {
        200..=299 if !text("access_token").is_empty() => Answer::Tokens {
            date: date(&called.headers),
            fields: fields.unwrap_or_default(),
        },
        400 | 401 | 403 if TERMINAL.contains(&text("error").as_str()) => Answer::Terminal {
            code: text("error"),
            message: words(&text("error_description"), redactor),
        },
        400..=499 => Answer::NotTaken(told),
        _ => Answer::Uncertain(told),
    }
}

/// The portal's clock.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp())
}

/// An answer in words. A success may hold tokens, so nothing of it is repeated.
fn said(called: &Called, redactor: &Redactor) -> String {
    if called.is_success() {
        return format!("it answered {} without what was asked for", called.status);
    }
    let body = String::from_utf8_lossy(&called.body);
    format!("it answered {}: {}", called.status, words(&body, redactor))
}

fn words(said: &str, redactor: &Redactor) -> String {
    let said = redactor.redact(&text::clean_line(said));
    text::bound(&said, WORDS).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_known_hosts_and_to_this_machine_only() {
        let hosts = ["portal.example".to_owned()];
        for (portal, may) in [
            ("https://portal.example/api", true),
            ("http://portal.example/api", false),
            ("https://portal.example.evil/", false),
            ("https://evil/portal.example", false),
            ("https://portal.example@evil/", false),
            ("http://127.0.0.1:1234/", true),
            ("http://localhost/", true),
            ("http://[::1]:5/", true),
            ("http://127.0.0.1.evil/", false),
            ("https://127.0.0.1/", false),
            ("ftp://portal.example/", false),
        ] {
            let url = portal.parse().unwrap();
            assert_eq!(may, may_have_tokens(&url, &hosts), "{portal}");
        }
    }
}
