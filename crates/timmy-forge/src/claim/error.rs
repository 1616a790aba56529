//! What can go wrong with a claim.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_git::GitError;

/// Every failure of the claim protocol.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The claim belongs to somebody else, or to nobody. The run is stopped at once and publishes
    /// nothing.
    #[error("the claim on issue {issue} was lost: {detail}")]
    Lost {
        /// The issue.
        issue: IssueNumber,
        /// What the forge has in its place.
        detail: String,
    },
    /// No renewal succeeded for so long that another host may soon take over. The run is stopped,
    /// whatever the forge thinks.
    #[error("the claim on issue {issue} could not be renewed for {} s", since.as_secs())]
    Fenced {
        /// The issue.
        issue: IssueNumber,
        /// Time since the last renewal that is certain.
        since: Duration,
    },
    /// The forge did not answer and the claim still has time. The caller tries again.
    #[error("the forge did not answer about the claim on issue {issue}: {source}")]
    Unreachable {
        /// The issue.
        issue: IssueNumber,
        /// What git met.
        source: GitError,
    },
    /// The server accepts no such ref from this account. The operator changes it.
    #[error("the forge refuses {reference}: {reason}")]
    Refused {
        /// The ref.
        reference: String,
        /// The server's reason.
        reason: String,
    },
    /// The private root could not be used. The operator looks at the disk.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// git failed before anything about a claim was known. As that error says.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl ClaimError {
    /// Whether the run that held the claim must stop at once.
    #[must_use]
    pub fn ends_the_run(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Fenced { .. } | Self::Refused { .. } => true,
            Self::Unreachable { .. } | Self::Io { .. } | Self::Git(_) => false,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl Coded for ClaimError {
    fn problem(&self) -> Problem {
        let problem = |code, exit| Problem::new(code, exit, self.to_string());
        match self {
            Self::Lost { .. } => problem(Code::new(901), ExitStatus::Later)
                .fix("nothing: whoever holds the claim now does the work"),
            Self::Fenced { .. } => problem(Code::new(902), ExitStatus::Unavailable)
                .fix("check the connection to the forge; the issue is taken up again later"),
            Self::Unreachable { .. } => problem(Code::new(903), ExitStatus::Unavailable)
                .fix("check that the forge is running, then try again"),
            Self::Refused { .. } => problem(Code::new(904), ExitStatus::Permission)
                .fix("give the account write access to the repository's code"),
            Self::Io { .. } => problem(Code::new(905), ExitStatus::Internal)
                .fix("check the disk's free space and permissions"),
            Self::Git(error) => error.problem(),
        }
    }
}
