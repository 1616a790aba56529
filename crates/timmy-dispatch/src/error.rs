//! Why a sprint could not do its work.

use std::io;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::ForgeError;
use timmy_forge::claim::ClaimError;
use timmy_git::GitError;
use timmy_sandbox::SandboxError;
use timmy_store::StoreError;

use crate::workflow::WorkflowError;
use crate::workspace::WorkspaceError;

/// A failure of the sprint itself, apart from what its parts report.
#[derive(Debug, thiserror::Error)]
pub enum SprintError {
    /// The repository takes no writes. The operator un-archives it or leaves it out.
    #[error("{0} is archived: it takes no branches and no pull requests")]
    Archived(RepoName),
    /// The repository has no commit to start from. Somebody pushes one.
    #[error("{repo} has no commit on `{branch}` to start from")]
    Unborn {
        /// The repository.
        repo: RepoName,
        /// The branch that pull requests go to.
        branch: String,
    },
    /// The token's user may not push. The operator gives it the right.
    #[error("the token's user may not push to {0}")]
    ReadOnly(RepoName),
    /// The issue that was asked for fails a rule. The message says which.
    #[error("issue #{issue} cannot be worked on: {reason}")]
    NotWorkable {
        /// The issue.
        issue: IssueNumber,
        /// The rule that failed, as a sentence.
        reason: String,
    },
    /// There is no receipt for the pull request in this log.
    #[error("pull request #{number} of {repo} was not made by a run in this log")]
    NoReceipt {
        /// The repository.
        repo: RepoName,
        /// The pull request.
        number: IssueNumber,
    },
    /// A directory of a run cannot be made, locked or removed. A full disk, most often.
    #[error("{path} cannot be used: {source}")]
    Place {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The claim was lost while the run worked.
    #[error("the claim was lost: {0}")]
    ClaimLost(String),
    /// The branch that was to be pushed exists with other commits. A person's work wins.
    #[error("the branch {0} exists already and holds something else")]
    BranchTaken(String),
    /// A person closed or merged the pull request while its feedback was being answered. Nothing more
    /// is said about it.
    #[error("pull request #{0} was closed or merged while its feedback was being answered")]
    PullDecided(IssueNumber),
    /// A loop was asked for a repository that it does not work on. A defect.
    #[error("{0} is not one of the loop's repositories")]
    NotConfigured(RepoName),
    /// A person paused the fleet: nothing begins on any host. They say when it goes on.
    #[error("{0}")]
    Paused(Problem),
    /// A part failed in a way it can tell better itself.
    #[error("{0}")]
    Part(Problem),
}

impl Coded for SprintError {
    fn problem(&self) -> Problem {
        let what = self.to_string();
        match self {
            Self::Archived(_) => Problem::new(Code::new(910), ExitStatus::Refused, what)
                .fix("un-archive the repository on the forge, or name another with --repo"),
            Self::Unborn { .. } => Problem::new(Code::new(911), ExitStatus::Data, what)
                .fix("push a first commit to that branch, or set another default branch"),
            Self::ReadOnly(_) => Problem::new(Code::new(912), ExitStatus::Permission, what)
                .fix("give the user write access, and the token the scope write:repository"),
            Self::NotWorkable { issue, .. } => {
                Problem::new(Code::new(913), ExitStatus::Refused, what)
                    .fix(format!("`timmy explain REPO#{issue}` shows every rule"))
            }
            Self::NoReceipt { .. } => Problem::new(Code::new(914), ExitStatus::NotFound, what)
                .fix("`timmy runs` lists the runs of this log"),
            Self::Place { .. } => Problem::new(Code::new(915), ExitStatus::Internal, what)
                .fix("check free space and rights below TIMMY_HOME"),
            Self::ClaimLost(_) => Problem::new(Code::new(916), ExitStatus::Later, what)
                .fix("nothing to do: another host works on the issue"),
            Self::BranchTaken(_) => Problem::new(Code::new(918), ExitStatus::Failure, what)
                .fix("nothing was pushed; the next sprint takes the next branch name"),
            Self::PullDecided(_) => Problem::new(Code::new(921), ExitStatus::Failure, what)
                .fix("nothing to do; the commit that answers is on the branch"),
            Self::NotConfigured(_) => Problem::new(Code::new(919), ExitStatus::Internal, what)
                .fix("report this as a defect of timmy"),
            Self::Paused(problem) | Self::Part(problem) => problem.clone(),
        }
    }
}

macro_rules! from_part {
    ($($error:ty),*) => {
        $(impl From<$error> for SprintError {
            fn from(error: $error) -> Self {
                Self::Part(error.problem())
            }
        })*
    };
}

from_part!(
    ClaimError,
    ForgeError,
    GitError,
    SandboxError,
    StoreError,
    WorkflowError,
    WorkspaceError
);

impl From<Problem> for SprintError {
    fn from(problem: Problem) -> Self {
        Self::Part(problem)
    }
}
