//! Merging, on forges that find out in the background whether they can.

use http::Method;
use serde_json::json;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::GiteaClient;
use super::in_repo;
use crate::error::ForgeError;
use crate::types::MergeRequest;
use crate::types::PullRequest;
use crate::types::PullState;

/// What the 405 says while the forge has not found out whether a pull request merges.
const NOT_YET: &str = "try again later";

impl GiteaClient {
    pub(super) async fn wait_for_mergeable(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        let mut waits = self.http.pacing().mergeable_waits();
        loop {
            let mut pull = self.read_pull(repo, number).await?;
            // Of a draft the forge says "no" for as long as it is one.
            if pull.mergeable.is_some() || pull.draft || pull.state != PullState::Open {
                pull.mergeable.get_or_insert(false);
                return Ok(pull);
            }
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    pull.mergeable = Some(false);
                    return Ok(pull);
                }
            }
        }
    }

    pub(super) async fn merge(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        request: &MergeRequest,
    ) -> Result<PullRequest, ForgeError> {
        let mut waits = self.http.pacing().mergeable_waits();
        loop {
            let refused = match self.try_merge(repo, number, request).await {
                Err(ForgeError::NotMergeable(refusal)) => refusal,
                settled => return settled,
            };
            // A second merge is refused with the same status as a merge that cannot be done.
            if let Some(merged) = self.merged(repo, number, request).await? {
                return Ok(merged);
            }
            let later = refused.said.to_ascii_lowercase().contains(NOT_YET);
            match waits.next().filter(|_| later) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(ForgeError::NotMergeable(refused)),
            }
        }
    }

    async fn try_merge(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        request: &MergeRequest,
    ) -> Result<PullRequest, ForgeError> {
        let index = number.to_string();
        let segments = in_repo(repo, &["pulls", &index, "merge"]);
        let call = self.http.call(Method::POST, &segments).body(json!({
            "Do": request.style.as_str(),
            "head_commit_id": request.head.as_str(),
        }));
        let send = async || {
            self.http.write(&call).await?;
            self.read_pull(repo, number).await
        };
        let pull = self
            .settle(send, async || self.merged(repo, number, request).await)
            .await?;
        if pull.state == PullState::Merged {
            return Ok(pull);
        }
        Err(ForgeError::UnknownOutcome {
            call: call.name(),
            why: "the forge accepted the merge but has not done it".to_owned(),
        })
    }

    /// The pull request, if this very head of it was merged.
    async fn merged(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        request: &MergeRequest,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let pull = self.read_pull(repo, number).await?;
        let done = pull.state == PullState::Merged && pull.head == request.head;
        Ok(done.then_some(pull))
    }
}
