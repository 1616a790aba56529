//! Tokens: how they come with a request, and what they allow.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::text;

use super::error::EmbeddedError;

/// What a token allows. Writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See issues, labels and comments.
    ReadIssue,
    /// Change issues, labels and comments.
    WriteIssue,
    /// Clone; see branches and pull requests.
    ReadRepository,
    /// Push; change branches, pull requests and statuses.
    WriteRepository,
    /// See the user.
    ReadUser,
    /// Make repositories for the user.
    WriteUser,
}

/// The three kinds of things that scopes are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Issue,
    Repository,
    User,
}

impl Scope {
    const ALL: [Self; 6] = [
        Self::ReadIssue,
        Self::WriteIssue,
        Self::ReadRepository,
        Self::WriteRepository,
        Self::ReadUser,
        Self::WriteUser,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadIssue => "read:issue",
            Self::WriteIssue => "write:issue",
            Self::ReadRepository => "read:repository",
            Self::WriteRepository => "write:repository",
            Self::ReadUser => "read:user",
            Self::WriteUser => "write:user",
        }
    }

    pub(super) fn reading(category: Category) -> Self {
        match category {
            Category::Issue => Self::ReadIssue,
            Category::Repository => Self::ReadRepository,
            Category::User => Self::ReadUser,
        }
    }

    pub(super) fn writing(category: Category) -> Self {
        match category {
            Category::Issue => Self::WriteIssue,
            Category::Repository => Self::WriteRepository,
            Category::User => Self::WriteUser,
        }
    }

    fn includes(self, wanted: Self) -> bool {
        match self {
            Self::WriteIssue => matches!(wanted, Self::WriteIssue | Self::ReadIssue),
            Self::WriteRepository => matches!(wanted, Self::WriteRepository | Self::ReadRepository),
            Self::WriteUser => matches!(wanted, Self::WriteUser | Self::ReadUser),
            Self::ReadIssue | Self::ReadRepository | Self::ReadUser => self == wanted,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = EmbeddedError;

    fn from_str(value: &str) -> Result<Self, EmbeddedError> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == value);
        known.ok_or_else(|| EmbeddedError::BadName(value.chars().take(80).collect()))
    }
}

/// The scopes of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scopes(Vec<Scope>);

impl Scopes {
    /// From their stored form. What this version does not know allows nothing.
    pub(super) fn stored(text: &str) -> Self {
        Self(
            text.split(',')
                .filter_map(|name| name.parse().ok())
                .collect(),
        )
    }

    pub(super) fn of(scopes: &[Scope]) -> Self {
        Self(scopes.to_vec())
    }

    pub(super) fn allow(&self, wanted: Scope) -> bool {
        self.0.iter().any(|scope| scope.includes(wanted))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&names.join(","))
    }
}

/// The token in an `Authorization` header: `token T`, `Bearer T`, or `Basic` with the token as the
/// password (or as the user, with no password or `x-oauth-basic`). `None` for anything else.
pub(super) fn token_in(header: &[u8]) -> Option<SecretString> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer") {
        return not_empty(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    match password {
        "" | "x-oauth-basic" => not_empty(user),
        token => not_empty(token),
    }
}

fn not_empty(token: &str) -> Option<SecretString> {
    (!token.is_empty()).then(|| SecretString::from(token))
}

/// The form in which a token is stored and looked up. A token has 160 random bits, so a plain hash
/// is as good as a slow one.
pub(super) fn digest(token: &SecretString) -> String {
    text::hexadecimal(&Sha256::digest(token.expose_secret()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str) -> Option<String> {
        token_in(header.as_bytes()).map(|token| token.expose_secret().to_owned())
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a_token_is_found_in_each_form() {
        for header in [
            "token t0k",
            "Token t0k",
            "Bearer t0k",
            &basic("anybody:t0k"),
            &basic("t0k:"),
            &basic("t0k:x-oauth-basic"),
        ] {
            assert_eq!(Some("t0k"), token(header).as_deref(), "{header}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_one() {
        for header in [
            "",
            "t0k",
            "token ",
            "Basic ***",
            "Digest t0k",
            &basic("t0k"),
        ] {
            assert_eq!(None, token(header), "{header}");
        }
    }

    #[test]
    fn writing_includes_reading_of_the_same_kind_alone() {
        let scopes = Scopes::stored("write:issue,read:user,read:moon");
        let allowed: Vec<_> = Scope::ALL
            .into_iter()
            .filter(|s| scopes.allow(*s))
            .collect();
        assert_eq!(
            vec![Scope::ReadIssue, Scope::WriteIssue, Scope::ReadUser],
            allowed
        );
    }

    proptest! {
        #[test]
        fn basic_gives_back_the_password(user in "[^:]{0,20}", password in ".{1,40}") {
            prop_assume!(password != "x-oauth-basic");
            prop_assert_eq!(Some(password.clone()), token(&basic(&format!("{user}:{password}"))));
        }

        #[test]
        fn no_header_breaks_it(header in any::<Vec<u8>>()) {
            token_in(&header);
        }
    }
}
