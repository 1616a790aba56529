//! The trait every forge is reached through.

use async_trait::async_trait;
use jiff::Timestamp;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_git::Remote;

use crate::error::ForgeError;
use crate::feed::Changes;
use crate::review::Review;
use crate::types::Comment;
use crate::types::Counts;
use crate::types::Issue;
use crate::types::IssueFilter;
use crate::types::IssueUpdate;
use crate::types::Label;
use crate::types::MergeRequest;
use crate::types::NewIssue;
use crate::types::NewLabel;
use crate::types::NewPull;
use crate::types::Opened;
use crate::types::PullFile;
use crate::types::PullFilter;
use crate::types::PullRequest;
use crate::types::PullUpdate;
use crate::types::Repository;
use crate::types::ServerInfo;
use crate::types::Status;

/// A Git host with issues and pull requests.
///
/// Every write either happened when `Ok` comes back, or did not happen, or the error is
/// [`ForgeError::UnknownOutcome`]. Reads are repeated after passing faults; a write is repeated only
/// after a look at the forge showed that it did not happen.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What the server says of itself.
    async fn server(&self) -> Result<ServerInfo, ForgeError>;

    /// Where git finds a repository, and with whose rights.
    ///
    /// # Errors
    /// [`ForgeError::Address`] when git could not use the address.
    fn remote(&self, repo: &RepoName) -> Result<Remote, ForgeError>;

    /// A repository.
    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError>;

    /// All issues that match, newest first; pull requests are not among them.
    async fn issues(&self, repo: &RepoName, filter: &IssueFilter)
    -> Result<Vec<Issue>, ForgeError>;

    /// Without a moment: what is open. With one: everything that changed then or later, open and
    /// closed. One request when nothing did, for issues and pull requests together.
    ///
    /// Times are told in seconds, so what changed in the second of `since` comes again; see
    /// [`crate::Feed`]. What is deleted is not told: only a new list without a moment shows that.
    async fn changes(
        &self,
        repo: &RepoName,
        since: Option<Timestamp>,
    ) -> Result<Changes, ForgeError>;

    /// How much is open in a repository, by one short list call each.
    async fn counts(&self, repo: &RepoName) -> Result<Counts, ForgeError>;

    /// One issue. The number of a pull request is [`ForgeError::NotFound`].
    async fn issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError>;

    /// Opens an issue, with its labels really on it.
    async fn create_issue(&self, repo: &RepoName, new: &NewIssue) -> Result<Issue, ForgeError>;

    /// Replaces title or text of an issue.
    async fn edit_issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &IssueUpdate,
    ) -> Result<Issue, ForgeError>;

    /// Closes an issue. One that is blocked by another is [`ForgeError::Blocked`].
    async fn close_issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError>;

    /// All comments of an issue or pull request, oldest first.
    async fn comments(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError>;

    /// Comments. When `body` holds a [`crate::marker`] and a comment of ours with that marker is
    /// there already, that one is brought up to date instead.
    async fn comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError>;

    /// Replaces the text of a comment.
    async fn edit_comment(
        &self,
        repo: &RepoName,
        comment: u64,
        body: &str,
    ) -> Result<Comment, ForgeError>;

    /// The labels an issue of this repository can have.
    async fn labels(&self, repo: &RepoName) -> Result<Vec<Label>, ForgeError>;

    /// Makes a label, or gives the one of that name back.
    async fn create_label(&self, repo: &RepoName, new: &NewLabel) -> Result<Label, ForgeError>;

    /// Puts labels on an issue. One that does not exist is [`ForgeError::MissingLabels`].
    async fn add_labels(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        labels: &[&str],
    ) -> Result<(), ForgeError>;

    /// Takes a label off an issue. It need not have been on it.
    async fn remove_label(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), ForgeError>;

    /// The issues that must be closed before this one, open and closed.
    async fn blockers(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Issue>, ForgeError>;

    /// All pull requests that match.
    async fn pulls(
        &self,
        repo: &RepoName,
        filter: &PullFilter,
    ) -> Result<Vec<PullRequest>, ForgeError>;

    /// One pull request, as the forge sees it now.
    async fn pull(&self, repo: &RepoName, number: IssueNumber) -> Result<PullRequest, ForgeError>;

    /// One pull request after the forge had time to find out whether it merges: `mergeable` is
    /// `Some`, and false for a draft. Waits up to [`crate::MERGEABLE_WAIT`].
    async fn checked_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError>;

    /// Opens a pull request, or brings the open one between the same branches up to date.
    async fn create_pull(&self, repo: &RepoName, new: &NewPull) -> Result<Opened, ForgeError>;

    /// Changes a pull request.
    async fn update_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &PullUpdate,
    ) -> Result<PullRequest, ForgeError>;

    /// Merges a pull request if its head is still the commit that was checked, and gives back what
    /// became of it. Merging what this very head already merged succeeds.
    async fn merge_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        request: &MergeRequest,
    ) -> Result<PullRequest, ForgeError>;

    /// What was said in reviews of a pull request, oldest first.
    async fn reviews(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Review>, ForgeError>;

    /// Whether somebody may push to the repository. A token that may not ask for others' rights is
    /// told only who is invited: then everybody who is counts.
    async fn is_writer(&self, repo: &RepoName, login: &str) -> Result<bool, ForgeError>;

    /// The files a pull request changes.
    async fn pull_files(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<PullFile>, ForgeError>;

    /// A pull request as a patch, at most about [`crate::DIFF_LIMIT`] bytes of it.
    async fn pull_diff(&self, repo: &RepoName, number: IssueNumber) -> Result<String, ForgeError>;

    /// Sets a commit status.
    async fn set_status(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
        status: &Status,
    ) -> Result<(), ForgeError>;

    /// The newest status of each context of a commit.
    async fn statuses(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
    ) -> Result<Vec<Status>, ForgeError>;
}
