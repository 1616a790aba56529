//! One issue, one private workspace, one attempt, one pull request.

mod answer;
mod asked;
mod attempt;
mod branches;
mod consider;
mod desk;
mod diary;
mod energy;
mod finish;
mod hold;
mod inherit;
mod own_pulls;
mod past;
pub(crate) mod place;
mod recover;
mod verify;
mod won;

use std::collections::BTreeMap;
use std::path::Path;
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
use timmy_telemetry::energy::Meter;
use timmy_telemetry::energy::POWERCAP;
use tokio::sync::watch;

use crate::attempt::Attempt;
use crate::attempt::Step;
use crate::error::SprintError;
use crate::follow_up::FollowUpSettings;
use crate::merge_queue::MergeQueueSettings;
use crate::policy::PublishSettings;
use crate::selection::SelectionSettings;
use crate::workflow::Workflow;
use crate::workspace::WorkspaceSettings;

pub use consider::Explanation;
pub use desk::Desk;
pub use diary::Observer;
pub use hold::TOPIC;
pub(crate) use own_pulls::OwnPulls;
pub use verify::Verification;

pub(crate) use hold::Taken;
pub(crate) use place::RunPlace;

use consider::Chosen;
use diary::Diary;
use finish::Matter;
use hold::Hold;

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
    /// What becomes of own pull requests.
    pub follow_up: FollowUpSettings,
    /// The workflow that stands in for the repository's own.
    pub workflow: Option<Workflow>,
    /// What is merged together.
    pub merge_queue: MergeQueueSettings,
    /// What the machines of providers take from the socket, in watts, by provider.
    pub watts: BTreeMap<String, u32>,
    /// Providers and models in the order in which they are asked: part of every fingerprint.
    pub models: String,
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

/// Which issue an attempt is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// The first one that passes every rule.
    #[default]
    Best,
    /// This one, because a person said so: rules about kind, labels and earlier attempts do not count.
    Insisted(IssueNumber),
    /// This one, if it passes every rule.
    Issue(IssueNumber),
}

/// What an attempt is to do, who hears of it, and who may stop it.
#[derive(Clone)]
pub struct Order {
    /// Which issue.
    pub issue: IssueNumber,
    /// Hears of every event of the run.
    pub observer: Observer,
    /// Stops the run with this outcome, once there is one.
    pub stop: watch::Receiver<Option<Outcome>>,
}

impl Order {
    /// An attempt that nobody watches or stops.
    #[must_use]
    pub fn new(issue: IssueNumber) -> Self {
        Self {
            issue,
            observer: Arc::new(|_| {}),
            // Its sender is gone: it never says anything.
            stop: watch::channel(None).1,
        }
    }
}

/// What came of an order.
#[derive(Debug)]
pub enum Attempted {
    /// Nothing was started.
    Declined(Declined),
    /// A run began and ended.
    Ran(Box<RunSummary>),
}

/// Why no run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The rule that failed; `claim` when somebody holds it.
    pub rule: &'static str,
    /// What it found, as a sentence.
    pub reason: String,
}

impl Sprint {
    /// Does one sprint. Everything that happens is in the log when this returns.
    ///
    /// # Errors
    /// When no run could begin, because a person paused the fleet, say, or its end could not be
    /// recorded. A run that began and failed is a report with that outcome.
    pub async fn run(&self, request: &SprintRequest) -> Result<SprintReport, SprintError> {
        self.desk.refuse_while_paused().await?;
        self.recover().await?;
        let run = RunId::generate();
        let wish = request.issue.map_or(Wish::Best, Wish::Insisted);
        let (considered, taken) = self.desk.take(&run, wish).await?;
        let Some((chosen, hold)) = taken else {
            return Ok(self.nothing(considered));
        };
        let (sender, stop) = watch::channel(None);
        let order = Order {
            stop,
            ..Order::new(chosen.issue.number)
        };
        let asked = self.desk.stop_when_asked(&run, sender);
        let attempt = Box::pin(self.attempt(&run, &chosen, hold, &order));
        let summary = tokio::select! {
            summary = attempt => summary?,
            never = asked => match never {},
        };
        Ok(self.report(considered, summary))
    }

    /// Makes one attempt at the issue that is ordered. Does not look after runs that are dead:
    /// [`Self::recover`] does.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn fulfil(&self, run: &RunId, order: &Order) -> Result<Attempted, SprintError> {
        match self.desk.take_ordered(run, order.issue).await? {
            Err(declined) => Ok(Attempted::Declined(declined)),
            Ok((chosen, hold)) => {
                let summary = self.attempt(run, &chosen, hold, order).await?;
                Ok(Attempted::Ran(Box::new(summary)))
            }
        }
    }

    /// A run under its claim, which is given back however it ends, so that nobody has to wait until
    /// it lapses.
    async fn attempt(
        &self,
        run: &RunId,
        chosen: &Chosen,
        hold: Hold,
        order: &Order,
    ) -> Result<RunSummary, SprintError> {
        // The last moment before the log says that it begins.
        if let Err(paused) = self.desk.refuse_while_paused().await {
            hold.release(&self.desk.events(), run).await?;
            return Err(paused);
        }
        let observer = Arc::clone(&order.observer);
        let mut diary = Diary::new(&self.desk, run, Attempt::default(), observer);
        let ended = self.under_claim(&mut diary, chosen, &hold, order).await;
        let released = hold.release(&self.desk.events(), run).await;
        let place = ended?;
        if let Err(problem) = released {
            diary.record(EventKind::Warned { problem }).await?;
        }
        // Last, because the directory is what tells the next process that something is left to do.
        self.desk.close(run, &place).await
    }

    /// A run from its first event to its last.
    async fn under_claim(
        &self,
        diary: &mut Diary<'_>,
        chosen: &Chosen,
        hold: &Hold,
        order: &Order,
    ) -> Result<RunPlace, SprintError> {
        let run = diary.run;
        let place = RunPlace::make(&self.desk.root, run)?;
        let begun = self.desk.clock.monotonic();
        let meter = Meter::start(Path::new(POWERCAP));
        self.begin(diary, chosen, hold).await?;
        let work = Box::pin(self.until_done(diary, chosen, hold, &place));
        let ended = tokio::select! {
            biased;
            outcome = stopped(order.stop.clone()) => Ok(outcome),
            ended = hold.while_held(work) => ended,
        };
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(error) => self.failed(diary, error).await?,
        };
        Box::pin(self.leave(diary, chosen, &place)).await?;
        if let Some(used) = self.desk.energy(run, meter).await? {
            diary.record(used).await?;
        }
        let duration = self.desk.clock.monotonic().saturating_sub(begun);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let ended = EventKind::RunEnded {
            outcome,
            duration_ms,
        };
        diary.record(ended).await?;
        Ok(place)
    }

    /// The steps of a run, in order.
    async fn until_done(
        &self,
        diary: &mut Diary<'_>,
        chosen: &Chosen,
        hold: &Hold,
        place: &RunPlace,
    ) -> Result<Outcome, SprintError> {
        let project = self.desk.read_project(&chosen.trusted).await?;
        let title = self.desk.presentable_line(&chosen.issue.title);
        let matter = Matter {
            issue: chosen.issue.number,
            title: &title,
            provider: self.router.first_provider(),
            provenance: self.router.provenance(),
            answers: chosen.answered_pull(),
        };
        loop {
            match diary
                .attempt
                .next(self.desk.settings.publish.on_failed_check)
            {
                Step::Work => {
                    let work = self.work(diary, chosen, &project, place);
                    if let Some(outcome) = Box::pin(work).await? {
                        return Ok(outcome);
                    }
                }
                step @ Step::Tell { .. } => {
                    self.perform(diary, &matter, hold, place, step).await?;
                    return Ok(finish::told(diary));
                }
                step @ (Step::Check { .. } | Step::Push { .. } | Step::Offer) => {
                    self.perform(diary, &matter, hold, place, step).await?;
                }
                Step::End(outcome) => return Ok(outcome),
                Step::Nothing => return Ok(Outcome::Abandoned),
            }
        }
    }

    async fn begin(
        &self,
        diary: &mut Diary<'_>,
        chosen: &Chosen,
        hold: &Hold,
    ) -> Result<(), SprintError> {
        let started = EventKind::RunStarted {
            repo: self.desk.repo.clone(),
            issue: chosen.issue.number,
            title: self.desk.presentable_line(&chosen.issue.title),
            provider: self.router.first_provider().to_owned(),
            provenance: self.router.provenance(),
            sandbox: self.sandbox.level(),
            fingerprint: Some(chosen.fingerprint.clone()),
            answers: chosen.answered_pull(),
        };
        diary.record(started).await?;
        diary.record(hold.acquired_event()).await?;
        if let Some(problem) = chosen.issue.warning() {
            diary.record(EventKind::Warned { problem }).await?;
        }
        if let Some(answers) = &chosen.answers {
            let taken = EventKind::FeedbackTaken {
                number: answers.pull,
                items: answers.feedback.clone(),
            };
            diary.record(taken).await?;
        }
        if !chosen.lifted.is_empty() {
            let lifted = EventKind::QuarantineLifted {
                repo: self.desk.repo.clone(),
                issue: chosen.issue.number,
                changed: chosen.lifted.clone(),
            };
            diary.record(lifted).await?;
        }
        Ok(())
    }

    async fn failed(
        &self,
        diary: &mut Diary<'_>,
        error: SprintError,
    ) -> Result<Outcome, SprintError> {
        if let SprintError::ClaimLost(reason) = error {
            diary.record(EventKind::ClaimLost { reason }).await?;
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

/// Waits until somebody says how the run is to end. Somebody who is gone never does.
async fn stopped(mut stop: watch::Receiver<Option<Outcome>>) -> Outcome {
    loop {
        if let Some(outcome) = stop.borrow_and_update().clone() {
            return outcome;
        }
        if stop.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
