//! What survives a crash of a host: its log and its books.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;
use timmy_core::event::SCHEMA_VERSION;
use timmy_core::money::MicroUsd;

use crate::attempt::Attempt;
use crate::night::failure;
use crate::night::failure::Fault;

/// The events of one host, in order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    events: Vec<Event>,
    runs: BTreeMap<RunId, Run>,
    of_issue: BTreeMap<IssueName, Vec<RunId>>,
    pushed: BTreeSet<ObjectName>,
    /// Pull requests of which the end was recorded.
    decided: BTreeSet<IssueNumber>,
    /// Pull requests whose branch a person edited.
    edited: BTreeSet<IssueNumber>,
    /// Feedback that a run was given.
    taken: BTreeSet<String>,
}

/// A run, as the log tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) key: IssueName,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) answers: Option<IssueNumber>,
    pub(crate) attempt: Attempt,
    pub(crate) pull: Option<IssueNumber>,
    pub(crate) outcome: Option<Outcome>,
    /// The process that began it.
    pub(crate) life: u64,
}

impl Log {
    pub(crate) fn append(
        &mut self,
        at: Timestamp,
        run: Option<&RunId>,
        life: u64,
        kind: &EventKind,
    ) {
        let seq = i64::try_from(self.events.len()).unwrap_or(i64::MAX) + 1;
        self.events.push(Event {
            seq,
            schema: SCHEMA_VERSION,
            at,
            run: run.cloned(),
            kind: kind.clone(),
        });
        match kind {
            EventKind::BranchPushed { commit, .. } => drop(self.pushed.insert(commit.clone())),
            EventKind::PullRequestMerged { number, .. }
            | EventKind::PullRequestRefused { number, .. } => drop(self.decided.insert(*number)),
            EventKind::BranchEdited { number, .. } => drop(self.edited.insert(*number)),
            EventKind::FeedbackTaken { items, .. } => {
                self.taken.extend(items.iter().map(|item| item.id.clone()));
            }
            _ => {}
        }
        let Some(run) = run else {
            return;
        };
        if let EventKind::RunStarted {
            repo,
            issue,
            fingerprint,
            answers,
            ..
        } = kind
        {
            let key = IssueName {
                repo: repo.clone(),
                number: *issue,
            };
            self.of_issue
                .entry(key.clone())
                .or_default()
                .push(run.clone());
            let begun = Run {
                key,
                fingerprint: fingerprint.clone(),
                answers: *answers,
                attempt: Attempt::default(),
                pull: None,
                outcome: None,
                life,
            };
            self.runs.insert(run.clone(), begun);
        }
        let Some(told) = self.runs.get_mut(run) else {
            return;
        };
        told.attempt.apply(kind);
        match kind {
            EventKind::RunEnded { outcome, .. } => told.outcome = Some(outcome.clone()),
            EventKind::PullRequestOpened { number, .. } => told.pull = Some(*number),
            _ => {}
        }
    }

    pub(crate) fn run(&self, run: &RunId) -> Option<&Run> {
        self.runs.get(run)
    }

    /// Every run, oldest first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&RunId, &Run)> {
        self.runs.iter()
    }

    /// The runs on an issue, oldest first.
    pub(crate) fn runs_on(&self, key: &IssueName) -> impl Iterator<Item = &Run> {
        let runs = self.of_issue.get(key).into_iter().flatten();
        runs.filter_map(|run| self.runs.get(run))
    }

    /// Attempts at an issue that failed from these beginnings.
    pub(crate) fn failed_attempts(&self, key: &IssueName, from: &Fingerprint) -> u32 {
        let failed = self.runs_on(key).filter(|run| {
            let fault = run.outcome.as_ref().map(failure::fault);
            fault == Some(Fault::Agent) && run.fingerprint.as_ref() == Some(from)
        });
        u32::try_from(failed.count()).unwrap_or(u32::MAX)
    }

    /// Whether a run of this host pushed a commit.
    pub(crate) fn pushed(&self, commit: &ObjectName) -> bool {
        self.pushed.contains(commit)
    }

    /// Whether a pull request was merged or closed, as far as the log knows.
    pub(crate) fn is_decided(&self, pull: IssueNumber) -> bool {
        self.decided.contains(&pull)
    }

    /// Whether a person edited the branch of a pull request, as far as the log knows.
    pub(crate) fn is_edited(&self, pull: IssueNumber) -> bool {
        self.edited.contains(&pull)
    }

    /// Whether a run was given a piece of feedback.
    pub(crate) fn took(&self, id: &str) -> bool {
        self.taken.contains(id)
    }
}

/// Amounts set aside and used by one host.
#[derive(Debug, Default)]
pub(crate) struct Books {
    used: u64,
    reserved: BTreeMap<u64, u64>,
    reserved_sum: u64,
    next: u64,
}

impl Books {
    /// Sets an amount aside if the cap allows it.
    pub(crate) fn reserve(&mut self, amount: MicroUsd, cap: MicroUsd) -> Option<u64> {
        let total = self.used + self.reserved_sum + amount.0;
        if total > cap.0 {
            return None;
        }
        self.next += 1;
        self.reserved.insert(self.next, amount.0);
        self.reserved_sum += amount.0;
        Some(self.next)
    }

    /// Replaces what was set aside by what was used.
    pub(crate) fn settle(&mut self, reservation: u64, used: MicroUsd) {
        if let Some(amount) = self.reserved.remove(&reservation) {
            self.reserved_sum -= amount;
            self.used += used.0;
        }
    }

    /// Uses an amount that nobody set aside.
    pub(crate) fn spend(&mut self, used: MicroUsd) {
        self.used += used.0;
    }

    /// What was used. What a crash left set aside counts elsewhere.
    pub(crate) fn used(&self) -> MicroUsd {
        MicroUsd(self.used)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_set_aside_never_passes_the_cap(amounts in prop::collection::vec((1_u64..500, 0_u64..500, any::<bool>()), 1..60)) {
            let (cap, mut books) = (MicroUsd(2_000), Books::default());
            for (amount, used, settles) in amounts {
                let reservation = books.reserve(MicroUsd(amount), cap);
                prop_assert!(books.used + books.reserved_sum <= cap.0);
                if let Some(reservation) = reservation.filter(|_| settles) {
                    books.settle(reservation, MicroUsd(used.min(amount)));
                    books.settle(reservation, MicroUsd(500));
                }
            }
            prop_assert!(books.used() <= cap);
        }
    }
}
