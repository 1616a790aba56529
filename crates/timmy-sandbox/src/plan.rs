//! What the inner process is told to do, and what it reports.
//!
//! A command takes up to three processes: the *outer* one joins the cgroup, makes the policy's
//! paths reachable, gives up root and becomes bubblewrap; bubblewrap starts the *supervisor*, which
//! starts the command, reaps orphans and reports the end. At L2 and below the outer process is the
//! supervisor. All of them are this program, started with
//! [`INNER_COMMAND`](crate::INNER_COMMAND).

use std::ffi::OsString;
use std::path::PathBuf;

use crate::agent::Identity;
use crate::wire::Bytes;
use crate::wire::Malformed;
use crate::wire::Travels;
use crate::wire::choice_travels;
use crate::wire::struct_travels;

/// Changes whenever the format does. Both sides are the same program, unless it was replaced while
/// it ran.
const FORMAT: u32 = 0x7449_0001;

/// The descriptor that the supervisor inside bubblewrap reports on.
pub(crate) const CONTROL: i32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// `cgroup.procs` files to join.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Who the command runs as; absent when that is the user who runs timmy.
    pub(crate) identity: Option<Identity>,
    /// Paths that this user has to be able to reach.
    pub(crate) reach: Vec<PathBuf>,
    pub(crate) step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Bubblewrap(Namespaces),
    Supervise(Supervision),
}

/// How bubblewrap is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespaces {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<Argument>,
    /// The command line inside.
    pub(crate) inner: Vec<OsString>,
    /// The encoded [`Plan`] for it.
    pub(crate) plan: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    Text(OsString),
    /// Becomes the number of a descriptor from which these bytes can be read.
    Data(Bytes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Supervision {
    pub(crate) reaping: Reaping,
    pub(crate) argv: Vec<OsString>,
    pub(crate) directory: PathBuf,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) input: Bytes,
    pub(crate) rlimits: Option<Rlimits>,
    pub(crate) confinement: Option<Confinement>,
}

/// Who sees to it that no process is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaping {
    /// The supervisor is the first process of a PID namespace; its end is the end of all.
    Namespace,
    /// The supervisor is a subreaper and kills what it inherits until nothing is left.
    Subreaper,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rlimits {
    pub(crate) file_bytes: u64,
    pub(crate) open_files: u64,
    pub(crate) processes: u64,
    pub(crate) counted: Counted,
    /// `RLIMIT_DATA` of each process, where no cgroup limits them together.
    pub(crate) data_bytes: Option<u64>,
}

/// What `RLIMIT_NPROC` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// The processes in a user namespace of the command's own.
    Namespace,
    /// Everything the user runs: what is there already has to be added.
    User,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// The Landlock ABI below which the level is refused.
    pub(crate) landlock_floor: u32,
    pub(crate) rules: Vec<(PathBuf, Access)>,
    pub(crate) network: Network,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read and execute.
    Read,
    /// Everything but device nodes.
    Write,
    /// Read and write files that exist.
    Device,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// The network namespace has loopback only.
    Loopback,
    /// No socket can be made.
    Denied,
}

/// What the supervisor reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// The command is about to be executed.
    Started,
    Exited(i32),
    Signalled(i32),
    /// The policy could not be applied; nothing ran.
    Failed(String),
    /// As [`Failed`](Self::Failed): the agent's user cannot reach this path.
    Unreachable(PathBuf),
}

struct_travels!(Namespaces {
    program,
    arguments,
    inner,
    plan
});
struct_travels!(Supervision {
    reaping,
    argv,
    directory,
    environment,
    input,
    rlimits,
    confinement
});
struct_travels!(Rlimits {
    file_bytes,
    open_files,
    processes,
    counted,
    data_bytes
});
struct_travels!(Confinement {
    landlock_floor,
    rules,
    network
});
choice_travels!(Reaping { 0 => Namespace, 1 => Subreaper });
choice_travels!(Counted { 0 => Namespace, 1 => User });
choice_travels!(Access { 0 => Read, 1 => Write, 2 => Device });
choice_travels!(Network { 0 => Loopback, 1 => Denied });

impl Travels for Plan {
    fn put(&self, bytes: &mut Vec<u8>) {
        FORMAT.put(bytes);
        self.cgroups.put(bytes);
        self.identity.put(bytes);
        self.reach.put(bytes);
        self.step.put(bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        if u32::take(bytes)? != FORMAT {
            return Err(Malformed("it is of another version of this program"));
        }
        Ok(Self {
            cgroups: Travels::take(bytes)?,
            identity: Travels::take(bytes)?,
            reach: Travels::take(bytes)?,
            step: Travels::take(bytes)?,
        })
    }
}

impl Travels for Step {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bubblewrap(namespaces) => {
                0_u8.put(bytes);
                namespaces.put(bytes);
            }
            Self::Supervise(supervision) => {
                1_u8.put(bytes);
                supervision.put(bytes);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(bytes)? {
            0 => Travels::take(bytes).map(Self::Bubblewrap),
            1 => Travels::take(bytes).map(Self::Supervise),
            _ => Err(Malformed("a step")),
        }
    }
}

impl Travels for Argument {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                0_u8.put(bytes);
                text.put(bytes);
            }
            Self::Data(data) => {
                1_u8.put(bytes);
                data.put(bytes);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(bytes)? {
            0 => Travels::take(bytes).map(Self::Text),
            1 => Travels::take(bytes).map(Self::Data),
            _ => Err(Malformed("an argument")),
        }
    }
}

impl Travels for Report {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Started => 0_u8.put(bytes),
            Self::Exited(code) => {
                1_u8.put(bytes);
                code.put(bytes);
            }
            Self::Signalled(signal) => {
                2_u8.put(bytes);
                signal.put(bytes);
            }
            Self::Failed(reason) => {
                3_u8.put(bytes);
                reason.put(bytes);
            }
            Self::Unreachable(path) => {
                4_u8.put(bytes);
                path.put(bytes);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(bytes)? {
            0 => Ok(Self::Started),
            1 => Travels::take(bytes).map(Self::Exited),
            2 => Travels::take(bytes).map(Self::Signalled),
            3 => Travels::take(bytes).map(Self::Failed),
            4 => Travels::take(bytes).map(Self::Unreachable),
            _ => Err(Malformed("a report")),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
