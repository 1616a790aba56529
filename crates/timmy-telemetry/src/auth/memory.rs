//! What timmy remembers of a login, because no file of Hermes does. No token is in it.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::text;

use crate::replace;
use crate::replace::Rights;

/// Bytes of a token's digest that are kept: enough to know it again.
const DIGEST_BYTES: usize = 8;

/// What is remembered of one login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// The earliest time at which it is known to have been there. The login is at least that old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// When tokens were last exchanged here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exchanged: Option<Timestamp>,
    /// A question to the portal without a definite answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Asked>,
    /// The portal's last word on a login, where the file itself has no place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Refused>,
}

/// A refresh token that the portal will never take again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    /// Which one, as the beginning of its SHA-256.
    pub(super) token: String,
    /// What the portal said, without tokens.
    pub(super) reason: String,
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

    /// Writes it, where the next process finds it.
    pub(super) fn write(&self, directory: &Path, login: &str) -> std::io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory)?;
        let bytes = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        replace::replace(&file(directory, login), Rights::private(), &bytes)
    }

    /// What the portal said when it refused this refresh token for ever.
    pub(super) fn refused(&self, refresh_token: &str) -> Option<&str> {
        let refused = self.refused.as_ref()?;
        (refused.token == fingerprint(refresh_token)).then_some(refused.reason.as_str())
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
