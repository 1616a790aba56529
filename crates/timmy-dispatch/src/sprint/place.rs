//! The directory of a run, and the lock that tells whether its process lives.

use std::fs::DirBuilder;
use std::fs::DirEntry;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::RunId;
use timmy_telemetry::run_lock::LOCK;
use timmy_telemetry::run_lock::RUNS;
use timmy_telemetry::run_lock::directory;

use crate::error::SprintError;

const TREE: &str = "tree";
const CHECK: &str = "check";
const UNNAMED_LOCK: &str = "lock.new";

/// A run's directory. While this value lives, so does the lock on it.
pub(crate) struct RunPlace {
    path: PathBuf,
    _lock: File,
}

/// What the lock says about a run.
pub(crate) enum Liveness {
    /// Its process holds the lock.
    Alive,
    /// Nobody does. Whoever asked holds it now.
    Dead(RunPlace),
    /// It has no directory here: it works on another host that shares the log, or is cleared away.
    Elsewhere,
}

impl RunPlace {
    /// Makes the directory of a new run and locks it.
    pub(crate) fn make(root: &Path, run: &RunId) -> Result<Self, SprintError> {
        let path = directory(root, run);
        let fail = |source| SprintError::Place {
            path: path.clone(),
            source,
        };
        // Passable for the agent's own user when timmy runs as root; the tree below is its own.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&path)
            .map_err(fail)?;
        // It gets its name when it is locked: nobody ever finds it free while this process lives.
        let draft = path.join(UNNAMED_LOCK);
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let lock = options.open(&draft).map_err(fail)?;
        lock.try_lock().map_err(|error| fail(error.into()))?;
        std::fs::rename(&draft, path.join(LOCK)).map_err(fail)?;
        Ok(Self { path, _lock: lock })
    }

    /// Finds out whether the process of a run lives, by trying to take its lock.
    pub(crate) fn look(root: &Path, run: &RunId) -> Result<Liveness, SprintError> {
        let path = directory(root, run);
        let fail = |source| SprintError::Place {
            path: path.clone(),
            source,
        };
        let lock = match OpenOptions::new().write(true).open(path.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Liveness::Elsewhere);
            }
            opened => opened.map_err(fail)?,
        };
        match lock.try_lock() {
            Ok(()) => Ok(Liveness::Dead(Self { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(Liveness::Alive),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// The runs that have a directory here.
    pub(super) fn all(root: &Path) -> Result<Vec<RunId>, SprintError> {
        let path = root.join(RUNS);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let entries = entries.map_err(|source| SprintError::Place { path, source })?;
        let run = |entry: DirEntry| entry.file_name().to_str()?.parse().ok();
        Ok(entries.into_iter().filter_map(run).collect())
    }

    /// The agent's workspace.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path.join(TREE)
    }

    /// Where the check gets its clean checkout: nothing is there, also when another process was
    /// killed while it filled it.
    pub(crate) fn check_tree(&self) -> Result<PathBuf, SprintError> {
        let path = self.path.join(CHECK);
        match timmy_sandbox::remove_tree(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err(SprintError::Place {
                path,
                source: io::Error::other(error),
            }),
        }
    }

    /// Removes the directory: the run has ended and this process holds its lock, which goes last. A
    /// process that is killed before leaves a directory that is found again.
    pub(crate) fn clear(&self) -> Result<(), SprintError> {
        for directory in [self.tree(), self.path.join(CHECK), self.path.clone()] {
            timmy_sandbox::remove_tree(&directory).map_err(|error| SprintError::Place {
                path: directory,
                source: io::Error::other(error),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn something_else_where_a_run_wants_its_directory_is_an_error_and_stays() {
        let root = TempDir::new().unwrap();
        let run = RunId::generate();
        std::fs::create_dir(root.path().join("runs")).unwrap();
        let path = directory(root.path(), &run);
        std::fs::write(&path, "somebody's").unwrap();
        assert!(RunPlace::make(root.path(), &run).is_err());
        assert_eq!("somebody's", std::fs::read_to_string(&path).unwrap());
    }

    #[test]
    fn a_run_without_a_directory_is_not_of_this_host() {
        let root = TempDir::new().unwrap();
        let run = RunId::generate();
        let elsewhere = RunPlace::look(root.path(), &run).unwrap();
        assert!(matches!(elsewhere, Liveness::Elsewhere));
        let place = RunPlace::make(root.path(), &run).unwrap();
        let alive = RunPlace::look(root.path(), &run).unwrap();
        assert!(matches!(alive, Liveness::Alive));
        drop(place);
        let dead = RunPlace::look(root.path(), &run).unwrap();
        assert!(matches!(dead, Liveness::Dead(_)));
    }
}
