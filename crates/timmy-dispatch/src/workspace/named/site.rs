//! A workspace's place on the disk, held by a lock while a command is at work on it.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::Coded;
use timmy_core::Problem;

use super::name::WorkspaceName;
use super::record::Record;
use crate::workspace::error::WorkspaceError;

/// Below the private root.
pub(super) const DIRECTORY: &str = "workspaces";
const LOCKS: &str = ".locks";
/// No workspace has such a name.
const PORTS_LOCK: &str = ".ports";
/// Prefix of what is on its way out.
const GONE: &str = ".gone-";

/// A workspace's directory. While this value lives, no other process works on it.
pub(super) struct Site {
    pub(super) name: WorkspaceName,
    path: PathBuf,
    all: PathBuf,
    _lock: File,
}

impl Site {
    /// Locks a workspace, which need not exist yet, and finishes or undoes what a killed process
    /// left half-way.
    pub(super) fn lock(root: &Path, name: &WorkspaceName) -> Result<Self, WorkspaceError> {
        let all = root.join(DIRECTORY);
        let lock = open_lock(&all, name.as_str())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WorkspaceError::Busy(name.to_string())),
            Err(TryLockError::Error(error)) => {
                return Err(WorkspaceError::io("lock", &all)(error));
            }
        }
        let site = Self {
            name: name.clone(),
            path: all.join(name.as_str()),
            all,
            _lock: lock,
        };
        site.repair()?;
        Ok(site)
    }

    /// Every step of every command leaves one of these states.
    fn repair(&self) -> Result<(), WorkspaceError> {
        let (fresh, clone) = (self.fresh(), self.clone_path());
        match (exists(&fresh)?, exists(&clone)?) {
            // Its old clone was moved away, so the new one is complete.
            (true, false) if exists(&self.path.join(super::record::FILE))? => {
                rename(&fresh, &clone)?;
            }
            (true, _) => timmy_sandbox::remove_tree(&fresh)?,
            (false, _) => {}
        }
        for path in children(&self.path)? {
            if file_name(&path).starts_with(GONE) {
                timmy_sandbox::remove_tree(&path)?;
            }
        }
        let own = format!("{GONE}{}~", self.name);
        for path in children(&self.all)? {
            if file_name(&path).starts_with(&own) {
                timmy_sandbox::remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// The record, of a workspace that has to exist.
    pub(super) fn record(&self) -> Result<Record, WorkspaceError> {
        let missing = || WorkspaceError::Missing(self.name.to_string());
        Record::read(&self.path)?.ok_or_else(missing)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn clone_path(&self) -> PathBuf {
        self.path.join("clone")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A clone until it is finished.
    pub(super) fn fresh(&self) -> PathBuf {
        self.path.join("fresh")
    }

    /// What timmy hands in, for commands to read.
    pub(super) fn inbox(&self) -> PathBuf {
        self.path.join("inbox")
    }

    /// What a reset kept.
    pub(super) fn kept(&self) -> PathBuf {
        self.path.join("kept")
    }

    /// Makes one of the directories above. Passable for the agent's own user, when timmy is root.
    pub(super) fn make(&self, directory: &Path) -> Result<(), WorkspaceError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(directory)
            .map_err(WorkspaceError::io("create", directory))
    }

    /// Puts the fresh clone into the place of the old one, if there is an old one.
    pub(super) fn exchange(&self) -> Result<(), WorkspaceError> {
        let clone = self.clone_path();
        let gone = self.path.join(format!("{GONE}clone"));
        if exists(&clone)? {
            rename(&clone, &gone)?;
        }
        rename(&self.fresh(), &clone)
    }

    /// Removes what [`Self::exchange`] put aside.
    pub(super) fn clear_gone(&self) -> Result<(), WorkspaceError> {
        let gone = self.path.join(format!("{GONE}clone"));
        Ok(timmy_sandbox::remove_tree(&gone)?)
    }

    /// Moves the whole clone to what is kept.
    pub(super) fn put_by(&self, as_name: &str) -> Result<PathBuf, WorkspaceError> {
        self.make(&self.kept())?;
        let target = self.kept().join(as_name);
        rename(&self.clone_path(), &target)?;
        Ok(target)
    }

    /// Takes the workspace away, in one step. What is returned is still to be removed.
    pub(super) fn take_away(&self, mark: i64) -> Result<PathBuf, WorkspaceError> {
        let gone = self.all.join(format!("{GONE}{}~{mark}", self.name));
        rename(&self.path, &gone)?;
        Ok(gone)
    }
}

/// Holds the choice of ports while it lives.
pub(super) fn lock_ports(root: &Path) -> Result<File, WorkspaceError> {
    let all = root.join(DIRECTORY);
    let lock = open_lock(&all, PORTS_LOCK)?;
    lock.lock().map_err(WorkspaceError::io("lock", &all))?;
    Ok(lock)
}

/// A workspace of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its record, or why that cannot be understood.
    pub record: Result<Record, Problem>,
}

/// Every workspace by name; a record that cannot be understood is told as such.
pub(super) fn all(root: &Path) -> Result<Vec<Listed>, WorkspaceError> {
    let mut found = Vec::new();
    for path in children(&root.join(DIRECTORY))? {
        let name = file_name(&path);
        if name.starts_with('.') {
            continue;
        }
        match Record::read(&path) {
            Ok(Some(record)) => found.push(Listed {
                name,
                record: Ok(record),
            }),
            // Half-made: its own command makes an end of it.
            Ok(None) => {}
            Err(error) => found.push(Listed {
                name,
                record: Err(error.problem()),
            }),
        }
    }
    Ok(found)
}

fn open_lock(all: &Path, name: &str) -> Result<File, WorkspaceError> {
    let directory = all.join(LOCKS);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o711);
    for path in [all, &directory] {
        builder
            .create(path)
            .map_err(WorkspaceError::io("create", path))?;
    }
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false).mode(0o600);
    options
        .open(&path)
        .map_err(WorkspaceError::io("open", &path))
}

fn exists(path: &Path) -> Result<bool, WorkspaceError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(WorkspaceError::io("look at", path)(error)),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), WorkspaceError> {
    std::fs::rename(from, to).map_err(WorkspaceError::io("rename", from))
}

fn children(directory: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    crate::workspace::entries(directory)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
