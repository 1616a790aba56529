//! Exchanging the tokens of a login before they run out.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Clock;
use timmy_model::hermes::homes::Homes;
use url::Url;

use super::book;
use super::book::Entry;
use super::error::AuthError;
use super::held::Held;
use super::lock;
use super::lock::NotLocked;
use super::memory;
use super::settings::AuthSettings;
use super::settings::Rule;
use super::standing;
use crate::finding::LoginState;
use crate::replace;

/// Exchanges tokens.
pub struct Refresher<'a> {
    /// The settings.
    pub settings: &'a AuthSettings,
    /// The homes of Hermes, when it is known where they would be.
    pub homes: Option<&'a Homes>,
    /// Where timmy keeps what it remembers of logins.
    pub memory: &'a Path,
    /// A Nous Portal that the operator names in the place of what the files say.
    pub portal: Option<Url>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What became of one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its name.
    pub login: String,
    /// What was done.
    pub outcome: Result<Outcome, AuthError>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// What was done about a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing: its key lives long enough.
    NotDue,
    /// Somebody else had exchanged the tokens; they were taken from the file that all homes share.
    TakenOver,
    /// Its tokens were exchanged.
    Refreshed {
        /// When the new key expires, where that is known.
        expires: Option<Timestamp>,
    },
}

impl Refresher<'_> {
    /// Exchanges the tokens of every login that runs out soon, or only of one.
    pub async fn refresh(&self, only: Option<&str>) -> Vec<Turn> {
        let mut entries = book::entries(self.settings, self.homes);
        if let Some(only) = only {
            entries.retain(|entry| entry.name == only);
            if entries.is_empty() {
                return vec![Turn {
                    login: only.to_owned(),
                    outcome: Err(AuthError::Unknown(only.to_owned())),
                    notes: Vec::new(),
                }];
            }
        }
        let mut turns = Vec::new();
        for entry in &entries {
            let mut notes = Vec::new();
            turns.push(Turn {
                login: entry.name.clone(),
                outcome: self.one(entry, &mut notes).await,
                notes,
            });
        }
        turns
    }

    async fn one(&self, entry: &Entry, notes: &mut Vec<String>) -> Result<Outcome, AuthError> {
        let now = self.clock.now();
        let first = standing::of_entry(self.settings, entry, self.memory, now);
        if let LoginState::Dead { reason } = first.login.state {
            return Err(dead(entry, reason));
        }
        if !first.due {
            return Ok(Outcome::NotDue);
        }
        only_own_files(entry)?;
        let mut paths = vec![entry.lock.as_path()];
        paths.extend(entry.shared.as_ref().map(|shared| shared.lock.as_path()));
        let wait = Duration::from_secs(self.settings.lock_wait_s);
        let _locks = lock::take(&paths, wait)
            .await
            .map_err(|error| match error {
                NotLocked::Held(lock) => AuthError::Held {
                    login: entry.name.clone(),
                    lock,
                },
                NotLocked::Failed(path, error) => not_written(entry, &path, error.to_string()),
            })?;
        remove_left(entry, self.memory, self.clock.now());
        let mut login = Held::read(self, entry, self.clock.now())?;
        login.refresh(notes).await
    }
}

/// Removes files with tokens that a killed process left. Whoever calls it holds the locks.
fn remove_left(entry: &Entry, memory: &Path, now: Timestamp) {
    let memory = memory::file(memory, &entry.name);
    let shared = entry.shared.as_ref().map(|shared| &shared.file);
    for path in [&entry.file, &memory].into_iter().chain(shared) {
        // They lie where a link leads to.
        let real = std::fs::canonicalize(path);
        replace::remove_left(real.as_ref().unwrap_or(path), now);
    }
}

/// Refuses what belongs to another user: locks and files that this one makes would keep the owner out,
/// and the portal's answer could not be kept.
fn only_own_files(entry: &Entry) -> Result<(), AuthError> {
    let own = rustix::process::geteuid().as_raw();
    let shared = entry.shared.as_ref().map(|shared| &shared.file);
    for path in std::iter::once(&entry.file).chain(shared) {
        if let Ok(data) = std::fs::metadata(path)
            && data.uid() != own
        {
            let reason = format!("{} belongs to user {}", path.display(), data.uid());
            return Err(not_written(entry, path, reason));
        }
    }
    Ok(())
}

pub(super) fn dead(entry: &Entry, reason: String) -> AuthError {
    AuthError::Dead {
        login: entry.name.clone(),
        reason,
        fix: match (entry.provider.rule, entry.name.split_once('@')) {
            (Some(Rule::HermesNous), None) => "log in again: `hermes auth add nous`".to_owned(),
            (Some(Rule::HermesNous), Some((_, profile))) => {
                format!("log in again: `hermes -p {profile} auth add nous`")
            }
            (None, _) => format!(
                "log in again with the program that writes {}",
                entry.file.display()
            ),
        },
    }
}

pub(super) fn not_written(entry: &Entry, path: &Path, reason: String) -> AuthError {
    AuthError::NotWritten {
        login: entry.name.clone(),
        path: path.to_owned(),
        reason,
    }
}
