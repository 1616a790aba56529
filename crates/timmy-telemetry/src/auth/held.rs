//! A login under its locks: the portal is asked, and the answer kept.
//!
//! The order is the whole point: a second look under the locks, files that can be written, a note that
//! the portal is about to be asked, the question, the new tokens on the disk. The file that all homes of
//! Hermes share is written first: a Hermes that finds the two files different believes that one.

mod keeping;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Map;
use serde_json::Value;
use timmy_core::text;
use url::Url;

use super::book::Entry;
use super::document;
use super::document::Document;
use super::error::AuthError;
use super::memory::Asked;
use super::memory::Memory;
use super::memory::Refused;
use super::memory::fingerprint;
use super::nous;
use super::nous::Key;
use super::portal;
use super::portal::Answer;
use super::refresh::Outcome;
use super::refresh::Refresher;
use super::refresh::dead;
use super::refresh::not_written;
use super::settings::Pointer;
use super::settings::Rule;
use super::standing::Facts;
use super::standing::UNKNOWN_LIFE;
use super::token;
use super::writing;
use super::writing::Change;
use crate::replace;
use crate::replace::Rights;

/// A difference of clocks that is worth a word.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// A login under its locks.
pub(super) struct Held<'a> {
    by: &'a Refresher<'a>,
    entry: &'a Entry,
    now: Timestamp,
    document: Document,
    shared: Option<Document>,
    place: Pointer,
    /// The record with what the shared file has newer.
    record: Map<String, Value>,
    /// Whether anything was newer there.
    is_merged: bool,
    memory: Memory,
}

impl<'a> Held<'a> {
    pub(super) fn read(
        by: &'a Refresher<'a>,
        entry: &'a Entry,
        now: Timestamp,
    ) -> Result<Self, AuthError> {
        let unusable = |reason: String| dead(entry, reason);
        let document = Document::read(&entry.file).map_err(unusable)?;
        let document = document.ok_or_else(|| unusable("its file is gone".to_owned()))?;
        let place = document.record_at(&entry.provider).cloned();
        let place = place.ok_or_else(|| unusable("it holds no login".to_owned()))?;
        let shared = match &entry.shared {
            None => None,
            Some(shared) => Document::read(&shared.file).map_err(unusable)?,
        };
        let own = document.object(&place).cloned().unwrap_or_default();
        let record = match &entry.shared {
            None => own.clone(),
            Some(_) => nous::merged(
                &own,
                shared.as_ref().and_then(|file| file.value.as_object()),
            ),
        };
        Ok(Self {
            by,
            entry,
            now,
            is_merged: record != own,
            record,
            place,
            shared,
            memory: Memory::read(by.memory, &entry.name),
            document,
        })
    }

    pub(super) async fn refresh(&mut self, notes: &mut Vec<String>) -> Result<Outcome, AuthError> {
        let provider = &self.entry.provider;
        let facts = Facts::of(provider, &self.record, &self.memory, &mut Vec::new());
        if !facts.is_due(self.by.settings, self.now) {
            return self.keep_what_others_have();
        }
        let Some(refresh_token) = document::text(&self.record, &provider.refresh_token) else {
            return Err(dead(self.entry, "it has no refresh token".to_owned()));
        };
        let refresh_token = refresh_token.to_owned();
        let endpoint = self.endpoint()?;
        if self.only_the_key_is_old() {
            return self.make_key(&endpoint).await;
        }
        if let Some((asked, again)) = self.not_shown_before(&refresh_token, &facts) {
            let again = Some(again);
            return Err(self.uncertain(format!("the portal was asked at {asked}"), again));
        }
        let (file, shared) = self.prepare()?;
        self.remember_the_question(&refresh_token)?;
        let patience = Duration::from_secs(self.by.settings.answer_wait_s);
        let secret = SecretString::from(refresh_token.as_str());
        match portal::exchange(&endpoint, provider, &secret, patience).await {
            Answer::Tokens { fields, date } => {
                self.now = self.by.clock.now();
                notes.extend(date.and_then(|date| told_skew(date, self.now)));
                self.take_over(&fields, &refresh_token, file, shared)?;
            }
            Answer::Terminal { code, message } => {
                return Err(self.ended(&refresh_token, &code, &message));
            }
            Answer::NotTaken(reason) => {
                self.forget_the_question();
                return Err(self.away(reason));
            }
            Answer::Uncertain(reason) => {
                let again = self.not_shown_before(&refresh_token, &facts);
                return Err(self.uncertain(reason, again.map(|(_, again)| again)));
            }
        }
        if self.document.is_open() {
            let path = self.document.path.display();
            notes.push(format!("{path} could be read by others and is 0600 now"));
        }
        if self.key() == Some(Key::Minted) {
            return self.make_key(&endpoint).await;
        }
        Ok(self.refreshed())
    }

    /// When a token that may be spent was shown, and until when it is not shown again: while its key
    /// may live, there is something to lose.
    fn not_shown_before(
        &self,
        refresh_token: &str,
        facts: &Facts,
    ) -> Option<(Timestamp, Timestamp)> {
        let asked = self.memory.may_be_spent(refresh_token)?.at;
        let assumed = asked.checked_add(UNKNOWN_LIFE).unwrap_or(Timestamp::MAX);
        let until = facts.key_expires.unwrap_or(assumed);
        let left = facts.left(self.now);
        let left = left.unwrap_or_else(|| until.duration_since(self.now));
        left.is_positive().then_some((asked, until))
    }

    /// The tokens that somebody else got are written where Hermes would write them.
    fn keep_what_others_have(&mut self) -> Result<Outcome, AuthError> {
        if !self.is_merged {
            return Ok(Outcome::NotDue);
        }
        if self.key() == Some(Key::AccessToken) {
            writing::key_is_access_token(&mut self.record, self.now);
        }
        let own = self.document.object(&self.place);
        let old = own.and_then(|own| own.get("refresh_token")?.as_str());
        let old = old.map(str::to_owned);
        let bytes = self.file_with(old.as_deref());
        let rights = self.rights(&self.document.path)?;
        let written = replace::replace(&self.document.path, rights, &bytes);
        written.map_err(|error| not_written(self.entry, &self.document.path, error.to_string()))?;
        Ok(Outcome::TakenOver)
    }

    fn file_with(&self, old: Option<&str>) -> Vec<u8> {
        let change = Change {
            old,
            refused: false,
            now: self.now,
        };
        let provider = &self.entry.provider;
        writing::file_with(&self.document, provider, &self.place, &self.record, &change)
    }

    /// What the key to inference is, where that is not the access token of any provider.
    fn key(&self) -> Option<Key> {
        let rule = self.entry.provider.rule?;
        match rule {
            Rule::HermesNous => Some(nous::key_of(&self.record)),
        }
    }

    /// Whether a key has run out that is made for an access token, and that token has not.
    fn only_the_key_is_old(&self) -> bool {
        let wanted = SignedDuration::try_from(self.by.settings.refresh_before());
        let wanted = wanted.unwrap_or(SignedDuration::MAX);
        let expires = self.record.get("expires_at").and_then(Value::as_str);
        let expires = expires.and_then(token::time);
        let left = expires.map(|expires| expires.duration_since(self.now));
        self.key() == Some(Key::Minted) && left.is_some_and(|left| left > wanted)
    }

    /// Where the tokens are sent.
    fn endpoint(&self) -> Result<Url, AuthError> {
        let provider = &self.entry.provider;
        let mut endpoint = provider.endpoint.clone();
        let mut hosts = provider.hosts.clone();
        hosts.extend(endpoint.host_str().map(str::to_owned));
        let foreign = |portal: &str| AuthError::Foreign {
            login: self.entry.name.clone(),
            portal: text::clean_line(portal),
        };
        if provider.rule == Some(Rule::HermesNous) {
            let named = self.record.get("portal_base_url").and_then(Value::as_str);
            let named = named.map(str::trim).filter(|named| !named.is_empty());
            let base = match (&self.by.portal, named) {
                (Some(portal), _) => {
                    hosts.extend(portal.host_str().map(str::to_owned));
                    Some(portal.clone())
                }
                (None, Some(named)) => Some(named.parse::<Url>().map_err(|_| foreign(named))?),
                (None, None) => None,
            };
            if let Some(mut base) = base {
                let path = format!("{}{}", base.path().trim_end_matches('/'), endpoint.path());
                base.set_path(&path);
                endpoint = base;
            }
        }
        match portal::may_have_tokens(&endpoint, &hosts) {
            true => Ok(endpoint),
            false => Err(foreign(endpoint.as_str())),
        }
    }

    fn rights(&self, path: &Path) -> Result<Rights, AuthError> {
        let rights = Rights::of(path).map(Rights::tightened);
        rights.map_err(|error| not_written(self.entry, path, error.to_string()))
    }

    /// Notes that the portal is about to be asked: if this process ends before the answer is kept, the
    /// next one knows.
    fn remember_the_question(&mut self, refresh_token: &str) -> Result<(), AuthError> {
        let obtained = self.entry.provider.obtained_at.as_ref();
        let obtained = obtained.and_then(|at| document::text(&self.record, at));
        let obtained = obtained.and_then(token::time);
        let since = [self.memory.since, obtained].into_iter().flatten().min();
        self.memory.since = since.or(Some(self.now));
        self.memory.asked = Some(Asked {
            at: self.now,
            token: fingerprint(refresh_token),
        });
        let written = self.memory.write(self.by.memory, &self.entry.name);
        written.map_err(|error| not_written(self.entry, self.by.memory, error.to_string()))
    }

    fn forget_the_question(&mut self) {
        self.memory.asked = None;
        self.write_memory();
    }

    /// What cannot be remembered only makes the next question more careful.
    fn write_memory(&self) {
        drop(self.memory.write(self.by.memory, &self.entry.name));
    }

    /// Has the portal make a key for the access token.
    async fn make_key(&mut self, endpoint: &Url) -> Result<Outcome, AuthError> {
        let mut place = endpoint.clone();
        let base = place.path().trim_end_matches("/token").to_owned();
        place.set_path(&format!("{base}/agent-key"));
        let access = document::text(&self.record, &self.entry.provider.access_token);
        let access = SecretString::from(access.unwrap_or_default());
        let patience = Duration::from_secs(self.by.settings.answer_wait_s);
        let made = portal::mint(&place, &access, patience).await;
        let made = made.map_err(|reason| self.away(format!("no key was made: {reason}")))?;
        self.now = self.by.clock.now();
        writing::take_key(&mut self.record, &made, self.now);
        // The tokens may have been written a moment ago.
        let document = Document::read(&self.entry.file);
        if let Ok(Some(document)) = document {
            self.document = document;
        }
        let own = document::text(&self.record, &self.entry.provider.refresh_token);
        let own = own.map(str::to_owned);
        let bytes = self.file_with(own.as_deref());
        let path = &self.document.path;
        let rights = Rights::of(path).map(Rights::tightened);
        let written = rights.and_then(|rights| replace::replace(path, rights, &bytes));
        written.map_err(|error| {
            let fix = "mend the disk and run it again: the tokens are good, another key is made";
            self.not_kept(path, &error, fix.to_owned())
        })?;
        Ok(self.refreshed())
    }

    fn refreshed(&self) -> Outcome {
        let provider = &self.entry.provider;
        let facts = Facts::of(provider, &self.record, &Memory::default(), &mut Vec::new());
        Outcome::Refreshed {
            expires: facts.key_expires,
        }
    }

    /// The portal said that the login is over. Its refresh token is taken out of the files of Hermes, so
    /// that nobody shows it again; what else is there lives until it runs out. Other files stay as they
    /// are.
    fn ended(&mut self, refused: &str, code: &str, message: &str) -> AuthError {
        let reason = match message {
            "" => code.to_owned(),
            message => format!("{code}: {message}"),
        };
        self.now = self.by.clock.now();
        self.memory = Memory {
            refused: Some(Refused {
                token: fingerprint(refused),
                reason: reason.clone(),
            }),
            ..Memory::default()
        };
        self.write_memory();
        let copies = match self.entry.provider.rule {
            None => Ok(Vec::new()),
            Some(Rule::HermesNous) => self.take_away(refused, code, message),
        };
        match copies {
            Ok(copies) => AuthError::Ended {
                login: self.entry.name.clone(),
                reason,
                copies,
            },
            Err((path, error)) => AuthError::NotKept {
                login: self.entry.name.clone(),
                path,
                reason: format!("the portal ended the login ({reason}), and {error}"),
                fix: "log in again; what is left in the files is refused".to_owned(),
            },
        }
    }

    fn take_away(
        &mut self,
        refused: &str,
        code: &str,
        message: &str,
    ) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
        let private = |document: &Document| {
            let rights = Rights::of(&document.path).map(Rights::tightened);
            rights.map_err(|error| (document.path.clone(), error))
        };
        let now = self.now;
        let keep = |document: &Document| {
            let rights = private(document)?;
            let copy = replace::keep_copy(&document.path, rights, &document.bytes, now);
            copy.map_err(|error| (document.path.clone(), error))
        };
        let mut copies = vec![keep(&self.document)?];
        writing::refuse(&mut self.record, code, message, self.now);
        let change = Change {
            old: Some(refused),
            refused: true,
            now: self.now,
        };
        let provider = &self.entry.provider;
        let bytes =
            writing::file_with(&self.document, provider, &self.place, &self.record, &change);
        let rights = private(&self.document)?;
        let written = replace::replace(&self.document.path, rights, &bytes);
        written.map_err(|error| (self.document.path.clone(), error))?;
        let shared = self.shared.as_ref().filter(|shared| {
            shared.value.get("refresh_token").and_then(Value::as_str) == Some(refused)
        });
        if let Some(shared) = shared {
            // Hermes would take the token from there again.
            copies.push(keep(shared)?);
            let removed = std::fs::remove_file(&shared.path);
            removed.map_err(|error| (shared.path.clone(), error))?;
        }
        Ok(copies)
    }

    fn not_kept(&self, path: &Path, error: &std::io::Error, fix: String) -> AuthError {
        AuthError::NotKept {
            login: self.entry.name.clone(),
            path: path.to_owned(),
            reason: error.to_string(),
            fix,
        }
    }

    fn away(&self, reason: String) -> AuthError {
        AuthError::Away {
            login: self.entry.name.clone(),
            reason,
        }
    }

    fn uncertain(&self, reason: String, again: Option<Timestamp>) -> AuthError {
        AuthError::Uncertain {
            login: self.entry.name.clone(),
            reason,
            again,
        }
    }
}

/// A word about clocks that differ.
fn told_skew(portal: Timestamp, own: Timestamp) -> Option<String> {
    let behind = portal.duration_since(own);
    (behind.abs() > SKEW).then(|| {
        let seconds = behind.as_secs().abs();
        let way = if behind.is_positive() {
            "behind"
        } else {
            "ahead of"
        };
        format!("this machine's clock is {seconds} s {way} the portal's")
    })
}
