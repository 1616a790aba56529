//! How much a workspace holds, and whether that is too much.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::outcome::Limit;
use crate::policy::Limits;

/// A command that is over before this is judged by the fill of its file system alone.
const FIRST_WALK: Duration = Duration::from_millis(300);

/// A walk takes at most one part in this many of the time.
const WALK_SHARE: u32 = 20;

/// Deeper directories are not walked but taken for an attempt to hide something.
const DEEPEST: usize = 128;

const BLOCK: u64 = 512;

/// What a directory tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

impl Held {
    fn over(self, limits: &Limits) -> Option<Limit> {
        if self.inodes > limits.workspace_inodes {
            Some(Limit::WorkspaceInodes)
        } else if self.bytes > limits.workspace_bytes {
            Some(Limit::WorkspaceBytes)
        } else {
            None
        }
    }
}

/// The last walk of each workspace, with the fill of its file system at that moment.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<PathBuf, (Held, Held)>>);

/// Watches one workspace while one command runs.
pub(super) struct Watch<'a> {
    known: &'a Known,
    directories: Vec<PathBuf>,
    limits: &'a Limits,
    next: Instant,
}

impl<'a> Watch<'a> {
    pub(super) fn new(known: &'a Known, directories: Vec<PathBuf>, limits: &'a Limits) -> Self {
        Self {
            known,
            directories,
            limits,
            next: Instant::now() + FIRST_WALK,
        }
    }

    /// When to look next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Looks, when it is time to.
    pub(super) fn look_if_due(&mut self) -> Option<Limit> {
        if Instant::now() < self.next {
            return None;
        }
        let started = Instant::now();
        let over = self.walk();
        self.next = Instant::now() + (started.elapsed() * WALK_SHARE).max(FIRST_WALK);
        over
    }

    /// Looks once more after the command. The walk is saved when the file system cannot have
    /// filled by as much as the workspace may still grow.
    pub(super) fn look_at_end(&self) -> Option<Limit> {
        let workspace = &self.directories[0];
        let last = self.known.lock().get(workspace).copied();
        let (Some((held, filled)), Some(now)) = (last, fill(workspace)) else {
            return self.walk();
        };
        let at_most = Held {
            bytes: held.bytes + now.bytes.saturating_sub(filled.bytes),
            inodes: held.inodes + now.inodes.saturating_sub(filled.inodes),
        };
        match at_most.over(self.limits) {
            Some(_) => self.walk(),
            None => None,
        }
    }

    fn walk(&self) -> Option<Limit> {
        let mut held = Held::default();
        for directory in &self.directories {
            if add_tree(directory, self.limits, &mut held).is_err() {
                return Some(Limit::WorkspaceInodes);
            }
        }
        let workspace = &self.directories[0];
        if let Some(filled) = fill(workspace) {
            self.known.lock().insert(workspace.clone(), (held, filled));
        }
        held.over(self.limits)
    }
}

impl Known {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Held, Held)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the file system of a path holds.
fn fill(path: &Path) -> Option<Held> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Held {
        bytes: stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize,
        inodes: stat.f_files.saturating_sub(stat.f_ffree),
    })
}

/// Deeper than [`DEEPEST`].
struct TooDeep;

fn add_tree(path: &Path, limits: &Limits, held: &mut Held) -> Result<(), TooDeep> {
    match rustix::fs::openat(CWD, path, FLAGS, Mode::empty()) {
        Ok(root) => add_directory(root, DEEPEST, limits, held),
        Err(_) => Ok(()),
    }
}

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Counts until a limit is passed. What vanishes or cannot be opened meanwhile is not counted.
fn add_directory(
    directory: OwnedFd,
    depth_left: usize,
    limits: &Limits,
    held: &mut Held,
) -> Result<(), TooDeep> {
    if depth_left == 0 {
        return Err(TooDeep);
    }
    let Ok(entries) = Dir::read_from(&directory) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let links = if is_directory { 1 } else { links(&stat) };
        held.bytes += stat.st_blocks as u64 * BLOCK / links;
        held.inodes += 1;
        if held.over(limits).is_some() {
            return Ok(());
        }
        let opened = is_directory
            .then(|| rustix::fs::openat(&directory, name, FLAGS, Mode::empty()).ok())
            .flatten();
        if let Some(opened) = opened {
            add_directory(opened, depth_left - 1, limits, held)?;
        }
    }
    Ok(())
}

/// A file counts once, however many names it has.
#[allow(clippy::unnecessary_cast, reason = "narrower on aarch64")]
fn links(stat: &rustix::fs::Stat) -> u64 {
    stat.st_nlink.max(1) as u64
}
