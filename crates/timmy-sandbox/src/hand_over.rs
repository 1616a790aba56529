//! Giving a prepared directory to the user that commands run as.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::fs::Uid;
use rustix::fs::chownat;
use rustix::fs::openat;
use rustix::fs::statat;

use crate::agent::Identity;
use crate::error::SandboxError;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Changes the owner of everything in `tree`. Every step goes through an open directory, so that
/// nothing outside can be hit even when somebody moves things about meanwhile.
pub(crate) fn hand_over(tree: &Path, to: Identity) -> Result<(), SandboxError> {
    let root =
        openat(CWD, tree, DIRECTORY, Mode::empty()).map_err(|error| failed("open", tree, error))?;
    let device = rustix::fs::fstat(&root)
        .map_err(|error| failed("look at", tree, error))?
        .st_dev;
    Giving { to, device }.give_children(root, tree)?;
    rustix::fs::chown(
        tree,
        Some(Uid::from_raw(to.uid)),
        Some(Gid::from_raw(to.gid)),
    )
    .map_err(|error| failed("change the owner of", tree, error))
}

/// Whether a directory, not a link to one, is owned by this user.
pub(crate) fn belongs_to(directory: &Path, uid: u32) -> Result<bool, SandboxError> {
    let opened = openat(CWD, directory, DIRECTORY, Mode::empty())
        .map_err(|error| failed("open", directory, error))?;
    let stat = rustix::fs::fstat(&opened).map_err(|error| failed("look at", directory, error))?;
    Ok(stat.st_uid == uid)
}

struct Giving {
    to: Identity,
    device: u64,
}

impl Giving {
    fn give_children(&self, directory: OwnedFd, path: &Path) -> Result<(), SandboxError> {
        let entries = Dir::read_from(&directory).map_err(|error| failed("list", path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", path, error))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let child = path.join(name.to_string_lossy().as_ref());
            let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed("look at", &child, error))?;
            if stat.st_dev != self.device {
                continue;
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let opened = openat(&directory, name, DIRECTORY, Mode::empty())
                    .map_err(|error| failed("open", &child, error))?;
                self.give_children(opened, &child)?;
            }
            self.give(&directory, name, &child, &stat)?;
        }
        Ok(())
    }

    fn give(
        &self,
        directory: impl AsFd,
        name: &std::ffi::CStr,
        path: &Path,
        stat: &Stat,
    ) -> Result<(), SandboxError> {
        if stat.st_uid == self.to.uid && stat.st_gid == self.to.gid {
            return Ok(());
        }
        let linked =
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink > 1;
        if linked {
            return Err(SandboxError::Tree {
                path: path.display().to_string(),
                reason: "is a hard link and cannot be given to the agent",
            });
        }
        let (uid, gid) = (Uid::from_raw(self.to.uid), Gid::from_raw(self.to.gid));
        chownat(
            directory,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|error| failed("change the owner of", path, error))
    }
}

fn failed(what: &str, path: &Path, error: rustix::io::Errno) -> SandboxError {
    SandboxError::io(format!("{what} {}", PathBuf::from(path).display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_its_owner_only() {
        let directory = tempfile::TempDir::new().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert!(belongs_to(directory.path(), uid).unwrap());
        assert!(!belongs_to(directory.path(), uid + 1).unwrap());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(belongs_to(&link, uid).is_err());
    }
}
