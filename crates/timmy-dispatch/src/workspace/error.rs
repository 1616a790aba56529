//! Why a workspace cannot be had, used or removed.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_git::GitError;
use timmy_sandbox::SandboxError;

use crate::error::SprintError;

/// A failure around workspaces.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Runs, workspaces and caches hold as much as they may. New attempts wait until the reaper
    /// made room.
    #[error("runs, workspaces and caches hold {used} bytes; they may hold {limit}")]
    OverTotal {
        /// What they hold, in bytes.
        used: u64,
        /// What they may hold, in bytes.
        limit: u64,
    },
    /// The disk is nearly full, whoever filled it. New attempts wait until there is room.
    #[error("{free} bytes of the disk are free; {limit} have to stay so")]
    DiskFull {
        /// What is free, in bytes.
        free: u64,
        /// What has to stay free, in bytes.
        limit: u64,
    },
    /// A name that no workspace can have. The person gives another.
    #[error("{0:?} is no name for a workspace")]
    Name(String),
    /// There is one of this name already. The person takes another name, or that workspace.
    #[error("there is a workspace {0} already")]
    Exists(String),
    /// There is none of this name.
    #[error("there is no workspace {0}")]
    Missing(String),
    /// Something in the workspace is nowhere else. The person publishes it, or says --force.
    #[error("workspace {name} holds {what} that are nowhere else")]
    Unpublished {
        /// The workspace.
        name: String,
        /// What would be lost, as a noun phrase.
        what: String,
    },
    /// Another process works on the same workspace. The person waits for it.
    #[error("another timmy works on workspace {0}")]
    Busy(String),
    /// Every range of ports is taken. The operator moves the base, or removes workspaces.
    #[error("no {ports} ports in a row are free from {base} on")]
    NoPorts {
        /// Where the search began.
        base: u16,
        /// How many were looked for.
        ports: u16,
    },
    /// The record of a workspace cannot be understood. The person mends or removes it.
    #[error("{} cannot be understood: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One of the two facts that removing needs is missing. The person looks, or says --force.
    #[error("workspace {name} is kept: {reason}")]
    Kept {
        /// The workspace.
        name: String,
        /// Which fact is missing, as a sentence.
        reason: String,
    },
    /// A file or directory below the private root cannot be used. A full disk, most often.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// git in the sandbox cannot read the clone: whoever works there broke it.
    #[error("the clone of workspace {name} cannot be read: {reason}")]
    Clone {
        /// The workspace.
        name: String,
        /// What git said.
        reason: String,
    },
    /// A cache with such a name or variable cannot be.
    #[error("the cache {name:?} = {variable:?} cannot be: {reason}")]
    Cache {
        /// Its name.
        name: String,
        /// Its environment variable.
        variable: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A part failed in a way it can tell better itself.
    #[error("{0}")]
    Part(Problem),
}

impl WorkspaceError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    fn code_and_exit(&self) -> (Code, ExitStatus) {
        match self {
            Self::OverTotal { .. } => (Code::new(930), ExitStatus::Later),
            Self::DiskFull { .. } => (Code::new(931), ExitStatus::Later),
            Self::Name(_) => (Code::new(932), ExitStatus::Usage),
            Self::Exists(_) => (Code::new(933), ExitStatus::Refused),
            Self::Missing(_) => (Code::new(934), ExitStatus::NotFound),
            Self::Unpublished { .. } => (Code::new(935), ExitStatus::Refused),
            Self::Busy(_) => (Code::new(936), ExitStatus::Later),
            Self::NoPorts { .. } => (Code::new(937), ExitStatus::Refused),
            Self::Record { .. } => (Code::new(938), ExitStatus::Data),
            Self::Kept { .. } => (Code::new(939), ExitStatus::Refused),
            Self::Io { .. } => (Code::new(940), ExitStatus::Internal),
            Self::Clone { .. } => (Code::new(941), ExitStatus::Data),
            Self::Cache { .. } => (Code::new(942), ExitStatus::Refused),
            Self::Part(problem) => (problem.code, problem.exit),
        }
    }
}

impl Coded for WorkspaceError {
    fn problem(&self) -> Problem {
        if let Self::Part(problem) = self {
            return problem.clone();
        }
        let (code, exit) = self.code_and_exit();
        let problem = Problem::new(code, exit, self.to_string());
        match self {
            Self::OverTotal { .. } => problem.at("workspace.total_bytes").fix(
                "`timmy workspace reap --dry-run` shows what can go; or raise workspace.total_bytes",
            ),
            Self::DiskFull { .. } => problem
                .at("workspace.keep_free_bytes")
                .fix("make room on the disk of TIMMY_HOME; attempts begin again by themselves"),
            Self::Name(_) => problem.fix(
                "take up to 40 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
            ),
            Self::Exists(name) => problem.fix(format!(
                "take another name; `timmy workspace resume {name}` shows this one"
            )),
            Self::Missing(_) => problem.fix("`timmy workspace list` shows which there are"),
            Self::Unpublished { name, .. } => problem.fix(format!(
                "push or commit it, or `timmy workspace reset {name} --force`, which keeps a bundle"
            )),
            Self::Busy(_) => problem.fix("try again when it is done"),
            Self::NoPorts { .. } => problem
                .at("workspace.port_base, workspace.ports")
                .fix("remove workspaces, or set another base"),
            Self::Record { .. } => {
                problem.fix("mend the file, or `timmy workspace destroy NAME --force`")
            }
            Self::Kept { name, .. } => problem.fix(format!(
                "`timmy workspace destroy {name} --force` removes it all the same"
            )),
            Self::Io { .. } => problem.fix("check free space and rights below TIMMY_HOME"),
            Self::Clone { name, .. } => problem.fix(format!(
                "`timmy workspace reset {name} --force` keeps what is there and makes a new clone"
            )),
            Self::Cache { .. } => problem
                .at("[workspace.caches]")
                .fix("write it like this: cargo = \"CARGO_TARGET_DIR\""),
            Self::Part(_) => problem,
        }
    }
}

macro_rules! from_part {
    ($($error:ty),*) => {
        $(impl From<$error> for WorkspaceError {
            fn from(error: $error) -> Self {
                Self::Part(error.problem())
            }
        })*
    };
}

from_part!(
    GitError,
    SandboxError,
    SprintError,
    timmy_forge::ForgeError,
    timmy_store::StoreError
);

impl From<Problem> for WorkspaceError {
    fn from(problem: Problem) -> Self {
        Self::Part(problem)
    }
}
