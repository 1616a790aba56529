//! A directory for one command, beside its workspace.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::agent::Identity;
use crate::error::SandboxError;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A home and a temporary directory where there is no mount namespace to put them in. Removed with
/// everything in it when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    root: PathBuf,
}

impl Scratch {
    pub(super) fn beside(
        workspace: &Path,
        identity: Option<Identity>,
    ) -> Result<Self, SandboxError> {
        let parent = workspace.parent().unwrap_or(workspace);
        let made = Self::within(parent, identity);
        made.map_err(|error| {
            SandboxError::io(
                format!("make a scratch directory in {}", parent.display()),
                error,
            )
        })
    }

    fn within(parent: &Path, identity: Option<Identity>) -> io::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".timmy-scratch-{}-{number}", std::process::id());
        let root = parent.join(name);
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        builder.create(&root)?;
        let scratch = Self { root };
        for directory in [scratch.home(), scratch.temporary()] {
            builder.create(&directory)?;
        }
        if let Some(user) = identity {
            for directory in [scratch.home(), scratch.temporary(), scratch.root.clone()] {
                std::os::unix::fs::lchown(directory, Some(user.uid), Some(user.gid))?;
            }
        }
        Ok(scratch)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!(path = %self.root.display(), %error, "a scratch directory stays behind");
        }
    }
}
