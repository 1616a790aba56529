//! What a push did, and the push that publishes.

use timmy_core::ObjectName;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushRef;
use timmy_git::PushStatus;
use timmy_git::RefName;
use timmy_git::RefPattern;

use crate::claim::claims::Claim;
use crate::claim::claims::Claims;
use crate::claim::error::ClaimError;

/// How a push ended, as far as its answer tells.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It was done.
    Done,
    /// It was refused as stale, or there was no answer: only reading the refs tells.
    Doubtful(Option<GitError>),
    /// The server does not want it.
    Refused(String),
}

/// What became of the branch that was to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It is on the forge, and the claim was renewed with it.
    Done,
    /// Somebody moved the branch; nothing was pushed. A person's work wins.
    BranchMoved {
        /// Where it is now.
        actual: Option<ObjectName>,
    },
}

impl Claims {
    pub(crate) async fn push(&self, refs: &[PushRef]) -> Result<Pushed, ClaimError> {
        let results = match self.bare.push(&self.remote, refs).await {
            Ok(results) => results,
            Err(
                error @ (GitError::UnknownOutcome { .. }
                | GitError::Network { .. }
                | GitError::Stalled { .. }),
            ) => return Ok(Pushed::Doubtful(Some(error))),
            Err(error) => return Err(error.into()),
        };
        let statuses = || results.iter().map(|result| &result.status);
        if statuses().all(PushStatus::done) {
            return Ok(Pushed::Done);
        }
        if statuses().any(|status| *status == PushStatus::Stale) {
            return Ok(Pushed::Doubtful(None));
        }
        let reasons = statuses().filter_map(|status| match status {
            PushStatus::Rejected { reason } => Some(reason.clone()),
            _ => None,
        });
        // The others of an atomic push only say that it failed.
        let telling = reasons.min_by_key(|reason| reason.contains("atomic"));
        Ok(Pushed::Refused(telling.unwrap_or_default()))
    }

    /// Moves `branch` to `commit` and renews the claim, both or neither. A holder that was
    /// dispossessed publishes nothing.
    ///
    /// # Errors
    /// As for [`Self::renew`]. After [`ClaimError::Unreachable`] the same call may be made again.
    pub async fn publish(
        &self,
        claim: &mut Claim,
        branch: &RefName,
        commit: &ObjectName,
        expect: Expect,
    ) -> Result<Published, ClaimError> {
        self.check_fence(claim)?;
        let began = self.clock.monotonic();
        let next = self.commit(claim.issue, &claim.run, claim.epoch).await?;
        let work = PushRef {
            source: Some(commit.clone()),
            target: branch.clone(),
            expect: expect.clone(),
        };
        let pushed = self.push(&[claim.move_to(&next), work]).await?;
        let error = match pushed {
            Pushed::Done => {
                claim.settle(next, began);
                return Ok(Published::Done);
            }
            Pushed::Refused(reason) => return Err(claim.refused(reason)),
            Pushed::Doubtful(error) => error,
        };
        let (claimed, actual) = self.look_at_both(claim, branch).await?;
        let branch_as_expected = match &expect {
            Expect::Absent => actual.is_none(),
            Expect::At(object) => actual.as_ref() == Some(object),
        };
        let ours = claimed
            .as_ref()
            .is_some_and(|found| *found == claim.object || claim.tried.contains(found));
        let done = actual.as_ref() == Some(commit);
        if ours && claimed.as_ref() != Some(&next) && !branch_as_expected && !done {
            return Ok(Published::BranchMoved { actual });
        }
        if ours && done {
            claim.settle_found(claimed, &next, began);
            return Ok(Published::Done);
        }
        self.recognise(claim, claimed, &next, began, error)?;
        Ok(Published::BranchMoved { actual })
    }

    async fn look_at_both(
        &self,
        claim: &Claim,
        branch: &RefName,
    ) -> Result<(Option<ObjectName>, Option<ObjectName>), ClaimError> {
        let patterns = [
            RefPattern::Exact(claim.reference.clone()),
            RefPattern::Exact(branch.clone()),
        ];
        let listed = self.bare.list_remote(&self.remote, &patterns).await;
        let listed = listed.map_err(|source| ClaimError::Unreachable {
            issue: claim.issue,
            source,
        });
        if listed.is_err() {
            self.check_fence(claim)?;
        }
        let listed = listed?;
        let at = |name: &RefName| {
            let found = listed.iter().find(|(listed, _)| listed == name);
            found.map(|(_, object)| object.clone())
        };
        Ok((at(&claim.reference), at(branch)))
    }
}

impl Claim {
    /// The branch is out and the claim is one's own; which renewal it was decides how fresh it is.
    fn settle_found(
        &mut self,
        found: Option<ObjectName>,
        next: &ObjectName,
        began: std::time::Duration,
    ) {
        match found {
            Some(found) if found == *next => self.settle(found, began),
            Some(found) => self.object = found,
            None => {}
        }
    }
}
