//! How much all directories may hold together.
//!
//! One command is held by its sandbox ([`timmy_sandbox::Limits`]): the bytes and files of its
//! workspace, and the room that stays free on the disk while it runs. This is about the sum, asked
//! before an attempt begins.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_sandbox::Room;

use super::error::WorkspaceError;
use super::settings::WorkspaceSettings;

/// What is counted, below the private root.
pub(crate) const COUNTED: [&str; 3] = ["runs", "workspaces", "caches"];

/// A walk counts as new for this long.
const FRESH: Duration = Duration::from_secs(10);
/// A walk is trusted for this long, together with what the disk took up since.
const TRUSTED: Duration = Duration::from_secs(600);

/// What was found by walking over everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Walk {
    /// Bytes that were counted.
    used: u64,
    /// Bytes of the disk that were taken then, by whomever.
    disk_used: u64,
    /// When, on the monotonic clock.
    at: Duration,
}

/// The quota of this host. One for the whole process: it remembers what it measured.
pub struct Quota {
    root: PathBuf,
    total_bytes: u64,
    keep_free_bytes: u64,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Walk>>,
}

impl Quota {
    /// The quota of a private root.
    #[must_use]
    pub fn new(root: &Path, settings: &WorkspaceSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            root: root.to_owned(),
            total_bytes: settings.total_bytes,
            keep_free_bytes: settings.keep_free_bytes,
            clock,
            last: Mutex::default(),
        }
    }

    /// Whether there is room for another attempt. Mostly this asks the file system how full it is,
    /// which takes a microsecond; directories are walked when the answer could be no, and at least
    /// every ten minutes.
    ///
    /// # Errors
    /// TIMMY-0930 above the total, TIMMY-0931 when the disk is nearly full, TIMMY-0940 when the
    /// private root cannot be looked at. The same call succeeds again once there is room.
    pub async fn admit(&self) -> Result<(), Problem> {
        let used = self.used().await.map_err(|error| error.problem())?;
        let room = self.room().map_err(|error| error.problem())?;
        judge(
            used,
            room.free_bytes,
            self.total_bytes,
            self.keep_free_bytes,
        )
        .map_err(|error| error.problem())
    }

    /// Of these runs the one that holds the most: the one to end first when there is no room while
    /// they work.
    pub async fn heaviest(&self, running: &[RunId]) -> Option<RunId> {
        let (root, running) = (self.root.join("runs"), running.to_vec());
        let heaviest = move || {
            let bytes = |run: &RunId| timmy_sandbox::footprint(&root.join(run.as_str())).bytes;
            running.into_iter().max_by_key(bytes)
        };
        tokio::task::spawn_blocking(heaviest).await.unwrap_or(None)
    }

    /// Forgets what was measured, after something was removed.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Bytes that are held at most.
    async fn used(&self) -> Result<u64, WorkspaceError> {
        let now = self.clock.monotonic();
        let last = *self.lock();
        let disk_used = self.room()?.used_bytes;
        if let Some(known) = last.and_then(|walk| known(walk, now, disk_used, self.total_bytes)) {
            return Ok(known);
        }
        let root = self.root.clone();
        let walked = tokio::task::spawn_blocking(move || walk(&root)).await;
        let used = walked.map_err(|error| {
            WorkspaceError::io("walk over", &self.root)(std::io::Error::other(error))
        })?;
        *self.lock() = Some(Walk {
            used,
            disk_used,
            at: now,
        });
        Ok(used)
    }

    fn room(&self) -> Result<Room, WorkspaceError> {
        timmy_sandbox::room(&self.root).map_err(WorkspaceError::io("look at", &self.root))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Walk>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn walk(root: &Path) -> u64 {
    let bytes = |name: &&str| timmy_sandbox::footprint(&root.join(name)).bytes;
    COUNTED.iter().map(bytes).sum()
}

/// What an earlier walk still says, if it says enough.
fn known(walk: Walk, now: Duration, disk_used: u64, total: u64) -> Option<u64> {
    let age = now.saturating_sub(walk.at);
    if age < FRESH {
        return Some(walk.used);
    }
    // Whoever took what the disk took up since: it cannot be more than that.
    let at_most = walk
        .used
        .saturating_add(disk_used.saturating_sub(walk.disk_used));
    (age < TRUSTED && at_most <= total).then_some(at_most)
}

fn judge(used: u64, free: u64, total: u64, keep_free: u64) -> Result<(), WorkspaceError> {
    if free < keep_free {
        return Err(WorkspaceError::DiskFull {
            free,
            limit: keep_free,
        });
    }
    if used > total {
        return Err(WorkspaceError::OverTotal { used, limit: total });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;
    use timmy_core::Code;
    use timmy_testkit::ManualClock;

    use super::*;

    fn quota(root: &Path, total_bytes: u64, keep_free_bytes: u64) -> (Quota, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let settings = WorkspaceSettings {
            total_bytes,
            keep_free_bytes,
            ..WorkspaceSettings::default()
        };
        let shared: Arc<dyn Clock> = clock.clone();
        (Quota::new(root, &settings, shared), clock)
    }

    #[tokio::test]
    async fn a_full_quota_recovers_when_there_is_room_again() {
        let root = TempDir::new().unwrap();
        let file = root.path().join("caches/large");
        std::fs::create_dir_all(root.path().join("caches")).unwrap();
        let (quota, clock) = quota(root.path(), 1 << 20, 0);
        quota.admit().await.unwrap();
        std::fs::write(&file, vec![1; 2 << 20]).unwrap();
        clock.advance(FRESH);
        let refused = quota.admit().await.unwrap_err();
        assert_eq!(Code::new(930), refused.code);
        std::fs::remove_file(&file).unwrap();
        quota.forget();
        quota.admit().await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_a_problem_of_its_own() {
        let root = TempDir::new().unwrap();
        let (quota, _) = quota(root.path(), 1 << 40, u64::MAX);
        let refused = quota.admit().await.unwrap_err();
        assert_eq!(Code::new(931), refused.code);
        let gone = root.path().join("not/here");
        let (quota, _) = tests::quota(&gone, 1, 1);
        assert_eq!(Code::new(940), quota.admit().await.unwrap_err().code);
    }

    #[tokio::test]
    async fn the_run_that_holds_the_most_is_named() {
        let root = TempDir::new().unwrap();
        let runs: Vec<RunId> = (0..3).map(|_| RunId::generate()).collect();
        for (run, bytes) in runs.iter().zip([10_000, 900_000, 20_000]) {
            let directory = root.path().join("runs").join(run.as_str());
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("file"), vec![1; bytes]).unwrap();
        }
        let (quota, _) = quota(root.path(), 0, 0);
        assert_eq!(Some(runs[1].clone()), quota.heaviest(&runs).await);
        assert_eq!(None, quota.heaviest(&[]).await);
    }

    proptest! {
        /// What is believed without a walk is never less than what can be there.
        #[test]
        fn no_growth_hides(used in 0..1_000_u64, grown in 0..1_000_u64, others in 0..1_000_u64,
                           age in 10..700_u64, total in 0..1_500_u64) {
            let walk = Walk { used, disk_used: 5_000, at: Duration::ZERO };
            let now = Duration::from_secs(age);
            let believed = known(walk, now, 5_000 + grown + others, total);
            if let Some(believed) = believed {
                prop_assert!(believed >= used + grown);
                prop_assert!(age < 600);
                prop_assert!(judge(believed, 1, total, 0).is_ok());
            }
        }
    }
}
