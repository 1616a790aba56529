//! Gitea, Forgejo and the embedded forge, over `/api/v1`.

mod changes;
mod comments;
mod counts;
mod http;
mod issues;
mod labels;
mod merging;
mod pacing;
mod paging;
mod pulls;
mod refusal;
mod repositories;
mod reviews;
mod settle;
mod statuses;
mod wire;
mod wire_pull;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use timmy_core::Clock;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_git::Remote;

use self::http::Http;
use self::wire::WireVersion;
use crate::error::ForgeError;
use crate::feed::Changes;
use crate::forge::Forge;
use crate::review::Review;
use crate::types::Comment;
use crate::types::Counts;
use crate::types::ForgeAddress;
use crate::types::ForgeKind;
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

pub use self::http::ANSWER_LIMIT;
pub use self::http::DIFF_LIMIT;
pub use self::pacing::MERGEABLE_WAIT;
pub use self::pacing::Pacing;

/// A client of Gitea, Forgejo or the embedded forge.
///
/// The login comes from the configuration and is never asked for: a token that is restricted to
/// some repositories may not read its own user.
pub struct GiteaClient {
    http: Http,
    address: ForgeAddress,
    user: String,
    token: SecretString,
}

impl fmt::Debug for GiteaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GiteaClient")
            .field("address", &self.address)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl GiteaClient {
    /// A client for the forge at `address`, acting as `user` with `token`.
    ///
    /// # Errors
    /// [`ForgeError::Address`] when the address or the token cannot be used in a request.
    pub fn new(
        address: ForgeAddress,
        user: String,
        token: SecretString,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ForgeError> {
        Self::with_pacing(address, user, token, clock, Pacing::default())
    }

    /// The same, with waits of its own.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_pacing(
        address: ForgeAddress,
        user: String,
        token: SecretString,
        clock: Arc<dyn Clock>,
        pacing: Pacing,
    ) -> Result<Self, ForgeError> {
        let http = Http::new(&address.base, &token, pacing, clock)?;
        Ok(Self {
            http,
            address,
            user,
            token,
        })
    }

    /// The login it acts as.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Where the forge is.
    #[must_use]
    pub fn address(&self) -> &ForgeAddress {
        &self.address
    }

    /// The waits between looks at something that the forge works out in the background.
    pub(crate) fn settling_waits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        self.http.pacing().mergeable_waits()
    }

    async fn read_server(&self) -> Result<ServerInfo, ForgeError> {
        let call = self.http.call(Method::GET, &["version"]);
        let answer = self.http.read(&call).await?;
        let version = answer.json::<WireVersion>()?.version;
        if version.is_empty() {
            return Err(answer.malformed("no version in it"));
        }
        Ok(ServerInfo {
            kind: kind_of(&version),
            version,
        })
    }
}

/// Forgejo says which Gitea it can stand in for; the embedded forge says that it is timmy's.
fn kind_of(version: &str) -> ForgeKind {
    if version.contains("timmy") {
        ForgeKind::Embedded
    } else if version.contains("+gitea-") {
        ForgeKind::Forgejo
    } else {
        ForgeKind::Gitea
    }
}

/// The start of a path below a repository.
fn in_repo<'a>(repo: &'a RepoName, rest: &[&'a str]) -> Vec<&'a str> {
    let mut segments = vec!["repos", repo.owner(), repo.name()];
    segments.extend(rest);
    segments
}

#[async_trait]
impl Forge for GiteaClient {
    async fn server(&self) -> Result<ServerInfo, ForgeError> {
        self.read_server().await
    }

    fn remote(&self, repo: &RepoName) -> Result<Remote, ForgeError> {
        self.git_remote(repo)
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        self.read_repository(repo).await
    }

    async fn issues(
        &self,
        repo: &RepoName,
        filter: &IssueFilter,
    ) -> Result<Vec<Issue>, ForgeError> {
        self.list_issues(repo, filter).await
    }

    async fn changes(
        &self,
        repo: &RepoName,
        since: Option<Timestamp>,
    ) -> Result<Changes, ForgeError> {
        self.list_changes(repo, since).await
    }

    async fn counts(&self, repo: &RepoName) -> Result<Counts, ForgeError> {
        self.count(repo).await
    }

    async fn issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        self.read_issue(repo, number).await.map(Issue::from)
    }

    async fn create_issue(&self, repo: &RepoName, new: &NewIssue) -> Result<Issue, ForgeError> {
        self.open_issue(repo, new).await
    }

    async fn edit_issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &IssueUpdate,
    ) -> Result<Issue, ForgeError> {
        self.change_issue(repo, number, update).await
    }

    async fn close_issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        self.shut_issue(repo, number).await
    }

    async fn comments(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        let comments = self.list_comments(repo, number).await?;
        Ok(comments.into_iter().map(Comment::from).collect())
    }

    async fn comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.write_comment(repo, number, body).await
    }

    async fn edit_comment(
        &self,
        repo: &RepoName,
        comment: u64,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.rewrite_comment(repo, comment, body).await
    }

    async fn labels(&self, repo: &RepoName) -> Result<Vec<Label>, ForgeError> {
        self.all_labels(repo).await
    }

    async fn create_label(&self, repo: &RepoName, new: &NewLabel) -> Result<Label, ForgeError> {
        self.make_label(repo, new).await
    }

    async fn add_labels(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        labels: &[&str],
    ) -> Result<(), ForgeError> {
        self.put_labels(repo, number, labels).await
    }

    async fn remove_label(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), ForgeError> {
        self.take_label(repo, number, label).await
    }

    async fn blockers(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Issue>, ForgeError> {
        self.list_blockers(repo, number).await
    }

    async fn pulls(
        &self,
        repo: &RepoName,
        filter: &PullFilter,
    ) -> Result<Vec<PullRequest>, ForgeError> {
        self.list_pulls(repo, filter).await
    }

    async fn pull(&self, repo: &RepoName, number: IssueNumber) -> Result<PullRequest, ForgeError> {
        self.read_pull(repo, number).await
    }

    async fn checked_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        self.wait_for_mergeable(repo, number).await
    }

    async fn create_pull(&self, repo: &RepoName, new: &NewPull) -> Result<Opened, ForgeError> {
        self.open_pull(repo, new).await
    }

    async fn update_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &PullUpdate,
    ) -> Result<PullRequest, ForgeError> {
        self.change_pull(repo, number, update).await
    }

    async fn merge_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        request: &MergeRequest,
    ) -> Result<PullRequest, ForgeError> {
        self.merge(repo, number, request).await
    }

    async fn reviews(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Review>, ForgeError> {
        self.list_reviews(repo, number).await
    }

    async fn is_writer(&self, repo: &RepoName, login: &str) -> Result<bool, ForgeError> {
        self.may_write(repo, login).await
    }

    async fn pull_files(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<PullFile>, ForgeError> {
        self.list_pull_files(repo, number).await
    }

    async fn pull_diff(&self, repo: &RepoName, number: IssueNumber) -> Result<String, ForgeError> {
        self.read_pull_diff(repo, number).await
    }

    async fn set_status(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
        status: &Status,
    ) -> Result<(), ForgeError> {
        self.write_status(repo, commit, status).await
    }

    async fn statuses(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
    ) -> Result<Vec<Status>, ForgeError> {
        self.list_statuses(repo, commit).await
    }
}
