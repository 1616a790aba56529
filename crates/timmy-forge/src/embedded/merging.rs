//! Merging in the bare repository: `git merge-tree`, commits written by hand, one ref moved.
//!
//! There is no working tree, so nothing of the repository's content is ever on disk as a file, and
//! no hook, filter or merge driver of its making can run.

use http::StatusCode;
use serde::Deserialize;
use timmy_core::ObjectName;
use timmy_store::forge::IssueState;
use timmy_store::forge::Mergeable;
use timmy_store::forge::Permission;
use timmy_store::forge::Pull;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::branches;
use super::branches::Commit;
use super::closing;
use super::error::EmbeddedError;
use super::git;
use super::git::Bare;
use super::git::NewCommit;
use super::git::Output;
use super::git::Signature;
use super::merge_check;
use super::pulls;

/// The first git with `merge-tree --write-tree`.
const FIRST_GIT: (u32, u32) = (2, 38);

/// Two commits, merged or not.
pub(super) enum Merged {
    /// The tree that came of it.
    Clean(String),
    /// They contradict each other, or have no common history.
    Conflict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Merge,
    Squash,
    Rebase,
    RebaseMerge,
    FastForwardOnly,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default, rename = "Do")]
    style: String,
    #[serde(default, rename = "MergeTitleField")]
    title: String,
    #[serde(default, rename = "MergeMessageField")]
    message: String,
    #[serde(default)]
    head_commit_id: String,
    #[serde(default)]
    delete_branch_after_merge: Option<bool>,
}

/// `POST /repos/{owner}/{name}/pulls/{number}/merge`: 200 and nothing else.
pub(super) async fn merge(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let user = visit.user()?;
    visit.not_archived()?;
    let asked: Asked = visit.call.json()?;
    let style = style(&asked.style)?;
    let _one_at_a_time = visit.shared.merging.lock().await;
    let pull = &pulls::find(visit, &pull.issue.number.to_string()).await?;
    allowed(visit, pull)?;
    if !asked.head_commit_id.is_empty() && asked.head_commit_id != pull.head {
        return Err(conflict("head out of date"));
    }
    let bare = visit.bare().await?;
    let author = visit.signature(&bare)?;
    let base = bare
        .branch(&pull.base_branch)
        .await?
        .ok_or(Refusal::Missing)?;
    let merging = Merging {
        bare: &bare,
        pull,
        base: &base,
        author: &author,
        message: message(visit, pull, &asked, style),
    };
    let result = merging.result(style).await?;
    visit
        .tables()
        .begin_merge(pull.issue.id, &result, user.id)
        .await?;
    let reference = git::branch_ref(&pull.base_branch).ok_or(Refusal::Missing)?;
    if !bare.move_reference(&reference, &base, &result).await? {
        visit.tables().abandon_merge(pull.issue.id).await?;
        return Err(conflict("merge push out of date"));
    }
    visit.tables().finish_merge(pull.issue.id).await?;
    closing::close_named(visit, pull).await?;
    if asked.delete_branch_after_merge == Some(true) {
        let head = git::branch_ref(&pull.head_branch).ok_or(Refusal::Missing)?;
        bare.move_reference(&head, &pull.head, "").await?;
    }
    let moved = [pull.base_branch.clone()];
    merge_check::follow(visit.shared, &visit.repository, &moved).await?;
    Ok(answer::empty(StatusCode::OK))
}

/// `GET /repos/{owner}/{name}/pulls/{number}/merge`: 204 or 404.
pub(super) fn is_merged(pull: &Pull) -> Answer {
    match pull.merged_at {
        Some(_) => Ok(answer::empty(StatusCode::NO_CONTENT)),
        None => Err(Refusal::Missing),
    }
}

/// Finds out how a merge ended that a crash has kept from being recorded.
pub(super) async fn settle(visit: &Visit<'_>, pull: Pull) -> Result<Pull, Refusal> {
    let (Some(commit), None) = (&pull.merge_commit, pull.merged_at) else {
        return Ok(pull);
    };
    let _no_merge_is_under_way = visit.shared.merging.lock().await;
    let number = pull.issue.number.to_string();
    let pull_now = pulls::find(visit, &number).await?;
    if pull_now.merged_at.is_some() || pull_now.merge_commit.as_ref() != Some(commit) {
        return Ok(pull_now);
    }
    let bare = visit.bare().await?;
    let reached = match bare.branch(&pull.base_branch).await? {
        Some(base) => {
            let arguments = ["merge-base", "--is-ancestor", commit, &base];
            bare.run(arguments).await?.code == 0
        }
        None => false,
    };
    match reached {
        true => {
            visit.tables().finish_merge(pull.issue.id).await?;
            closing::close_named(visit, &pull).await?;
        }
        false => visit.tables().abandon_merge(pull.issue.id).await?,
    }
    pulls::find(visit, &number).await
}

/// Merges two commits without touching any ref.
pub(super) async fn merge_trees(
    bare: &Bare,
    ours: &str,
    theirs: &str,
) -> Result<Merged, EmbeddedError> {
    let arguments = ["merge-tree", "--write-tree", "--no-messages", ours, theirs];
    let output = bare.run(arguments).await?;
    match output.code {
        0 => tree(&output).map(Merged::Clean),
        1 => Ok(Merged::Conflict),
        _ if !output.stderr_says("unrelated histories") => Err(failure(bare, &output).await?),
        _ => Ok(Merged::Conflict),
    }
}

fn tree(output: &Output) -> Result<String, EmbeddedError> {
    let printed = String::from_utf8_lossy(&output.stdout);
    let name = printed.lines().next().unwrap_or_default();
    match name.parse::<ObjectName>() {
        Ok(tree) => Ok(tree.into()),
        Err(error) => Err(EmbeddedError::GitFailed {
            command: "merge-tree".to_owned(),
            said: error.to_string(),
        }),
    }
}

/// An old git says only that it does not know the option.
async fn failure(bare: &Bare, output: &Output) -> Result<EmbeddedError, EmbeddedError> {
    let printed = bare.succeed(["version"]).await?;
    let found = String::from_utf8_lossy(&printed).trim().to_owned();
    if version(&found).is_some_and(|version| version < FIRST_GIT) {
        return Ok(EmbeddedError::GitTooOld { found });
    }
    Ok(git::failed("merge-tree", output))
}

/// `git version 2.39.5` as two numbers.
fn version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.split_whitespace().nth(2)?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

fn style(name: &str) -> Result<Style, Refusal> {
    match name {
        "merge" => Ok(Style::Merge),
        "squash" => Ok(Style::Squash),
        "rebase" => Ok(Style::Rebase),
        "rebase-merge" => Ok(Style::RebaseMerge),
        "fast-forward-only" => Ok(Style::FastForwardOnly),
        "" => Err(Refusal::unprocessable("[Do]: Required")),
        _ => Err(Refusal::unprocessable("[Do]: In")),
    }
}

/// The reasons for which Gitea answers 405, in its order.
fn allowed(visit: &Visit<'_>, pull: &Pull) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::said(StatusCode::METHOD_NOT_ALLOWED, message));
    if pull.merged_at.is_some() {
        return refuse("The PR is already merged");
    }
    if pull.issue.state == IssueState::Closed {
        return Err(Refusal::Missing);
    }
    if visit.permission < Permission::Write {
        return refuse("User not allowed to merge PR");
    }
    if pulls::is_draft(&pull.issue.title) {
        return refuse("Work in progress PRs cannot be merged");
    }
    if pull.mergeable != Mergeable::Yes {
        merge_check::start_if_needed(visit, pull);
        return refuse("Please try again later");
    }
    Ok(())
}

fn message(visit: &Visit<'_>, pull: &Pull, asked: &Asked, style: Style) -> String {
    let (title, number) = (&pull.issue.title, pull.issue.number);
    let subject = match (asked.title.as_str(), style) {
        ("", Style::Squash) => format!("{title} (#{number})"),
        ("", _) => format!(
            "Merge pull request '{title}' (#{number}) from {} into {}",
            pull.head_branch, pull.base_branch
        ),
        (given, _) => given.to_owned(),
    };
    let body = match asked.message.as_str() {
        "" => format!("Reviewed-on: {}/pulls/{number}", visit.page_url()),
        given => given.to_owned(),
    };
    format!("{subject}\n\n{body}\n")
}

fn conflict(message: &str) -> Refusal {
    Refusal::said(StatusCode::CONFLICT, message)
}

struct Merging<'a> {
    bare: &'a Bare,
    pull: &'a Pull,
    base: &'a str,
    author: &'a Signature,
    message: String,
}

impl Merging<'_> {
    /// The commit that the base branch is to point at.
    async fn result(&self, style: Style) -> Result<String, Refusal> {
        let head = self.pull.head.as_str();
        match style {
            Style::Merge => self.join(head).await,
            Style::Squash => {
                let tree = self.merged(self.base, head).await?;
                self.commit(&tree, &[self.base]).await
            }
            Style::Rebase => self.rebased().await,
            Style::RebaseMerge => {
                let rebased = self.rebased().await?;
                self.join(&rebased).await
            }
            Style::FastForwardOnly if self.pull.merge_base == self.base => Ok(head.to_owned()),
            Style::FastForwardOnly => Err(conflict("Not possible to fast-forward, aborting.")),
        }
    }

    async fn join(&self, head: &str) -> Result<String, Refusal> {
        let tree = self.merged(self.base, head).await?;
        self.commit(&tree, &[self.base, head]).await
    }

    async fn commit(&self, tree: &str, parents: &[&str]) -> Result<String, Refusal> {
        let new = NewCommit {
            tree,
            parents,
            author: self.author,
            committer: self.author,
            message: &self.message,
        };
        Ok(self.bare.write_commit(&new).await?)
    }

    async fn merged(&self, ours: &str, theirs: &str) -> Result<String, Refusal> {
        match merge_trees(self.bare, ours, theirs).await? {
            Merged::Clean(tree) => Ok(tree),
            Merged::Conflict => Err(conflict("merge failed because of conflict")),
        }
    }

    /// The commits of the pull request, one by one, on top of the base.
    async fn rebased(&self) -> Result<String, Refusal> {
        if self.pull.merge_base == self.base {
            return Ok(self.pull.head.clone());
        }
        let range = format!("{}..{}", self.base, self.pull.head);
        let options = ["--reverse", "--no-merges", "--topo-order", range.as_str()];
        let mut tip = self.base.to_owned();
        for commit in branches::log(self.bare, &options).await? {
            tip = self.picked(&tip, &commit).await?;
        }
        Ok(tip)
    }

    /// One commit on top of another. git 2.38 cannot be told the base of a merge, so the tip's
    /// tree is put on the commit's own parent first: then that parent is the base.
    async fn picked(&self, tip: &str, commit: &Commit) -> Result<String, Refusal> {
        let Some(parent) = commit.parents.first() else {
            return Err(conflict("rebase failed because of conflict"));
        };
        let tip_tree = format!("{tip}^{{tree}}");
        let ours = self.commit(&tip_tree, &[parent]).await?;
        let tree = self.merged(&ours, &commit.name).await?;
        let new = NewCommit {
            tree: &tree,
            parents: &[tip],
            author: &commit.author,
            committer: self.author,
            message: &commit.message,
        };
        Ok(self.bare.write_commit(&new).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(Some((2, 39)), version("git version 2.39.5"));
        assert_eq!(Some((2, 9)), version("git version 2.9.5 (Apple Git-1)"));
        assert!(version("git version 2.9.5") < Some(FIRST_GIT));
        assert_eq!(None, version("nonsense"));
    }
}
