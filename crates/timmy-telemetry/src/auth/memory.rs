//! What timmy remembers of a login, because no file of Hermes does. No token is in it.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::text;

/// Bytes of a token's digest that are kept: enough to know it again.
const DIGEST_BYTES: usize = 8;

/// What is remembered of one login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// The earliest time at which it is known to have been there. The login is at least that old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// A question to the portal without a definite answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Asked>,
}

/// A question without a definite answer: its refresh token may be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// When.
    pub(super) at: Timestamp,
    /// Which refresh token, as the beginning of its SHA-256.
    pub(super) token: String,
}

impl Memory {
    /// What is remembered. Nothing, when there is no file or it cannot be read: then a login only looks
    /// younger than it is.
    pub(super) fn read(directory: &Path, login: &str) -> Self {
        let text = std::fs::read(file(directory, login));
        let read = text
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        read.unwrap_or_default()
    }

    /// Whether this refresh token may be spent already.
    pub(super) fn may_be_spent(&self, refresh_token: &str) -> Option<&Asked> {
        let asked = self.asked.as_ref()?;
        (asked.token == fingerprint(refresh_token)).then_some(asked)
    }
}

/// Where it is kept.
pub(super) fn file(directory: &Path, login: &str) -> std::path::PathBuf {
    directory.join(format!("{login}.json"))
}

/// The beginning of a token's digest, by which it is known again.
pub(super) fn fingerprint(token: &str) -> String {
    text::hexadecimal(&Sha256::digest(token.as_bytes())[..DIGEST_BYTES])
}
