//! What the shell tells the core.

use std::time::Duration;

use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;

use super::action::Extent;
use super::brief::Brief;
use super::settings::Settings;
use super::state::Scope;
use super::terms::Terms;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The settings are these from now on.
    Configured(Box<Settings>),
    /// The forge says that something changed in a repository. Only a reason to look.
    Woken {
        /// The repository.
        repo: RepoName,
    },
    /// A list arrived.
    Listed {
        /// The repository.
        repo: RepoName,
        /// What is in it.
        listing: Listing,
    },
    /// A list did not arrive.
    ListFailed {
        /// The repository.
        repo: RepoName,
        /// Why.
        problem: Problem,
        /// How long the forge asked to be left alone, or the fault is known to last.
        lasts: Option<Duration>,
    },
    /// A claim was won and the run's first event recorded.
    Began {
        /// The issue.
        key: IssueName,
    },
    /// An event of the run was recorded. Nothing more may be heard for `patience`.
    Heard {
        /// The issue.
        key: IssueName,
        /// How long the step that follows may be silent; zero for as long as it likes.
        patience: Duration,
    },
    /// Nothing was started.
    Declined {
        /// The issue.
        key: IssueName,
        /// Why.
        declined: Declined,
    },
    /// A running attempt has to stop: it holds too much of the disk, say.
    Unwanted {
        /// The issue.
        key: IssueName,
        /// Why, as a sentence.
        reason: String,
    },
    /// A run ended.
    Ended {
        /// The issue.
        key: IssueName,
        /// How.
        ended: Ended,
    },
    /// Own pull requests were looked at.
    Attended {
        /// The repository.
        repo: RepoName,
        /// What was found.
        attended: Attended,
    },
    /// A turn of the merge queue is over.
    MergeTurnEnded {
        /// The repository.
        repo: RepoName,
        /// Whether another turn would find something to do.
        more: bool,
    },
    /// A person asked something of the fleet.
    Asked(Asked),
    /// Something that attempts depend on does not work.
    Troubled {
        /// What is held back by it.
        scope: Scope,
        /// What is wrong.
        problem: Problem,
        /// How long it lasts, where that is known.
        lasts: Option<Duration>,
    },
    /// It works again.
    Relieved {
        /// What was held back.
        scope: Scope,
    },
    /// The loop is to end.
    Stop(Stop),
}

/// How a loop is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing new starts; what runs is finished.
    Drain,
    /// What runs is stopped, its claims are given back.
    Now,
}

/// What a person asks of every host of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing new begins, however long that lasts.
    Pause {
        /// Why, in their words.
        reason: String,
    },
    /// The pause is over, and issues whose runs were stopped may be tried again.
    Resume,
    /// A running attempt stops.
    Stop {
        /// The issue.
        key: IssueName,
    },
}

/// Issues of a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Whether these are all open ones, or those that changed (open and closed).
    pub extent: Extent,
    /// The issues.
    pub issues: Vec<Brief>,
    /// Whether a pull request changed.
    pub pulls_changed: bool,
    /// The commit new work starts from, when it was looked up.
    pub base: Option<ObjectName>,
    /// What the repository's workflow file asks for, when it was looked at; or what is wrong with it.
    pub terms: Option<Result<Terms, Problem>>,
}

/// Why an attempt was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The rule that failed, as a sentence.
    pub reason: String,
    /// When it is worth asking again.
    pub recheck: Recheck,
}

/// When an issue that was declined is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// After this time: somebody else's claim lapses, say.
    After(Duration),
    /// When the issue itself changes: it was answered, and nothing else makes it work again.
    IssueEdited,
    /// When the issue changes, or the base it would start from.
    IssueChanges,
    /// When any issue or pull request of the repository changes: a blocker is closed, say.
    RepositoryChanges,
    /// When the issue itself changes, or a person lets the fleet go on: one stopped its last run.
    PersonAsks,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The outcome that was recorded.
    pub outcome: Outcome,
    /// Attempts that failed from the same beginnings, this one included.
    pub failed_attempts: u32,
    /// What it began from.
    pub fingerprint: Option<Fingerprint>,
    /// How long the fault that ended it lasts, where that is known.
    pub lasts: Option<Duration>,
}

/// What a look at own pull requests found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attended {
    /// Own pull requests that are open.
    pub open: u32,
    /// Issues whose pull request has feedback to be answered.
    pub answers: Vec<(IssueNumber, IssueNumber)>,
    /// Whether the merge queue has something to do.
    pub queued: bool,
}
