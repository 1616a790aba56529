//! The directory of a run, and the lock that tells whether its process lives.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::RunId;

use crate::error::SprintError;

const LOCK: &str = "lock";

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
        match Self::look(root, run)? {
            Liveness::Dead(place) => Ok(place),
            Liveness::Alive | Liveness::Elsewhere => {
                Err(fail(io::Error::from(io::ErrorKind::ResourceBusy)))
            }
        }
    }

    /// Finds out whether the process of a run lives, by trying to take its lock.
    pub(crate) fn look(root: &Path, run: &RunId) -> Result<Liveness, SprintError> {
        let path = directory(root, run);
        let fail = |source| SprintError::Place {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let lock = match options.open(path.join(LOCK)) {
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

    /// The agent's workspace.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// Where the check gets its clean checkout: nothing is there, also when another process was
    /// killed while it filled it.
    pub(crate) fn check_tree(&self) -> Result<PathBuf, SprintError> {
        let path = self.path.join("check");
        match timmy_sandbox::remove_tree(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err(SprintError::Place {
                path,
                source: io::Error::other(error),
            }),
        }
    }

    /// Removes the directory: the run has ended and this process holds its lock.
    pub(crate) fn clear(&self) -> Result<(), SprintError> {
        timmy_sandbox::remove_tree(&self.path).map_err(|error| SprintError::Place {
            path: self.path.clone(),
            source: io::Error::other(error),
        })
    }
}

fn directory(root: &Path, run: &RunId) -> PathBuf {
    root.join("runs").join(run.as_str())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

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
