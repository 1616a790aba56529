//! Runs whose process was killed.
//!
//! The kernel drops the lock of a killed process, so a run without an end whose lock is free is
//! dead. What it had pushed with a receipt is carried on to a pull request, also when the push arrived
//! after its death; everything else is closed as abandoned, and its issue is free again.

use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_store::runs::RunSummary;

use super::desk::Desk;
use super::place::Liveness;
use super::place::RunPlace;
use super::publish::Offer;
use crate::error::SprintError;
use crate::evidence::Evidence;

/// Runs of the past that are looked at. A dead one is closed by the next sprint that starts.
const RUNS_LOOKED_AT: u32 = 200;

impl Desk {
    /// Closes every run of this repository whose process is gone.
    pub(super) async fn recover(&self) -> Result<(), SprintError> {
        let events = self.events();
        for started in events.started(RUNS_LOOKED_AT).await? {
            if started.repo != self.repo {
                continue;
            }
            let history = events.run(&started.run).await?;
            let Some(summary) = RunSummary::fold(&history) else {
                continue;
            };
            if summary.outcome.is_some() {
                continue;
            }
            if let Liveness::Dead(place) = RunPlace::look(&self.root, &started.run)? {
                self.bury(&started.run, summary, &history, &place).await?;
            }
        }
        Ok(())
    }

    async fn bury(
        &self,
        run: &RunId,
        summary: RunSummary,
        history: &[Event],
        place: &RunPlace,
    ) -> Result<(), SprintError> {
        let duration_ms = summary.duration_ms;
        let outcome = match &summary.pull_request {
            Some(link) if link.draft => Outcome::Draft {
                number: link.number,
            },
            Some(link) => Outcome::PullRequest {
                number: link.number,
            },
            None => self.carry_on(run, &summary, history).await?,
        };
        self.record(
            run,
            EventKind::RunEnded {
                outcome,
                duration_ms,
            },
        )
        .await?;
        self.close(run, place).await?;
        self.free_claim_of(run, summary.issue).await
    }

    /// Opens the pull request of a run that was killed between its push and that.
    async fn carry_on(
        &self,
        run: &RunId,
        summary: &RunSummary,
        history: &[Event],
    ) -> Result<Outcome, SprintError> {
        let Some(receipt) = &summary.receipt else {
            return Ok(Outcome::Abandoned);
        };
        let Some(branch) = self.branch_of(summary.issue, receipt).await? else {
            return Ok(Outcome::Abandoned);
        };
        if summary.branch.is_none() {
            let pushed = EventKind::BranchPushed {
                branch: branch.clone(),
                commit: receipt.commit.clone(),
            };
            self.record(run, pushed).await?;
        }
        let told = Told::of(history);
        let evidence = Evidence {
            run,
            issue: summary.issue,
            issue_title: &summary.title,
            receipt,
            provenance: summary.provenance,
            provider: &summary.provider,
            steps: summary.steps,
            usage: summary.usage,
            summary: &told.summary,
            title: None,
            description: None,
        };
        let offer = Offer {
            evidence,
            branch: &branch,
            base_branch: &told.base_branch,
            comment: None,
        };
        self.offer(&offer).await
    }

    /// The branch that still holds exactly what the receipt is for. The forge is asked, not the log:
    /// a process may have been killed before it could say that its push had arrived.
    async fn branch_of(
        &self,
        issue: IssueNumber,
        receipt: &Receipt,
    ) -> Result<Option<String>, SprintError> {
        let own = self.own_branches().await?;
        let mut own = own.into_iter();
        let found = own.find(|own| own.issue == issue && own.commit == receipt.commit);
        Ok(found.map(|own| own.name))
    }
}

/// What a dead run had told its log.
struct Told {
    base_branch: String,
    summary: String,
}

impl Told {
    fn of(history: &[Event]) -> Self {
        let mut told = Self {
            base_branch: String::new(),
            summary: String::new(),
        };
        for event in history {
            match &event.kind {
                EventKind::WorkspaceReady { base_branch, .. } => {
                    told.base_branch.clone_from(base_branch);
                }
                EventKind::AgentFinished { summary, .. } => told.summary.clone_from(summary),
                _ => {}
            }
        }
        told
    }
}
