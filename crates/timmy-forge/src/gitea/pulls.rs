//! Pull requests.

use http::Method;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::GiteaClient;
use super::comments::same_text;
use super::http::Answer;
use super::http::DIFF_LIMIT;
use super::in_repo;
use super::paging::all_pages;
use super::wire_pull::DRAFT_PREFIX;
use super::wire_pull::WireFile;
use super::wire_pull::WirePull;
use crate::error::ForgeError;
use crate::types::IssueState;
use crate::types::NewPull;
use crate::types::Opened;
use crate::types::PullFile;
use crate::types::PullFilter;
use crate::types::PullRequest;
use crate::types::PullState;
use crate::types::PullUpdate;
use crate::types::StateFilter;

impl GiteaClient {
    /// Filters by branch are ignored by some servers, so only the state is left to them.
    pub(super) async fn list_pulls(
        &self,
        repo: &RepoName,
        filter: &PullFilter,
    ) -> Result<Vec<PullRequest>, ForgeError> {
        let query = [("state", filter.state.as_str())];
        let found = all_pages::<WirePull>(&self.http, &in_repo(repo, &["pulls"]), &query).await?;
        let pulls = found.into_iter().filter_map(|pull| {
            let number = pull.number;
            let pull = pull.into_pull();
            pull.inspect_err(
                |why| tracing::warn!(%repo, number, why, "odd pull request passed over"),
            )
            .ok()
        });
        Ok(pulls.filter(|pull| matches(filter, pull)).collect())
    }

    pub(super) async fn read_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        let index = number.to_string();
        let call = self
            .http
            .call(Method::GET, &in_repo(repo, &["pulls", &index]));
        decode(&self.http.read(&call).await?)
    }

    /// The open pull request between two branches of the repository.
    async fn find_open_pull(
        &self,
        repo: &RepoName,
        base: &str,
        head: &str,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let segments = in_repo(repo, &["pulls", base, head]);
        let open = |pull: &PullRequest| {
            pull.state == PullState::Open && pull.head_branch == head && !pull.from_fork
        };
        match self
            .http
            .read(&self.http.call(Method::GET, &segments))
            .await
        {
            Ok(answer) => {
                let pull = decode(&answer)?;
                if open(&pull) && pull.base_branch == base {
                    return Ok(Some(pull));
                }
            }
            Err(ForgeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        // Of several between the same branches, servers give any: an old one hides the open one.
        let filter = PullFilter {
            state: StateFilter::Open,
            head: Some(head.to_owned()),
        };
        let pulls = self.list_pulls(repo, &filter).await?;
        Ok(pulls.into_iter().find(|pull| pull.base_branch == base))
    }

    /// What a request of which the reply was lost may have opened. It need not be open any more:
    /// somebody may have decided about it meanwhile, and must not find a second one.
    async fn find_sent_pull(
        &self,
        repo: &RepoName,
        new: &NewPull,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let open = self.find_open_pull(repo, &new.base, &new.head).await?;
        if open.is_some() {
            return Ok(open);
        }
        let filter = PullFilter {
            state: StateFilter::Closed,
            head: Some(new.head.clone()),
        };
        let decided = self.list_pulls(repo, &filter).await?;
        let sent =
            |pull: &PullRequest| pull.base_branch == new.base && is_as_wanted(pull, &wanted(new));
        Ok(decided.into_iter().find(sent))
    }

    pub(super) async fn open_pull(
        &self,
        repo: &RepoName,
        new: &NewPull,
    ) -> Result<Opened, ForgeError> {
        let call = self
            .http
            .call(Method::POST, &in_repo(repo, &["pulls"]))
            .body(json!({
                "title": titled(&new.title, new.draft),
                "body": new.body,
                "head": new.head,
                "base": new.base,
            }));
        let send = async || decode(&self.http.write(&call).await?);
        let look = async || self.find_sent_pull(repo, new).await;
        match self.settle(send, look).await {
            Ok(pull) if is_as_wanted(&pull, &wanted(new)) => Ok(Opened {
                pull,
                adopted: false,
            }),
            Ok(pull) => self.adopt(repo, &pull, new).await,
            Err(ForgeError::Conflict(refusal)) => {
                match self.find_open_pull(repo, &new.base, &new.head).await? {
                    Some(pull) => self.adopt(repo, &pull, new).await,
                    None => Err(ForgeError::Conflict(refusal)),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn adopt(
        &self,
        repo: &RepoName,
        pull: &PullRequest,
        new: &NewPull,
    ) -> Result<Opened, ForgeError> {
        let pull = self.change_pull(repo, pull.number, &wanted(new)).await?;
        Ok(Opened {
            pull,
            adopted: true,
        })
    }

    pub(super) async fn change_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &PullUpdate,
    ) -> Result<PullRequest, ForgeError> {
        let fields = self.changed_fields(repo, number, update).await?;
        let index = number.to_string();
        let segments = in_repo(repo, &["pulls", &index]);
        let call = self
            .http
            .call(Method::PATCH, &segments)
            .body(Value::Object(fields));
        let send = async || decode(&self.http.write(&call).await?);
        let look = async || {
            let pull = self.read_pull(repo, number).await?;
            Ok(is_as_wanted(&pull, update).then_some(pull))
        };
        self.settle(send, look).await
    }

    /// Title and draft are one field on the forge: whoever changes one must know the other.
    async fn changed_fields(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        update: &PullUpdate,
    ) -> Result<Map<String, Value>, ForgeError> {
        let mut fields = Map::new();
        let title = match (&update.title, update.draft) {
            (None, None) => None,
            (Some(title), Some(draft)) => Some(titled(title, draft)),
            (title, draft) => {
                let now = self.read_pull(repo, number).await?;
                let title = title.as_deref().unwrap_or(&now.title);
                Some(titled(title, draft.unwrap_or(now.draft)))
            }
        };
        if let Some(title) = title {
            fields.insert("title".to_owned(), title.into());
        }
        if let Some(body) = &update.body {
            fields.insert("body".to_owned(), body.as_str().into());
        }
        if let Some(state) = update.state {
            let word = match state {
                IssueState::Open => "open",
                IssueState::Closed => "closed",
            };
            fields.insert("state".to_owned(), word.into());
        }
        Ok(fields)
    }

    pub(super) async fn list_pull_files(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<PullFile>, ForgeError> {
        let index = number.to_string();
        let segments = in_repo(repo, &["pulls", &index, "files"]);
        let files = all_pages::<WireFile>(&self.http, &segments, &[]).await?;
        Ok(files.into_iter().map(PullFile::from).collect())
    }

    pub(super) async fn read_pull_diff(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<String, ForgeError> {
        let file = format!("{number}.diff");
        let call = self
            .http
            .call(Method::GET, &in_repo(repo, &["pulls", &file]));
        self.http.read_text(&call, DIFF_LIMIT).await
    }
}

pub(super) fn decode(answer: &Answer) -> Result<PullRequest, ForgeError> {
    let pull = answer.json::<WirePull>()?.into_pull();
    pull.map_err(|why| answer.malformed(&why))
}

fn matches(filter: &PullFilter, pull: &PullRequest) -> bool {
    let state = match filter.state {
        StateFilter::All => true,
        StateFilter::Open => pull.state == PullState::Open,
        StateFilter::Closed => pull.state != PullState::Open,
    };
    let head = |branch: &String| pull.head_branch == *branch && !pull.from_fork;
    state && filter.head.as_ref().is_none_or(head)
}

fn titled(title: &str, draft: bool) -> String {
    if draft {
        format!("{DRAFT_PREFIX}{title}")
    } else {
        title.to_owned()
    }
}

fn wanted(new: &NewPull) -> PullUpdate {
    PullUpdate {
        title: Some(new.title.clone()),
        body: Some(new.body.clone()),
        draft: Some(new.draft),
        state: None,
    }
}

fn is_as_wanted(pull: &PullRequest, update: &PullUpdate) -> bool {
    let state = |wanted| match wanted {
        IssueState::Open => pull.state == PullState::Open,
        IssueState::Closed => pull.state == PullState::Closed,
    };
    update
        .title
        .as_ref()
        .is_none_or(|title| pull.title == *title)
        && update
            .body
            .as_ref()
            .is_none_or(|body| same_text(&pull.body, body))
        && update.draft.is_none_or(|draft| pull.draft == draft)
        && update.state.is_none_or(state)
}
