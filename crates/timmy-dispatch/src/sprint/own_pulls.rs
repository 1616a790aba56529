//! timmy's own pull requests, as the log tells of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_store::EventLog;
use timmy_store::StoreError;

use crate::night::failure;
use crate::night::failure::Fault;

/// The events that say something about own pull requests.
const TYPES: [&str; 9] = [
    "stop_asked",
    "run_started",
    "run_ended",
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
    /// Runs that have not offered anything yet.
    runs: BTreeMap<RunId, UnderWay>,
    /// Those among them that a person asked to stop.
    stopped: BTreeSet<RunId>,
    pulls: BTreeMap<IssueNumber, OwnPull>,
}

/// A run that has not offered anything yet.
#[derive(Debug, Clone, Default)]
struct UnderWay {
    issue: IssueNumber,
    pushed: Vec<ObjectName>,
    /// The pull request it answers, and what was said about it.
    answers: Option<(IssueNumber, Vec<String>)>,
}

impl OwnPulls {
    /// Nothing was read yet.
    pub(crate) fn new(repo: RepoName) -> Self {
        Self {
            repo,
            after: 0,
            runs: BTreeMap::new(),
            stopped: BTreeSet::new(),
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
                let under_way = UnderWay {
                    issue: *issue,
                    ..UnderWay::default()
                };
                self.runs.insert(run.clone(), under_way);
            }
            (Some(run), EventKind::BranchPushed { commit, .. }) => {
                if let Some(under_way) = self.runs.get_mut(run) {
                    under_way.pushed.push(commit.clone());
                }
            }
            (Some(run), EventKind::PullRequestOpened { number, .. }) => {
                if let Some(UnderWay { issue, pushed, .. }) = self.runs.remove(run) {
                    let pull = self.pulls.entry(*number).or_default();
                    pull.issue = issue;
                    pull.pushed.extend(pushed);
                }
            }
            (Some(run), EventKind::FeedbackTaken { number, items }) => {
                if let Some(under_way) = self.runs.get_mut(run) {
                    let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
                    let pull = self.pulls.entry(*number).or_default();
                    pull.answered += 1;
                    pull.taken.extend(ids.iter().cloned());
                    under_way.answers = Some((*number, ids));
                }
            }
            (_, EventKind::StopAsked { target }) if self.runs.contains_key(target) => {
                self.stopped.insert(target.clone());
            }
            (Some(run), EventKind::RunEnded { outcome, .. }) => {
                let stopped = self.stopped.remove(run);
                let under_way = self.runs.remove(run);
                // What a person stopped is not to begin again: its feedback counts as taken.
                if let Some(under_way) = under_way.filter(|_| !stopped) {
                    self.ended(under_way, outcome);
                }
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

    /// A run ended without offering anything. What it was to answer is open again unless the agent had
    /// its say; a run that was cut off still counts, because it may be what cuts processes off.
    fn ended(&mut self, run: UnderWay, outcome: &Outcome) {
        let Some((number, ids)) = run.answers else {
            return;
        };
        let counts = match failure::fault(outcome) {
            Fault::Answered => return,
            Fault::Agent if *outcome == Outcome::Abandoned => true,
            Fault::Agent => return,
            Fault::Repository | Fault::Platform(_) | Fault::Nobody => false,
        };
        let pull = self.pulls.entry(number).or_default();
        pull.taken.retain(|id| !ids.contains(id));
        if !counts {
            pull.answered = pull.answered.saturating_sub(1);
        }
    }
}
