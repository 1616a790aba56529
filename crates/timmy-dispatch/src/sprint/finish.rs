//! The steps after the agent's work: check, push, pull request, comment. A live run and the recovery
//! of a dead one take them alike.

use std::sync::Arc;

use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::receipt::Provenance;
use timmy_forge::NewPull;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::PullUpdate;
use timmy_git::Expect;
use timmy_git::RefName;

use super::Sprint;
use super::desk::Desk;
use super::diary::Diary;
use super::hold::Hold;
use super::place::RunPlace;
use crate::attempt::Start;
use crate::attempt::Step;
use crate::error::SprintError;
use crate::evidence::Evidence;
use crate::workflow::Project;

/// What a run is about, for everything that is told of it.
pub(super) struct Matter<'a> {
    pub(super) issue: IssueNumber,
    pub(super) title: &'a str,
    pub(super) provider: &'a str,
    pub(super) provenance: Provenance,
    /// The own pull request whose feedback it answers.
    pub(super) answers: Option<IssueNumber>,
}

impl Sprint {
    /// Takes one step. Never called for the agent's own work, nor after the end.
    pub(super) async fn perform(
        &self,
        diary: &mut Diary<'_>,
        matter: &Matter<'_>,
        hold: &Hold,
        place: &RunPlace,
        step: Step,
    ) -> Result<(), SprintError> {
        match step {
            Step::Check { commit } => self.examine(diary, matter, place, &commit).await,
            Step::Push { commit } => push(diary, matter, hold, &commit).await,
            Step::Offer => self.desk.offer(diary, matter).await,
            Step::Tell { number } => self.desk.tell(diary, matter, number).await,
            Step::Work | Step::End(_) | Step::Nothing => Ok(()),
        }
    }

    /// Judges a change by the rules of publication, then runs the project's check on it.
    async fn examine(
        &self,
        diary: &mut Diary<'_>,
        matter: &Matter<'_>,
        place: &RunPlace,
        commit: &ObjectName,
    ) -> Result<(), SprintError> {
        let start = start(diary)?;
        let reasons = self.desk.reasons_against(&start.base, commit).await?;
        if !reasons.is_empty() {
            diary
                .record(EventKind::PublicationBlocked { reasons })
                .await?;
            return Ok(());
        }
        let project = self.desk.project_of(&start, matter).await?;
        let checkout = place.check_tree()?;
        let sandbox = self.sandbox.as_ref();
        let receipt = self
            .desk
            .check(sandbox, commit, &project.check, &checkout)
            .await?;
        diary.record(EventKind::CheckFinished { receipt }).await?;
        Ok(())
    }
}

/// Moves the branch together with the claim.
async fn push(
    diary: &mut Diary<'_>,
    matter: &Matter<'_>,
    hold: &Hold,
    commit: &ObjectName,
) -> Result<(), SprintError> {
    let start = start(diary)?;
    let name = match &start.work_branch {
        Some(name) => name.clone(),
        None => diary.desk.next_branch(matter.issue).await?,
    };
    let branch: RefName = format!("refs/heads/{name}")
        .parse()
        .map_err(timmy_git::GitError::from)?;
    let expect = match matter.answers {
        None => Expect::Absent,
        // A person who pushed meanwhile wins.
        Some(_) => Expect::At(start.base),
    };
    hold.publish(&branch, commit, expect).await?;
    diary
        .record(EventKind::BranchPushed {
            branch: name,
            commit: commit.clone(),
        })
        .await?;
    Ok(())
}

fn start(diary: &Diary<'_>) -> Result<Start, SprintError> {
    diary
        .attempt
        .start()
        .cloned()
        .ok_or_else(|| no_record(diary.desk, diary.run))
}

/// The log lacks what a later event takes for granted.
fn no_record(desk: &Desk, run: &RunId) -> SprintError {
    tracing::warn!(%run, "the log of the run is incomplete");
    SprintError::NoReceipt {
        repo: desk.repo.clone(),
        number: 0,
    }
}

impl Desk {
    /// What the repository says about itself: from the branch the work goes to, never from one that
    /// an agent has written to.
    async fn project_of(&self, start: &Start, matter: &Matter<'_>) -> Result<Project, SprintError> {
        if matter.answers.is_none() {
            return self.read_project(&start.base).await;
        }
        let bare = self.bare().await?;
        let branch: RefName = format!("refs/heads/{}", start.base_branch)
            .parse()
            .map_err(timmy_git::GitError::from)?;
        let base = self.fetch_branch(&bare, &branch).await?;
        self.read_project(&base).await
    }

    /// Opens the pull request for a branch that is on the forge, or adopts the one that is open
    /// already.
    async fn offer(&self, diary: &mut Diary<'_>, matter: &Matter<'_>) -> Result<(), SprintError> {
        let start = start(diary)?;
        let attempt = diary.attempt.clone();
        let (Some(receipt), Some(branch)) = (attempt.receipt(), attempt.pushed()) else {
            return Err(no_record(self, diary.run));
        };
        let work = attempt.work().cloned().unwrap_or_default();
        // From the books: they also hold what unusable replies cost.
        let spending = self.store.spending(Arc::clone(&self.clock));
        let evidence = Evidence {
            run: diary.run,
            issue: matter.issue,
            issue_title: matter.title,
            receipt,
            provenance: matter.provenance,
            provider: matter.provider,
            steps: attempt.steps(),
            usage: spending.of_run(diary.run).await?,
            summary: attempt.account(),
            title: work.title.as_deref(),
            description: work.description.as_deref(),
        };
        let draft = !receipt.passed();
        let new = NewPull {
            title: self.redactor.redact(&evidence.pull_title()),
            body: self.redactor.redact(&evidence.pull_body()),
            head: branch.to_owned(),
            base: start.base_branch,
            draft,
        };
        let (pull, adopted) = match matter.answers {
            None => {
                let opened = self.forge.create_pull(&self.repo, &new).await?;
                (opened.pull, opened.adopted)
            }
            Some(number) => (self.bring_up_to_date(number, new).await?, true),
        };
        diary
            .record(EventKind::PullRequestOpened {
                number: pull.number,
                url: pull.web_url,
                draft,
                adopted,
            })
            .await?;
        Ok(())
    }

    /// Changes the pull request whose feedback was answered. One that a person decided about
    /// meanwhile stays as it is, and no other one is opened.
    async fn bring_up_to_date(
        &self,
        number: IssueNumber,
        new: NewPull,
    ) -> Result<PullRequest, SprintError> {
        let pull = self.forge.pull(&self.repo, number).await?;
        if pull.state != PullState::Open {
            return Err(SprintError::PullDecided(number));
        }
        let update = PullUpdate {
            title: Some(new.title),
            body: Some(new.body),
            draft: Some(new.draft),
            state: None,
        };
        Ok(self.forge.update_pull(&self.repo, number, &update).await?)
    }

    /// Tells the issue, or the pull request whose feedback was answered. A comment that cannot be
    /// posted does not undo a pull request that is open.
    pub(super) async fn tell(
        &self,
        diary: &mut Diary<'_>,
        matter: &Matter<'_>,
        number: IssueNumber,
    ) -> Result<(), SprintError> {
        let attempt = diary.attempt.clone();
        let Some(receipt) = attempt.receipt() else {
            return Err(no_record(self, diary.run));
        };
        let proposed = attempt.work().and_then(|work| work.comment.as_deref());
        let proposed = proposed.filter(|_| self.settings.publish.agent_comments);
        let evidence = Evidence {
            run: diary.run,
            issue: matter.issue,
            issue_title: matter.title,
            receipt,
            provenance: matter.provenance,
            provider: matter.provider,
            steps: attempt.steps(),
            usage: timmy_core::money::Usage::default(),
            summary: attempt.account(),
            title: None,
            description: None,
        };
        let (place, body) = match matter.answers {
            None => (matter.issue, evidence.comment(number, proposed)),
            Some(pull) => (pull, evidence.reply(proposed)),
        };
        let body = self.redactor.redact(&body);
        let event = match self.forge.comment(&self.repo, place, &body).await {
            Ok(_) => EventKind::IssueCommented { issue: place },
            Err(error) => EventKind::Warned {
                problem: error.problem(),
            },
        };
        Ok(diary.record(event).await?)
    }
}

/// The end of a run whose pull request is open.
pub(super) fn told(diary: &Diary<'_>) -> Outcome {
    match diary.attempt.pull() {
        Some((number, true)) => Outcome::Draft { number },
        Some((number, false)) => Outcome::PullRequest { number },
        None => Outcome::Abandoned,
    }
}
