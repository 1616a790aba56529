//! Runs whose process was killed.
//!
//! The kernel drops the lock of a killed process, so a run without an end whose lock is free is
//! dead. What its agent had finished is carried on under a claim of its own: checked, pushed, offered,
//! told, whatever is still missing, unless the issue was answered meanwhile. Everything else is closed
//! as abandoned, and its issue is free again.

use std::sync::Arc;

use timmy_core::Coded;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_forge::IssueState;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::StateFilter;
use timmy_git::Revision;
use timmy_store::runs::RunSummary;

use super::Sprint;
use super::asked;
use super::branches::issue_and_attempt;
use super::desk::Desk;
use super::diary::Diary;
use super::finish;
use super::finish::Matter;
use super::hold::Hold;
use super::hold::Taken;
use super::place::Liveness;
use super::place::RunPlace;
use crate::attempt::Attempt;
use crate::attempt::Step;
use crate::error::SprintError;

impl Sprint {
    /// Closes every run of this repository whose process is gone, and clears up after it.
    ///
    /// # Errors
    /// When the log cannot be read or written, or a fault passes by itself: the next call goes on.
    pub async fn recover(&self) -> Result<(), SprintError> {
        for run in RunPlace::all(&self.desk.root)? {
            if let Liveness::Dead(place) = RunPlace::look(&self.desk.root, &run)? {
                self.see_to(&run, &place).await?;
            }
        }
        self.inherit().await
    }

    async fn see_to(&self, run: &RunId, place: &RunPlace) -> Result<(), SprintError> {
        // Read under the lock: somebody else may just have closed it.
        let history = self.desk.events().run(run).await?;
        match RunSummary::fold(&history) {
            // Killed before it could say that it begins.
            None => place.clear(),
            Some(summary) if summary.repo != self.desk.repo => Ok(()),
            Some(summary) if summary.outcome.is_none() => {
                self.bury(run, &summary, &history, place).await
            }
            // Killed after its end, while it cleared up.
            Some(summary) => {
                self.desk.free_claim_of(run, summary.issue).await?;
                self.desk.close(run, place).await.map(drop)
            }
        }
    }

    async fn bury(
        &self,
        run: &RunId,
        summary: &RunSummary,
        history: &[Event],
        place: &RunPlace,
    ) -> Result<(), SprintError> {
        let attempt = Attempt::fold(history);
        let mut diary = Diary::new(&self.desk, run, attempt, Arc::new(|_| {}));
        let outcome = match self.carry_on(&mut diary, summary, place).await {
            Ok(outcome) => outcome,
            Err(error) if passes(&error) => return Err(error),
            // It would fail for ever, and no sprint could begin.
            Err(error) => Outcome::Failed {
                problem: error.problem(),
            },
        };
        let duration_ms = summary.duration_ms;
        diary
            .record(EventKind::RunEnded {
                outcome,
                duration_ms,
            })
            .await?;
        self.desk.free_claim_of(run, summary.issue).await?;
        self.desk.close(run, place).await.map(drop)
    }

    /// Takes the steps that are missing, and says how the run ends.
    async fn carry_on(
        &self,
        diary: &mut Diary<'_>,
        summary: &RunSummary,
        place: &RunPlace,
    ) -> Result<Outcome, SprintError> {
        let matter = matter_of(summary);
        if let Left::Nothing(outcome) = self.left(diary, summary).await? {
            return Ok(outcome);
        }
        let hold = match self.desk.hold(diary.run, summary.issue).await? {
            Taken::Won(hold) => hold,
            // Somebody else works on the issue. Only a comment needs no claim.
            Taken::Held(_) => return self.without_claim(diary, &matter).await,
        };
        let carry_on = async {
            // The dead process may have been silent for hours; from here on somebody works on it.
            diary.record(hold.acquired_event()).await?;
            self.rest(diary, &matter, &hold, place).await
        };
        let ended = hold.while_held(carry_on).await;
        let released = hold.release(&self.desk.events(), diary.run).await;
        let outcome = ended?;
        released?;
        Ok(outcome)
    }

    /// Whether there is anything left to do that this host can do.
    pub(super) async fn left(
        &self,
        diary: &mut Diary<'_>,
        summary: &RunSummary,
    ) -> Result<Left, SprintError> {
        self.desk.hear_of_push(diary, summary).await?;
        let offered = diary.attempt.pull().is_some();
        if !offered && self.desk.events().was_asked_to_stop(diary.run).await? {
            return Ok(Left::Nothing(asked::stopped()));
        }
        let rule = self.desk.settings.publish.on_failed_check;
        let change = match diary.attempt.next_after_death(rule) {
            Step::End(outcome) => return Ok(Left::Nothing(outcome)),
            Step::Work | Step::Nothing => return Ok(Left::Nothing(Outcome::Abandoned)),
            Step::Tell { .. } => return Ok(Left::Steps),
            Step::Check { commit } | Step::Push { commit } => Some(commit),
            Step::Offer => None,
        };
        let own = diary.attempt.pushed();
        if self.desk.is_answered(summary, own).await? {
            return Ok(Left::Nothing(Outcome::Abandoned));
        }
        let bare = self.desk.bare().await?;
        match change {
            // It went with the disk it was on.
            Some(commit) if bare.resolve(&Revision::from(&commit)).await?.is_none() => {
                Ok(Left::Nothing(Outcome::Abandoned))
            }
            Some(_) | None => Ok(Left::Steps),
        }
    }

    pub(super) async fn rest(
        &self,
        diary: &mut Diary<'_>,
        matter: &Matter<'_>,
        hold: &Hold,
        place: &RunPlace,
    ) -> Result<Outcome, SprintError> {
        let rule = self.desk.settings.publish.on_failed_check;
        loop {
            let step = diary.attempt.next_after_death(rule);
            match step {
                Step::End(outcome) => return Ok(outcome),
                Step::Work | Step::Nothing => return Ok(Outcome::Abandoned),
                Step::Tell { .. } => {
                    self.perform(diary, matter, hold, place, step).await?;
                    return Ok(finish::told(diary));
                }
                Step::Check { .. } | Step::Push { .. } | Step::Offer => {
                    self.perform(diary, matter, hold, place, step).await?;
                }
            }
        }
    }

    async fn without_claim(
        &self,
        diary: &mut Diary<'_>,
        matter: &Matter<'_>,
    ) -> Result<Outcome, SprintError> {
        let Some((number, _)) = diary.attempt.pull() else {
            return Ok(Outcome::ClaimLost);
        };
        self.desk.tell(diary, matter, number).await?;
        Ok(finish::told(diary))
    }
}

/// What is left to do for a dead run.
pub(super) enum Left {
    /// Nothing but to record this end.
    Nothing(Outcome),
    /// Steps that need the issue's claim.
    Steps,
}

pub(super) fn matter_of(summary: &RunSummary) -> Matter<'_> {
    Matter {
        issue: summary.issue,
        title: &summary.title,
        provider: &summary.provider,
        provenance: summary.provenance,
        answers: summary.answers,
    }
}

impl Desk {
    /// A process may have been killed before it could say that its push had arrived. The forge is
    /// asked, not the log.
    async fn hear_of_push(
        &self,
        diary: &mut Diary<'_>,
        summary: &RunSummary,
    ) -> Result<(), SprintError> {
        let Some(receipt) = diary.attempt.receipt().cloned() else {
            return Ok(());
        };
        let recorded = diary.attempt.pushed().map(str::to_owned);
        let found = self.branch_of(summary.issue, &receipt).await?;
        match (recorded, found) {
            (None, Some(branch)) => {
                let pushed = EventKind::BranchPushed {
                    branch,
                    commit: receipt.commit,
                };
                Ok(diary.record(pushed).await?)
            }
            _ => Ok(()),
        }
    }

    /// The branch that still holds exactly what the receipt is for.
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

    /// Whether the issue is closed, a person closed or merged this attempt's pull request, or another
    /// attempt has one.
    async fn is_answered(
        &self,
        summary: &RunSummary,
        own: Option<&str>,
    ) -> Result<bool, SprintError> {
        let issue = summary.issue;
        if self.forge.issue(&self.repo, issue).await?.state == IssueState::Closed {
            return Ok(true);
        }
        if let Some(number) = summary.answers {
            let pull = self.forge.pull(&self.repo, number).await?;
            return Ok(pull.state != PullState::Open);
        }
        let all = PullFilter {
            state: StateFilter::All,
            head: None,
        };
        let pulls = self.forge.pulls(&self.repo, &all).await?;
        let answers = |pull: &PullRequest| {
            let of = issue_and_attempt(&pull.head_branch).map(|(issue, _)| issue);
            let ours = own == Some(pull.head_branch.as_str());
            let ours_and_open = ours && pull.state == PullState::Open;
            of == Some(issue) && !pull.from_fork && !ours_and_open
        };
        Ok(pulls.iter().any(answers))
    }
}

/// Whether an error goes away by itself.
pub(super) fn passes(error: &SprintError) -> bool {
    matches!(
        error.problem().exit,
        ExitStatus::Unavailable | ExitStatus::Later | ExitStatus::Internal
    )
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
