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

/// How often the fill of the file system is asked for, which takes a microsecond. What it can fill
/// by meanwhile is what a limit can be passed by.
const GLANCE: Duration = Duration::from_millis(50);

/// A walk takes at most one part in this many of the time.
const WALK_SHARE: u32 = 20;

/// The same while the fill of the file system says that a limit may be passed.
const URGENT_SHARE: u32 = 3;

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
///
/// A walk over a large workspace takes long, and a program fills a disk fast. So the file system
/// is asked how full it is in short intervals, and the workspace is walked at once when it may
/// have grown too large since the last walk.
pub(super) struct Watch<'a> {
    known: &'a Known,
    directories: Vec<PathBuf>,
    limits: &'a Limits,
    next_glance: Instant,
    next_walk: Instant,
    next_urgent_walk: Instant,
}

impl<'a> Watch<'a> {
    pub(super) fn new(known: &'a Known, directories: Vec<PathBuf>, limits: &'a Limits) -> Self {
        let now = Instant::now();
        Self {
            known,
            directories,
            limits,
            next_glance: now + GLANCE,
            next_walk: now + FIRST_WALK,
            next_urgent_walk: now,
        }
    }

    /// When to look next.
    pub(super) fn next(&self) -> Instant {
        self.next_glance
    }

    /// Looks, when it is time to.
    pub(super) fn look_if_due(&mut self) -> Option<Limit> {
        let now = Instant::now();
        if now < self.next_glance {
            return None;
        }
        let over = self.glance(now);
        self.next_glance = Instant::now() + GLANCE;
        over
    }

    fn glance(&mut self, now: Instant) -> Option<Limit> {
        let (filled, free) = fill(&self.directories[0])?;
        if free < self.limits.free_bytes {
            return Some(Limit::FreeSpace);
        }
        let urgent = now >= self.next_urgent_walk
            && self
                .at_most(filled)
                .is_some_and(|held| held.over(self.limits).is_some());
        if !urgent && now < self.next_walk {
            return None;
        }
        let over = self.walk();
        let took = now.elapsed();
        self.next_walk = Instant::now() + (took * WALK_SHARE).max(FIRST_WALK);
        self.next_urgent_walk = Instant::now() + took * URGENT_SHARE;
        over
    }

    /// What the workspace holds at most: what it held at the last walk, and everything that its
    /// file system took up since.
    fn at_most(&self, now: Held) -> Option<Held> {
        let (held, filled) = self.known.lock().get(&self.directories[0]).copied()?;
        Some(Held {
            bytes: held.bytes + now.bytes.saturating_sub(filled.bytes),
            inodes: held.inodes + now.inodes.saturating_sub(filled.inodes),
        })
    }

    /// Looks once more after the command. The walk is saved when the file system cannot have
    /// filled by as much as the workspace may still grow.
    pub(super) fn look_at_end(&self) -> Option<Limit> {
        let filled = fill(&self.directories[0]);
        match filled.and_then(|(filled, _)| self.at_most(filled)) {
            Some(at_most) => at_most.over(self.limits).and_then(|_| self.walk()),
            None => self.walk(),
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
        if let Some((filled, _)) = fill(workspace) {
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

/// What the file system of a path holds, and the bytes that are left in it.
fn fill(path: &Path) -> Option<(Held, u64)> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let held = Held {
        bytes: stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize,
        inodes: stat.f_files.saturating_sub(stat.f_ffree),
    };
    Some((held, stat.f_bavail * stat.f_frsize))
}

/// Deeper than [`DEEPEST`].
struct TooDeep;

fn add_tree(path: &Path, limits: &Limits, held: &mut Held) -> Result<(), TooDeep> {
    match rustix::fs::openat(CWD, path, FLAGS, Mode::empty()) {
        Ok(root) => add_directory(root, DEEPEST, limits, held),
        Err(_) => Ok(()),
    }
}

/// What a tree holds, as far as it can be walked.
pub(super) fn held(path: &Path, limits: &Limits) -> Held {
    let mut held = Held::default();
    // Too deep: what was counted so far is told.
    let _ = add_tree(path, limits, &mut held);
    held
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
