//! Keeping what the portal gave: room is made before it is asked, and what it gave is never dropped.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::Map;
use serde_json::Value;

use super::Held;
use crate::auth::error::AuthError;
use crate::auth::nous::Key;
use crate::auth::refresh::not_written;
use crate::auth::writing;
use crate::replace;
use crate::replace::Replacement;
use crate::replace::Rights;

impl Held<'_> {
    /// Files that wait to be filled, so that nothing is asked whose answer could not be kept.
    pub(in crate::auth) fn prepare(&self) -> Result<(Replacement, Option<Replacement>), AuthError> {
        let not_kept =
            |path: &Path, error: std::io::Error| not_written(self.entry, path, error.to_string());
        for document in [Some(&self.document), self.shared.as_ref()]
            .into_iter()
            .flatten()
        {
            if !document.can_be_kept() {
                let reason = "it holds a number that would be rounded".to_owned();
                return Err(not_written(self.entry, &document.path, reason));
            }
        }
        let path = &self.document.path;
        let file = Replacement::prepare(path, self.rights(path)?, &self.document.bytes);
        let file = file.map_err(|error| not_kept(path, error))?;
        let shared = match (&self.entry.shared, &self.shared) {
            (Some(_), Some(shared)) => Some((shared.path.clone(), self.rights(&shared.path)?)),
            // A Hermes that has keys made does not know that file, and would leave it to grow old.
            (Some(_), None) if self.key() == Some(Key::Minted) => None,
            (Some(shared), None) => Some((shared.file.clone(), Rights::private())),
            (None, _) => None,
        };
        let shared = shared.map(|(path, rights)| {
            let prepared = Replacement::prepare(&path, rights, &self.document.bytes);
            prepared.map_err(|error| not_kept(&path, error))
        });
        Ok((file, shared.transpose()?))
    }

    /// Keeps new tokens, before anything else is done with them.
    pub(in crate::auth) fn take_over(
        &mut self,
        fields: &Map<String, Value>,
        old: &str,
        mut file: Replacement,
        shared: Option<Replacement>,
    ) -> Result<(), AuthError> {
        writing::take_over(&self.entry.provider, &mut self.record, fields, self.now);
        let in_shared = shared.map(|mut shared| {
            let before = self.shared.as_ref().and_then(|file| file.value.as_object());
            let bytes = writing::shared_with(before, &self.record, self.now);
            shared.fill(&bytes).and_then(|()| shared.commit())
        });
        let bytes = self.file_with(Some(old));
        let in_file = file.fill(&bytes).and_then(|()| file.commit());
        if let Err(error) = in_file {
            return Err(match in_shared {
                Some(Ok(())) => self.only_in_shared(&error),
                Some(Err(_)) | None => self.put_aside(&bytes, &error),
            });
        }
        self.renew_memory();
        match (in_shared, &self.entry.shared) {
            (Some(Err(error)), Some(shared)) => Err(self.not_in_shared(&shared.file, &error)),
            _ => Ok(()),
        }
    }

    /// Hermes takes them from the shared file, and so does the next refresh.
    fn only_in_shared(&self, error: &io::Error) -> AuthError {
        let shared = self.entry.shared.as_ref();
        let kept = shared.map_or(&self.document.path, |shared| &shared.file);
        let fix = format!(
            "mend the disk; the new tokens are in {}, and the next refresh takes them from there",
            kept.display()
        );
        self.not_kept(&self.document.path, error, fix)
    }

    /// A Hermes that finds the spent token in the shared file believes it.
    fn not_in_shared(&self, shared: &Path, error: &io::Error) -> AuthError {
        let fix = format!(
            "remove {} before Hermes runs: its token is spent; the new ones are in {}",
            shared.display(),
            self.document.path.display()
        );
        self.not_kept(shared, error, fix)
    }

    /// Puts a file with new tokens where it can still be written, for a person to put in its place.
    fn put_aside(&self, bytes: &[u8], error: &io::Error) -> AuthError {
        let path = &self.document.path;
        match self.write_aside(bytes) {
            Ok(kept) => {
                let fix = format!(
                    "mend the disk, then put {} in the place of {}: it has the new tokens",
                    kept.display(),
                    path.display()
                );
                let shared = self
                    .entry
                    .shared
                    .as_ref()
                    .filter(|shared| shared.file.exists());
                let fix = match shared {
                    Some(shared) => format!("{fix}; remove {}", shared.file.display()),
                    None => fix,
                };
                self.not_kept(path, error, fix)
            }
            Err(_) => AuthError::Lost {
                login: self.entry.name.clone(),
                path: path.clone(),
                reason: error.to_string(),
            },
        }
    }

    fn write_aside(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let place = self.by.memory.join(format!("{}.tokens", self.entry.name));
        replace::keep_copy(&place, Rights::private(), bytes, self.now)
    }

    /// Tokens were exchanged: a login that is older than logins get is a new one.
    fn renew_memory(&mut self) {
        self.memory.asked = None;
        self.memory.exchanged = Some(self.now);
        let lasts = self.entry.provider.login_lasts();
        let lasts = lasts.and_then(|lasts| SignedDuration::try_from(lasts).ok());
        let age = self
            .memory
            .since
            .map(|since| self.now.duration_since(since));
        if age.zip(lasts).is_some_and(|(age, lasts)| age > lasts) {
            self.memory.since = Some(self.now);
        }
        self.write_memory();
    }
}
