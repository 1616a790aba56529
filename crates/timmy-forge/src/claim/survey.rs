//! Looking at all claims of a repository at once, for those who look after the fleet.

use std::time::Duration;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_git::GitError;
use timmy_git::RefName;
use timmy_git::RefPattern;

use crate::claim::claims::Claims;
use crate::claim::claims::Holder;
use crate::claim::claims::RefSpace;
use crate::claim::error::ClaimError;

/// A claim, as a look at all of them found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The issue.
    pub issue: IssueNumber,
    /// The ref on the forge.
    pub reference: RefName,
    /// Who holds it.
    pub holder: Holder,
    /// Whether it was made under this private root, so by this machine's clock.
    pub is_own: bool,
    /// For how long it has certainly not been renewed. A claim of this machine says itself when it was;
    /// of others only counts for how long they were seen unchanged, since clocks differ.
    pub unrenewed_for: Duration,
}

impl Claims {
    /// Who holds which issue, in one request and one more for each commit that was never seen; at most
    /// `limit` claims, by their refs' names. Claims that are not timmy's, or come and go meanwhile, are
    /// left out.
    ///
    /// # Errors
    /// As for [`Self::acquire`].
    pub async fn survey(&self, limit: usize) -> Result<Vec<Surveyed>, ClaimError> {
        let mut surveyed = Vec::new();
        for (reference, object) in self.everywhere().await?.into_iter().take(limit) {
            let number = reference.as_str().rsplit('/').next();
            let Some(issue) = number.and_then(|number| number.parse().ok()) else {
                continue;
            };
            surveyed.extend(self.surveyed(issue, reference, object).await?);
        }
        Ok(surveyed)
    }

    /// Claims in either ref space: which one the server takes is only found out by claiming.
    async fn everywhere(&self) -> Result<Vec<(RefName, ObjectName)>, ClaimError> {
        let mut patterns = Vec::new();
        for space in [RefSpace::Hidden, RefSpace::Branches] {
            patterns.push(RefPattern::Below(
                space.parent().parse().map_err(GitError::from)?,
            ));
        }
        Ok(self.bare.list_remote(&self.remote, &patterns).await?)
    }

    async fn surveyed(
        &self,
        issue: IssueNumber,
        reference: RefName,
        object: ObjectName,
    ) -> Result<Option<Surveyed>, ClaimError> {
        let holder = self.holder(issue, &reference, object).await?;
        let Some(message) = &holder.message else {
            return Ok(None);
        };
        let is_own = message.machine_id == self.identity.machine;
        let mut unrenewed_for = holder.unchanged_for;
        if is_own {
            let made = self.bare.committed_at(&holder.object).await?;
            let age = made.map(|made| self.clock.now().duration_since(made));
            let age = age.and_then(|age| Duration::try_from(age).ok());
            unrenewed_for = unrenewed_for.max(age.unwrap_or_default());
        }
        Ok(Some(Surveyed {
            issue,
            reference,
            holder,
            is_own,
            unrenewed_for,
        }))
    }
}
