//! Looking into a clone that others write: git runs in the sandbox only.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use timmy_core::ObjectName;
use timmy_git::BUNDLE_LIMIT;
use timmy_git::GitError;
use timmy_git::RefName;
use timmy_git::RepoPath;
use timmy_git::tools::GitCall;
use timmy_git::tools::GitOutput;
use timmy_git::tools::GitRunner;
use timmy_git::tools::SandboxRunner;
use timmy_git::tools::Status;
use timmy_git::tools::StatusArguments;
use timmy_git::tools::status;
use timmy_sandbox::Command;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Tree;

use super::name::WorkspaceName;
use crate::workspace::error::WorkspaceError;

/// Makes one commit of everything in the work tree, and a bundle of it and of every ref. `$1` is a
/// commit that need not be in it. As with collecting work, a copy of the index keeps a lock that was
/// left from being in the way.
const KEEP: &str = r#"
set -eu
safe() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 -c commit.gpgSign=false "$@"; }
export GIT_DIR=.git GIT_WORK_TREE=. GIT_INDEX_FILE=.git/timmy-keep.index
rm -f .git/timmy-keep.*
cp .git/index "$GIT_INDEX_FILE" 2>/dev/null || safe read-tree HEAD
safe add -A .
tree=$(safe write-tree)
commit=$(echo 'Kept by timmy' | safe commit-tree "$tree" -p HEAD)
safe update-ref refs/timmy/kept "$commit"
safe bundle create --quiet .git/timmy-keep.bundle --all "^$1"
"#;
const KEPT_BUNDLE: &str = ".git/timmy-keep.bundle";

/// What a clone holds beyond the base branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// The branch that is checked out; none when a commit is, without a branch.
    pub branch: Option<String>,
    /// The commit that is checked out.
    pub head: ObjectName,
    /// Paths that differ from that commit: staged, modified, in conflict or unknown to git.
    pub changed: Vec<String>,
    /// Commits that the base branch does not have.
    pub ahead: u64,
    /// Commits of the base branch that this one does not have.
    pub behind: u64,
    /// Commits, stashes among them, that are on no branch of the forge.
    pub unpublished: u64,
}

impl State {
    /// What would be lost with the clone, as a noun phrase; nothing when it is all elsewhere.
    #[must_use]
    pub fn unsaved(&self) -> Option<String> {
        let changed = match self.changed.len() {
            0 => None,
            number => Some(format!("{number} changed files")),
        };
        let commits = match self.unpublished {
            0 => None,
            number => Some(format!("{number} commits")),
        };
        match (changed, commits) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one),
            (Some(changed), Some(commits)) => Some(format!("{changed} and {commits}")),
        }
    }
}

/// git in one clone.
pub(super) struct Inside<'a> {
    pub(super) name: &'a WorkspaceName,
    pub(super) sandbox: &'a dyn Sandbox,
    pub(super) policy: Policy,
    pub(super) redactor: &'a timmy_core::Redactor,
}

impl Inside<'_> {
    /// What the clone holds. `published` are commits of the forge.
    pub(super) async fn state(
        &self,
        base: &ObjectName,
        published: &[ObjectName],
    ) -> Result<State, WorkspaceError> {
        let told = |error| self.told(error);
        let runner = self.runner();
        let found = status(&runner, &StatusArguments::default())
            .await
            .map_err(told)?;
        let head = self
            .lines(&["rev-parse", "--verify", "HEAD^{commit}"], "")
            .await?;
        let head = ObjectName::from_str(head.trim()).map_err(|error| self.broken(error))?;
        let sides = format!("{base}...HEAD");
        let sides = self
            .lines(&["rev-list", "--left-right", "--count", &sides, "--"], "")
            .await?;
        let mut sides = sides.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(behind)), Some(Ok(ahead))) = (sides.next(), sides.next()) else {
            return Err(self.broken("git rev-list printed no two numbers"));
        };
        let known: String = published.iter().map(|tip| format!("^{tip}\n")).collect();
        let counted = [
            "rev-list",
            "--ignore-missing",
            "--count",
            "--all",
            "HEAD",
            "--stdin",
        ];
        let counted = self.lines(&counted, &format!("^{base}\n{known}")).await?;
        let unpublished = counted.trim().parse().map_err(|error| self.broken(error))?;
        Ok(State {
            branch: found.branch.clone(),
            head,
            changed: changed(found),
            ahead,
            behind,
            unpublished,
        })
    }

    /// Takes the base branch over from a bundle that the host wrote.
    pub(super) async fn take_base(
        &self,
        bundle: &Path,
        base_branch: &RefName,
    ) -> Result<(), WorkspaceError> {
        let tracking = tracking(base_branch);
        let refspec = format!("+{base_branch}:{tracking}");
        let mut arguments: Vec<OsString> = ["fetch", "--quiet", "--no-tags"].map(Into::into).into();
        arguments.extend(["--no-write-fetch-head", "--end-of-options"].map(OsString::from));
        arguments.push(bundle.as_os_str().to_owned());
        arguments.push(refspec.into());
        self.call(arguments, "").await.map(drop)
    }

    /// Says where the clone comes from, for people and tools that fetch and push with credentials
    /// of their own.
    pub(super) async fn name_origin(
        &self,
        url: &str,
        base_branch: &RefName,
        base: &ObjectName,
    ) -> Result<(), WorkspaceError> {
        let heads = "+refs/heads/*:refs/remotes/origin/*";
        self.lines(&["config", "--local", "remote.origin.url", url], "")
            .await?;
        self.lines(&["config", "--local", "remote.origin.fetch", heads], "")
            .await?;
        let tracking = tracking(base_branch);
        self.lines(&["update-ref", &tracking, base.as_str()], "")
            .await
            .map(drop)
    }

    /// Makes a branch at a commit and checks it out.
    pub(super) async fn branch(&self, name: &str, at: &ObjectName) -> Result<(), WorkspaceError> {
        let create = [
            "switch",
            "--quiet",
            "--no-track",
            "--create",
            name,
            at.as_str(),
        ];
        self.lines(&create, "").await.map(drop)
    }

    /// A bundle of everything that is in the clone and not in `base`.
    pub(super) async fn keep(&self, base: &ObjectName) -> Result<Vec<u8>, WorkspaceError> {
        let command = Command::new(["sh", "-c", KEEP, "keep", base.as_str()]);
        let finished = self.sandbox.run(&self.policy, &command).await?;
        if !finished.success() {
            return Err(self.broken(finished.text(self.redactor).trim()));
        }
        let clone = self.policy.workspace.clone();
        let read = move || Tree::open(&clone)?.read(Path::new(KEPT_BUNDLE), BUNDLE_LIMIT);
        let read = tokio::task::spawn_blocking(read).await;
        Ok(read.map_err(|error| self.broken(error))??)
    }

    fn runner(&self) -> SandboxRunner<'_> {
        SandboxRunner::new(self.sandbox, &self.policy, self.redactor)
    }

    async fn lines(&self, arguments: &[&str], input: &str) -> Result<String, WorkspaceError> {
        let arguments = arguments.iter().map(OsString::from).collect();
        let output = self.call(arguments, input).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn call(
        &self,
        arguments: Vec<OsString>,
        input: &str,
    ) -> Result<GitOutput, WorkspaceError> {
        let call = GitCall {
            directory: RepoPath::top(),
            arguments,
            input: input.into(),
        };
        let output = self
            .runner()
            .git(call)
            .await
            .map_err(|error| self.told(error))?;
        if output.code == Some(0) && !output.truncated {
            return Ok(output);
        }
        Err(self.broken(&output.stderr))
    }

    fn told(&self, error: GitError) -> WorkspaceError {
        match error {
            GitError::Sandbox(error) => error.into(),
            error => self.broken(error),
        }
    }

    fn broken(&self, reason: impl std::fmt::Display) -> WorkspaceError {
        WorkspaceError::Clone {
            name: self.name.to_string(),
            reason: timmy_core::text::clean_line(&reason.to_string()),
        }
    }
}

fn tracking(base_branch: &RefName) -> String {
    let short = base_branch.branch().unwrap_or_default();
    format!("refs/remotes/origin/{short}")
}

fn changed(status: Status) -> Vec<String> {
    let all = [
        status.staged,
        status.modified,
        status.untracked,
        status.conflicted,
    ];
    let mut paths: Vec<String> = all.into_iter().flatten().collect();
    paths.sort();
    paths.dedup();
    paths
}

/// A file of what is kept, by its time.
pub(super) fn kept_name(directory: &Path, mark: &str, ending: &str) -> PathBuf {
    directory.join(format!("{mark}.{ending}"))
}
