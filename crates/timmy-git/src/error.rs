//! What can go wrong between timmy and git.

use std::io;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::ids::InvalidName;
use timmy_sandbox::SandboxError;

/// Every failure of this crate. Text that came from git or a server is cleaned, redacted and
/// bounded before it gets in here.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git cannot be started. The operator installs it.
    #[error("the program {program} cannot be started: {source}")]
    ProgramMissing {
        /// What was to be started.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server does not accept the token (401). The operator renews it; never retried.
    #[error("the server did not accept the token")]
    Unauthorized {
        /// The repository.
        url: String,
    },
    /// The token is good and may not do this (403). The operator changes its scopes; never retried.
    #[error("the server refused access: {detail}")]
    Forbidden {
        /// The repository.
        url: String,
        /// What the server said.
        detail: String,
    },
    /// No such repository or ref, or none that the token may see. The caller treats it as absent.
    #[error("{what} was not found")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The server did not answer, and nothing was changed there. The caller may retry later.
    #[error("the server cannot be reached: {detail}")]
    Network {
        /// The repository.
        url: String,
        /// What git said.
        detail: String,
    },
    /// A push ended without an answer: it may have happened. The caller reads the refs again.
    #[error("a push ended without an answer, so it may or may not have happened: {detail}")]
    UnknownOutcome {
        /// The repository.
        url: String,
        /// What git said.
        detail: String,
    },
    /// git failed in a way that has no answer of its own. Ends the run.
    #[error("git {command} failed ({status}): {detail}")]
    Failed {
        /// The subcommand.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        detail: String,
    },
    /// A ref, branch, path or URL has a form that is not accepted. The caller corrects it.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// More bytes than the limit allows. The caller asks for less, or the operator raises it.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Objects failed git's own checks and were not taken over. Ends the run.
    #[error("git refused unsafe or broken objects: {detail}")]
    UnsafeObjects {
        /// What git said.
        detail: String,
    },
    /// git printed something that its documentation does not allow for. A defect; ends the run.
    #[error("the output of git {command} was not understood: {detail}")]
    Unreadable {
        /// The subcommand.
        command: String,
        /// What was odd.
        detail: String,
    },
    /// A file of timmy's own could not be used. The operator looks at the disk.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// git said nothing for too long and was ended. For a push the outcome is unknown instead.
    #[error("git {command} made no progress for {seconds} s")]
    Stalled {
        /// The subcommand.
        command: String,
        /// The limit in seconds.
        seconds: u64,
    },
    /// The agent's repository could not be read any more. Ends the run without a result.
    #[error("the work could not be collected from the workspace: {detail}")]
    Collect {
        /// What git in the sandbox said.
        detail: String,
    },
    /// The sandbox refused or failed. As that error says.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Coded for GitError {
    fn problem(&self) -> Problem {
        if let Self::Sandbox(error) = self {
            return error.problem();
        }
        let (code, exit) = self.code_and_exit();
        let problem = Problem::new(code, exit, self.to_string());
        match self {
            Self::ProgramMissing { .. } => {
                problem.fix("install git 2.30 or later (`git --version`)")
            }
            Self::Unauthorized { url } => problem
                .at(url)
                .fix("put a valid token of the forge's bot account into its configuration"),
            Self::Forbidden { url, .. } => problem
                .at(url)
                .fix("give the token the scope write:repository and the account write access"),
            Self::NotFound { .. } => {
                problem.fix("check the name, and that the token may see the repository")
            }
            Self::Network { url, .. } => problem
                .at(url)
                .fix("check that the forge is running, then try again"),
            Self::UnknownOutcome { url, .. } => problem
                .at(url)
                .fix("nothing: timmy reads the refs again before it goes on"),
            Self::Failed { .. } | Self::Unreadable { .. } => {
                problem.fix("read the message; the run can be started again")
            }
            Self::InvalidName(_) => problem.fix("give a name of the form that the message states"),
            Self::TooLarge { .. } => problem.fix("ask for a smaller part, or raise the limit"),
            Self::UnsafeObjects { .. } => {
                problem.fix("look at the named object in the repository it came from")
            }
            Self::Io { .. } => problem.fix("check the disk's free space and the permissions"),
            Self::Stalled { .. } => problem.fix("check the forge and the disk, then try again"),
            Self::Sandbox(_) => problem,
            Self::Collect { .. } => {
                problem.fix("start the run again; the agent broke its own repository")
            }
        }
    }
}

impl GitError {
    fn code_and_exit(&self) -> (Code, ExitStatus) {
        match self {
            Self::ProgramMissing { .. } => (Code::new(401), ExitStatus::Unavailable),
            Self::Unauthorized { .. } => (Code::new(402), ExitStatus::Permission),
            Self::Forbidden { .. } => (Code::new(403), ExitStatus::Permission),
            Self::NotFound { .. } => (Code::new(404), ExitStatus::NotFound),
            Self::Network { .. } => (Code::new(405), ExitStatus::Unavailable),
            Self::UnknownOutcome { .. } => (Code::new(406), ExitStatus::Unavailable),
            Self::Failed { .. } => (Code::new(407), ExitStatus::Internal),
            Self::InvalidName(_) => (Code::new(408), ExitStatus::Data),
            Self::TooLarge { .. } => (Code::new(409), ExitStatus::Data),
            Self::UnsafeObjects { .. } => (Code::new(410), ExitStatus::Data),
            Self::Unreadable { .. } => (Code::new(411), ExitStatus::Internal),
            Self::Io { .. } => (Code::new(412), ExitStatus::Internal),
            Self::Stalled { .. } => (Code::new(413), ExitStatus::Unavailable),
            Self::Collect { .. } => (Code::new(414), ExitStatus::Data),
            Self::Sandbox(error) => {
                let problem = error.problem();
                (problem.code, problem.exit)
            }
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn unreadable(command: &str, detail: impl Into<String>) -> Self {
        Self::Unreadable {
            command: command.to_owned(),
            detail: detail.into(),
        }
    }
}
