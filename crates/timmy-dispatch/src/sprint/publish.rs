//! Telling the forge: a branch, a pull request, a comment.

use std::sync::Arc;

use timmy_agent::Report;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_forge::NewPull;
use timmy_git::RefName;

use super::Sprint;
use super::consider::Chosen;
use super::desk::Desk;
use super::hold::Hold;
use crate::error::SprintError;
use crate::evidence::Evidence;
use crate::policy::FailedCheck;

/// What is known about a run when its pull request is opened.
pub(super) struct Offer<'a> {
    pub(super) evidence: Evidence<'a>,
    /// The branch, by its short name.
    pub(super) branch: &'a str,
    /// The branch it goes to, by its short name.
    pub(super) base_branch: &'a str,
    /// A comment that the agent proposed.
    pub(super) comment: Option<&'a str>,
}

impl Sprint {
    /// Pushes the branch together with the claim, then opens the pull request and tells the issue.
    pub(super) async fn publish(
        &self,
        run: &RunId,
        chosen: &Chosen,
        hold: &Hold,
        receipt: &Receipt,
        report: &Report,
    ) -> Result<Outcome, SprintError> {
        if !receipt.passed() && self.desk.settings.publish.on_failed_check == FailedCheck::Nothing {
            return Ok(Outcome::CheckFailed);
        }
        let branch: RefName = chosen.branch.parse().map_err(timmy_git::GitError::from)?;
        hold.publish(&branch, &receipt.commit).await?;
        let short = branch.branch().unwrap_or(branch.as_str()).to_owned();
        let pushed = EventKind::BranchPushed {
            branch: short.clone(),
            commit: receipt.commit.clone(),
        };
        self.desk.record(run, pushed).await?;
        // From the books: they also hold what unusable replies cost.
        let spending = self.desk.store.spending(Arc::clone(&self.desk.clock));
        let usage = spending.of_run(run).await?;
        let evidence = Evidence {
            run,
            issue: chosen.issue.number,
            issue_title: &chosen.issue.title,
            receipt,
            provenance: self.router.provenance(),
            provider: self.router.first_provider(),
            steps: report.steps,
            usage,
            summary: &report.summary,
            title: report.proposals.title.as_deref(),
            description: report.proposals.description.as_deref(),
        };
        let comments = self.desk.settings.publish.agent_comments;
        let offer = Offer {
            evidence,
            branch: &short,
            base_branch: &chosen.base_branch,
            comment: report.proposals.comment.as_deref().filter(|_| comments),
        };
        self.desk.offer(&offer).await
    }
}

impl Desk {
    /// Opens the pull request for a branch that is on the forge, or adopts the one that is open
    /// already, and tells the issue.
    pub(super) async fn offer(&self, offer: &Offer<'_>) -> Result<Outcome, SprintError> {
        let evidence = &offer.evidence;
        let draft = !evidence.receipt.passed();
        let new = NewPull {
            title: self.redactor.redact(&evidence.pull_title()),
            body: self.redactor.redact(&evidence.pull_body()),
            head: offer.branch.to_owned(),
            base: offer.base_branch.to_owned(),
            draft,
        };
        let opened = self.forge.create_pull(&self.repo, &new).await?;
        let number = opened.pull.number;
        let event = EventKind::PullRequestOpened {
            number,
            url: opened.pull.web_url,
            draft,
            adopted: opened.adopted,
        };
        self.record(evidence.run, event).await?;
        self.tell_issue(offer, number).await?;
        Ok(if draft {
            Outcome::Draft { number }
        } else {
            Outcome::PullRequest { number }
        })
    }

    /// A comment that cannot be posted does not undo a pull request that is open.
    async fn tell_issue(&self, offer: &Offer<'_>, number: IssueNumber) -> Result<(), SprintError> {
        let evidence = &offer.evidence;
        let body = self
            .redactor
            .redact(&evidence.comment(number, offer.comment));
        let event = match self.forge.comment(&self.repo, evidence.issue, &body).await {
            Ok(_) => EventKind::IssueCommented {
                issue: evidence.issue,
            },
            Err(error) => EventKind::Warned {
                problem: error.problem(),
            },
        };
        Ok(self.record(evidence.run, event).await?)
    }
}
