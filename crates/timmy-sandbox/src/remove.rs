//! Removing a directory that an agent could write.

use std::ffi::CStr;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::fs::openat;
use rustix::fs::statat;
use rustix::fs::unlinkat;
use rustix::io::Errno;

use crate::error::SandboxError;

/// Directories below this depth are moved up before they are emptied: a tree can be deeper than a
/// process may have open files.
const DEEPEST: usize = 64;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Enough to change the mode of a directory that cannot be opened.
const NAMED: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a directory with everything in it, however deep, and also where its owner took the right
/// to list or empty it away. No link is followed, nothing of another file system is touched. A
/// directory that is not there is no error; one that was removed half-way is removed by the next
/// call.
///
/// # Errors
/// When something is in the way: another file system, or files of another user.
pub fn remove_tree(directory: &Path) -> Result<(), SandboxError> {
    let failed = |error: Errno| SandboxError::io(format!("remove {}", directory.display()), error);
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(failed(Errno::INVAL));
    };
    let parent = match openat(CWD, parent, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    let name = CString::new(name.as_encoded_bytes()).map_err(|_| failed(Errno::INVAL))?;
    match remove_directory(&parent, &name) {
        Err(Errno::NOENT) => Ok(()),
        other => other.map_err(failed),
    }
}

fn remove_directory(parent: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let top = open(parent, name)?;
    let device = rustix::fs::fstat(&top)?.st_dev;
    let mut emptying = Emptying {
        top,
        device,
        moved: 0,
    };
    loop {
        let before = emptying.moved;
        let top = rustix::io::fcntl_dupfd_cloexec(&emptying.top, 0)?;
        emptying.empty(&top, 0)?;
        if emptying.moved == before {
            break;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

struct Emptying {
    top: OwnedFd,
    device: u64,
    /// How many directories were moved to the top.
    moved: u64,
}

impl Emptying {
    fn empty(&mut self, directory: &OwnedFd, depth: usize) -> Result<(), Errno> {
        // Collected first: what is removed while a directory is read may hide other names.
        let names: Vec<CString> = Dir::read_from(directory)?
            .map(|entry| entry.map(|entry| entry.file_name().to_owned()))
            .collect::<Result<_, _>>()?;
        for name in names {
            if name.as_bytes() == b"." || name.as_bytes() == b".." {
                continue;
            }
            match self.remove(directory, &name, depth) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remove(&mut self, parent: &OwnedFd, name: &CStr, depth: usize) -> Result<(), Errno> {
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if device(&stat) != self.device {
            return Err(Errno::XDEV);
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return unlinkat(parent, name, AtFlags::empty());
        }
        let directory = open(parent, name)?;
        if depth < DEEPEST {
            self.empty(&directory, depth + 1)?;
            return unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
        let free = self.free_name()?;
        rustix::fs::renameat(parent, name, &self.top, &free)
    }

    /// A name that nothing at the top has.
    fn free_name(&mut self) -> Result<CString, Errno> {
        loop {
            self.moved += 1;
            let name = CString::new(format!(".deep-{}", self.moved)).map_err(|_| Errno::INVAL)?;
            match statat(&self.top, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return Ok(name),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Opens a directory, with the right to list and empty it.
fn open(parent: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let named = openat(parent, name, NAMED | OFlags::DIRECTORY, Mode::empty())?;
    let stat = rustix::fs::fstat(&named)?;
    let all = Mode::RWXU;
    if !Mode::from_raw_mode(stat.st_mode).contains(all) {
        // Through the open directory itself: its name may stand for something else by now.
        let through = format!("/proc/self/fd/{}", named.as_fd().as_raw_fd());
        rustix::fs::chmod(through, all)?;
    }
    openat(&named, c".", DIRECTORY, Mode::empty())
}

#[allow(clippy::unnecessary_cast, reason = "wider elsewhere")]
fn device(stat: &Stat) -> u64 {
    stat.st_dev as u64
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_closed_is_removed_and_what_links_point_to_is_not() {
        let root = tempfile::TempDir::new().unwrap();
        let outside = tempfile::TempDir::new().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let tree = root.path().join("tree");
        let inner = tree.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        symlink(outside.path(), tree.join("a/link")).unwrap();
        symlink(outside.path().join("kept"), inner.join("file-link")).unwrap();
        for directory in [&inner, &tree.join("a"), &tree] {
            fs::set_permissions(directory, Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.path().join("kept").exists());
        remove_tree(&tree).unwrap();
        remove_tree(&tree.join("neither/here")).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_is_refused() {
        let root = tempfile::TempDir::new().unwrap();
        let outside = tempfile::TempDir::new().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        assert!(remove_tree(&root.path().join("link")).is_err());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn a_tree_deeper_than_a_process_may_have_open_files_is_removed() {
        let root = tempfile::TempDir::new().unwrap();
        let tree = root.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::create_dir(tree.join(".deep-1")).unwrap();
        let mut directory = openat(CWD, &tree, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3_000 {
            rustix::fs::mkdirat(&directory, c"d", Mode::RWXU).unwrap();
            directory = openat(&directory, c"d", DIRECTORY, Mode::empty()).unwrap();
        }
        drop(directory);
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
