//! What was said in reviews, and who may say something.

use http::Method;
use serde::Deserialize;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::GiteaClient;
use super::in_repo;
use super::paging::Listed;
use super::paging::all_pages;
use super::wire::WireUser;
use super::wire::bounded;
use super::wire::nullable;
use crate::error::ForgeError;
use crate::review::Review;
use crate::review::ReviewComment;
use crate::review::ReviewState;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireReview {
    #[serde(deserialize_with = "nullable")]
    id: u64,
    user: Option<WireUser>,
    #[serde(deserialize_with = "nullable")]
    state: String,
    #[serde(deserialize_with = "nullable")]
    body: String,
    #[serde(deserialize_with = "nullable")]
    commit_id: String,
    #[serde(deserialize_with = "nullable")]
    stale: bool,
    #[serde(deserialize_with = "nullable")]
    dismissed: bool,
    #[serde(deserialize_with = "nullable")]
    comments_count: u64,
}

impl Listed for WireReview {
    fn id(&self) -> u64 {
        self.id
    }
}

impl WireReview {
    /// `None` when somebody was only asked for a review.
    fn into_review(self) -> Option<Review> {
        let state = match self.state.as_str() {
            "REQUEST_REVIEW" => return None,
            _ if self.dismissed => ReviewState::Dismissed,
            "APPROVED" => ReviewState::Approved,
            "REQUEST_CHANGES" => ReviewState::RequestChanges,
            "PENDING" => ReviewState::Pending,
            _ => ReviewState::Comment,
        };
        Some(Review {
            id: self.id,
            author: self.user.unwrap_or_default().login,
            state,
            body: bounded(self.body),
            commit: self.commit_id.parse().ok(),
            stale: self.stale,
            comments: Vec::new(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireReviewComment {
    #[serde(deserialize_with = "nullable")]
    id: u64,
    user: Option<WireUser>,
    #[serde(deserialize_with = "nullable")]
    body: String,
    #[serde(deserialize_with = "nullable")]
    path: String,
    /// The line in the new version; 0 for none.
    #[serde(deserialize_with = "nullable")]
    position: u64,
}

impl Listed for WireReviewComment {
    fn id(&self) -> u64 {
        self.id
    }
}

impl From<WireReviewComment> for ReviewComment {
    fn from(comment: WireReviewComment) -> Self {
        Self {
            id: comment.id,
            author: comment.user.unwrap_or_default().login,
            path: comment.path,
            line: (comment.position > 0).then_some(comment.position),
            body: bounded(comment.body),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WirePermission {
    #[serde(deserialize_with = "nullable")]
    permission: String,
}

impl GiteaClient {
    pub(super) async fn list_reviews(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Review>, ForgeError> {
        let index = number.to_string();
        let segments = in_repo(repo, &["pulls", &index, "reviews"]);
        let mut listed = all_pages::<WireReview>(&self.http, &segments, &[]).await?;
        listed.sort_by_key(|review| review.id);
        let mut reviews = Vec::with_capacity(listed.len());
        for wire in listed {
            let remarks = wire.comments_count > 0;
            let Some(mut review) = wire.into_review() else {
                continue;
            };
            if remarks {
                review.comments = self.review_comments(repo, &index, review.id).await?;
            }
            reviews.push(review);
        }
        Ok(reviews)
    }

    async fn review_comments(
        &self,
        repo: &RepoName,
        index: &str,
        review: u64,
    ) -> Result<Vec<ReviewComment>, ForgeError> {
        let review = review.to_string();
        let segments = in_repo(repo, &["pulls", index, "reviews", &review, "comments"]);
        let mut found = match all_pages::<WireReviewComment>(&self.http, &segments, &[]).await {
            // Withdrawn since the list was read.
            Err(ForgeError::NotFound(_)) => Vec::new(),
            found => found?,
        };
        found.sort_by_key(|comment| comment.id);
        Ok(found.into_iter().map(ReviewComment::from).collect())
    }

    pub(super) async fn may_write(&self, repo: &RepoName, login: &str) -> Result<bool, ForgeError> {
        if login.is_empty() {
            return Ok(false);
        }
        if login.eq_ignore_ascii_case(repo.owner()) {
            return Ok(true);
        }
        let segments = in_repo(repo, &["collaborators", login, "permission"]);
        let call = self.http.call(Method::GET, &segments);
        match self.http.read(&call).await {
            Ok(answer) => {
                let word = answer.json::<WirePermission>()?.permission;
                Ok(matches!(word.as_str(), "write" | "admin" | "owner"))
            }
            // Only administrators of a repository are told of others.
            Err(ForgeError::Forbidden { .. }) => self.is_invited(repo, login).await,
            Err(ForgeError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_invited(&self, repo: &RepoName, login: &str) -> Result<bool, ForgeError> {
        let segments = in_repo(repo, &["collaborators", login]);
        match self
            .http
            .read(&self.http.call(Method::GET, &segments))
            .await
        {
            Ok(_) => Ok(true),
            Err(ForgeError::NotFound(_) | ForgeError::Validation(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
