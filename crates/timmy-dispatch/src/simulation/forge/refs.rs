//! Refs, and pushes with leases.

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_forge::ForgeError;
use timmy_forge::IssueState;
use timmy_git::Expect;
use timmy_git::PushRef;
use timmy_git::PushStatus;

use super::SimForge;

const HEADS: &str = "refs/heads/";

/// The full name of a branch.
pub(crate) fn branch_ref(branch: &str) -> String {
    format!("{HEADS}{branch}")
}

impl SimForge {
    /// Moves all refs or none, each only from where its lease says it is. The statuses are those
    /// that git reports.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn push(
        &mut self,
        repo: &RepoName,
        refs: &[PushRef],
    ) -> Result<Vec<PushStatus>, ForgeError> {
        let repository = self.repository_mut(repo)?;
        let stale = refs.iter().any(|one| {
            let found = repository.refs.get(one.target.as_str());
            match &one.expect {
                Expect::Absent => found.is_some(),
                Expect::At(object) => found != Some(object),
            }
        });
        if stale {
            // Of an atomic push that fails, git calls every ref stale or failed with the others.
            return Ok(vec![PushStatus::Stale; refs.len()]);
        }
        let mut statuses = Vec::with_capacity(refs.len());
        for one in refs {
            let target = one.target.as_str();
            let status = match &one.source {
                None => {
                    repository.refs.remove(target);
                    PushStatus::Deleted
                }
                Some(object) => match repository.refs.insert(target.to_owned(), object.clone()) {
                    None => PushStatus::Created,
                    Some(before) if before == *object => PushStatus::UpToDate,
                    Some(_) => PushStatus::Updated,
                },
            };
            statuses.push(status);
        }
        if refs.iter().any(|one| one.target.branch().is_some()) {
            self.follow(repo)?;
        }
        Ok(statuses)
    }

    /// Where a ref points.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn reference(
        &self,
        repo: &RepoName,
        name: &str,
    ) -> Result<Option<ObjectName>, ForgeError> {
        Ok(self.repository(repo)?.refs.get(name).cloned())
    }

    /// Every ref below a place, by name.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn references(
        &self,
        repo: &RepoName,
        below: &str,
    ) -> Result<Vec<(String, ObjectName)>, ForgeError> {
        let repository = self.repository(repo)?;
        let from = repository.refs.range(below.to_owned()..);
        let inside = from.take_while(|(name, _)| name.starts_with(below));
        Ok(inside
            .map(|(name, object)| (name.clone(), object.clone()))
            .collect())
    }

    /// Brings the open pull requests in line with the branches.
    pub(super) fn follow(&mut self, repo: &RepoName) -> Result<(), ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        let mut moved: Vec<(IssueNumber, Option<ObjectName>)> = Vec::new();
        for entry in &repository.entries {
            let Some(offer) = &entry.pull else {
                continue;
            };
            if entry.issue.state == IssueState::Closed {
                continue;
            }
            let tip = repository.refs.get(&branch_ref(&offer.head_branch));
            if tip != Some(&offer.head) {
                moved.push((entry.issue.number, tip.cloned()));
            }
        }
        for (number, tip) in moved {
            let entry = repository.touch(number, at)?;
            match (tip, &mut entry.pull) {
                (Some(tip), Some(offer)) => offer.head = tip,
                _ => entry.issue.state = IssueState::Closed,
            }
        }
        Ok(())
    }
}
