//! Labels. They are addressed by id: servers up to Forgejo 7 take no names, later ones ignore names
//! that they do not know.

use http::Method;
use serde_json::json;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::GiteaClient;
use super::in_repo;
use super::paging::all_pages;
use super::wire::WireLabel;
use crate::error::ForgeError;
use crate::error::Refusal;
use crate::types::Label;
use crate::types::NewLabel;

impl GiteaClient {
    pub(super) async fn repo_labels(&self, repo: &RepoName) -> Result<Vec<Label>, ForgeError> {
        let labels = all_pages::<WireLabel>(&self.http, &in_repo(repo, &["labels"]), &[]).await?;
        Ok(labels.into_iter().map(Label::from).collect())
    }

    /// The labels of the organisation that owns the repository: none when a person owns it, or when
    /// the token may not read organisations.
    async fn owner_labels(&self, repo: &RepoName) -> Result<Vec<Label>, ForgeError> {
        let segments = ["orgs", repo.owner(), "labels"];
        match all_pages::<WireLabel>(&self.http, &segments, &[]).await {
            Ok(labels) => Ok(labels.into_iter().map(Label::from).collect()),
            Err(ForgeError::NotFound(_) | ForgeError::Forbidden { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn all_labels(&self, repo: &RepoName) -> Result<Vec<Label>, ForgeError> {
        let mut labels = self.repo_labels(repo).await?;
        labels.extend(self.owner_labels(repo).await?);
        Ok(labels)
    }

    /// The ids of labels by name. The organisation is asked only when the repository lacks one.
    pub(super) async fn label_ids(
        &self,
        repo: &RepoName,
        names: &[&str],
    ) -> Result<Vec<u64>, ForgeError> {
        let mut known = self.repo_labels(repo).await?;
        let lacks = |known: &[Label], name: &str| known.iter().all(|label| label.name != name);
        if names.iter().any(|name| lacks(&known, name)) {
            known.extend(self.owner_labels(repo).await?);
        }
        let missing: Vec<String> = names
            .iter()
            .filter(|name| lacks(&known, name))
            .map(|name| (*name).to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(ForgeError::MissingLabels {
                repo: repo.clone(),
                labels: missing,
            });
        }
        let id_of = |name: &&str| known.iter().find(|label| label.name == **name);
        Ok(names
            .iter()
            .filter_map(id_of)
            .map(|label| label.id)
            .collect())
    }

    pub(super) async fn make_label(
        &self,
        repo: &RepoName,
        new: &NewLabel,
    ) -> Result<Label, ForgeError> {
        let find = async || {
            let labels = self.repo_labels(repo).await?;
            Ok(labels.into_iter().find(|label| label.name == new.name))
        };
        // The server would make a second one of the same name without a word.
        if let Some(label) = find().await? {
            return Ok(label);
        }
        let call = self
            .http
            .call(Method::POST, &in_repo(repo, &["labels"]))
            .body(json!({
                "name": new.name,
                "color": format!("#{}", new.color.trim_start_matches('#')),
                "description": new.description,
            }));
        let send = async || {
            let answer = self.http.write(&call).await?;
            answer.json::<WireLabel>().map(Label::from)
        };
        self.settle(send, find).await
    }

    pub(super) async fn put_labels(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        labels: &[&str],
    ) -> Result<(), ForgeError> {
        if labels.is_empty() {
            return Ok(());
        }
        let ids = self.label_ids(repo, labels).await?;
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index, "labels"]);
        let call = self
            .http
            .call(Method::POST, &segments)
            .body(json!({"labels": ids}));
        let wanted: Vec<String> = labels.iter().map(|name| (*name).to_owned()).collect();
        let look = async || {
            let issue = self.read_any_issue(repo, number).await?;
            Ok(issue.has_labels(&wanted).then_some(()))
        };
        self.settle(async || self.http.write(&call).await.map(drop), look)
            .await?;
        // Without the right to write, servers may drop labels and call it a success.
        match look().await? {
            Some(()) => Ok(()),
            None => Err(ForgeError::Forbidden {
                refusal: Refusal {
                    call: call.name(),
                    said: "the labels were dropped without a word".to_owned(),
                },
                scope: None,
            }),
        }
    }

    pub(super) async fn take_label(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), ForgeError> {
        let issue = self.read_any_issue(repo, number).await?;
        let index = number.to_string();
        // There can be two of one name.
        for id in issue.label_ids(label) {
            let id = id.to_string();
            let segments = in_repo(repo, &["issues", &index, "labels", &id]);
            let call = self.http.call(Method::DELETE, &segments);
            let look = async || {
                let issue = self.read_any_issue(repo, number).await?;
                Ok(issue.label_ids(label).is_empty().then_some(()))
            };
            self.settle(async || self.http.write(&call).await.map(drop), look)
                .await?;
        }
        Ok(())
    }
}
