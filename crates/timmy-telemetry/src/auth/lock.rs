//! The locks of a login, as the program that owns its files takes them.

use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::time::Instant;

/// How often a lock is tried.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Locks that are held. They are given back when this goes.
#[derive(Debug)]
pub(super) struct Locks {
    _held: Vec<File>,
}

/// Why a lock was not had.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// Somebody held it for the whole time.
    Held(PathBuf),
    /// It cannot be made.
    Failed(PathBuf, io::Error),
}

/// Takes locks in this order, waiting no longer than `wait` for all of them.
pub(super) async fn take(paths: &[&Path], wait: Duration) -> Result<Locks, NotLocked> {
    // None for a wait that no clock can tell the end of.
    let until = Instant::now().checked_add(wait);
    let mut held = Vec::new();
    for path in paths {
        held.push(one(path, until).await?);
    }
    Ok(Locks { _held: held })
}

async fn one(path: &Path, until: Option<Instant>) -> Result<File, NotLocked> {
    let failed = |error: io::Error| NotLocked::Failed(path.to_owned(), error);
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(failed)?;
    }
    let mut options = File::options();
    let file = options.append(true).create(true).mode(0o600).open(path);
    let file = file.map_err(failed)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(NotLocked::Held(path.to_owned()));
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_beyond_all_clocks_is_a_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.lock");
        for wait in [Duration::ZERO, Duration::from_secs(i64::MAX.unsigned_abs())] {
            let taken = take(&[&path], wait).await;
            assert!(taken.is_ok(), "{taken:?}");
        }
    }
}
