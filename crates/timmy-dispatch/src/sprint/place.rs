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
pub(super) struct RunPlace {
    path: PathBuf,
    _lock: File,
}

/// What the lock says about a run.
pub(super) enum Liveness {
    /// Its process holds the lock.
    Alive,
    /// Nobody does. Whoever asked holds it now.
    Dead(RunPlace),
}

impl RunPlace {
    /// Makes the directory of a new run and locks it.
    pub(super) fn make(root: &Path, run: &RunId) -> Result<Self, SprintError> {
        match Self::look(root, run)? {
            Liveness::Dead(place) => Ok(place),
            Liveness::Alive => {
                let source = io::Error::from(io::ErrorKind::ResourceBusy);
                Err(SprintError::Place {
                    path: directory(root, run),
                    source,
                })
            }
        }
    }

    /// Finds out whether the process of a run lives, by trying to take its lock.
    pub(super) fn look(root: &Path, run: &RunId) -> Result<Liveness, SprintError> {
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
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let lock = options.open(path.join(LOCK)).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => Ok(Liveness::Dead(Self { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(Liveness::Alive),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// The agent's workspace.
    pub(super) fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// The clean checkout that the check runs in.
    pub(super) fn check_tree(&self) -> PathBuf {
        self.path.join("check")
    }

    /// Removes the directory: the run has ended and this process holds its lock.
    pub(super) fn clear(&self) -> Result<(), SprintError> {
        std::fs::remove_dir_all(&self.path).map_err(|source| SprintError::Place {
            path: self.path.clone(),
            source,
        })
    }
}

fn directory(root: &Path, run: &RunId) -> PathBuf {
    root.join("runs").join(run.as_str())
}
