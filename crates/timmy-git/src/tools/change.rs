//! `git_diff`, `git_add` and `git_commit`.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::ObjectName;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::tools::runner::GitCall;
use crate::tools::runner::GitRunner;
use crate::tools::status::StatusArguments;
use crate::tools::status::status;

/// What `git_diff` is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// Compare what is staged with the last commit, instead of the files with what is staged.
    #[serde(default)]
    pub staged: bool,
    /// One file or directory of the repository.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub path: Option<RepoPath>,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The patch, lossily decoded.
    pub patch: String,
    /// Whether its middle or end is missing.
    pub truncated: bool,
}

/// Tells what changed in a working tree.
///
/// # Errors
/// [`GitError::Failed`] when there is no repository.
pub async fn diff(runner: &dyn GitRunner, arguments: &DiffArguments) -> Result<Diff, GitError> {
    let options = [
        "diff",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--find-renames",
    ];
    let staged = arguments.staged.then_some("--cached");
    let call = GitCall::new(&arguments.repo, &options)
        .and(staged)
        .and(["--"])
        .and(arguments.path.as_ref().map(RepoPath::as_str));
    let output = runner.git(call).await?.succeeded()?;
    Ok(Diff {
        patch: String::from_utf8_lossy(&output.stdout).into_owned(),
        truncated: output.truncated,
    })
}

/// What `git_add` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// Files and directories; `.` is everything. Deletions are staged too.
    #[schemars(with = "Vec<String>")]
    pub paths: Vec<RepoPath>,
}

/// What is staged now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Every staged path.
    pub staged: Vec<String>,
}

/// Stages paths, exactly as they are spelled: no pattern has a meaning.
///
/// # Errors
/// [`GitError::Failed`] when a path does not exist or is ignored.
pub async fn add(runner: &dyn GitRunner, arguments: &AddArguments) -> Result<Added, GitError> {
    if !arguments.paths.is_empty() {
        let paths = arguments.paths.iter().map(RepoPath::as_str);
        let call = GitCall::new(&arguments.repo, &["add", "--all", "--"]).and(paths);
        runner.git(call).await?.succeeded()?;
    }
    let repo = arguments.repo.clone();
    let staged = status(runner, &StatusArguments { repo }).await?.staged;
    Ok(Added { staged })
}

/// What `git_commit` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// The message.
    pub message: String,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Committed {
    /// There is a new commit.
    Committed {
        /// Its name.
        sha: ObjectName,
    },
    /// Nothing is staged. Not a failure, and not a commit.
    NothingToCommit,
}

/// Commits what is staged.
///
/// # Errors
/// [`GitError::Failed`] when the message is empty or conflicts are left.
pub async fn commit(
    runner: &dyn GitRunner,
    arguments: &CommitArguments,
) -> Result<Committed, GitError> {
    let repo = &arguments.repo;
    let staged = [
        "diff",
        "--cached",
        "--quiet",
        "--no-ext-diff",
        "--ignore-submodules=none",
    ];
    let compared = runner.git(GitCall::new(repo, &staged)).await?;
    match compared.code {
        Some(0) => return Ok(Committed::NothingToCommit),
        Some(1) => {}
        _ => return Err(compared.failure()),
    }
    let options = [
        "commit",
        "--quiet",
        "--no-verify",
        "--cleanup=whitespace",
        "--file=-",
    ];
    let call = GitCall::new(repo, &options).input(arguments.message.as_bytes());
    runner.git(call).await?.succeeded()?;
    let head = ["rev-parse", "--verify", "HEAD"];
    let name = runner.git(GitCall::new(repo, &head)).await?.whole()?;
    let name = String::from_utf8_lossy(&name);
    let sha = ObjectName::from_str(name.trim())?;
    Ok(Committed::Committed { sha })
}
