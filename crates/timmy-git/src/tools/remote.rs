//! `git_clone`, `git_pull` and `git_push`.
//!
//! They need the network and perhaps a credential, so they never run in the sandbox. An agent's
//! call is a [`Proposal`]: policy decides. The functions here work on repositories of the host that
//! no agent can write.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::ObjectName;

use crate::bare::BareRepository;
use crate::classify;
use crate::error::GitError;
use crate::names::BranchName;
use crate::names::RefPattern;
use crate::names::Refspec;
use crate::names::RepoPath;
use crate::names::Revision;
use crate::program::Git;
use crate::program::Invocation;
use crate::program::Place;
use crate::push::Expect;
use crate::push::PushRef;
use crate::push::PushStatus;
use crate::remote::GitUrl;
use crate::remote::Remote;

fn origin() -> String {
    "origin".to_owned()
}

/// What `git_clone` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneArguments {
    /// An http or https URL without user and password.
    #[schemars(with = "String")]
    pub url: GitUrl,
    /// A new directory in the workspace.
    #[schemars(with = "String")]
    pub dest: RepoPath,
}

/// What `git_pull` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PullArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// The configured remote.
    #[serde(default = "origin")]
    pub remote: String,
    /// The branch. Default: the one that is checked out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub branch: Option<BranchName>,
}

/// What `git_push` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// The configured remote.
    #[serde(default = "origin")]
    pub remote: String,
    /// The branch. Default: the one that is checked out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub branch: Option<BranchName>,
}

/// Something an agent wants done beyond its workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
pub enum Proposal {
    /// A clone.
    GitClone(CloneArguments),
    /// A pull.
    GitPull(PullArguments),
    /// A push.
    GitPush(PushArguments),
}

/// What came of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Pulled {
    /// Nothing new.
    UpToDate,
    /// The branch moved forward.
    Updated {
        /// Its commit now.
        sha: ObjectName,
    },
    /// Both sides have commits of their own; nothing was changed.
    Diverged,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Pushed {
    /// The other side has the branch now.
    Done {
        /// Its commit.
        sha: ObjectName,
    },
    /// The other side has commits that this one does not, or got some meanwhile.
    Behind,
    /// The server refused.
    Rejected {
        /// Its reason.
        reason: String,
    },
}

/// Clones into a new directory of the host. There is no limit on the time it takes, only on
/// silence.
///
/// # Errors
/// As [`BareRepository::fetch`]; [`GitError::Io`] when `destination` holds something already.
pub async fn clone(git: &Git, remote: &Remote, destination: &Path) -> Result<(), GitError> {
    let target = destination.to_string_lossy().into_owned();
    let parent = destination.parent().unwrap_or(destination);
    std::fs::create_dir_all(parent).map_err(GitError::io("create", parent))?;
    let arguments = [
        "clone",
        "--progress",
        "--no-local",
        "--template=",
        "--no-recurse-submodules",
        "--end-of-options",
        remote.url.as_str(),
        &target,
    ];
    let invocation = Invocation::new(arguments).at(Place::Nowhere).remote(remote);
    let output = git.run(invocation).await?;
    if output.success() {
        return Ok(());
    }
    Err(classify::reading_failure(&output, "clone", remote))
}

/// Moves a branch of a bare repository of ours forward to what the other side has.
///
/// # Errors
/// As [`BareRepository::fetch`].
pub async fn pull(
    bare: &BareRepository,
    remote: &Remote,
    branch: &BranchName,
) -> Result<Pulled, GitError> {
    let ours = branch.reference();
    let theirs = format!("refs/timmy/pull/{branch}").parse()?;
    bare.fetch(remote, &[Refspec::one(&ours, &theirs)]).await?;
    let new = bare.resolve(&Revision::from(&theirs)).await?;
    let old = bare.resolve(&Revision::from(&ours)).await?;
    let new = new.ok_or_else(|| GitError::NotFound {
        what: theirs.to_string(),
    })?;
    match old {
        Some(old) if old == new => return Ok(Pulled::UpToDate),
        Some(old) => match bare.merge_base(&old, &new).await? {
            Some(base) if base == new => return Ok(Pulled::UpToDate),
            Some(base) if base == old => {}
            Some(_) | None => return Ok(Pulled::Diverged),
        },
        None => {}
    }
    bare.set_ref(&ours, &new).await?;
    Ok(Pulled::Updated { sha: new })
}

/// Pushes a branch of a bare repository of ours, only forward, under a lease on what the other side
/// had.
///
/// # Errors
/// As [`BareRepository::push`]; [`GitError::NotFound`] when there is no such branch here.
pub async fn push(
    bare: &BareRepository,
    remote: &Remote,
    branch: &BranchName,
) -> Result<Pushed, GitError> {
    let name = branch.reference();
    let ours = bare.resolve(&Revision::from(&name)).await?;
    let ours = ours.ok_or_else(|| GitError::NotFound {
        what: name.to_string(),
    })?;
    let listed = bare
        .list_remote(remote, &[RefPattern::Exact(name.clone())])
        .await?;
    let expect = match listed.into_iter().next() {
        None => Expect::Absent,
        Some((_, theirs)) => {
            let known = bare.resolve(&Revision::from(&theirs)).await?.is_some();
            if !known || bare.merge_base(&theirs, &ours).await?.as_ref() != Some(&theirs) {
                return Ok(Pushed::Behind);
            }
            Expect::At(theirs)
        }
    };
    let one = PushRef {
        source: Some(ours.clone()),
        target: name,
        expect,
    };
    let results = bare.push(remote, &[one]).await?;
    Ok(
        match results.into_iter().next().map(|result| result.status) {
            Some(PushStatus::Stale) | None => Pushed::Behind,
            Some(PushStatus::Rejected { reason }) => Pushed::Rejected { reason },
            Some(_) => Pushed::Done { sha: ours },
        },
    )
}
