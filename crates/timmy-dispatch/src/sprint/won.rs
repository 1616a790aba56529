//! The first moments under a claim.
//!
//! An issue is judged before its claim is taken, and whoever held it until then may have answered it
//! in between: published, and given the claim back. So it is judged again once nobody else can. And
//! whoever held it may have been cut off right after a push, with the wish for a pull request still
//! on its way: its branch is taken off the forge, so that the wish, when it arrives, has nothing to ask
//! for.

use timmy_core::IssueNumber;
use timmy_core::RunId;
use timmy_forge::Issue;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::StateFilter;
use timmy_git::BareRepository;
use timmy_git::Expect;
use timmy_git::PushRef;
use timmy_git::RefName;

use super::Declined;
use super::Wish;
use super::branches::OwnBranch;
use super::consider::Chosen;
use super::consider::Ground;
use super::desk::Desk;
use super::hold::Hold;
use crate::error::SprintError;

/// How every commit that timmy publishes names its run; see the message that the collected work gets.
const RUN_TRAILER: &str = "Run: ";
/// Longer messages are not timmy's.
const LONGEST_MESSAGE: usize = 16 << 10;

impl Desk {
    /// What there is to do under a claim that was just won. Without anything it is given back.
    pub(super) async fn under(
        &self,
        run: &RunId,
        wish: Wish,
        issue: IssueNumber,
        hold: Hold,
    ) -> Result<Result<(Chosen, Hold), Declined>, SprintError> {
        let declined = match hold.while_held(self.choose_again(wish, issue)).await {
            Ok(Ok(chosen)) => return Ok(Ok((chosen, hold))),
            Ok(Err(declined)) => Ok(Err(declined)),
            Err(error) => Err(error),
        };
        let released = hold.release(&self.events(), run).await;
        let declined = declined?;
        released?;
        Ok(declined)
    }

    async fn choose_again(
        &self,
        wish: Wish,
        number: IssueNumber,
    ) -> Result<Result<Chosen, Declined>, SprintError> {
        let ground = self.ground().await?;
        let issue = self.forge.issue(&self.repo, number).await?;
        let considered = match self.pass(wish, &ground, issue).await? {
            Ok(considered) => considered,
            Err(declined) => return Ok(Err(declined)),
        };
        // Named before anything is withdrawn: the name of a withdrawn branch is not used again.
        let issue = considered.candidate.issue;
        let chosen = self.chosen(&ground, issue, considered.lifted).await?;
        if ground.branches.contains_key(&number)
            && let Some(pull) = self.withdraw_what_was_not_offered(number).await?
        {
            return Ok(Err(Declined {
                rule: "pull request",
                reason: format!("pull request #{pull} was opened just now"),
            }));
        }
        Ok(Ok(chosen))
    }

    /// What an attempt at an issue begins with.
    pub(super) async fn chosen(
        &self,
        ground: &Ground,
        issue: Issue,
        lifted: Vec<String>,
    ) -> Result<Chosen, SprintError> {
        Ok(Chosen {
            branch: format!("refs/heads/{}", ground.next_branch(issue.number)),
            fingerprint: self.fingerprint(ground, &issue).await?,
            issue,
            base_branch: ground.base_branch.clone(),
            base: ground.base.clone(),
            trusted: ground.base.clone(),
            lifted,
            answers: None,
        })
    }

    /// Takes branches of earlier attempts without a pull request off the forge. Gives the pull request
    /// that somebody was faster to open.
    async fn withdraw_what_was_not_offered(
        &self,
        issue: IssueNumber,
    ) -> Result<Option<IssueNumber>, SprintError> {
        let bare = self.bare().await?;
        for own in self.own_branches().await? {
            if own.issue != issue
                || !self.pulls_from(&own).await?.is_empty()
                || !self.is_own_work(&bare, &own).await?
            {
                continue;
            }
            let withdrawal = PushRef {
                source: None,
                target: reference(&own)?,
                expect: Expect::At(own.commit.clone()),
            };
            bare.push(&self.remote, &[withdrawal]).await?;
            let Some(pull) = self.pulls_from(&own).await?.pop() else {
                continue;
            };
            let back = PushRef {
                source: Some(own.commit.clone()),
                target: reference(&own)?,
                expect: Expect::Absent,
            };
            bare.push(&self.remote, &[back]).await?;
            return Ok(Some(pull.number));
        }
        Ok(None)
    }

    async fn pulls_from(&self, own: &OwnBranch) -> Result<Vec<PullRequest>, SprintError> {
        let filter = PullFilter {
            state: StateFilter::All,
            head: Some(own.name.clone()),
        };
        Ok(self.forge.pulls(&self.repo, &filter).await?)
    }

    /// Whether the branch ends with a commit of a run. A person's work is not touched.
    async fn is_own_work(
        &self,
        bare: &BareRepository,
        own: &OwnBranch,
    ) -> Result<bool, SprintError> {
        let fetched = self.fetch_branch(bare, &reference(own)?).await?;
        let message = bare.message(&fetched, LONGEST_MESSAGE).await?;
        let named = message.lines().any(|line| line.starts_with(RUN_TRAILER));
        Ok(named && fetched == own.commit)
    }
}

fn reference(own: &OwnBranch) -> Result<RefName, SprintError> {
    let name = format!("refs/heads/{}", own.name);
    Ok(name.parse().map_err(timmy_git::GitError::from)?)
}
