//! The directory of a run, and the lock that tells whether its process lives.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
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
    /// It has no directory here: it works on another host that shares the log, or is cleared away.
    Elsewhere,
}

impl RunPlace {
    /// Makes the directory of a new run and locks it.
    pub(super) fn make(root: &Path, run: &RunId) -> Result<Self, SprintError> {
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
    pub(super) fn look(root: &Path, run: &RunId) -> Result<Liveness, SprintError> {
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
    pub(super) fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// Where the check gets its clean checkout: nothing is there, also when another process was
    /// killed while it filled it.
    pub(super) fn check_tree(&self) -> Result<PathBuf, SprintError> {
        let path = self.path.join("check");
        match remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SprintError::Place { path, source })
            }
            _ => Ok(path),
        }
    }

    /// Removes the directory: the run has ended and this process holds its lock.
    pub(super) fn clear(&self) -> Result<(), SprintError> {
        remove(&self.path).map_err(|source| SprintError::Place {
            path: self.path.clone(),
            source,
        })
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(directory).and_then(|()| std::fs::remove_dir_all(directory))
        }
        other => other,
    }
}

/// Takes back the right to empty directories that an agent took away. Follows no link.
fn open_up(directory: &Path) -> io::Result<()> {
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
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

    #[test]
    fn directories_that_were_closed_can_be_emptied_again() {
        let root = TempDir::new().unwrap();
        let outside = TempDir::new().unwrap();
        std::fs::set_permissions(outside.path(), Permissions::from_mode(0o755)).unwrap();
        let inner = root.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("a/link")).unwrap();
        for directory in [&inner, &root.path().join("a")] {
            std::fs::set_permissions(directory, Permissions::from_mode(0o000)).unwrap();
        }
        open_up(root.path()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((0o700, 0o755), (mode(&inner), mode(outside.path())));
    }
}
