//! Making paths reachable for a user who may not pass through their parent directories.
//!
//! A toolchain below `/root`, or a workspace in a private home, is of no use to the user that
//! commands run as. Root can help without opening those directories to everybody: in a mount
//! namespace of its own it covers the closed directory with an empty one and mounts the wanted
//! paths, and nothing else, back to where they were.

use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::mount::MountPropagationFlags;
use rustix::mount::MoveMountFlags;
use rustix::mount::OpenTreeFlags;
use rustix::thread::UnshareFlags;

use crate::agent::Identity;
use crate::inner::Failure;

/// The covering directory holds mount points only.
const COVER_OPTIONS: &std::ffi::CStr = c"mode=0755,size=64k,nr_inodes=4096";

/// Sees to it that the user can reach every path, in a mount namespace of this process when need
/// be. Without a user to become there is nothing to do.
pub(super) fn prepare(identity: Option<Identity>, paths: &[PathBuf]) -> Result<(), Failure> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let mut closed = closed_directories(identity, paths)?;
    if closed.is_empty() {
        return Ok(());
    }
    own_mount_namespace().map_err(|_| Failure::Unreachable(closed.remove(0).1))?;
    for (directory, _) in &closed {
        cover(directory, paths)
            .map_err(|error| Failure::step(&format!("cover {}", directory.display()), error))?;
    }
    match closed_directories(identity, paths)?.pop() {
        Some((_, path)) => Err(Failure::Unreachable(path)),
        None => Ok(()),
    }
}

/// The directories that stop the user, outermost first, each with one path that it stops at.
fn closed_directories(
    identity: Identity,
    paths: &[PathBuf],
) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let look = || {
        let mut closed: Vec<(PathBuf, PathBuf)> = Vec::new();
        for path in paths {
            if let Some(directory) = closed_directory(path) {
                closed.push((directory, path.clone()));
            }
        }
        closed
    };
    let mut closed = identity
        .look_as(look)
        .map_err(|error| Failure::step("look at paths as the agent", error))?;
    closed.sort();
    closed.dedup_by(|next, first| next.0.starts_with(&first.0));
    Ok(closed)
}

/// The outermost parent of `path` that the calling thread may not pass through.
fn closed_directory(path: &Path) -> Option<PathBuf> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    if open(path).err() != Some(Errno::ACCESS) {
        return None;
    }
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.reverse();
    let closed = parents
        .into_iter()
        .find(|parent| open(&parent.join(".")).is_err());
    closed.map(Path::to_owned)
}

fn own_mount_namespace() -> io::Result<()> {
    // SAFETY: this process has one thread, and gives no file descriptor table away.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    Ok(())
}

/// Covers `directory`, with the paths below it mounted back.
fn cover(directory: &Path, paths: &[PathBuf]) -> io::Result<()> {
    let mut below: Vec<&PathBuf> = paths
        .iter()
        .filter(|path| path.starts_with(directory) && *path != directory)
        .collect();
    below.sort();
    below.dedup();
    let mut kept: Vec<(&PathBuf, OwnedFd, bool)> = Vec::new();
    for path in below {
        let is_directory = path.is_dir();
        match open_tree(path) {
            Ok(tree) => kept.push((path, tree, is_directory)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", directory, "tmpfs", flags, COVER_OPTIONS)?;
    for (path, tree, is_directory) in kept {
        make_mount_point(path, is_directory)?;
        let from_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(tree, "", CWD, path, from_descriptor)?;
    }
    Ok(())
}

fn open_tree(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags)
}

fn make_mount_point(path: &Path, is_directory: bool) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if is_directory {
        return fs::create_dir_all(path);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create_new(path).map(drop)
}
