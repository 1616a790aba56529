//! Comments.

use http::Method;
use serde_json::json;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::GiteaClient;
use super::in_repo;
use super::paging::all_pages;
use super::wire::WireComment;
use crate::error::ForgeError;
use crate::marker::marker_in;
use crate::types::Comment;

impl GiteaClient {
    pub(super) async fn list_comments(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<WireComment>, ForgeError> {
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index, "comments"]);
        let mut comments = all_pages::<WireComment>(&self.http, &segments, &[]).await?;
        comments.sort_by_key(|comment| comment.id);
        Ok(comments)
    }

    async fn find_marked(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        marker: &str,
    ) -> Result<Option<WireComment>, ForgeError> {
        let comments = self.list_comments(repo, number).await?;
        let ours = |comment: &WireComment| {
            comment.is_by(&self.user) && marker_in(&comment.body) == Some(marker)
        };
        Ok(comments.into_iter().find(ours))
    }

    pub(super) async fn write_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let marker = marker_in(body);
        if let Some(marker) = marker
            && let Some(found) = self.find_marked(repo, number, marker).await?
        {
            return self.bring_up_to_date(repo, found, body).await;
        }
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index, "comments"]);
        let call = self
            .http
            .call(Method::POST, &segments)
            .body(json!({"body": body}));
        let send = async || {
            let answer = self.http.write(&call).await?;
            answer.json::<WireComment>().map(Comment::from)
        };
        let look = async || {
            let Some(marker) = marker else {
                // Some servers answer 500 for an issue that does not exist.
                self.read_any_issue(repo, number).await?;
                return Err(super::settle::cannot_tell(&call));
            };
            let found = self.find_marked(repo, number, marker).await?;
            Ok(found.map(Comment::from))
        };
        self.settle(send, look).await
    }

    async fn bring_up_to_date(
        &self,
        repo: &RepoName,
        found: WireComment,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        if same_text(&found.body, body) {
            return Ok(found.into());
        }
        self.rewrite_comment(repo, found.id, body).await
    }

    pub(super) async fn rewrite_comment(
        &self,
        repo: &RepoName,
        comment: u64,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let id = comment.to_string();
        let segments = in_repo(repo, &["issues", "comments", &id]);
        let call = self
            .http
            .call(Method::PATCH, &segments)
            .body(json!({"body": body}));
        let send = async || {
            let answer = self.http.write(&call).await?;
            answer.json::<WireComment>().map(Comment::from)
        };
        let look = async || {
            let call = self.http.call(Method::GET, &segments);
            let found = self.http.read(&call).await?.json::<WireComment>()?;
            Ok(same_text(&found.body, body).then(|| found.into()))
        };
        self.settle(send, look).await
    }
}

/// Forges trim texts and change their line ends.
pub(super) fn same_text(one: &str, other: &str) -> bool {
    one.trim().lines().eq(other.trim().lines())
}
