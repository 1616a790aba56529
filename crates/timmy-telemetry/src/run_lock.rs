//! The lock that tells whether the process of a run lives.
//!
//! A run has a directory below the private root, and its process holds a lock on a file in it for as
//! long as it lives. The kernel drops the lock of a killed process.

use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::RunId;

/// Where the directories of runs lie, below the private root.
pub const RUNS: &str = "runs";
/// The file whose lock it is, in the directory of a run.
pub const LOCK: &str = "lock";

/// What the lock of a run says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Its process holds it.
    Held,
    /// Nobody does: its process is gone.
    Free,
    /// There is none here: the run works on another host, or is cleared away.
    Elsewhere,
    /// Nobody can tell: it cannot be looked at.
    Unknown,
}

/// The directory of a run.
#[must_use]
pub fn directory(root: &Path, run: &RunId) -> PathBuf {
    root.join(RUNS).join(run.as_str())
}

/// Looks at the lock of a run and leaves it as it is. For the moment of the look nobody else can
/// take it, which whoever recovers runs takes for a living process and asks again later.
///
/// # Errors
/// When the file cannot be opened.
pub fn look(root: &Path, run: &RunId) -> io::Result<Lease> {
    let opened = OpenOptions::new()
        .read(true)
        .open(directory(root, run).join(LOCK));
    let lock = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lease::Elsewhere),
        opened => opened?,
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Lease::Free),
        Err(TryLockError::WouldBlock) => Ok(Lease::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_look_takes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        assert_eq!(Lease::Elsewhere, look(root.path(), &run).unwrap());
        std::fs::create_dir_all(directory(root.path(), &run)).unwrap();
        let lock = File::create(directory(root.path(), &run).join(LOCK)).unwrap();
        lock.try_lock().unwrap();
        assert_eq!(Lease::Held, look(root.path(), &run).unwrap());
        lock.unlock().unwrap();
        assert_eq!(Lease::Free, look(root.path(), &run).unwrap());
        lock.try_lock().unwrap();
    }
}
