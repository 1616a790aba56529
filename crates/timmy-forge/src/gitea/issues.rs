//! Issues and what blocks them.

use http::Method;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::GiteaClient;
use super::comments::same_text;
use super::in_repo;
use super::paging::all_pages;
use super::wire::WireIssue;
use crate::error::ForgeError;
use crate::error::Refusal;
use crate::marker::marker_in;
use crate::types::Issue;
use crate::types::IssueFilter;
use crate::types::IssueState;
use crate::types::IssueUpdate;
use crate::types::Label;
use crate::types::NewIssue;
use crate::types::StateFilter;

/// What the server can be asked about labels without being misunderstood.
enum LabelQuery {
    /// No issue can have them all.
    Nothing,
    /// These names, as a hint.
    Names(String),
}

impl GiteaClient {
    pub(super) async fn list_issues(
        &self,
        repo: &RepoName,
        filter: &IssueFilter,
    ) -> Result<Vec<Issue>, ForgeError> {
        let LabelQuery::Names(names) = self.label_query(repo, &filter.labels).await? else {
            return Ok(Vec::new());
        };
        let mut query = vec![("type", "issues"), ("state", filter.state.as_str())];
        if !names.is_empty() {
            query.push(("labels", &names));
        }
        let found = all_pages::<WireIssue>(&self.http, &in_repo(repo, &["issues"]), &query).await?;
        let issues = found
            .into_iter()
            .filter(|issue| !issue.is_pull() && issue.has_labels(&filter.labels))
            .map(Issue::from)
            .filter(|issue| state_matches(filter.state, issue.state));
        Ok(issues.collect())
    }

    /// A name that a repository lacks must not be sent: servers drop it, and with it the filter. A
    /// name that two labels share must not either: servers then find no issue at all.
    async fn label_query(
        &self,
        repo: &RepoName,
        wanted: &[String],
    ) -> Result<LabelQuery, ForgeError> {
        if wanted.is_empty() {
            return Ok(LabelQuery::Names(String::new()));
        }
        let own = self.repo_labels(repo).await?;
        let count =
            |labels: &[Label], name: &str| labels.iter().filter(|label| label.name == name).count();
        if wanted.iter().any(|name| count(&own, name) == 0) {
            let all = self.all_labels(repo).await?;
            if wanted.iter().any(|name| count(&all, name) == 0) {
                return Ok(LabelQuery::Nothing);
            }
        }
        let sent = |name: &&String| count(&own, name) == 1 && !name.contains(',');
        let names: Vec<&str> = wanted.iter().filter(sent).map(String::as_str).collect();
        Ok(LabelQuery::Names(names.join(",")))
    }

    /// An issue or, since they share their numbers, a pull request.
    pub(super) async fn read_any_issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<WireIssue, ForgeError> {
        let index = number.to_string();
        let call = self
            .http
            .call(Method::GET, &in_repo(repo, &["issues", &index]));
        self.http.read(&call).await?.json()
    }

    pub(super) async fn read_issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<WireIssue, ForgeError> {
        let issue = self.read_any_issue(repo, number).await?;
        if issue.is_pull() {
            let index = number.to_string();
            let call = self
                .http
                .call(Method::GET, &in_repo(repo, &["issues", &index]));
            return Err(ForgeError::NotFound(Refusal {
                call: call.name(),
                said: "that number is a pull request".to_owned(),
            }));
        }
        Ok(issue)
    }

    pub(super) async fn open_issue(
        &self,
        repo: &RepoName,
        new: &NewIssue,
    ) -> Result<Issue, ForgeError> {
        let labels: Vec<&str> = new.labels.iter().map(String::as_str).collect();
        let ids = if labels.is_empty() {
            Vec::new()
        } else {
            self.label_ids(repo, &labels).await?
        };
        let call = self
            .http
            .call(Method::POST, &in_repo(repo, &["issues"]))
            .body(json!({
                "title": new.title, "body": new.body, "labels": ids,
            }));
        let send = async || self.http.write(&call).await?.json::<WireIssue>();
        let look = async || match marker_in(&new.body) {
            Some(marker) => self.find_marked_issue(repo, marker).await,
            None => Err(super::settle::cannot_tell(&call)),
        };
        let issue = self.settle(send, look).await?;
        if issue.has_labels(&new.labels) {
            return Ok(issue.into());
        }
        // Without the right to label, servers drop the labels and say nothing. This says it.
        let number = Issue::from(issue).number;
        self.put_labels(repo, number, &labels).await?;
        self.read_issue(repo, number).await.map(Issue::from)
    }

    /// An issue of ours with this mark, among the newest ones.
    async fn find_marked_issue(
        &self,
        repo: &RepoName,
        marker: &str,
    ) -> Result<Option<WireIssue>, ForgeError> {
        let call = self
            .http
            .call(Method::GET, &in_repo(repo, &["issues"]))
            .query("type", "issues")
            .query("state", "all");
        let newest: Vec<WireIssue> = self.http.read(&call).await?.json()?;
        let ours =
            |issue: &WireIssue| issue.is_by(&self.user) && marker_in(&issue.body) == Some(marker);
        Ok(newest.into_iter().find(ours))
    }

    pub(super) async fn change_issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &IssueUpdate,
    ) -> Result<Issue, ForgeError> {
        // A pull request has the same path.
        self.read_issue(repo, number).await?;
        let mut fields = Map::new();
        let wanted = [("title", &update.title), ("body", &update.body)];
        for (name, text) in wanted {
            if let Some(text) = text {
                fields.insert(name.to_owned(), text.as_str().into());
            }
        }
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index]);
        let call = self
            .http
            .call(Method::PATCH, &segments)
            .body(Value::Object(fields));
        let send = async || {
            let answer = self.http.write(&call).await?;
            answer.json::<WireIssue>().map(Issue::from)
        };
        let look = async || {
            let issue = self.read_issue(repo, number).await?;
            let same = |wanted: &Option<String>, real: &str| {
                wanted.as_ref().is_none_or(|text| same_text(text, real))
            };
            let done = same(&update.title, &issue.title) && same(&update.body, &issue.body);
            Ok(done.then(|| Issue::from(issue)))
        };
        self.settle(send, look).await
    }

    pub(super) async fn shut_issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Issue, ForgeError> {
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index]);
        let call = self
            .http
            .call(Method::PATCH, &segments)
            .body(json!({"state": "closed"}));
        let send = async || {
            let answer = self.http.write(&call).await?;
            answer.json::<WireIssue>().map(Issue::from)
        };
        let look = async || {
            let issue = Issue::from(self.read_any_issue(repo, number).await?);
            Ok((issue.state == IssueState::Closed).then_some(issue))
        };
        self.settle(send, look).await
    }

    pub(super) async fn list_blockers(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Issue>, ForgeError> {
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index, "dependencies"]);
        match all_pages::<WireIssue>(&self.http, &segments, &[]).await {
            Ok(blockers) => Ok(blockers.into_iter().map(Issue::from).collect()),
            // Where dependencies are switched off there are none; where the issue is missing, say so.
            Err(ForgeError::NotFound(_)) => {
                self.read_any_issue(repo, number).await.map(|_| Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes an issue wait for another one of the same repository.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn add_blocker(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        blocker: IssueNumber,
    ) -> Result<(), ForgeError> {
        let call = self.blocker_call(Method::POST, repo, number, blocker);
        let look = async || Ok(self.waits_for(repo, number, blocker).await?.then_some(()));
        self.settle(async || self.http.write(&call).await.map(drop), look)
            .await
    }

    /// Makes an issue no longer wait for another one.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn remove_blocker(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        blocker: IssueNumber,
    ) -> Result<(), ForgeError> {
        let call = self.blocker_call(Method::DELETE, repo, number, blocker);
        let look = async || Ok((!self.waits_for(repo, number, blocker).await?).then_some(()));
        self.settle(async || self.http.write(&call).await.map(drop), look)
            .await
    }

    fn blocker_call(
        &self,
        method: Method,
        repo: &RepoName,
        number: IssueNumber,
        blocker: IssueNumber,
    ) -> super::http::Call {
        let index = number.to_string();
        let segments = in_repo(repo, &["issues", &index, "dependencies"]);
        self.http.call(method, &segments).body(json!({
            "owner": repo.owner(), "repo": repo.name(), "index": blocker,
        }))
    }

    async fn waits_for(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        blocker: IssueNumber,
    ) -> Result<bool, ForgeError> {
        let blockers = self.list_blockers(repo, number).await?;
        Ok(blockers.iter().any(|issue| issue.number == blocker))
    }
}

fn state_matches(filter: StateFilter, state: IssueState) -> bool {
    match filter {
        StateFilter::All => true,
        StateFilter::Open => state == IssueState::Open,
        StateFilter::Closed => state == IssueState::Closed,
    }
}
