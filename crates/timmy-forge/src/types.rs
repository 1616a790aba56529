//! What a forge holds, in timmy's own words. Every string in here was written by somebody else.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RepoName;
use url::Url;

/// The longest issue, comment or pull request text that is kept, in bytes. Of a longer one the
/// middle is taken out.
pub const TEXT_LIMIT: usize = 256 << 10;

/// The longest issue text that is kept of an issue in [`crate::Changes`], in bytes: a hundred thousand of
/// them must fit. Who needs the whole text reads the issue.
pub const LISTED_TEXT_LIMIT: usize = 2 << 10;

/// Which program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    /// Gitea.
    #[default]
    Gitea,
    /// Forgejo.
    Forgejo,
    /// The forge inside timmy.
    Embedded,
}

impl fmt::Display for ForgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Embedded => "embedded",
        })
    }
}

/// Where a forge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeAddress {
    /// The address a person opens, without `/api/v1`; it may have a path of its own.
    pub base: Url,
    /// What is expected there.
    pub kind: ForgeKind,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Which program it is, read off its version.
    pub kind: ForgeKind,
    /// Its version, as it gave it.
    pub version: String,
}

/// How much there is in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Open issues, without pull requests.
    pub open_issues: u64,
    /// Open pull requests.
    pub open_pulls: u64,
    /// Commits of the default branch.
    pub commits: u64,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name as the forge spells it; another one than asked for means that it was renamed.
    pub name: RepoName,
    /// The branch that pull requests go to. It need not exist: see `empty`.
    pub default_branch: String,
    /// True when it has no commit at all.
    pub empty: bool,
    /// True when it takes no writes.
    pub archived: bool,
    /// Whether this token's user may push. A token without the scope still says true.
    pub can_push: bool,
    /// Where a person reads it.
    pub web_url: String,
}

/// Whether an issue waits for somebody. A state that is not known counts as closed, so that nobody
/// works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssueState {
    /// It waits.
    Open,
    /// It does not.
    Closed,
}

/// An issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Its number.
    pub number: IssueNumber,
    /// Its title.
    pub title: String,
    /// Its text, at most about [`TEXT_LIMIT`] bytes of it.
    pub body: String,
    /// How long its text is on the forge, in bytes.
    pub body_bytes: u64,
    /// Whether it is open.
    pub state: IssueState,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The logins of those it is assigned to.
    pub assignees: Vec<String>,
    /// The login of who wrote it.
    pub author: String,
    /// When it was written.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// How many comments it has.
    pub comment_count: u64,
    /// Where a person reads it.
    pub web_url: String,
}

impl Issue {
    /// A warning when its text was cut.
    #[must_use]
    pub fn warning(&self) -> Option<Problem> {
        if self.body_bytes <= TEXT_LIMIT as u64 {
            return None;
        }
        let what = format!(
            "the text of issue #{} is {} bytes long; its middle was left out",
            self.number, self.body_bytes
        );
        let problem = Problem::new(Code::new(516), ExitStatus::Data, what)
            .at(self.web_url.clone())
            .fix("move logs and data out of the issue's text into an attachment");
        Some(problem)
    }
}

/// Which issues to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IssueFilter {
    /// Open ones unless said otherwise.
    pub state: StateFilter,
    /// Labels an issue must all have, by exact name.
    pub labels: Vec<String>,
}

/// A state to list by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateFilter {
    /// What is open.
    #[default]
    Open,
    /// What is closed, merged pull requests among it.
    Closed,
    /// Everything.
    All,
}

impl StateFilter {
    /// The word for it in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::All => "all",
        }
    }
}

/// An issue to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewIssue {
    /// Its title.
    pub title: String,
    /// Its text. With a [`crate::marker`] in it, a lost reply can be made good.
    pub body: String,
    /// Names of labels, which must exist.
    pub labels: Vec<String>,
}

/// What is to change in an issue. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IssueUpdate {
    /// Its title.
    pub title: Option<String>,
    /// Its text.
    pub body: Option<String>,
}

/// A comment on an issue or pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id, ascending in the order of creation.
    pub id: u64,
    /// The login of who wrote it.
    pub author: String,
    /// Its text, at most about [`TEXT_LIMIT`] bytes of it.
    pub body: String,
    /// When it was written.
    pub created: Timestamp,
}

/// A label of a repository or of the organisation that owns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its id, which is what the API takes.
    pub id: u64,
    /// Its name. Nothing stops a repository from having two labels of one name.
    pub name: String,
    /// Its colour, six hexadecimal digits.
    pub color: String,
    /// What it means.
    pub description: String,
}

/// A label to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLabel {
    /// Its name.
    pub name: String,
    /// Its colour, six hexadecimal digits.
    pub color: String,
    /// What it means.
    pub description: String,
}

/// Where a pull request stands. A state that is not known counts as closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// It waits for a decision.
    Open,
    /// It was refused.
    Closed,
    /// Its commits are in the base branch.
    Merged,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number, from the same row as the issues'.
    pub number: IssueNumber,
    /// Its title without the prefix that marks a draft.
    pub title: String,
    /// Its text, at most about [`TEXT_LIMIT`] bytes of it.
    pub body: String,
    /// Where it stands.
    pub state: PullState,
    /// Whether it is marked as not ready.
    pub draft: bool,
    /// The branch it comes from.
    pub head_branch: String,
    /// The commit at the end of that branch, as far as the forge has noticed.
    pub head: ObjectName,
    /// Whether that branch lies in another repository.
    pub from_fork: bool,
    /// The branch it goes to.
    pub base_branch: String,
    /// Whether it merges without conflict. `None` while the forge has not said yes: it works that
    /// out in the background and says "no" meanwhile. [`crate::Forge::checked_pull`] waits.
    pub mergeable: Option<bool>,
    /// The commit that merged it.
    pub merge_commit: Option<ObjectName>,
    /// The names of its labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The login of who opened it.
    pub author: String,
    /// Where a person reads it.
    pub web_url: String,
}

/// Which pull requests to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PullFilter {
    /// Open ones unless said otherwise.
    pub state: StateFilter,
    /// Only those that come from this branch of the same repository.
    pub head: Option<String>,
}

/// A pull request to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPull {
    /// Its title, without a prefix that marks a draft.
    pub title: String,
    /// Its text.
    pub body: String,
    /// The branch it comes from, in the same repository.
    pub head: String,
    /// The branch it goes to.
    pub base: String,
    /// Whether to mark it as not ready.
    pub draft: bool,
}

/// What is to change in a pull request. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PullUpdate {
    /// Its title, without a prefix that marks a draft.
    pub title: Option<String>,
    /// Its text.
    pub body: Option<String>,
    /// Whether it is marked as not ready.
    pub draft: Option<bool>,
    /// Open or closed.
    pub state: Option<IssueState>,
}

/// A pull request after it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The pull request.
    pub pull: PullRequest,
    /// True when it was open already and was updated.
    pub adopted: bool,
}

/// How commits get into the base branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeStyle {
    /// A merge commit.
    Merge,
    /// The commits on top of the base branch.
    Rebase,
    /// The commits on top of the base branch, then a merge commit.
    RebaseMerge,
    /// One commit.
    Squash,
    /// The base branch moves to the head, or nothing happens.
    FastForwardOnly,
}

impl MergeStyle {
    /// The word for it in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Rebase => "rebase",
            Self::RebaseMerge => "rebase-merge",
            Self::Squash => "squash",
            Self::FastForwardOnly => "fast-forward-only",
        }
    }
}

/// A merge to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRequest {
    /// How.
    pub style: MergeStyle,
    /// The commit that was checked. When the branch moved on, nothing is merged.
    pub head: ObjectName,
}

/// A file that a pull request changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullFile {
    /// Its path.
    pub path: String,
    /// What happened to it, in the forge's word: added, modified, changed, deleted, renamed.
    pub status: String,
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whose verdict it is. The newest of a context counts.
    pub context: String,
    /// The verdict.
    pub state: StatusState,
    /// One line.
    pub description: String,
    /// Where a person reads more; empty for nowhere.
    pub target_url: String,
}

/// The verdict of a commit status. One that is not known counts as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// Not decided.
    Pending,
    /// Good.
    Success,
    /// It could not be found out.
    Error,
    /// Bad.
    Failure,
    /// Good, with a remark.
    Warning,
}

impl StatusState {
    /// The word for it in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Error => "error",
            Self::Failure => "failure",
            Self::Warning => "warning",
        }
    }
}

/// A repository to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRepository {
    /// Its name, without the owner: it belongs to the token's user.
    pub name: String,
    /// Whether others may not see it.
    pub private: bool,
    /// Whether it starts with a first commit.
    pub with_first_commit: bool,
    /// The name of its default branch.
    pub default_branch: String,
}
