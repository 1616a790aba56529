//! One run as a state machine, folded from its events.
//!
//! ```text
//! Work ──▶ Check ──▶ Push ──▶ Offer ──▶ Tell ──▶ End
//!   │        │         (claim and branch in one push)
//!   └────────┴───────────────────────────────▶ End (nothing changed, refused, check failed)
//! ```
//!
//! Pure: no I/O and no clock. What a run has done is [`Attempt::apply`]ed event by event, and
//! [`Attempt::next`] says what comes then. A live run and the recovery of a dead one go through the
//! same machine, so a process that is killed after any recorded step leaves a run that can be carried
//! on: its agent's work is not done twice, and no second pull request is opened. The simulation runs
//! it too.

use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Receipt;
use timmy_core::event::Outcome;

use crate::policy::FailedCheck;

/// What a run has done so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attempt {
    start: Option<Start>,
    prompted: bool,
    agent: Option<(String, u32)>,
    work: Option<Work>,
    refused: bool,
    receipt: Option<Receipt>,
    pushed: Option<String>,
    pull: Option<(IssueNumber, bool)>,
    told: bool,
    outcome: Option<Outcome>,
}

/// What a run starts from and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The branch it goes to, by its short name.
    pub base_branch: String,
    /// The commit it starts from.
    pub base: ObjectName,
    /// The branch that will be pushed, by its short name; unknown in logs of older versions.
    pub work_branch: Option<String>,
}

/// What the agent left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// The commit that the host made of it; none when nothing changed.
    pub commit: Option<ObjectName>,
    /// The title the agent proposed.
    pub title: Option<String>,
    /// The description the agent proposed.
    pub description: Option<String>,
    /// The comment the agent proposed.
    pub comment: Option<String>,
}

/// The phases of the Symphony specification (section 7.2), as far as one run is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is no workspace yet.
    PreparingWorkspace,
    /// The workspace is there, the prompt is not.
    BuildingPrompt,
    /// The agent works.
    StreamingTurn,
    /// Its work is taken over, judged, checked and published.
    Finishing,
    /// There is a result.
    Succeeded,
    /// There is none.
    Failed,
    /// A limit ended it.
    TimedOut,
    /// Nothing was heard of it for too long.
    Stalled,
    /// It was not wanted any more.
    CanceledByReconciliation,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the workspace and the prompt, let the agent work, take over what it left. Cannot be
    /// carried on by another process.
    Work,
    /// Judge the change by the rules of publication and run the project's check on it.
    Check {
        /// The change.
        commit: ObjectName,
    },
    /// Move the branch and renew the claim, both or neither. Only under a live claim.
    Push {
        /// The change.
        commit: ObjectName,
    },
    /// Open the pull request, or adopt the one that is open already.
    Offer,
    /// Tell the issue.
    Tell {
        /// The pull request.
        number: IssueNumber,
    },
    /// Record the end.
    End(Outcome),
    /// The end is recorded.
    Nothing,
}

impl Attempt {
    /// Folds the events of one run, oldest first. Events of other runs must not be among them.
    #[must_use]
    pub fn fold(events: &[Event]) -> Self {
        let mut attempt = Self::default();
        for event in events {
            attempt.apply(&event.kind);
        }
        attempt
    }

    /// Takes note of something that was recorded.
    pub fn apply(&mut self, kind: &EventKind) {
        match kind {
            EventKind::WorkspaceReady {
                base_branch,
                base,
                work_branch,
            } => {
                self.start = Some(Start {
                    base_branch: base_branch.clone(),
                    base: base.clone(),
                    work_branch: work_branch.clone(),
                });
            }
            EventKind::PromptBuilt { .. } => self.prompted = true,
            EventKind::AgentFinished { summary, steps, .. } => {
                self.agent = Some((summary.clone(), *steps));
            }
            EventKind::WorkCollected {
                commit,
                title,
                description,
                comment,
            } => {
                self.work = Some(Work {
                    commit: commit.clone(),
                    title: title.clone(),
                    description: description.clone(),
                    comment: comment.clone(),
                });
            }
            EventKind::PublicationBlocked { .. } => self.refused = true,
            EventKind::CheckFinished { receipt } => self.receipt = Some(receipt.clone()),
            EventKind::BranchPushed { branch, .. } => self.pushed = Some(branch.clone()),
            EventKind::PullRequestOpened { number, draft, .. } => {
                self.pull = Some((*number, *draft));
            }
            EventKind::IssueCommented { .. } => self.told = true,
            EventKind::RunEnded { outcome, .. } => self.outcome = Some(outcome.clone()),
            _ => {}
        }
    }

    /// What comes next in a run whose process lives.
    #[must_use]
    pub fn next(&self, on_failed_check: FailedCheck) -> Step {
        if self.outcome.is_some() {
            return Step::Nothing;
        }
        // The pull request is the result, whatever the log lacks before it.
        if let Some((number, draft)) = self.pull {
            return match (self.told, draft) {
                (false, _) => Step::Tell { number },
                (true, true) => Step::End(Outcome::Draft { number }),
                (true, false) => Step::End(Outcome::PullRequest { number }),
            };
        }
        if self.refused {
            return Step::End(Outcome::Blocked);
        }
        let Some(receipt) = &self.receipt else {
            return match &self.work {
                None => Step::Work,
                Some(Work { commit: None, .. }) => Step::End(Outcome::NoChange),
                Some(Work {
                    commit: Some(commit),
                    ..
                }) => Step::Check {
                    commit: commit.clone(),
                },
            };
        };
        if self.pushed.is_some() {
            return Step::Offer;
        }
        match (receipt.passed(), on_failed_check) {
            (false, FailedCheck::Nothing) => Step::End(Outcome::CheckFailed),
            (true, _) | (false, FailedCheck::Draft) => Step::Push {
                commit: receipt.commit.clone(),
            },
        }
    }

    /// What comes next in a run whose process is gone. An agent's conversation went with it.
    #[must_use]
    pub fn next_after_death(&self, on_failed_check: FailedCheck) -> Step {
        match self.next(on_failed_check) {
            Step::Work => Step::End(Outcome::Abandoned),
            step => step,
        }
    }

    /// The phase it is in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.outcome {
            Some(Outcome::PullRequest { .. } | Outcome::Draft { .. }) => Phase::Succeeded,
            Some(Outcome::Stopped { .. }) => Phase::TimedOut,
            Some(Outcome::Stalled { .. }) => Phase::Stalled,
            Some(Outcome::Cancelled { .. }) => Phase::CanceledByReconciliation,
            Some(
                Outcome::NoChange
                | Outcome::CheckFailed
                | Outcome::Blocked
                | Outcome::ClaimLost
                | Outcome::Failed { .. }
                | Outcome::Abandoned,
            ) => Phase::Failed,
            None if self.agent.is_some() || self.work.is_some() => Phase::Finishing,
            None if self.prompted => Phase::StreamingTurn,
            None if self.start.is_some() => Phase::BuildingPrompt,
            None => Phase::PreparingWorkspace,
        }
    }

    /// What it starts from, once the workspace is there.
    #[must_use]
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The agent's own account; empty until it ends. Not evidence.
    #[must_use]
    pub fn account(&self) -> &str {
        self.agent.as_ref().map_or("", |(account, _)| account)
    }

    /// Steps the agent took.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.agent.as_ref().map_or(0, |(_, steps)| *steps)
    }

    /// What the agent left, once that was taken over.
    #[must_use]
    pub fn work(&self) -> Option<&Work> {
        self.work.as_ref()
    }

    /// The evidence, once the check ran.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// The branch, once it was pushed.
    #[must_use]
    pub fn pushed(&self) -> Option<&str> {
        self.pushed.as_deref()
    }

    /// The pull request and whether it is a draft, once it is open.
    #[must_use]
    pub fn pull(&self) -> Option<(IssueNumber, bool)> {
        self.pull
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
