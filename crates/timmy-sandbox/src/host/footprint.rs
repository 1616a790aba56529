//! How much room there is, and how much a directory takes of it.

use std::io;
use std::path::Path;

use crate::host::growth;
use crate::policy::Limits;

/// What a directory tree takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Bytes on the disk. A file with several names counts once.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are taken.
    pub used_bytes: u64,
    /// Bytes that an ordinary user can still take.
    pub free_bytes: u64,
}

/// Walks a directory. No link is followed; what vanishes meanwhile, cannot be opened, or lies more
/// than 128 directories deep is not counted. A directory that is not there takes nothing.
#[must_use]
pub fn footprint(directory: &Path) -> Footprint {
    let unlimited = Limits {
        workspace_bytes: u64::MAX,
        workspace_inodes: u64::MAX,
        ..Limits::default()
    };
    let held = growth::held(directory, &unlimited);
    Footprint {
        bytes: held.bytes,
        inodes: held.inodes,
    }
}

/// The room of the file system that a path lies in. Takes a microsecond.
///
/// # Errors
/// When the path is not there.
pub fn room(path: &Path) -> io::Result<Room> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Room {
        used_bytes: stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize,
        free_bytes: stat.f_bavail * stat.f_frsize,
    })
}
