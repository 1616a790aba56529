//! The fleet as the log tells of it: what runs, what waits, who answers, what is wrong.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::AlertKey;
use timmy_core::event::Outcome;
use timmy_core::event::Severity;
use timmy_store::EventLog;

use crate::commands::board::Board;
use crate::commands::told;

/// The events that the picture beside the runs is made of.
const TYPES: [&str; 20] = [
    "run_started",
    "run_ended",
    "loop_started",
    "loop_ended",
    "retry_scheduled",
    "issue_quarantined",
    "quarantine_lifted",
    "issue_closed",
    "pull_request_merged",
    "pull_request_refused",
    "dispatch_paused",
    "dispatch_resumed",
    "stop_asked",
    "resume_asked",
    "model_call_reserved",
    "model_call_settled",
    "model_call_failed",
    "alert_raised",
    "alert_escalated",
    "alert_cleared",
];
/// Of each type, the newest that are read at the beginning.
const NEWEST: u32 = 500;

/// Why an issue waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub(super) enum Waiting {
    /// Another attempt will be made.
    Retry {
        /// Its number.
        attempt: u32,
        /// When.
        due: Timestamp,
        /// Why the last one does not count as an answer.
        reason: String,
    },
    /// It failed too often from the same beginnings.
    Quarantined {
        /// Failed attempts.
        attempts: u32,
    },
    /// A person stopped its run.
    Stopped,
}

/// A model provider, as its newest calls tell of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Provider {
    /// Calls that were answered, of those that were read.
    pub(super) answered: u64,
    /// Calls that failed, of those that were read.
    pub(super) failed: u64,
    /// The newest answer.
    pub(super) answer: Option<Answer>,
    /// The newest failure.
    pub(super) failure: Option<Failure>,
    /// Calls under way.
    #[serde(skip)]
    asked: BTreeSet<(RunId, u32)>,
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// When.
    pub(super) at: Timestamp,
    /// The model's name.
    pub(super) model: String,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    /// When.
    pub(super) at: Timestamp,
    /// The error's code.
    pub(super) code: Code,
    /// What happened.
    pub(super) what: String,
}

impl Provider {
    /// Whether its newest call was answered; none before any was.
    pub(super) fn answers(&self) -> Option<bool> {
        match (&self.answer, &self.failure) {
            (None, None) => None,
            (Some(answer), Some(failure)) => Some(answer.at >= failure.at),
            (answer, _) => Some(answer.is_some()),
        }
    }

    /// Calls under way.
    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }
}

/// An open alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Alert {
    /// How pressing it is.
    pub(super) severity: Severity,
    /// What was found.
    pub(super) what: String,
    /// Since when it is open.
    pub(super) since: Timestamp,
}

/// Something that keeps attempts from beginning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Held {
    /// Why.
    pub(super) problem: Problem,
    /// Since when.
    pub(super) since: Timestamp,
}

/// Everything that the log tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Fleet {
    pub(super) board: Board,
    pub(super) waiting: BTreeMap<IssueName, Waiting>,
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) alerts: BTreeMap<AlertKey, Alert>,
    /// What is held back, by what it is about.
    pub(super) held: BTreeMap<String, Held>,
    /// Loops that began and have no end in the log.
    pub(super) loops: usize,
    issues: BTreeMap<RunId, IssueName>,
    stops: BTreeSet<RunId>,
}

impl Fleet {
    /// How things stand now.
    pub(super) async fn open(log: &EventLog) -> Result<Self, Problem> {
        let board = Board::open(log).await?;
        let newest = log
            .newest_up_to(&TYPES, EventLog::END, NEWEST)
            .await
            .map_err(told)?;
        let mut fleet = Self::default();
        // What came after is read again by who follows.
        for event in newest.iter().filter(|event| event.seq <= board.after) {
            fleet.note(event);
        }
        fleet.board = board;
        Ok(fleet)
    }

    /// Goes on with the next event of the log.
    pub(super) fn take(&mut self, event: &Event) {
        if event.seq > self.board.after {
            self.board.take(event);
            self.note(event);
        }
    }

    fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::RunStarted { .. } | EventKind::RunEnded { .. } => self.note_run(event),
            EventKind::LoopStarted { .. } => {
                // A loop that was killed could not say that its pauses are over.
                self.held.clear();
                self.loops += 1;
            }
            EventKind::LoopEnded { .. } => self.loop_ended(),
            EventKind::DispatchPaused { scope, problem } => {
                let held = Held {
                    problem: problem.clone(),
                    since: event.at,
                };
                self.held.insert(scope.clone(), held);
            }
            EventKind::DispatchResumed { scope } => drop(self.held.remove(scope)),
            EventKind::StopAsked { target } => drop(self.stops.insert(target.clone())),
            EventKind::ResumeAsked => {
                self.stops.clear();
                self.waiting.retain(|_, why| *why != Waiting::Stopped);
            }
            EventKind::RetryScheduled { .. }
            | EventKind::IssueQuarantined { .. }
            | EventKind::QuarantineLifted { .. }
            | EventKind::IssueClosed { .. }
            | EventKind::PullRequestMerged { .. }
            | EventKind::PullRequestRefused { .. } => self.note_issue(event),
            EventKind::ModelCallReserved { .. }
            | EventKind::ModelCallSettled { .. }
            | EventKind::ModelCallFailed { .. } => self.note_call(event),
            EventKind::AlertRaised { .. }
            | EventKind::AlertEscalated { .. }
            | EventKind::AlertCleared { .. } => self.note_alert(event),
            _ => {}
        }
    }

    /// What a loop remembers of waits and pauses ends with the last of them.
    fn loop_ended(&mut self) {
        self.loops = self.loops.saturating_sub(1);
        if self.loops == 0 {
            self.held.clear();
            let retry = |why: &Waiting| matches!(why, Waiting::Retry { .. });
            self.waiting.retain(|_, why| !retry(why));
        }
    }

    fn note_run(&mut self, event: &Event) {
        let Some(run) = &event.run else {
            return;
        };
        match &event.kind {
            EventKind::RunStarted { repo, issue, .. } => {
                let key = IssueName {
                    repo: repo.clone(),
                    number: *issue,
                };
                self.waiting.remove(&key);
                self.issues.insert(run.clone(), key);
            }
            EventKind::RunEnded { outcome, .. } => {
                let issue = self.issues.remove(run);
                let stopped = self.stops.remove(run);
                let cancelled = matches!(outcome, Outcome::Cancelled { .. });
                if let Some(issue) = issue.filter(|_| stopped && cancelled) {
                    self.waiting.insert(issue, Waiting::Stopped);
                }
                for provider in self.providers.values_mut() {
                    provider.asked.retain(|(asking, _)| asking != run);
                }
            }
            _ => {}
        }
    }

    fn note_issue(&mut self, event: &Event) {
        let name = |repo: &timmy_core::RepoName, number: u64| IssueName {
            repo: repo.clone(),
            number,
        };
        match &event.kind {
            EventKind::RetryScheduled {
                repo,
                issue,
                attempt,
                delay_ms,
                reason,
            } => {
                let delay = i64::try_from(*delay_ms).unwrap_or(i64::MAX);
                let due = event.at.checked_add(SignedDuration::from_millis(delay));
                let waiting = Waiting::Retry {
                    attempt: *attempt,
                    due: due.unwrap_or(event.at),
                    reason: reason.clone(),
                };
                self.waiting.insert(name(repo, *issue), waiting);
            }
            EventKind::IssueQuarantined {
                repo,
                issue,
                attempts,
                ..
            } => {
                let attempts = *attempts;
                let waiting = Waiting::Quarantined { attempts };
                self.waiting.insert(name(repo, *issue), waiting);
            }
            EventKind::QuarantineLifted { repo, issue, .. }
            | EventKind::IssueClosed { repo, issue }
            | EventKind::PullRequestMerged { repo, issue, .. }
            | EventKind::PullRequestRefused { repo, issue, .. } => {
                self.waiting.remove(&name(repo, *issue));
            }
            _ => {}
        }
    }

    fn note_call(&mut self, event: &Event) {
        let Some(run) = event.run.clone() else {
            return;
        };
        match &event.kind {
            EventKind::ModelCallReserved { call, provider, .. } => {
                let known = self.providers.entry(provider.clone()).or_default();
                // A run whose end was read already asks nothing any more.
                if self.issues.contains_key(&run) {
                    known.asked.insert((run, *call));
                }
            }
            EventKind::ModelCallSettled {
                call,
                provider,
                model,
                duration_ms,
                ..
            } => {
                let known = self.providers.entry(provider.clone()).or_default();
                known.answered += 1;
                known.answer = Some(Answer {
                    at: event.at,
                    model: model.clone(),
                    took_ms: *duration_ms,
                });
                self.call_is_over(&run, *call);
            }
            EventKind::ModelCallFailed {
                call,
                provider,
                code,
                what,
                ..
            } => {
                let known = self.providers.entry(provider.clone()).or_default();
                known.failed += 1;
                known.failure = Some(Failure {
                    at: event.at,
                    code: *code,
                    what: what.clone(),
                });
                self.call_is_over(&run, *call);
            }
            _ => {}
        }
    }

    /// Another provider may have answered than the one that was asked first.
    fn call_is_over(&mut self, run: &RunId, call: u32) {
        for provider in self.providers.values_mut() {
            provider.asked.remove(&(run.clone(), call));
        }
    }

    fn note_alert(&mut self, event: &Event) {
        match &event.kind {
            EventKind::AlertRaised {
                key,
                severity,
                what,
            } => {
                let alert = Alert {
                    severity: *severity,
                    what: what.clone(),
                    since: event.at,
                };
                self.alerts.insert(key.clone(), alert);
            }
            EventKind::AlertEscalated {
                key,
                severity,
                what,
            } => {
                let alert = self.alerts.entry(key.clone()).or_insert(Alert {
                    severity: *severity,
                    what: what.clone(),
                    since: event.at,
                });
                alert.severity = *severity;
                alert.what.clone_from(what);
            }
            EventKind::AlertCleared { key } => drop(self.alerts.remove(key)),
            _ => {}
        }
    }

    /// Open alerts, the most pressing first, of those the oldest.
    pub(super) fn pressing(&self) -> Vec<(&AlertKey, &Alert)> {
        let mut alerts: Vec<_> = self.alerts.iter().collect();
        alerts.sort_by_key(|(_, alert)| (std::cmp::Reverse(alert.severity), alert.since));
        alerts
    }
}
