//! Commit statuses.

use std::collections::BTreeMap;

use http::Method;
use serde_json::json;
use timmy_core::ObjectName;
use timmy_core::RepoName;

use super::GiteaClient;
use super::in_repo;
use super::paging::all_pages;
use super::wire::WireStatus;
use crate::error::ForgeError;
use crate::types::Status;

impl GiteaClient {
    pub(super) async fn write_status(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
        status: &Status,
    ) -> Result<(), ForgeError> {
        let segments = in_repo(repo, &["statuses", commit.as_str()]);
        let call = self.http.call(Method::POST, &segments).body(json!({
            "context": status.context,
            "state": status.state.as_str(),
            "description": status.description,
            "target_url": status.target_url,
        }));
        let send = async || self.http.write(&call).await.map(drop);
        let look = async || {
            let statuses = self.list_statuses(repo, commit).await?;
            Ok(statuses.contains(status).then_some(()))
        };
        self.settle(send, look).await
    }

    /// The newest of each context. The list holds every status that was ever set.
    pub(super) async fn list_statuses(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
    ) -> Result<Vec<Status>, ForgeError> {
        let segments = in_repo(repo, &["commits", commit.as_str(), "statuses"]);
        let mut all = all_pages::<WireStatus>(&self.http, &segments, &[]).await?;
        all.sort_by_key(|status| status.id);
        let newest: BTreeMap<String, Status> = all
            .into_iter()
            .map(Status::from)
            .map(|status| (status.context.clone(), status))
            .collect();
        Ok(newest.into_values().collect())
    }
}
