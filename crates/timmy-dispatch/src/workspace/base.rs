//! The commit that work begins from.

use timmy_core::ObjectName;
use timmy_git::GitError;
use timmy_git::RefName;

use super::error::WorkspaceError;
use crate::sprint::Desk;

impl Desk {
    /// The newest commit of a branch, or of the one that the configuration or the forge names.
    pub(super) async fn base_of(
        &self,
        branch: Option<&str>,
    ) -> Result<(String, ObjectName), WorkspaceError> {
        let configured = self.settings.base_branch.as_deref();
        let branch = match branch.or(configured) {
            Some(branch) => branch.to_owned(),
            None => self.forge.repository(&self.repo).await?.default_branch,
        };
        let bare = self.bare().await?;
        let reference = branch_ref(&branch)?;
        let base = self.fetch_branch(&bare, &reference).await?;
        Ok((branch, base))
    }
}

/// The full name of a branch.
pub(super) fn branch_ref(branch: &str) -> Result<RefName, WorkspaceError> {
    let parsed = format!("refs/heads/{branch}").parse();
    Ok(parsed.map_err(GitError::from)?)
}
