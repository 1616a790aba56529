//! The telemetry files below the private root.
//!
//! # Rules
//! - What is appended goes out in one write under a lock, so two collectors never interleave.
//! - A process that is killed while it writes leaves half a line at most. Whoever writes next ends
//!   that line first, so only it is lost.
//! - Files are put aside by size and once a day, under a name that sorts by time, and removed by
//!   that name alone when they are old. Nothing else in the directory is ever removed, but
//!   for what a killed process left of a file that it was about to replace.
//! - Directories are 0700, files 0600, and none lies in a git repository that would take it in.

mod last_state;
mod repository;
mod rotation;

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::fs::TryLockError;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::error::TelemetryError;
use crate::rows::Change;
use crate::rows::Row;
use crate::rows::Sample;

pub use last_state::Counted;
pub use last_state::Key;
pub use last_state::LastState;
pub use last_state::Progress;
pub use last_state::RunProgress;
pub use last_state::Standing;
pub(crate) use rotation::stamp;
pub(crate) use rotation::stamped;

/// The directory below the private root.
pub const DIRECTORY: &str = "telemetry";
/// The samples.
pub const METRICS: &str = "metrics";
/// The changes.
pub const EVENTS: &str = "events";

const LOCK: &str = "lock";
/// How long a process waits for another one that writes.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How files are put aside and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file that would grow beyond this many bytes is put aside first.
    pub bytes: u64,
    /// What was put aside longer ago than this is removed.
    pub keep: Duration,
}

/// The telemetry files.
#[derive(Debug, Clone)]
pub struct Files {
    directory: PathBuf,
}

/// The files while nobody else may write them.
#[derive(Debug)]
pub struct Writing<'a> {
    files: &'a Files,
    _lock: File,
}

impl Files {
    /// Makes the directory, private to its owner, when it is missing.
    ///
    /// # Errors
    /// [`TelemetryError::InRepository`] when git would see what is written there, and
    /// [`TelemetryError::Files`] when it cannot be made.
    pub fn open(directory: &Path) -> Result<Self, TelemetryError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(TelemetryError::files("make its directory", directory))?;
        let closed = std::fs::set_permissions(directory, Permissions::from_mode(0o700));
        closed.map_err(TelemetryError::files("close its directory", directory))?;
        if let Some(repository) = repository::that_takes_in(directory) {
            return Err(TelemetryError::InRepository {
                directory: directory.to_owned(),
                repository,
            });
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Where they lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that is written now: [`METRICS`] or [`EVENTS`].
    #[must_use]
    pub fn current(&self, which: &str) -> PathBuf {
        self.directory.join(format!("{which}.jsonl"))
    }

    /// Keeps everybody else from writing. Blocks for at most two seconds.
    ///
    /// # Errors
    /// [`TelemetryError::Busy`] when another process does not let go.
    pub fn write(&self) -> Result<Writing<'_>, TelemetryError> {
        let path = self.directory.join(LOCK);
        let fail = TelemetryError::files("open its lock", &path);
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let lock = options.open(&path).map_err(fail)?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(fail(error)),
                Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
                    return Err(TelemetryError::Busy { path });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_AGAIN),
            }
            waited += LOOK_AGAIN;
        }
        Ok(Writing {
            files: self,
            _lock: lock,
        })
    }

    /// What was known after the last look. An unreadable file is put aside, and everything begins
    /// anew; see [`LastState::begun_anew`].
    ///
    /// # Errors
    /// [`TelemetryError::Files`] when it can neither be read nor put aside.
    pub fn last_state(&self) -> Result<LastState, TelemetryError> {
        last_state::read(&self.directory)
    }
}

impl Writing<'_> {
    /// Appends samples.
    ///
    /// # Errors
    /// [`TelemetryError::Files`]. A part may be written; the next write ends its last line.
    pub fn append_rows(&self, rows: &[Row<'_>]) -> Result<(), TelemetryError> {
        let said = |row: &&Row<'_>| match row.sample {
            // JSON has no word for others.
            Sample::Value(value) => value.is_finite(),
            Sample::State(_) => true,
        };
        let lines = lines(rows.iter().filter(said));
        self.append(METRICS, &lines).map(drop)
    }

    /// Appends changes, which are on the disk when this returns.
    ///
    /// # Errors
    /// As [`Self::append_rows`].
    pub fn append_changes(&self, changes: &[Change<'_>]) -> Result<(), TelemetryError> {
        let Some(file) = self.append(EVENTS, &lines(changes))? else {
            return Ok(());
        };
        let path = self.files.current(EVENTS);
        file.sync_data()
            .map_err(TelemetryError::files("write its changes", &path))
    }

    /// Keeps what is known now, wholly or not at all.
    ///
    /// # Errors
    /// [`TelemetryError::Files`]; what was kept before is still there.
    pub fn keep_state(&self, state: &LastState) -> Result<(), TelemetryError> {
        last_state::write(&self.files.directory, state)
    }

    /// Puts full and day-old files aside, and removes those that were put aside long ago.
    ///
    /// # Errors
    /// [`TelemetryError::Files`] when a file cannot be renamed or removed.
    pub fn rotate(&self, rotation: Rotation, now: Timestamp) -> Result<(), TelemetryError> {
        for which in [METRICS, EVENTS] {
            rotation::put_aside(&self.files.directory, which, rotation.bytes, now)?;
        }
        rotation::remove_old(&self.files.directory, rotation.keep, now)
    }

    fn append(&self, which: &str, lines: &[u8]) -> Result<Option<File>, TelemetryError> {
        if lines.is_empty() {
            return Ok(None);
        }
        let path = self.files.current(which);
        let fail = TelemetryError::files("append to its file", &path);
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true).mode(0o600);
        let mut file = options.open(&path).map_err(fail)?;
        let torn = ends_in_a_line(&mut file).map_err(fail)?;
        let mut whole = Vec::with_capacity(lines.len() + 1);
        if torn {
            whole.push(b'\n');
        }
        whole.extend_from_slice(lines);
        file.write_all(&whole).map_err(fail)?;
        Ok(Some(file))
    }
}

/// Whether the last line of a file has no end.
fn ends_in_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn lines<'a, T: Serialize + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let mut lines = Vec::new();
    for value in values {
        let before = lines.len();
        if serde_json::to_writer(&mut lines, value).is_err() {
            lines.truncate(before);
            continue;
        }
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
