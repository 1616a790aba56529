//! Host-side access to a directory that an agent can write.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::error::SandboxError;
use crate::policy::check_relative;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const NEW_FILE_MODE: u32 = 0o644;
const NEW_DIRECTORY_MODE: u32 = 0o755;

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// A directory whose contents are hostile. No symbolic link is followed on the way, nothing but
/// plain files is opened, nothing is read without a limit, and a FIFO cannot block.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    owner: (u32, u32),
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link. It is never followed.
    Symlink,
    /// A FIFO, socket or device. It is never opened.
    Special,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path relative to the tree; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes, when it is a plain file.
    pub bytes: u64,
}

impl Tree {
    /// Opens the directory. Only what is below it is hostile; the path to it is trusted.
    ///
    /// # Errors
    /// When it is no directory.
    pub fn open(root: &Path) -> Result<Self, SandboxError> {
        let what = || format!("open the directory {}", root.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root, flags, Mode::empty())
            .map_err(|error| SandboxError::io(what(), error))?;
        let stat = rustix::fs::fstat(&root).map_err(|error| SandboxError::io(what(), error))?;
        Ok(Self {
            root,
            owner: (stat.st_uid, stat.st_gid),
        })
    }

    /// The contents of a plain file.
    ///
    /// # Errors
    /// When it is missing, not a plain file, behind a symbolic link, or larger than `limit` bytes.
    pub fn read(&self, relative: &Path, limit: u64) -> Result<Vec<u8>, SandboxError> {
        check_relative("path", relative)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = self.resolve(relative, flags)?;
        let stat = rustix::fs::fstat(&file).map_err(|error| told(relative, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_plain(relative));
        }
        let mut contents = Vec::new();
        File::from(file)
            .take(limit.saturating_add(1))
            .read_to_end(&mut contents)
            .map_err(|error| SandboxError::io(format!("read {}", relative.display()), error))?;
        if contents.len() as u64 > limit {
            return Err(SandboxError::TooLarge {
                path: shown(relative),
                limit,
            });
        }
        Ok(contents)
    }

    /// Replaces or creates a plain file, and the directories on its way, in one step: a reader sees
    /// the old contents or the new. A file that was executable stays so. As root, what is written
    /// belongs to the owner of the tree.
    ///
    /// # Errors
    /// When a directory on the way is no directory, or the name is taken by something else than a
    /// plain file.
    pub fn write(&self, relative: &Path, contents: &[u8]) -> Result<(), SandboxError> {
        check_relative("path", relative)?;
        let (parent, name) = split(relative)?;
        let directory = self.create_directories(parent)?;
        let mode = match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                stat.st_mode & 0o777
            }
            Ok(_) => return Err(not_plain(relative)),
            Err(Errno::NOENT) => NEW_FILE_MODE,
            Err(error) => return Err(told(relative, error)),
        };
        let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".timmy-{}-{number}.tmp", std::process::id());
        let written = self
            .write_new(&directory, &temporary, contents, mode)
            .and_then(|()| {
                rustix::fs::renameat(&directory, temporary.as_str(), &directory, name)
                    .map_err(|error| told(relative, error))
            });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&directory, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    /// What is in a directory, sorted by name; an empty path is the tree itself. At most `limit`
    /// entries.
    ///
    /// # Errors
    /// When it is missing, not a directory, or behind a symbolic link.
    pub fn list(&self, relative: &Path, limit: usize) -> Result<Vec<Entry>, SandboxError> {
        check_relative("path", relative)?;
        let directory = self.resolve(relative, DIRECTORY)?;
        let mut entries = Vec::new();
        let names = Dir::read_from(&directory).map_err(|error| told(relative, error))?;
        for name in names {
            let name = name.map_err(|error| told(relative, error))?;
            let name = name.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if entries.len() == limit {
                break;
            }
            // A name can vanish between the listing and this look: then it is not there.
            if let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                let path = relative.join(name.to_string_lossy().as_ref());
                entries.push(entry(shown(&path), &stat));
            }
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    /// Removes a plain file or a symbolic link (not what it points to).
    ///
    /// # Errors
    /// When it is missing or a directory.
    pub fn remove(&self, relative: &Path) -> Result<(), SandboxError> {
        check_relative("path", relative)?;
        let (parent, name) = split(relative)?;
        let directory = self.resolve(parent, DIRECTORY)?;
        rustix::fs::unlinkat(&directory, name, AtFlags::empty())
            .map_err(|error| told(relative, error))
    }

    fn resolve(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, SandboxError> {
        let path = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), BENEATH)
            .map_err(|error| told(relative, error))
    }

    fn create_directories(&self, relative: &Path) -> Result<OwnedFd, SandboxError> {
        let mut directory = self.resolve(Path::new(""), DIRECTORY)?;
        for name in relative.components() {
            let name = name.as_os_str();
            let mode = Mode::from_raw_mode(NEW_DIRECTORY_MODE);
            let created = match rustix::fs::mkdirat(&directory, name, mode) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(told(relative, error)),
            };
            directory = rustix::fs::openat2(&directory, name, DIRECTORY, Mode::empty(), BENEATH)
                .map_err(|error| told(relative, error))?;
            if created {
                self.give_to_owner(&directory)?;
            }
        }
        Ok(directory)
    }

    fn write_new(
        &self,
        directory: &OwnedFd,
        name: &str,
        contents: &[u8],
        mode: u32,
    ) -> Result<(), SandboxError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(directory, name, flags, Mode::from_raw_mode(0o600), BENEATH)
            .map_err(|error| told(Path::new(name), error))?;
        self.give_to_owner(&file)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
            .map_err(|error| told(Path::new(name), error))?;
        File::from(file)
            .write_all(contents)
            .map_err(|error| SandboxError::io(format!("write {name}"), error))
    }

    fn give_to_owner(&self, file: impl AsFd) -> Result<(), SandboxError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let (uid, gid) = self.owner;
        let uid = rustix::fs::Uid::from_raw(uid);
        let gid = rustix::fs::Gid::from_raw(gid);
        rustix::fs::fchown(file, Some(uid), Some(gid))
            .map_err(|error| SandboxError::io("change the owner of a written file", error))
    }
}

fn entry(path: String, stat: &Stat) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => EntryKind::Special,
    };
    let bytes = match kind {
        EntryKind::File => u64::try_from(stat.st_size).unwrap_or(0),
        EntryKind::Directory | EntryKind::Symlink | EntryKind::Special => 0,
    };
    Entry { path, kind, bytes }
}

fn split(relative: &Path) -> Result<(&Path, &OsStr), SandboxError> {
    let bytes = relative.as_os_str().as_bytes();
    let name = relative
        .file_name()
        .filter(|name| bytes.ends_with(name.as_bytes()));
    match (relative.parent(), name) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(SandboxError::Tree {
            path: shown(relative),
            reason: "names no file",
        }),
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn not_plain(path: &Path) -> SandboxError {
    SandboxError::Tree {
        path: shown(path),
        reason: "is not a plain file",
    }
}

/// What an error of the resolver means. The numbers are those of openat2(2).
fn told(path: &Path, error: Errno) -> SandboxError {
    let refused = |reason| SandboxError::Tree {
        path: shown(path),
        reason,
    };
    match error {
        Errno::NOENT => SandboxError::Missing { path: shown(path) },
        Errno::LOOP => refused("is or lies behind a symbolic link"),
        Errno::XDEV => refused("leaves the tree"),
        Errno::NOTDIR => refused("lies behind something that is not a directory"),
        Errno::ISDIR => refused("is a directory"),
        Errno::NXIO => refused("is not a plain file"),
        Errno::NAMETOOLONG => refused("is longer than a path can be"),
        other => SandboxError::io(format!("use {}", path.display()), other),
    }
}
