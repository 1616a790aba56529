//! What this machine shows.

use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::analysis;
use crate::health::evidence::CollectorSeen;
use crate::health::evidence::DiskSeen;
use crate::probe::disk;

/// How far back the past of a disk is read.
const PAST: Duration = Duration::from_secs(24 * 60 * 60);
/// The series of free bytes.
const FREE: &str = "disk.free_bytes";
/// Where processes of timmy hold a lock for as long as they live, below the private root.
const WORKERS: &str = "workers";

/// The past of a disk by its mount point: free bytes, oldest first.
pub type PastOfDisks = Vec<(String, Vec<(Timestamp, f64)>)>;

/// The disks of the private root and of further places, with what is known of their past.
#[must_use]
pub fn disks(root: &Path, further: &[PathBuf], past: &PastOfDisks) -> Vec<DiskSeen> {
    let of_root = disk::read(&[root.to_owned()]).into_iter().next();
    let mut paths = vec![root.to_owned()];
    paths.extend_from_slice(further);
    let seen = disk::read(&paths).into_iter().map(|disk| {
        let mount = disk.mount.display().to_string();
        let own = past.iter().find(|(of, _)| *of == mount);
        DiskSeen {
            holds_root: of_root
                .as_ref()
                .is_some_and(|of_root| of_root.mount == disk.mount),
            free: disk.free,
            total: disk.total,
            past: own.map(|(_, past)| past.clone()).unwrap_or_default(),
            mount: timmy_core::text::clean_line(&mount),
        }
    });
    seen.collect()
}

/// Reads what the collector wrote about the disks of a machine in the last day. This reads whole files,
/// so once in several minutes is enough.
#[must_use]
pub fn past_of_disks(telemetry: &Path, host: &str, now: Timestamp) -> PastOfDisks {
    let since = now.checked_sub(PAST).unwrap_or(Timestamp::MIN);
    let analysis = analysis::read(telemetry, since, now);
    let own = analysis
        .values_of(FREE)
        .filter(|series| series.host == host);
    let past = own.map(|series| {
        let samples = series.buckets.iter().map(|bucket| (bucket.at, bucket.mean));
        (series.of.clone(), samples.collect())
    });
    past.collect()
}

/// When the collector last wrote; none when it never did.
#[must_use]
pub fn collector(metrics: &Path, every: Duration) -> Option<CollectorSeen> {
    let written = std::fs::metadata(metrics)
        .and_then(|file| file.modified())
        .ok()?;
    let wrote = Timestamp::try_from(written).ok()?;
    Some(CollectorSeen { wrote, every })
}

/// Whether a process of timmy that may make claims lives under a private root. The one that asks must
/// not have an identity yet.
#[must_use]
pub fn somebody_lives(root: &Path) -> bool {
    let entries = std::fs::read_dir(root.join(WORKERS));
    let mut entries = entries.into_iter().flatten().flatten();
    entries.any(|entry| {
        let locked = File::open(entry.path()).map(|file| file.try_lock_shared());
        matches!(locked, Ok(Err(TryLockError::WouldBlock)))
    })
}
