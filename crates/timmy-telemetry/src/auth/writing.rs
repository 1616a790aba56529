//! What an exchange changes in the files, and nothing else.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use url::Url;

use super::document;
use super::document::Document;
use super::nous;
use super::nous::Key;
use super::settings::AuthProvider;
use super::settings::Pointer;
use super::settings::Rule;
use super::settings::TimeForm;
use super::token;

/// Hosts that the Nous Portal may name for inference.
const INFERENCE_HOSTS: [&str; 1] = ["inference-api.nousresearch.com"];
/// What of a login its entries in the pool repeat.
const POOL_FIELDS: [&str; 15] = [
    "access_token",
    "refresh_token",
    "token_type",
    "scope",
    "expires_at",
    "obtained_at",
    "expires_in",
    "inference_base_url",
    "agent_key",
    "agent_key_id",
    "agent_key_expires_at",
    "agent_key_expires_in",
    "agent_key_reused",
    "agent_key_obtained_at",
    "client_id",
];
/// What the pool notes about failures, which end with a fresh token.
const POOL_FAILURES: [&str; 6] = [
    "last_status",
    "last_status_at",
    "last_error_code",
    "last_error_reason",
    "last_error_message",
    "last_error_reset_at",
];

/// A time as Hermes writes it.
pub(super) fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Puts the fields of a portal's answer into a record.
pub(super) fn take_over(
    provider: &AuthProvider,
    record: &mut Map<String, Value>,
    answer: &Map<String, Value>,
    now: Timestamp,
) {
    // Asked before the access token is another one: older keys are told by differing from it.
    let key = nous::key_of(record);
    for (field, place) in &provider.write {
        if let Some(value) = answer.get(field).filter(|value| !value.is_null()) {
            document::put(record, place, value.clone());
        }
    }
    for (field, place) in [
        ("access_token", &provider.access_token),
        ("refresh_token", &provider.refresh_token),
    ] {
        let value = answer.get(field).and_then(Value::as_str);
        // A portal that gives no new refresh token lets the old one stay.
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            document::put(record, place, Value::from(value));
        }
    }
    if let Some(place) = &provider.obtained_at {
        document::put(record, place, Value::from(written(now)));
    }
    if let Some(expires) = expires(answer, now) {
        let value = match provider.expires_form {
            TimeForm::Rfc3339 => Value::from(written(expires)),
            TimeForm::Unix => Value::from(expires.as_second()),
            TimeForm::UnixMs => Value::from(expires.as_millisecond()),
        };
        document::put(record, &provider.expires_at, value);
    } else if document::at(record, &provider.expires_at).is_some() {
        // The time of the key before this one.
        document::put(record, &provider.expires_at, Value::Null);
    }
    if provider.rule == Some(Rule::HermesNous) {
        if let Some(address) = inference(answer) {
            record.insert("inference_base_url".to_owned(), Value::from(address));
        }
        if key == Key::AccessToken {
            key_is_access_token(record, now);
        }
    }
}

/// When the access token of an answer expires: as it says itself, or so long from now.
fn expires(answer: &Map<String, Value>, now: Timestamp) -> Option<Timestamp> {
    let token = answer.get("access_token").and_then(Value::as_str)?;
    if let Some(expires) = token::claims(token).and_then(|claims| claims.expires) {
        return Some(expires);
    }
    let life = answer.get("expires_in")?;
    let text = life.as_str().and_then(|text| text.parse().ok());
    let seconds = life.as_i64().or(text)?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn inference(answer: &Map<String, Value>) -> Option<String> {
    let address = answer.get("inference_base_url")?.as_str()?.trim();
    let url: Url = address.parse().ok()?;
    let known = url.scheme() == "https" && INFERENCE_HOSTS.contains(&url.host_str()?);
    known.then(|| address.trim_end_matches('/').to_owned())
}

/// Since Hermes 0.16 the access token is the key to inference.
pub(super) fn key_is_access_token(record: &mut Map<String, Value>, now: Timestamp) {
    let access = record.get("access_token").cloned().unwrap_or_default();
    let expires = nous::key_expires(record);
    let left = expires.map(|expires| expires.duration_since(now).as_secs().max(0));
    let expires = expires.map(written);
    for (field, value) in [
        ("expires_in", json!(left)),
        ("agent_key", access),
        ("agent_key_id", Value::Null),
        ("agent_key_expires_at", json!(expires)),
        ("agent_key_expires_in", json!(left)),
        ("agent_key_reused", json!(false)),
        ("agent_key_obtained_at", json!(written(now))),
    ] {
        record.insert(field.to_owned(), value);
    }
}

/// Puts a key that the portal made into a record.
pub(super) fn take_key(
    record: &mut Map<String, Value>,
    answer: &Map<String, Value>,
    now: Timestamp,
) {
    for (field, of_answer) in [
        ("agent_key", "api_key"),
        ("agent_key_id", "key_id"),
        ("agent_key_expires_at", "expires_at"),
        ("agent_key_expires_in", "expires_in"),
        ("agent_key_reused", "reused"),
    ] {
        if let Some(value) = answer.get(of_answer) {
            record.insert(field.to_owned(), value.clone());
        }
    }
    record.insert("agent_key_obtained_at".to_owned(), json!(written(now)));
    if let Some(address) = inference(answer) {
        record.insert("inference_base_url".to_owned(), Value::from(address));
    }
}

/// The bytes of a file with this record in it, and in its pool what follows from the record. `old` is
/// the refresh token that entries of the same login have.
pub(super) fn file_with(
    document: &Document,
    provider: &AuthProvider,
    place: &Pointer,
    record: &Map<String, Value>,
    change: &Change<'_>,
) -> Vec<u8> {
    let mut value = document.value.clone();
    if let Some(old) = value.pointer_mut(place.as_str()) {
        *old = Value::Object(record.clone());
    }
    if provider.rule == Some(Rule::HermesNous) {
        let pool = value.pointer_mut("/credential_pool/nous");
        let pool = pool.and_then(Value::as_array_mut);
        for entry in pool.into_iter().flatten().filter_map(Value::as_object_mut) {
            if change.concerns(entry) {
                change.carry_over(entry, record);
            }
        }
        if let Some(whole) = value.as_object_mut() {
            whole.insert("updated_at".to_owned(), json!(written(change.now)));
        }
    }
    bytes(&value)
}

/// What is carried over into the entries of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    /// The refresh token before.
    pub(super) old: Option<&'a str>,
    /// Whether it was refused, and is only taken away.
    pub(super) refused: bool,
    /// The time.
    pub(super) now: Timestamp,
}

impl Change<'_> {
    /// Whether an entry is a copy of the login: so called, or with its refresh token.
    fn concerns(&self, entry: &Map<String, Value>) -> bool {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let same_token = self.old.is_some() && text("refresh_token") == self.old;
        same_token || (!self.refused && text("source") == Some("device_code"))
    }

    fn carry_over(&self, entry: &mut Map<String, Value>, record: &Map<String, Value>) {
        if self.refused {
            entry.shift_remove("refresh_token");
            return;
        }
        for field in POOL_FIELDS {
            if let Some(value) = record.get(field) {
                entry.insert(field.to_owned(), value.clone());
            }
        }
        if entry.contains_key("expires_at_ms") {
            let expires = nous::key_expires(record).map(Timestamp::as_millisecond);
            entry.insert("expires_at_ms".to_owned(), json!(expires));
        }
        for field in POOL_FAILURES {
            if entry.contains_key(field) {
                entry.insert(field.to_owned(), Value::Null);
            }
        }
    }
}

/// The file that all homes share, with the tokens of a record.
pub(super) fn shared_with(
    shared: Option<&Map<String, Value>>,
    record: &Map<String, Value>,
    now: Timestamp,
) -> Vec<u8> {
    let mut shared = shared.cloned().unwrap_or_default();
    shared.entry("_schema").or_insert(json!(1));
    for field in nous::SHARED_FIELDS {
        if let Some(value) = record.get(field).filter(|value| !value.is_null()) {
            shared.insert(field.to_owned(), value.clone());
        }
    }
    shared.insert("updated_at".to_owned(), json!(written(now)));
    bytes(&Value::Object(shared))
}

/// A record whose refresh token was refused: without that token, and with the note that Hermes makes.
pub(super) fn refuse(record: &mut Map<String, Value>, code: &str, message: &str, now: Timestamp) {
    record.shift_remove("refresh_token");
    let note = json!({
        "provider": "nous",
        "code": code,
        "message": message,
        "reason": "timmy_auth_refresh",
        "relogin_required": true,
        "at": written(now),
    });
    record.insert("last_auth_error".to_owned(), note);
}

/// As Hermes writes its files: indented by two, a newline at the end.
fn bytes(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}
