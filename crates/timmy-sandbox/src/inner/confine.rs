//! What a process does to itself before it becomes a command. System calls only: everything that
//! can be prepared was prepared before.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::inner::Failure;
use crate::inner::landlock::Ruleset;
use crate::inner::processes;
use crate::inner::seccomp::Filter;
use crate::plan::Confinement;
use crate::plan::Counted;
use crate::plan::Rlimits;

/// Makes a command the first thing that the kernel ends when memory runs out.
const OOM_SCORE: &str = "800";

/// When descriptors are closed.
#[derive(Clone, Copy)]
pub(super) enum Closing {
    Now,
    WhenExecuting,
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: i32, closing: Closing) -> io::Result<()> {
    let flags = match closing {
        Closing::Now => 0,
        Closing::WhenExecuting => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: takes three integers. With `Now` it runs before this process opened anything, so no
    // owned descriptor is closed under its owner.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Moves this process into cgroups, and offers it to the out-of-memory killer.
pub(super) fn join_cgroups(procs_files: &[PathBuf]) -> io::Result<()> {
    // Raising the score is always allowed; a kernel without the file has nothing to tell.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    procs_files.iter().try_for_each(|file| fs::write(file, "0"))
}

/// A confinement that only has to be applied.
pub(super) struct Prepared {
    ruleset: Ruleset,
    filter: Filter,
}

impl Prepared {
    pub(super) fn new(confinement: &Confinement) -> Result<Self, Failure> {
        Ok(Self {
            ruleset: Ruleset::new(confinement)?,
            filter: Filter::new(confinement.network)?,
        })
    }

    /// Applies it to the current thread, for good.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        self.ruleset.apply()?;
        self.filter.apply()
    }
}

/// The limits of this process and of what it starts, with the processes that are there already
/// counted in where the kernel counts them.
pub(super) fn prepared_rlimits(limits: &Rlimits, uid: u32) -> Vec<(Resource, u64)> {
    let processes = match limits.counted {
        Counted::Namespace => limits.processes,
        Counted::User => limits.processes + processes::threads_of(uid),
    };
    let mut prepared = vec![
        (Resource::Core, 0),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.open_files),
        (Resource::Nproc, processes),
    ];
    prepared.extend(limits.data_bytes.map(|bytes| (Resource::Data, bytes)));
    prepared
}

/// Lowers limits; one that is lower already stays.
pub(super) fn apply_rlimits(limits: &[(Resource, u64)]) -> io::Result<()> {
    for (resource, limit) in limits {
        let highest = getrlimit(*resource).maximum.unwrap_or(u64::MAX);
        let value = Some(*limit.min(&highest));
        let limit = Rlimit {
            current: value,
            maximum: value,
        };
        setrlimit(*resource, limit)?;
    }
    Ok(())
}

/// Changes to the directory of the command.
pub(super) fn enter(directory: &Path) -> Result<(), Failure> {
    rustix::process::chdir(directory)
        .map_err(|error| Failure::step(&format!("enter {}", directory.display()), error))
}
