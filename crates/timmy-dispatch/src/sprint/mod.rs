//! One issue, one private workspace, one attempt, one pull request.

mod attempt;
mod consider;
mod desk;
mod hold;
pub(crate) mod place;
mod publish;
mod recover;
mod verify;

use std::sync::Arc;

use serde::Serialize;
use timmy_agent::Limits;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::event::PassedOver;
use timmy_model::Router;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_store::runs::PullRequestLink;
use timmy_store::runs::RunSummary;

use crate::error::SprintError;
use crate::policy::PublishSettings;
use crate::selection::SelectionSettings;
use crate::workspace::WorkspaceSettings;

pub use consider::Explanation;
pub use desk::Desk;
pub use verify::Verification;

use consider::Chosen;
use hold::Hold;
use place::RunPlace;

/// What an operator decides about sprints.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which issues.
    pub selection: SelectionSettings,
    /// What may be published.
    pub publish: PublishSettings,
    /// How far an agent may go.
    pub agent: Limits,
    /// Under which rules commands run. The workspace is filled in per run.
    pub policy: Policy,
    /// Seconds without renewal after which a claim may be taken over.
    pub claim_ttl_s: u64,
    /// The command that checks the project, when the operator names one.
    pub check: Option<String>,
    /// The branch to work from, when it is not the default one.
    pub base_branch: Option<String>,
    /// Room on the disk, and build caches.
    pub workspace: WorkspaceSettings,
}

/// Everything a sprint works with.
pub struct Sprint {
    /// The repository, its forge, and what is known of both.
    pub desk: Desk,
    /// Where commands run.
    pub sandbox: Arc<dyn Sandbox>,
    /// The cascade of models.
    pub router: Arc<Router>,
}

/// What to do.
#[derive(Debug, Clone, Default)]
pub struct SprintRequest {
    /// Work on this issue, because a person said so.
    pub issue: Option<IssueNumber>,
}

/// Which issue a sprint would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The issue; none when nothing is workable.
    pub issue: Option<IssueNumber>,
    /// Its title.
    pub title: Option<String>,
    /// The others, each with the first rule that failed.
    pub passed_over: Vec<PassedOver>,
}

/// What a sprint did.
#[derive(Debug, Clone, Serialize)]
pub struct SprintReport {
    /// The run; none when nothing was workable.
    pub run: Option<RunId>,
    /// The issue.
    pub issue: Option<IssueNumber>,
    /// The others, each with the first rule that failed.
    pub passed_over: Vec<PassedOver>,
    /// The branch that was pushed.
    pub branch: Option<String>,
    /// The pull request.
    pub pull_request: Option<PullRequestLink>,
    /// The evidence.
    pub check: Option<Receipt>,
    /// How it ended; none when nothing was workable.
    pub outcome: Option<Outcome>,
    /// `live` or `replayed`.
    pub model: &'static str,
}

impl Sprint {
    /// Does one sprint. Everything that happens is in the log when this returns.
    ///
    /// # Errors
    /// When no run could begin, or its end could not be recorded. A run that began and failed is a
    /// report with that outcome.
    pub async fn run(&self, request: &SprintRequest) -> Result<SprintReport, SprintError> {
        self.desk.recover().await?;
        let run = RunId::generate();
        let (considered, taken) = self.desk.take(&run, request).await?;
        let Some((chosen, hold)) = taken else {
            return Ok(self.nothing(considered));
        };
        let ended = self.under_claim(&run, &chosen, &hold).await;
        // Given back however it ended, so that nobody has to wait until it lapses.
        let released = hold.release(&self.desk.events(), &run).await;
        let summary = ended?;
        if let Err(problem) = released {
            self.desk
                .record(&run, EventKind::Warned { problem })
                .await?;
        }
        Ok(self.report(considered, summary))
    }

    /// A run from its first event to its last.
    async fn under_claim(
        &self,
        run: &RunId,
        chosen: &Chosen,
        hold: &Hold,
    ) -> Result<RunSummary, SprintError> {
        let place = RunPlace::make(&self.desk.root, run)?;
        let begun = self.desk.clock.monotonic();
        self.begin(run, chosen, hold).await?;
        let work = self.work(run, chosen, hold, &place);
        let outcome = match hold.while_held(work).await {
            Ok(outcome) => outcome,
            Err(error) => self.failed(run, error).await?,
        };
        let duration = self.desk.clock.monotonic().saturating_sub(begun);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let ended = EventKind::RunEnded {
            outcome,
            duration_ms,
        };
        self.desk.record(run, ended).await?;
        self.desk.close(run, &place).await
    }

    /// The phases of a run, in order.
    async fn work(
        &self,
        run: &RunId,
        chosen: &Chosen,
        hold: &Hold,
        place: &RunPlace,
    ) -> Result<Outcome, SprintError> {
        let project = self.desk.read_project(&chosen.base).await?;
        let attempt = self.attempt(run, chosen, &project, place).await?;
        if let Some(outcome) = attempt.stopped {
            return Ok(outcome);
        }
        let Some(commit) = attempt.commit else {
            return Ok(Outcome::NoChange);
        };
        let reasons = self.desk.reasons_against(&chosen.base, &commit).await?;
        if !reasons.is_empty() {
            self.desk
                .record(run, EventKind::PublicationBlocked { reasons })
                .await?;
            return Ok(Outcome::Blocked);
        }
        let sandbox = self.sandbox.as_ref();
        let checkout = place.check_tree();
        let receipt = self
            .desk
            .check(sandbox, &commit, &project.check, &checkout)
            .await?;
        self.desk
            .record(
                run,
                EventKind::CheckFinished {
                    receipt: receipt.clone(),
                },
            )
            .await?;
        self.publish(run, chosen, hold, &receipt, &attempt.report)
            .await
    }

    async fn begin(&self, run: &RunId, chosen: &Chosen, hold: &Hold) -> Result<(), SprintError> {
        let started = EventKind::RunStarted {
            repo: self.desk.repo.clone(),
            issue: chosen.issue.number,
            title: self.desk.presentable_line(&chosen.issue.title),
            provider: self.router.first_provider().to_owned(),
            provenance: self.router.provenance(),
            sandbox: self.sandbox.level(),
            fingerprint: None,
            answers: None,
        };
        self.desk.record(run, started).await?;
        self.desk.record(run, hold.acquired_event()).await?;
        if let Some(problem) = chosen.issue.warning() {
            self.desk.record(run, EventKind::Warned { problem }).await?;
        }
        Ok(())
    }

    async fn failed(&self, run: &RunId, error: SprintError) -> Result<Outcome, SprintError> {
        if let SprintError::ClaimLost(reason) = error {
            self.desk
                .record(run, EventKind::ClaimLost { reason })
                .await?;
            return Ok(Outcome::ClaimLost);
        }
        Ok(Outcome::Failed {
            problem: error.problem(),
        })
    }

    fn nothing(&self, choice: Choice) -> SprintReport {
        SprintReport {
            run: None,
            issue: None,
            passed_over: choice.passed_over,
            branch: None,
            pull_request: None,
            check: None,
            outcome: None,
            model: self.router.provenance().word(),
        }
    }

    fn report(&self, choice: Choice, summary: RunSummary) -> SprintReport {
        SprintReport {
            run: Some(summary.run),
            issue: Some(summary.issue),
            passed_over: choice.passed_over,
            branch: summary.branch,
            pull_request: summary.pull_request,
            check: summary.receipt,
            outcome: summary.outcome,
            model: summary.provenance.word(),
        }
    }
}
