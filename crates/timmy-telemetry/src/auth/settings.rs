//! `[auth]`: which logins there are, and how they are refreshed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use serde::Serialize;
use url::Url;

/// Providers that are known without being configured.
const KNOWN: &str = include_str!("providers.toml");
const DAY: Duration = Duration::from_hours(24);

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Seconds that a key has to live so that its login counts as good.
    pub fresh_s: u64,
    /// Seconds of life left below which `timmy auth refresh` exchanges the tokens.
    pub refresh_before_s: u64,
    /// Days before the end of a login from which on it is told.
    pub warn_days: u64,
    /// Seconds to wait for the locks of a login, all together.
    pub lock_wait_s: u64,
    /// Seconds that a portal may take to answer.
    pub answer_wait_s: u64,
    /// Further logins, in files of other programs.
    pub provider: Vec<AuthProvider>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            fresh_s: 120,
            refresh_before_s: 900,
            warn_days: 3,
            lock_wait_s: 15,
            answer_wait_s: 20,
            provider: Vec::new(),
        }
    }
}

impl AuthSettings {
    pub(super) fn fresh(&self) -> Duration {
        Duration::from_secs(self.fresh_s)
    }

    pub(super) fn refresh_before(&self) -> Duration {
        Duration::from_secs(self.refresh_before_s)
    }

    pub(super) fn warn(&self) -> Duration {
        DAY.saturating_mul(u32::try_from(self.warn_days).unwrap_or(u32::MAX))
    }

    /// Every provider, the known ones first.
    pub(super) fn providers(&self) -> Vec<AuthProvider> {
        let known = known();
        let replaced = |one: &AuthProvider| self.provider.iter().any(|own| own.name == one.name);
        let mut providers: Vec<AuthProvider> =
            known.into_iter().filter(|one| !replaced(one)).collect();
        providers.extend(self.provider.iter().cloned());
        providers
    }
}

fn known() -> Vec<AuthProvider> {
    #[derive(Deserialize)]
    struct Table {
        provider: Vec<AuthProvider>,
    }
    let table = toml::from_str::<Table>(KNOWN);
    table.map(|table| table.provider).unwrap_or_default()
}

/// A kind of login: a file with tokens, and where they are exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthProvider {
    /// Its name, for `timmy auth refresh NAME`: letters, digits, `_`, `-` and `.`.
    pub name: LoginName,
    /// The JSON file that holds the tokens; `~/` is the home directory.
    pub file: PathBuf,
    /// Where in the file the record of the login may be, as JSON pointers; the first that is there is
    /// taken. The whole file when nothing is said.
    #[serde(default = "whole_file")]
    pub records: Vec<Pointer>,
    /// The access token, as a JSON pointer into the record.
    #[serde(default = "access_token")]
    pub access_token: Pointer,
    /// The refresh token.
    #[serde(default = "refresh_token")]
    pub refresh_token: Pointer,
    /// When the access token expires.
    #[serde(default = "expires_at")]
    pub expires_at: Pointer,
    /// How that time is written.
    #[serde(default)]
    pub expires_form: TimeForm,
    /// When the tokens were obtained, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obtained_at: Option<Pointer>,
    /// Where tokens are exchanged. https, or http on this machine.
    pub endpoint: Url,
    /// Hosts that the file itself may name instead of the endpoint's.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The client id that is sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How the refresh token travels.
    #[serde(default)]
    pub refresh_token_in: Carrier,
    /// Further fields of the answer that are written back: the field, and where to in the record. Beside
    /// them the tokens and times above are written.
    #[serde(default)]
    pub write: BTreeMap<String, Pointer>,
    /// Days after which a person has to log in again, however fresh the tokens are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_days: Option<u32>,
    /// The file that whoever writes the tokens locks. The file's own name with `.lock` in the place of
    /// its ending when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<PathBuf>,
    /// A way of keeping tokens that one file does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

impl AuthProvider {
    pub(super) fn login_lasts(&self) -> Option<Duration> {
        Some(DAY.saturating_mul(self.login_days?))
    }
}

/// How a refresh token travels. Never in an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Carrier {
    /// In a header of this name.
    Header(#[serde(with = "header_name")] HeaderName),
    /// In a field of the form that is sent.
    Form(String),
}

impl Default for Carrier {
    fn default() -> Self {
        Self::Form("refresh_token".to_owned())
    }
}

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// As RFC 3339 has it.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
}

/// A way of keeping tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Those of the Nous Portal, in each home of Hermes and one file that all of them share.
    HermesNous,
}

/// The name of a login. It becomes part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoginName(String);

impl LoginName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<LoginName> for String {
    fn from(name: LoginName) -> Self {
        name.0
    }
}

impl TryFrom<String> for LoginName {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        const LONGEST: usize = 64;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let begins = value.starts_with(|c: char| c.is_ascii_alphanumeric());
        match begins && value.len() <= LONGEST && value.chars().all(plain) {
            true => Ok(Self(value)),
            false => Err(format!("{value:?} is no name for a login")),
        }
    }
}

/// A JSON pointer (RFC 6901): empty for the whole, else with a slash in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer(String);

impl Pointer {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        match value.is_empty() || value.starts_with('/') {
            true => Ok(Self(value)),
            false => Err(format!(
                "{value:?} is no JSON pointer such as /access_token"
            )),
        }
    }
}

fn whole_file() -> Vec<Pointer> {
    vec![Pointer(String::new())]
}

fn access_token() -> Pointer {
    Pointer("/access_token".to_owned())
}

fn refresh_token() -> Pointer {
    Pointer("/refresh_token".to_owned())
}

fn expires_at() -> Pointer {
    Pointer("/expires_at".to_owned())
}

mod header_name {
    use http::HeaderName;
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(
        name: &HeaderName,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HeaderName, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_table_is_one_that_can_be_read() {
        let settings = AuthSettings::default();
        let [nous] = settings.providers().try_into().unwrap();
        assert_eq!("nous", nous.name.as_str());
        assert_eq!(Some(Rule::HermesNous), nous.rule);
        assert_eq!(Some(Duration::from_hours(720)), nous.login_lasts());
    }
}
