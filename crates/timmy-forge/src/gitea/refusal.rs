//! Reading what a forge says when it says no.

use http::HeaderMap;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use timmy_core::text;

use crate::error::ForgeError;
use crate::error::Refusal;

/// How much of a refusal is read, in bytes.
pub(super) const READ_LIMIT: usize = 16 << 10;
const SHOWN_LIMIT: usize = 300;
const SCOPE_PHRASE: &str = "required scope(s)";

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    message: String,
}

/// The message in a refusal. Bodies may be JSON, empty, plain text, a dump of a Go structure or the
/// page of a proxy; pages say nothing worth repeating.
pub(super) fn message(headers: &HeaderMap, body: &[u8]) -> String {
    let message = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.message,
        Err(_) if is_page(headers, body) => String::new(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text::bound(&text::clean_line(&message), SHOWN_LIMIT).into_owned()
}

pub(super) fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let html = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    html || body.trim_ascii_start().starts_with(b"<")
}

/// The error for a 4xx status.
pub(super) fn classify(call: String, status: StatusCode, said: String) -> ForgeError {
    let refusal = Refusal { call, said };
    let about_empty = refusal
        .said
        .to_ascii_lowercase()
        .contains("repository is empty");
    match status {
        StatusCode::NOT_FOUND | StatusCode::CONFLICT if about_empty => {
            ForgeError::EmptyRepository(refusal)
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => ForgeError::NotFound(refusal),
        StatusCode::UNAUTHORIZED => ForgeError::Unauthorized(refusal),
        StatusCode::FORBIDDEN => {
            let scope = missing_scope(&refusal.said);
            ForgeError::Forbidden { refusal, scope }
        }
        StatusCode::LOCKED => ForgeError::Archived(refusal),
        StatusCode::CONFLICT => ForgeError::Conflict(refusal),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            ForgeError::Validation(refusal)
        }
        StatusCode::PRECONDITION_FAILED => ForgeError::Blocked(refusal),
        StatusCode::METHOD_NOT_ALLOWED if refusal.call.ends_with("/merge") => {
            ForgeError::NotMergeable(refusal)
        }
        StatusCode::PAYLOAD_TOO_LARGE => ForgeError::TooLarge {
            what: format!("the forge takes nothing that long, or the quota is used up{refusal}"),
            call: refusal.call,
        },
        other => ForgeError::Malformed {
            what: format!("HTTP {other}{refusal}"),
            call: refusal.call,
        },
    }
}

/// The scope named in "token does not have at least one of required scope(s): `[write:issue]`", or
/// since Gitea 1.23 in "... required scope(s), required=`[write:issue]`, token scope=read:issue".
fn missing_scope(said: &str) -> Option<String> {
    let (_, named) = said.split_once(SCOPE_PHRASE)?;
    let (scopes, _) = named.split_once('[')?.1.split_once(']')?;
    Some(scopes.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_shape_of_a_refusal_is_read() {
        let plain = HeaderMap::new();
        let mut html = HeaderMap::new();
        html.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        assert_eq!("no", message(&plain, br#"{"message":"no","url":"u"}"#));
        assert_eq!("", message(&plain, b""));
        assert_eq!("", message(&plain, br#"{"errors":null}"#));
        assert_eq!("", message(&html, b"Bad Gateway"));
        assert_eq!("", message(&plain, b"\n<html>502</html>"));
        let dump = b"{\"Err\":0x\x1b[31m1400}\n &{ID:7}";
        assert_eq!("{\"Err\":0x1400} &{ID:7}", message(&plain, dump));
        assert!(message(&plain, &[b'x'; 9000]).len() < 400);
    }

    #[test]
    fn the_missing_scope_is_named() {
        let said = "token does not have at least one of required scope(s): [write:issue]";
        assert_eq!(Some("write:issue".to_owned()), missing_scope(said));
        let said = "token does not have at least one of required scope(s), required=[write:user], \
                    token scope=read:issue,read:user";
        assert_eq!(Some("write:user".to_owned()), missing_scope(said));
        assert_eq!(None, missing_scope("user should have a permission"));
    }
}
