//! timmy's own pull requests, as the log tells of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_store::EventLog;
use timmy_store::StoreError;

/// The events that say something about own pull requests.
const TYPES: [&str; 7] = [
    "run_started",
    "branch_pushed",
    "pull_request_opened",
    "feedback_taken",
    "pull_request_merged",
    "pull_request_refused",
    "branch_edited",
];
/// Events that are read at once.
const AT_ONCE: u32 = 5_000;

/// An own pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnPull {
    /// The issue it is for.
    pub(crate) issue: IssueNumber,
    /// Every commit that was pushed to its branch, oldest first.
    pub(crate) pushed: Vec<ObjectName>,
    /// What was taken up of what was said about it.
    pub(crate) taken: BTreeSet<String>,
    /// Attempts that answered something.
    pub(crate) answered: u32,
    /// Whether it was merged or refused, and that is recorded.
    pub(crate) settled: bool,
    /// The heads of persons that are recorded.
    pub(crate) edited: BTreeSet<ObjectName>,
}

/// All of one repository, folded from the log as far as it was read.
#[derive(Debug, Clone)]
pub(crate) struct OwnPulls {
    repo: RepoName,
    after: i64,
    /// What a run that is under way pushed, and what it is for.
    runs: BTreeMap<RunId, (IssueNumber, Vec<ObjectName>)>,
    pulls: BTreeMap<IssueNumber, OwnPull>,
}

impl OwnPulls {
    /// Nothing was read yet.
    pub(crate) fn new(repo: RepoName) -> Self {
        Self {
            repo,
            after: 0,
            runs: BTreeMap::new(),
            pulls: BTreeMap::new(),
        }
    }

    /// Reads on to the end of the log.
    pub(crate) async fn read(&mut self, log: &EventLog) -> Result<(), StoreError> {
        loop {
            let events = log.of_types(&TYPES, self.after, AT_ONCE).await?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            self.after = last.seq;
            for event in &events {
                self.apply(event);
            }
        }
    }

    /// One of them.
    pub(crate) fn get(&self, number: IssueNumber) -> Option<&OwnPull> {
        self.pulls.get(&number)
    }

    /// Those that nobody has decided about yet.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = (IssueNumber, &OwnPull)> {
        let pulls = self.pulls.iter().filter(|(_, pull)| !pull.settled);
        pulls.map(|(number, pull)| (*number, pull))
    }

    fn apply(&mut self, event: &Event) {
        match (&event.run, &event.kind) {
            (Some(run), EventKind::RunStarted { repo, issue, .. }) if *repo == self.repo => {
                self.runs.insert(run.clone(), (*issue, Vec::new()));
            }
            (Some(run), EventKind::BranchPushed { commit, .. }) => {
                if let Some((_, pushed)) = self.runs.get_mut(run) {
                    pushed.push(commit.clone());
                }
            }
            (Some(run), EventKind::PullRequestOpened { number, .. }) => {
                if let Some((issue, pushed)) = self.runs.remove(run) {
                    let pull = self.pulls.entry(*number).or_default();
                    pull.issue = issue;
                    pull.pushed.extend(pushed);
                }
            }
            (Some(run), EventKind::FeedbackTaken { number, items })
                if self.runs.contains_key(run) =>
            {
                let pull = self.pulls.entry(*number).or_default();
                pull.answered += 1;
                pull.taken.extend(items.iter().map(|item| item.id.clone()));
            }
            (
                _,
                EventKind::PullRequestMerged { repo, number, .. }
                | EventKind::PullRequestRefused { repo, number, .. },
            ) if *repo == self.repo => {
                self.pulls.entry(*number).or_default().settled = true;
            }
            (_, EventKind::BranchEdited { repo, number, head }) if *repo == self.repo => {
                let pull = self.pulls.entry(*number).or_default();
                pull.edited.insert(head.clone());
            }
            _ => {}
        }
    }
}
