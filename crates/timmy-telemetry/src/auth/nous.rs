//! What is special about the Nous Portal: three forms of keys, and a file that all profiles share.
//!
//! Since Hermes 0.16 the access token itself, a JSON Web Token that allows `inference:invoke`, is the
//! key to inference. Hermes 0.13 and 0.14, and those before, had a key made for the access token.

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use super::token;

const INVOKE: &str = "inference:invoke";
const MINT: &str = "inference:mint_agent_key";
/// What the shared file holds of a login.
pub(super) const SHARED_FIELDS: [&str; 9] = [
    "access_token",
    "refresh_token",
    "token_type",
    "scope",
    "client_id",
    "portal_base_url",
    "inference_base_url",
    "obtained_at",
    "expires_at",
];

/// What the key to inference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The access token.
    AccessToken,
    /// One of its own, made by the portal.
    Minted,
}

/// Which of the two a record has.
pub(super) fn key_of(record: &Map<String, Value>) -> Key {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let access = text("access_token");
    let claims = token::claims(access);
    let mut scopes = token::scopes(record.get("scope"));
    scopes.extend(claims.iter().flat_map(|claims| claims.scopes.clone()));
    let allows = |scope: &str| scopes.iter().any(|one| one == scope);
    if claims.is_some() && allows(INVOKE) {
        return Key::AccessToken;
    }
    let own_key = !text("agent_key").is_empty() && text("agent_key") != access;
    match own_key || allows(MINT) {
        true => Key::Minted,
        false => Key::AccessToken,
    }
}

/// A record with what the shared file has newer: whoever refreshed last wrote there. The same record,
/// when nothing is newer there.
pub(super) fn merged(
    record: &Map<String, Value>,
    shared: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    let mut merged = record.clone();
    if let Some(shared) = shared.filter(|shared| is_newer(shared, record)) {
        for field in SHARED_FIELDS {
            let value = shared.get(field);
            let value = value.filter(|value| value.as_str().is_none_or(|text| !text.is_empty()));
            if let Some(value) = value.filter(|value| !value.is_null()) {
                merged.insert(field.to_owned(), value.clone());
            }
        }
    }
    merged
}

/// Whether the shared file has other tokens that are not older. Hermes takes any that differ; older
/// ones would be spent.
fn is_newer(shared: &Map<String, Value>, record: &Map<String, Value>) -> bool {
    let text = |map: &Map<String, Value>, name: &str| {
        let text = map.get(name).and_then(Value::as_str);
        text.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    if text(shared, "refresh_token").is_empty() || text(shared, "access_token").is_empty() {
        return false;
    }
    if text(record, "refresh_token").is_empty() {
        return true;
    }
    let time = |map, name: &str| token::time(&text(map, name));
    if text(shared, "refresh_token") == text(record, "refresh_token") {
        return time(shared, "expires_at") > time(record, "expires_at");
    }
    match (time(shared, "obtained_at"), time(record, "obtained_at")) {
        (Some(shared), Some(own)) => shared >= own,
        _ => true,
    }
}

/// When the key to inference expires, by the clock of the portal.
pub(super) fn key_expires(record: &Map<String, Value>) -> Option<Timestamp> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let time = |name: &str| text(name).and_then(token::time);
    match key_of(record) {
        Key::Minted => time("agent_key_expires_at"),
        Key::AccessToken => {
            let claims = text("access_token").and_then(token::claims);
            let expires = claims.and_then(|claims| claims.expires);
            expires.or_else(|| time("expires_at"))
        }
    }
}

/// What the portal is said to have refused, when Hermes noted that a person has to log in again.
pub(super) fn refusal(record: &Map<String, Value>) -> Option<String> {
    let error = record.get("last_auth_error")?;
    if error["relogin_required"] != Value::Bool(true) {
        return None;
    }
    let said = |name: &str| error[name].as_str().filter(|text| !text.is_empty());
    Some(match (said("code"), said("message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "the portal refused the login".to_owned(),
    })
}
