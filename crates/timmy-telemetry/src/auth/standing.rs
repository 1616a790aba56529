//! How logins stand.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use timmy_core::Redactor;
use timmy_core::text;
use timmy_model::hermes::homes::Homes;

use super::book;
use super::book::Entry;
use super::document;
use super::document::Document;
use super::memory::Memory;
use super::nous;
use super::settings::AuthProvider;
use super::settings::AuthSettings;
use super::settings::Rule;
use super::settings::TimeForm;
use super::token;
use crate::finding::Login;
use crate::finding::LoginState;

/// Differences of clocks that mean nothing.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// What is taken for the life of a key that nothing says the life of: after that, nothing is left to lose.
pub(super) const UNKNOWN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// The part of a foreign message that is repeated, in bytes.
const WORDS: usize = 300;

/// Where logins are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The homes of Hermes, when it is known where they would be.
    pub homes: Option<&'a Homes>,
    /// Where timmy keeps what it remembers of logins: a directory that may not exist yet.
    pub memory: &'a Path,
    /// The time.
    pub now: Timestamp,
}

/// A login, and what else there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoginStanding {
    /// How it stands.
    #[serde(flatten)]
    pub login: Login,
    /// Whether `timmy auth refresh` would exchange its tokens now.
    pub due: bool,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// Every login there is. Nothing is changed and nobody is asked.
#[must_use]
pub fn look(settings: &AuthSettings, around: &Surroundings<'_>) -> Vec<Login> {
    let standings = examine(settings, around).into_iter();
    standings.map(|standing| standing.login).collect()
}

/// Every login there is, with what else there is to say.
#[must_use]
pub fn examine(settings: &AuthSettings, around: &Surroundings<'_>) -> Vec<LoginStanding> {
    let entries = book::entries(settings, around.homes);
    let standing = |entry: &Entry| of_entry(settings, entry, around.memory, around.now);
    entries.iter().map(standing).collect()
}

/// How one login stands.
pub(super) fn of_entry(
    settings: &AuthSettings,
    entry: &Entry,
    memory: &Path,
    now: Timestamp,
) -> LoginStanding {
    let memory = Memory::read(memory, &entry.name);
    let mut notes = Vec::new();
    let facts = match Facts::read(entry, &memory, &mut notes) {
        Ok(facts) => facts,
        Err(reason) => Facts::dead(reason),
    };
    let due = facts.dead.is_none() && facts.has_refresh_token && facts.is_due(settings, now);
    LoginStanding {
        login: Login {
            name: entry.name.clone(),
            place: entry.file.display().to_string(),
            state: facts.state(settings, now),
            key_expires: facts.key_expires,
            login_ends: facts.login_ends,
        },
        due,
        notes,
    }
}

/// What the files say about one login.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Why a person has to log in again, if so.
    pub(super) dead: Option<String>,
    /// When its key expires, by the portal's clock.
    pub(super) key_expires: Option<Timestamp>,
    /// When its key is taken to expire, where nothing says it and it is known since when it is there.
    assumed: Option<Timestamp>,
    /// How long its key lives altogether.
    life: Option<SignedDuration>,
    /// How far this machine's clock is behind the portal's.
    pub(super) behind: SignedDuration,
    pub(super) has_refresh_token: bool,
    pub(super) login_ends: Option<Timestamp>,
}

impl Facts {
    fn dead(reason: String) -> Self {
        Self {
            dead: Some(reason),
            ..Self::default()
        }
    }

    fn read(entry: &Entry, memory: &Memory, notes: &mut Vec<String>) -> Result<Self, String> {
        let Some(document) = Document::read(&entry.file)? else {
            return Err(format!("{} does not exist", entry.file.display()));
        };
        if document.is_open() {
            notes.push(format!(
                "{} can be read by others (mode {:04o}); a refresh tightens it to 0600",
                document.path.display(),
                document.mode
            ));
        }
        let provider = &entry.provider;
        let record = document
            .record_at(provider)
            .and_then(|at| document.object(at));
        let Some(record) = record else {
            return Err("it holds no login".to_owned());
        };
        let record = match &entry.shared {
            None => record.clone(),
            Some(shared) => {
                let shared = Document::read(&shared.file);
                let shared = shared.ok().flatten();
                nous::merged(
                    record,
                    shared.as_ref().and_then(|file| file.value.as_object()),
                )
            }
        };
        Ok(Self::of(provider, &record, memory, notes))
    }

    /// The facts of a record.
    pub(super) fn of(
        provider: &AuthProvider,
        record: &Map<String, Value>,
        memory: &Memory,
        notes: &mut Vec<String>,
    ) -> Self {
        let refresh_token = document::text(record, &provider.refresh_token);
        let access_token = document::text(record, &provider.access_token);
        let claims = access_token.and_then(token::claims).unwrap_or_default();
        let obtained = provider.obtained_at.as_ref();
        let obtained = obtained.and_then(|at| document::text(record, at));
        let obtained = obtained.and_then(token::time);
        // A key that was made for the token has a life of its own.
        let is_token = provider.rule.is_none() || nous::key_of(record) == nous::Key::AccessToken;
        let key_expires = match provider.rule {
            Some(Rule::HermesNous) => nous::key_expires(record),
            None => claims.expires.or_else(|| expires(provider, record)),
        };
        let behind = behind(claims.issued.filter(|_| is_token), obtained, notes);
        if let Some(asked) = refresh_token.and_then(|token| memory.may_be_spent(token)) {
            notes.push(format!(
                "the portal was asked at {} and nobody knows what it answered: the refresh token \
                 may be spent",
                asked.at
            ));
        }
        let dead = match (access_token, refresh_token) {
            (_, None) if refused(provider, record).is_some() => refused(provider, record),
            (None, None) => Some("it holds no tokens".to_owned()),
            (_, Some(token)) => memory.refused(token).map(str::to_owned),
            _ => None,
        };
        let begun = [claims.login, obtained, memory.since]
            .into_iter()
            .flatten()
            .min();
        let ends = begun.zip(provider.login_lasts());
        let ends = ends.and_then(|(begun, lasts)| begun.checked_add(lasts).ok());
        Self {
            dead,
            key_expires,
            assumed: match key_expires {
                None if is_token && refresh_token.is_some() => {
                    let since = obtained.max(memory.exchanged);
                    since.and_then(|since| since.checked_add(UNKNOWN_LIFE).ok())
                }
                _ => None,
            },
            life: key_expires
                .zip(obtained.filter(|_| is_token))
                .map(|(expires, obtained)| expires.duration_since(obtained) - behind),
            behind,
            has_refresh_token: refresh_token.is_some(),
            login_ends: refresh_token.map_or(key_expires, |_| ends),
        }
    }

    /// What is left of the key's life. None when nobody knows.
    pub(super) fn left(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(self.key_expires?.duration_since(now) - self.behind)
    }

    /// What is left of the key's life, also where it is only assumed. A time in the future at which it
    /// was obtained says nothing.
    fn left_at_least(&self, now: Timestamp) -> Option<SignedDuration> {
        let assumed = self.assumed.map(|ends| ends.duration_since(now));
        self.left(now)
            .or(assumed.filter(|left| *left <= UNKNOWN_LIFE))
    }

    /// Whether its tokens are to be exchanged: near the end of the key's life, and never in its first
    /// half, however short that is.
    pub(super) fn is_due(&self, settings: &AuthSettings, now: Timestamp) -> bool {
        let before = SignedDuration::try_from(settings.refresh_before());
        let before = before.unwrap_or(SignedDuration::MAX);
        let life = self.life.or(self.assumed.map(|_| UNKNOWN_LIFE));
        let half = life.map(|life| life / 2).filter(|half| half.is_positive());
        let before = half.map_or(before, |half| half.min(before));
        self.left_at_least(now).is_none_or(|left| left < before)
    }

    fn state(&self, settings: &AuthSettings, now: Timestamp) -> LoginState {
        if let Some(reason) = &self.dead {
            return LoginState::Dead {
                reason: reason.clone(),
            };
        }
        let fresh = SignedDuration::try_from(settings.fresh()).unwrap_or(SignedDuration::MAX);
        let is_fresh = self.left_at_least(now).is_some_and(|left| left > fresh);
        if !self.has_refresh_token && !is_fresh {
            return LoginState::Dead {
                reason: "its key has run out, and there is no refresh token".to_owned(),
            };
        }
        let left = self.login_ends.map(|ends| ends.duration_since(now));
        let left = left.map(|left| Duration::try_from(left).unwrap_or_default());
        match left {
            Some(within) if within < settings.warn() => LoginState::Ending { within },
            _ if is_fresh => LoginState::Good,
            _ => LoginState::Stale,
        }
    }
}

/// How far this machine's clock is behind the portal's: a token is issued by the one and obtained by the
/// other at the same moment.
fn behind(
    issued: Option<Timestamp>,
    obtained: Option<Timestamp>,
    notes: &mut Vec<String>,
) -> SignedDuration {
    let behind = issued.zip(obtained);
    let behind = behind.map(|(issued, obtained)| issued.duration_since(obtained));
    let Some(behind) = behind.filter(|behind| *behind > SKEW) else {
        return SignedDuration::ZERO;
    };
    let seconds = behind.as_secs();
    notes.push(format!(
        "this machine's clock was {seconds} s behind the portal's"
    ));
    behind
}

/// When the access token expires, as the record has it.
pub(super) fn expires(provider: &AuthProvider, record: &Map<String, Value>) -> Option<Timestamp> {
    let value = document::at(record, &provider.expires_at)?;
    match provider.expires_form {
        TimeForm::Rfc3339 => token::time(value.as_str()?),
        TimeForm::Unix => token::seconds(value),
        TimeForm::UnixMs => Timestamp::from_millisecond(value.as_i64()?).ok(),
    }
}

/// What the owner of the file noted about a refusal, without any token.
fn refused(provider: &AuthProvider, record: &Map<String, Value>) -> Option<String> {
    let said = match provider.rule {
        Some(Rule::HermesNous) => nous::refusal(record)?,
        None => return None,
    };
    Some(said_safely(provider, record, &said))
}

/// Foreign words without tokens, on one line, bounded.
pub(super) fn said_safely(
    provider: &AuthProvider,
    record: &Map<String, Value>,
    said: &str,
) -> String {
    let tokens = [&provider.access_token, &provider.refresh_token];
    let tokens = tokens
        .into_iter()
        .filter_map(|at| document::text(record, at));
    let tokens: Vec<SecretString> = tokens.map(SecretString::from).collect();
    let said = Redactor::new(&tokens).redact(&text::clean_line(said));
    text::bound(&said, WORDS).into_owned()
}
