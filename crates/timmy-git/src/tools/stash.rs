//! `git_stash`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::tools::runner::GitCall;
use crate::tools::runner::GitRunner;

/// What `git_stash` is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StashArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// Bring the last stash back instead of making one.
    #[serde(default)]
    pub pop: bool,
    /// What a new stash is called.
    #[serde(default)]
    pub message: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Stashed {
    /// The changes are put away.
    Stashed,
    /// There were none.
    NothingToStash,
    /// The changes are back.
    Popped,
    /// There is no stash.
    NothingToPop,
}

/// Puts changes away, or brings them back.
///
/// # Errors
/// [`GitError::Failed`] on a branch without commits, or when changes are in the way.
pub async fn stash(
    runner: &dyn GitRunner,
    arguments: &StashArguments,
) -> Result<Stashed, GitError> {
    let repo = &arguments.repo;
    let before = stashes(runner, repo).await?;
    if arguments.pop {
        if before == 0 {
            return Ok(Stashed::NothingToPop);
        }
        runner
            .git(GitCall::new(repo, &["stash", "pop", "--quiet"]))
            .await?
            .succeeded()?;
        return Ok(Stashed::Popped);
    }
    let message = arguments
        .message
        .iter()
        .map(|message| format!("--message={message}"));
    let call = GitCall::new(repo, &["stash", "push"]).and(message);
    runner.git(call).await?.succeeded()?;
    if stashes(runner, repo).await? > before {
        return Ok(Stashed::Stashed);
    }
    Ok(Stashed::NothingToStash)
}

async fn stashes(runner: &dyn GitRunner, repo: &RepoPath) -> Result<usize, GitError> {
    let list = ["stash", "list", "-z", "--format=%H"];
    let listed = runner.git(GitCall::new(repo, &list)).await?.whole()?;
    Ok(listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .count())
}
