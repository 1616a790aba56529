//! What is remembered of an issue between two lists.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;
use timmy_core::IssueNumber;
use timmy_core::text;
use timmy_forge::Issue;
use timmy_forge::IssueState;

use super::overlap;
use crate::selection;
use crate::selection::SelectionSettings;
use crate::selection::Subject;

/// The longest title that is remembered, in bytes.
const TITLE_BYTES: usize = 200;

/// An issue without its text: a hundred thousand of them fit into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its number.
    pub number: IssueNumber,
    /// Its title, bounded.
    pub title: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The logins of those it is assigned to.
    pub assignees: Vec<String>,
    /// Whether it is open.
    pub state: IssueState,
    /// When it was written.
    pub created: Timestamp,
    /// When it last changed, by the forge's clock.
    pub updated: Timestamp,
    /// What triage gave it, the higher the sooner.
    pub score: Option<i64>,
    /// The files its text names, as [`overlap::mentions`] finds them.
    pub files: BTreeSet<String>,
}

impl Brief {
    /// What is remembered of an issue.
    #[must_use]
    pub fn of(issue: &Issue, score: Option<i64>) -> Self {
        let mut files = overlap::mentions(&issue.title);
        files.extend(overlap::mentions(&issue.body));
        Self {
            number: issue.number,
            title: text::bound(&issue.title, TITLE_BYTES).into_owned(),
            labels: issue.labels.clone(),
            assignees: issue.assignees.clone(),
            state: issue.state,
            created: issue.created,
            updated: issue.updated,
            score,
            files,
        }
    }

    /// What the rules read.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            title: &self.title,
            labels: &self.labels,
            assignees: &self.assignees,
            state: self.state,
        }
    }

    /// Where it stands among the others after so many failed attempts.
    #[must_use]
    pub fn rank(&self, settings: &SelectionSettings, failures: u32) -> Rank {
        Rank {
            quarantines: failures / settings.attempts.max(1),
            tier: selection::tier(self.subject(), settings),
            failures,
            score: Reverse(self.score.unwrap_or(0)),
            created: self.created,
            number: self.number,
        }
    }
}

/// The order of work: what was never quarantined first, then by tier, then what failed less often,
/// then triage's score, then age. Otherwise an issue that cannot be solved would come before others
/// again whenever its quarantine ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    quarantines: u32,
    tier: usize,
    failures: u32,
    score: Reverse<i64>,
    created: Timestamp,
    number: IssueNumber,
}
