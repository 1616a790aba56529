//! `git_branch`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::error::GitError;
use crate::names::BranchName;
use crate::names::RepoPath;
use crate::tools::runner::GitCall;
use crate::tools::runner::GitRunner;

/// What `git_branch` is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// A branch to make at what is checked out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub create: Option<BranchName>,
    /// A branch to check out, after making one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub switch: Option<BranchName>,
}

/// The branches of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branches {
    /// Every branch that has a commit.
    pub branches: Vec<String>,
    /// The one that is checked out, also when it has no commit yet; `None` without one.
    pub active: Option<String>,
}

/// Makes and checks out branches if asked to, and tells which there are.
///
/// # Errors
/// [`GitError::Failed`] when a branch exists already, or does not, or local changes are in the way.
pub async fn branch(
    runner: &dyn GitRunner,
    arguments: &BranchArguments,
) -> Result<Branches, GitError> {
    let repo = &arguments.repo;
    let run = async |words: &[&str]| runner.git(GitCall::new(repo, words)).await?.succeeded();
    match (&arguments.create, &arguments.switch) {
        (Some(create), Some(switch)) if create == switch => {
            run(&["switch", "--quiet", "--create", create.as_str()]).await?;
        }
        (create, switch) => {
            if let Some(create) = create {
                run(&["branch", "--no-track", "--end-of-options", create.as_str()]).await?;
            }
            if let Some(switch) = switch {
                run(&["switch", "--quiet", "--no-guess", switch.as_str()]).await?;
            }
        }
    }
    let list = ["for-each-ref", "--format=%(refname)", "refs/heads/"];
    let listed = runner.git(GitCall::new(repo, &list)).await?.whole()?;
    let head = ["symbolic-ref", "--quiet", "HEAD"];
    let active = runner.git(GitCall::new(repo, &head)).await?;
    let names = branch_names(&listed);
    Ok(Branches {
        branches: names,
        active: branch_names(&active.stdout).pop(),
    })
}

/// Ref names cannot hold line ends.
fn branch_names(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let short = |line: &str| line.strip_prefix("refs/heads/").map(str::to_owned);
    text.lines().filter_map(short).collect()
}
