//! The branches that timmy pushes: `timmy/<issue>-<attempt>`.

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_git::RefName;
use timmy_git::RefPattern;

use super::desk::Desk;
use crate::error::SprintError;

/// Branches that timmy pushes: `timmy/<issue>-<attempt>`.
const OWN_BRANCHES: &str = "refs/heads/timmy";

/// A branch that an attempt pushed.
pub(super) struct OwnBranch {
    pub(super) issue: IssueNumber,
    /// Its short name.
    pub(super) name: String,
    pub(super) commit: ObjectName,
}

impl Desk {
    /// The branches of earlier attempts that are on the forge.
    pub(super) async fn own_branches(&self) -> Result<Vec<OwnBranch>, SprintError> {
        let own: RefName = OWN_BRANCHES.parse().map_err(timmy_git::GitError::from)?;
        let bare = self.bare().await?;
        let found = bare
            .list_remote(&self.remote, &[RefPattern::Below(own)])
            .await?;
        let own_branch = |(name, commit): (RefName, ObjectName)| {
            let name = name.branch()?.to_owned();
            let (issue, _) = issue_and_attempt(&name)?;
            Some(OwnBranch {
                issue,
                name,
                commit,
            })
        };
        Ok(found.into_iter().filter_map(own_branch).collect())
    }
}

/// Reads `timmy/<issue>-<attempt>`.
pub(super) fn issue_and_attempt(branch: &str) -> Option<(IssueNumber, u64)> {
    let (issue, attempt) = branch.strip_prefix("timmy/")?.split_once('-')?;
    Some((issue.parse().ok()?, attempt.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_branches_tell_an_issue() {
        assert_eq!(Some((12, 3)), issue_and_attempt("timmy/12-3"));
        for other in ["timmy/12", "timmy/x-1", "feature/12-1", "timmy/12-1-b"] {
            assert_eq!(None, issue_and_attempt(other));
        }
    }
}
