//! What the shell is told to do.

use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::event::Outcome;

/// Something the shell does. What comes of it is fed back as an [`super::Input`].
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Append an event that belongs to no run.
    Record(EventKind),
    /// List the issues of a repository. Answered by `Listed` or `ListFailed`.
    List {
        /// The repository.
        repo: RepoName,
        /// How much.
        extent: Extent,
    },
    /// Claim an issue and work on it. Answered by `Declined`, or by `Began`, any number of `Heard`
    /// and `Ended`.
    Start {
        /// The issue.
        key: IssueName,
        /// What for.
        purpose: Purpose,
    },
    /// Stop a run and record this outcome. Its `Ended` still comes.
    Cancel {
        /// The issue.
        key: IssueName,
        /// How the run is to end.
        outcome: Outcome,
    },
    /// Look at timmy's own pull requests. Answered by `Attended`.
    Attend {
        /// The repository.
        repo: RepoName,
    },
    /// Work on the merge queue. Answered by `MergeTurnEnded`.
    MergeTurn {
        /// The repository.
        repo: RepoName,
    },
    /// The loop is over.
    Finish {
        /// Why, as a sentence.
        reason: String,
    },
}

/// How much of a repository's issues is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What changed since the last list: one call when nothing did.
    Changes,
    /// Every open issue.
    Everything,
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To resolve the issue with a new pull request.
    Resolve,
    /// To answer what was said about an own pull request, on its branch.
    Answer {
        /// The pull request.
        pull: IssueNumber,
    },
}
