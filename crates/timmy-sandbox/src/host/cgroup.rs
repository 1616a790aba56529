//! Control groups, where this process may make them: version 1, version 2, or both side by side.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::error::SandboxError;
use crate::policy::Limits;

const PREFIX: &str = "timmy-";

/// How long the kernel gets to finish with processes that were killed.
const REMOVAL_ROUNDS: u32 = 200;
const REMOVAL_PAUSE: Duration = Duration::from_millis(10);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What a group below a base can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    MemoryV1,
    PidsV1,
    /// With memory and pids controllers.
    Unified,
    /// Version 2 beside version 1: no controllers, but all of a group can be killed at once.
    KillOnly,
}

/// Directories below which groups can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cgroups {
    bases: Vec<(PathBuf, Kind)>,
}

impl Cgroups {
    /// What this process may use, found out by making a group and removing it again. Groups that a
    /// killed timmy left behind are removed on the way.
    pub(crate) fn detect() -> Self {
        let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = parse_mounts(&String::from_utf8_lossy(&mounts));
        let bases = candidates(&mounts, &parse_membership(&own));
        let mut found: Vec<(PathBuf, Kind)> = Vec::new();
        for (base, kind) in bases {
            let has_one = found.iter().any(|(_, other)| same_purpose(*other, kind));
            if !has_one && works(&base, kind) {
                remove_abandoned(&base);
                found.push((base, kind));
            }
        }
        Self { bases: found }
    }

    /// Whether memory is limited for all processes of a command together.
    pub(crate) fn limit_memory(&self) -> bool {
        self.bases
            .iter()
            .any(|(_, kind)| matches!(kind, Kind::MemoryV1 | Kind::Unified))
    }

    /// What there is, for `timmy doctor`.
    pub(crate) fn describe(&self) -> &'static str {
        if self.limit_memory() {
            "memory and processes limited by cgroups"
        } else {
            "no memory cgroup: memory is limited for each process, not for all together"
        }
    }

    /// Makes a group for one command.
    pub(crate) fn group(&self, limits: &Limits) -> Result<Group, SandboxError> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mut group = Group::default();
        for (base, kind) in &self.bases {
            let directory = base.join(&name);
            make(&directory, *kind, limits).map_err(|error| {
                SandboxError::io(format!("make the cgroup {}", directory.display()), error)
            })?;
            group.directories.push((directory, *kind));
        }
        Ok(group)
    }
}

fn same_purpose(one: Kind, other: Kind) -> bool {
    let unified = |kind| matches!(kind, Kind::Unified | Kind::KillOnly);
    one == other || (unified(one) && unified(other))
}

/// The groups of one command.
#[derive(Debug, Default)]
pub(crate) struct Group {
    directories: Vec<(PathBuf, Kind)>,
}

impl Group {
    /// The files that a process joins the groups by.
    pub(crate) fn procs_files(&self) -> Vec<PathBuf> {
        let procs = |(directory, _): &(PathBuf, Kind)| directory.join("cgroup.procs");
        self.directories.iter().map(procs).collect()
    }

    /// Whether the kernel ended a process for the memory it used.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.directories.iter().any(|(directory, kind)| {
            let file = match kind {
                Kind::MemoryV1 => "memory.oom_control",
                Kind::Unified => "memory.events",
                Kind::PidsV1 | Kind::KillOnly => return false,
            };
            let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
            parse_count(&text, "oom_kill") > 0
        })
    }

    /// Kills every process in the groups.
    pub(crate) fn kill(&self) {
        for (directory, _) in &self.directories {
            if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            let procs = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            for pid in procs
                .lines()
                .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Removes the groups, which the kernel allows only when no process is left in them.
    pub(crate) fn remove(mut self) -> Result<(), SandboxError> {
        while let Some((directory, _)) = self.directories.first() {
            let removed = self.remove_one(directory);
            let directory = self.directories.remove(0).0;
            removed.map_err(|_| SandboxError::Survivors {
                detail: directory.join("cgroup.procs").display().to_string(),
            })?;
        }
        Ok(())
    }

    fn remove_one(&self, directory: &Path) -> io::Result<()> {
        for _ in 0..REMOVAL_ROUNDS {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => self.kill(),
                other => return other,
            }
            thread::sleep(REMOVAL_PAUSE);
        }
        fs::remove_dir(directory)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (directory, _) in &self.directories {
            if let Err(error) = self.remove_one(directory) {
                tracing::warn!(path = %directory.display(), %error, "a cgroup stays behind");
            }
        }
    }
}

fn make(directory: &Path, kind: Kind, limits: &Limits) -> io::Result<()> {
    fs::create_dir(directory)?;
    let written = set_limits(directory, kind, limits);
    if written.is_err() {
        let _ = fs::remove_dir(directory);
    }
    written
}

fn set_limits(directory: &Path, kind: Kind, limits: &Limits) -> io::Result<()> {
    let memory = limits.memory_bytes.to_string();
    let processes = limits.processes.to_string();
    let write = |file: &str, value: &str| fs::write(directory.join(file), value);
    // Kernels without swap accounting have no file for it, and need no limit on it.
    let without_swap = |file: &str, value: &str| match write(file, value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    match kind {
        Kind::MemoryV1 => {
            write("memory.limit_in_bytes", &memory)?;
            without_swap("memory.memsw.limit_in_bytes", &memory)
        }
        Kind::PidsV1 => write("pids.max", &processes),
        Kind::Unified => {
            write("memory.max", &memory)?;
            write("pids.max", &processes)?;
            without_swap("memory.swap.max", "0")
        }
        Kind::KillOnly => Ok(()),
    }
}

/// Whether groups can be made below `base` and this process may move others into them.
fn works(base: &Path, kind: Kind) -> bool {
    let procs = base.join("cgroup.procs");
    if rustix::fs::accessat(CWD, procs, Access::WRITE_OK, AtFlags::EACCESS).is_err() {
        return false;
    }
    if kind == Kind::Unified {
        let _ = fs::write(base.join("cgroup.subtree_control"), "+memory +pids");
    }
    let only = Cgroups {
        bases: vec![(base.to_owned(), kind)],
    };
    only.group(&Limits::default())
        .is_ok_and(|group| group.remove().is_ok())
}

/// Groups are named after the process that made them. One with processes in it cannot be removed.
fn remove_abandoned(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(maker_of);
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn maker_of(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u64>().ok()?;
    pid.parse().ok()
}

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    root: PathBuf,
    point: PathBuf,
    /// Of version 1; empty for version 2.
    controllers: Vec<String>,
    unified: bool,
}

/// The cgroup hierarchies in a mountinfo file (proc_pid_mountinfo(5)).
fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let unified = match filesystem.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let controllers = filesystem.nth(1).filter(|_| !unified).unwrap_or_default();
    Some(Mount {
        root: root.into(),
        point: point.into(),
        controllers: controllers.split(',').map(str::to_owned).collect(),
        unified,
    })
}

/// The hierarchies of `/proc/self/cgroup`: controllers (empty for version 2) and path (cgroups(7)).
fn parse_membership(own: &str) -> Vec<(Vec<String>, PathBuf)> {
    let parse = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?.split(',').filter(|name| !name.is_empty());
        Some((
            controllers.map(str::to_owned).collect(),
            fields.next()?.into(),
        ))
    };
    own.lines().filter_map(parse).collect()
}

/// The number after a name in a file of lines `name number`.
fn parse_count(text: &str, name: &str) -> u64 {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    let found = pairs.find(|(key, _)| *key == name);
    found
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Directories to try, best first.
fn candidates(mounts: &[Mount], own: &[(Vec<String>, PathBuf)]) -> Vec<(PathBuf, Kind)> {
    let mut found = Vec::new();
    for mount in mounts {
        let mine = own.iter().find(|(controllers, _)| match mount.unified {
            true => controllers.is_empty(),
            false => controllers
                .iter()
                .any(|name| mount.controllers.contains(name)),
        });
        let Some(directory) = mine.and_then(|(_, path)| directory_of(mount, path)) else {
            continue;
        };
        let manages = |name: &str| mount.controllers.iter().any(|own| own == name);
        if mount.unified {
            let parent = directory
                .parent()
                .filter(|parent| parent.starts_with(&mount.point));
            found.push((directory.clone(), Kind::Unified));
            found.extend(parent.map(|parent| (parent.to_owned(), Kind::Unified)));
            found.push((directory, Kind::KillOnly));
        } else if manages("memory") {
            found.push((directory, Kind::MemoryV1));
        } else if manages("pids") {
            found.push((directory, Kind::PidsV1));
        }
    }
    found
}

/// Where a group appears: below the mount point, without what the mount leaves out.
fn directory_of(mount: &Mount, path: &Path) -> Option<PathBuf> {
    let below = path
        .strip_prefix(&mount.root)
        .or_else(|_| path.strip_prefix("/"))
        .ok()?;
    let climbs = below.components().any(|part| part.as_os_str() == "..");
    (!climbs).then(|| mount.point.join(below))
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
