//! How a run ended.

use serde::Deserialize;
use serde::Serialize;

use crate::ids::IssueNumber;
use crate::problem::Code;
use crate::problem::Problem;

/// How a run ended. Only the first two are results, and both carry a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The check passed and a pull request is open.
    PullRequest {
        /// Its number.
        number: IssueNumber,
    },
    /// The check failed and policy asked for a draft.
    Draft {
        /// Its number.
        number: IssueNumber,
    },
    /// The agent changed nothing.
    NoChange,
    /// The check failed and policy asked for nothing to be published.
    CheckFailed,
    /// Publication was refused.
    Blocked,
    /// The claim was lost to another host.
    ClaimLost,
    /// A limit on steps, time, tokens or cost ended it, or the loop detector did.
    Stopped {
        /// The code of the limit or pattern.
        code: Code,
    },
    /// An error ended it.
    Failed {
        /// What happened.
        problem: Problem,
    },
    /// Its process was killed before there was anything to carry on with; a later one closed it.
    Abandoned,
    /// It was stopped because it was not wanted any more.
    Cancelled {
        /// Why, as a sentence.
        reason: String,
    },
    /// Nothing was heard of it for too long.
    Stalled {
        /// How long, in seconds.
        seconds: u64,
    },
}

impl Outcome {
    /// The outcome in one or two words, for tables and results.csv.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::PullRequest { .. } => "pull_request",
            Self::Draft { .. } => "draft",
            Self::NoChange => "no_change",
            Self::CheckFailed => "check_failed",
            Self::Blocked => "blocked",
            Self::ClaimLost => "claim_lost",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } => "failed",
            Self::Abandoned => "abandoned",
            Self::Cancelled { .. } => "cancelled",
            Self::Stalled { .. } => "stalled",
        }
    }
}
