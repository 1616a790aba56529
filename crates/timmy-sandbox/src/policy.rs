//! What a command may touch and use.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::error::SandboxError;

const MEBIBYTE: u64 = 1 << 20;
const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;
const LONGEST_PATH: usize = 4095;

/// Directories of the host that the sandbox supplies itself: a policy cannot name them.
const RESERVED: [&str; 5] = ["/proc", "/sys", "/dev", "/.timmy", "/run/timmy"];

/// What one command may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Wall time, after which every process of the command is killed. `wall_s` in a configuration,
    /// in whole seconds.
    #[serde(rename = "wall_s", with = "whole_seconds")]
    pub wall: Duration,
    /// Memory in bytes: of all processes together where a memory cgroup can be had, else of each.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub processes: u32,
    /// Open files in each process.
    pub open_files: u32,
    /// Bytes in any one file.
    pub file_bytes: u64,
    /// Bytes of each output stream that are kept: its beginning and its end.
    pub output_bytes: usize,
    /// Bytes of output after which the command is killed.
    pub output_spool_bytes: u64,
    /// Bytes the workspace may occupy.
    pub workspace_bytes: u64,
    /// Files and directories the workspace may hold.
    pub workspace_inodes: u64,
    /// Bytes of the workspace's file system that stay free: with less left a command is killed,
    /// whoever took them.
    pub free_bytes: u64,
}

/// A duration as people write it in a configuration.
mod whole_seconds {
    use std::time::Duration;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(120),
            memory_bytes: 2048 * MEBIBYTE,
            processes: 512,
            open_files: 1024,
            file_bytes: 1024 * MEBIBYTE,
            output_bytes: 256 * 1024,
            output_spool_bytes: 8 * MEBIBYTE,
            workspace_bytes: 4096 * MEBIBYTE,
            workspace_inodes: 200_000,
            free_bytes: 256 * MEBIBYTE,
        }
    }
}

/// What a command may touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The directory the command works in; absolute, and the same inside and outside.
    pub workspace: PathBuf,
    /// Further directories that the command may write: build caches. They survive it, as the
    /// workspace does, and what they hold counts as the workspace's. A container runner (L1) has
    /// to mount them itself.
    #[serde(default)]
    pub writable: Vec<PathBuf>,
    /// Absolute paths that can be read and executed: toolchains, object caches.
    #[serde(default)]
    pub read_only: Vec<PathBuf>,
    /// Directories put before `/usr/local/bin:/usr/bin:/bin` in `PATH`.
    #[serde(default)]
    pub path: Vec<PathBuf>,
    /// Variables added to the environment. Names that sound like a secret are left out.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What a command may use.
    #[serde(default)]
    pub limits: Limits,
}

impl Policy {
    /// A policy with one workspace and the default limits.
    #[must_use]
    pub fn new(workspace: impl Into<PathBuf>) -> Self {
        Self {
            workspace: workspace.into(),
            writable: Vec::new(),
            read_only: Vec::new(),
            path: Vec::new(),
            environment: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SandboxError> {
        check_writable_path("workspace", &self.workspace)?;
        for path in &self.writable {
            check_writable_path("writable", path)?;
        }
        for path in &self.read_only {
            check_bound_path("read_only", path)?;
        }
        for path in &self.path {
            check_absolute("path", path)?;
        }
        Ok(())
    }
}

/// A command, its place in the workspace, and its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it runs, relative to the workspace.
    pub directory: PathBuf,
    /// Its standard input; `/dev/null` when empty.
    pub input: Vec<u8>,
}

impl Command {
    /// A program and its arguments, in the workspace itself, without input.
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            directory: PathBuf::new(),
            input: Vec::new(),
        }
    }

    /// A script for `sh -c`.
    #[must_use]
    pub fn shell(script: &str) -> Self {
        Self::new(["sh", "-c", script])
    }

    /// The same in another directory of the workspace.
    #[must_use]
    pub fn within(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// The same with these bytes as standard input.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    pub(crate) fn check(&self) -> Result<(), SandboxError> {
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return Err(refuse("argv", Path::new(""), "names no program"));
        }
        for argument in &self.argv {
            check_argument(argument)?;
        }
        check_relative("directory", &self.directory)
    }
}

fn check_argument(argument: &OsStr) -> Result<(), SandboxError> {
    let shown = || {
        Path::new(OsStr::from_bytes(
            &argument.as_bytes()[..argument.len().min(60)],
        ))
        .to_owned()
    };
    if argument.as_bytes().contains(&0) {
        return Err(refuse("argv", &shown(), "holds a NUL byte"));
    }
    if argument.len() > LONGEST_ARGUMENT {
        return Err(refuse(
            "argv",
            &shown(),
            "is longer than 128 KiB; pass it as input",
        ));
    }
    Ok(())
}

/// A path inside a tree: relative, without `..`, NUL or absurd length.
pub(crate) fn check_relative(place: &'static str, path: &Path) -> Result<(), SandboxError> {
    check_bytes(place, path)?;
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.components().all(inside) {
        return Ok(());
    }
    Err(refuse(place, path, "leaves its directory"))
}

fn check_absolute(place: &'static str, path: &Path) -> Result<(), SandboxError> {
    check_bytes(place, path)?;
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
    if path.is_absolute() && path.components().all(plain) {
        return Ok(());
    }
    Err(refuse(place, path, "is not an absolute path without `..`"))
}

fn check_bound_path(place: &'static str, path: &Path) -> Result<(), SandboxError> {
    check_absolute(place, path)?;
    let reserved = RESERVED.iter().any(|own| path.starts_with(own)) || path == Path::new("/");
    if reserved {
        return Err(refuse(place, path, "is a directory of the sandbox itself"));
    }
    Ok(())
}

fn check_writable_path(place: &'static str, path: &Path) -> Result<(), SandboxError> {
    check_bound_path(place, path)?;
    if path.components().count() < 3 {
        return Err(refuse(place, path, "is a system directory"));
    }
    // A link here would bind what it points to. Whoever can plant one is not to be followed.
    if !std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(refuse(place, path, "is not a directory"));
    }
    Ok(())
}

fn check_bytes(place: &'static str, path: &Path) -> Result<(), SandboxError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&0) {
        return Err(refuse(place, path, "holds a NUL byte"));
    }
    if bytes.len() > LONGEST_PATH {
        let start = Path::new(OsStr::from_bytes(&bytes[..60]));
        return Err(refuse(place, start, "is longer than a path can be"));
    }
    Ok(())
}

fn refuse(place: &'static str, path: &Path, reason: &'static str) -> SandboxError {
    SandboxError::Policy {
        place,
        value: path.display().to_string(),
        reason,
    }
}
