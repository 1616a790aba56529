//! The JSON of the API, read forgivingly: fields may be missing or null, words may be new.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::text;

use super::paging::Listed;
use super::wire_pull::pull_state;
use super::wire_pull::without_draft_prefix;
use crate::feed::ListedPull;
use crate::types::Comment;
use crate::types::Issue;
use crate::types::IssueState;
use crate::types::LISTED_TEXT_LIMIT;
use crate::types::Label;
use crate::types::Repository;
use crate::types::Status;
use crate::types::StatusState;
use crate::types::TEXT_LIMIT;

pub(super) fn nullable<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireUser {
    #[serde(deserialize_with = "nullable")]
    pub(super) login: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireVersion {
    #[serde(deserialize_with = "nullable")]
    pub(super) version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireRepository {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: u64,
    #[serde(deserialize_with = "nullable")]
    full_name: String,
    #[serde(deserialize_with = "nullable")]
    default_branch: String,
    #[serde(deserialize_with = "nullable")]
    empty: bool,
    #[serde(deserialize_with = "nullable")]
    archived: bool,
    #[serde(deserialize_with = "nullable")]
    permissions: WirePermissions,
    #[serde(deserialize_with = "nullable")]
    html_url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WirePermissions {
    #[serde(deserialize_with = "nullable")]
    push: bool,
}

impl WireRepository {
    pub(super) fn into_repository(self) -> Result<Repository, String> {
        let name: RepoName = self.full_name.parse().map_err(|error| format!("{error}"))?;
        Ok(Repository {
            name,
            default_branch: self.default_branch,
            empty: self.empty,
            archived: self.archived,
            can_push: self.permissions.push,
            web_url: self.html_url,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireLabel {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    color: String,
    #[serde(deserialize_with = "nullable")]
    description: String,
}

impl Listed for WireLabel {
    fn id(&self) -> u64 {
        self.id
    }
}

impl From<WireLabel> for Label {
    fn from(label: WireLabel) -> Self {
        Self {
            id: label.id,
            name: label.name,
            color: label.color.trim_start_matches('#').to_owned(),
            description: label.description,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireIssue {
    #[serde(deserialize_with = "nullable")]
    id: u64,
    #[serde(deserialize_with = "nullable")]
    number: IssueNumber,
    #[serde(deserialize_with = "nullable")]
    pub(super) title: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) body: String,
    #[serde(deserialize_with = "nullable")]
    state: String,
    #[serde(deserialize_with = "nullable")]
    labels: Vec<WireLabel>,
    #[serde(deserialize_with = "nullable")]
    assignees: Vec<WireUser>,
    user: Option<WireUser>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    #[serde(deserialize_with = "nullable")]
    comments: u64,
    #[serde(deserialize_with = "nullable")]
    html_url: String,
    pull_request: Option<WirePullPart>,
}

/// What the list of issues tells of a pull request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WirePullPart {
    #[serde(deserialize_with = "nullable")]
    merged: bool,
    #[serde(deserialize_with = "nullable")]
    draft: bool,
}

impl Listed for WireIssue {
    fn id(&self) -> u64 {
        self.id
    }
}

impl WireIssue {
    pub(super) fn is_pull(&self) -> bool {
        self.pull_request.is_some()
    }

    pub(super) fn has_labels(&self, wanted: &[String]) -> bool {
        let has = |name: &String| self.labels.iter().any(|label| label.name == *name);
        wanted.iter().all(has)
    }

    /// The ids of its labels of that name.
    pub(super) fn label_ids(&self, name: &str) -> Vec<u64> {
        let named = self.labels.iter().filter(|label| label.name == name);
        named.map(|label| label.id).collect()
    }

    pub(super) fn is_by(&self, login: &str) -> bool {
        login_of(self.user.as_ref()).eq_ignore_ascii_case(login)
    }
}

impl WireIssue {
    /// The issue, with at most about so many bytes of its text.
    fn into_issue(self, text_limit: usize) -> Issue {
        let issue = self;
        Issue {
            number: issue.number,
            title: issue.title,
            body_bytes: issue.body.len() as u64,
            body: bounded_to(issue.body, text_limit),
            state: issue_state(&issue.state),
            labels: issue.labels.into_iter().map(|label| label.name).collect(),
            assignees: issue.assignees.into_iter().map(|user| user.login).collect(),
            author: login_of(issue.user.as_ref()).to_owned(),
            created: issue.created_at.unwrap_or_default(),
            updated: issue.updated_at.unwrap_or_default(),
            comment_count: issue.comments,
            web_url: issue.html_url,
        }
    }

    /// What a list tells of it, with less of its text than when it is read alone.
    pub(super) fn into_listed(self) -> Listing {
        let Some(part) = &self.pull_request else {
            return Listing::Issue(self.into_issue(LISTED_TEXT_LIMIT));
        };
        let prefixed = without_draft_prefix(&self.title);
        Listing::Pull(ListedPull {
            number: self.number,
            draft: part.draft || prefixed.is_some(),
            title: prefixed.unwrap_or(&self.title).to_owned(),
            state: pull_state(&self.state, part.merged),
            author: login_of(self.user.as_ref()).to_owned(),
            updated: self.updated_at.unwrap_or_default(),
            comment_count: self.comments,
            labels: self.labels.into_iter().map(|label| label.name).collect(),
        })
    }
}

/// One entry of a list in which issues and pull requests stand together.
pub(super) enum Listing {
    Issue(Issue),
    Pull(ListedPull),
}

impl Listing {
    pub(super) fn updated(&self) -> Timestamp {
        match self {
            Self::Issue(issue) => issue.updated,
            Self::Pull(pull) => pull.updated,
        }
    }
}

impl From<WireIssue> for Issue {
    fn from(issue: WireIssue) -> Self {
        issue.into_issue(TEXT_LIMIT)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireComment {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: u64,
    user: Option<WireUser>,
    #[serde(deserialize_with = "nullable")]
    pub(super) body: String,
    created_at: Option<Timestamp>,
}

impl Listed for WireComment {
    fn id(&self) -> u64 {
        self.id
    }
}

impl WireComment {
    pub(super) fn is_by(&self, login: &str) -> bool {
        login_of(self.user.as_ref()).eq_ignore_ascii_case(login)
    }
}

impl From<WireComment> for Comment {
    fn from(comment: WireComment) -> Self {
        Self {
            id: comment.id,
            author: login_of(comment.user.as_ref()).to_owned(),
            body: bounded(comment.body),
            created: comment.created_at.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireBranchTip {
    #[serde(deserialize_with = "nullable")]
    pub(super) commit: WireCommit,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireCommit {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireStatus {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: u64,
    #[serde(deserialize_with = "nullable")]
    context: String,
    /// The field is `status` here and `state` in what is written.
    #[serde(deserialize_with = "nullable")]
    status: String,
    #[serde(deserialize_with = "nullable")]
    description: String,
    #[serde(deserialize_with = "nullable")]
    target_url: String,
}

impl Listed for WireStatus {
    fn id(&self) -> u64 {
        self.id
    }
}

impl From<WireStatus> for Status {
    fn from(status: WireStatus) -> Self {
        Self {
            context: status.context,
            state: status_state(&status.status),
            description: status.description,
            target_url: status.target_url,
        }
    }
}

pub(super) fn login_of(user: Option<&WireUser>) -> &str {
    user.map_or("", |user| user.login.as_str())
}

pub(super) fn bounded(body: String) -> String {
    bounded_to(body, TEXT_LIMIT)
}

fn bounded_to(body: String, limit: usize) -> String {
    if body.len() <= limit {
        return body;
    }
    text::bound(&body, limit).into_owned()
}

fn issue_state(word: &str) -> IssueState {
    match word {
        "open" => IssueState::Open,
        _ => IssueState::Closed,
    }
}

fn status_state(word: &str) -> StatusState {
    match word {
        "pending" => StatusState::Pending,
        "success" => StatusState::Success,
        "failure" => StatusState::Failure,
        "warning" => StatusState::Warning,
        _ => StatusState::Error,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn missing_null_and_unknown_are_survived() {
        let issue: WireIssue = serde_json::from_str(
            r#"{"number":3,"title":null,"labels":null,"assignees":null,"user":null,"state":"parked",
                "created_at":"2026-01-02T03:04:05+02:00","novelty":{"a":1},"pull_request":null}"#,
        )
        .unwrap();
        assert!(!issue.is_pull());
        let issue = Issue::from(issue);
        assert_eq!((3, IssueState::Closed), (issue.number, issue.state));
        assert_eq!("2026-01-02T01:04:05Z", issue.created.to_string());
    }

    #[test]
    fn a_huge_text_is_cut_and_says_so() {
        let body = "x".repeat(10 << 20);
        let issue = Issue::from(WireIssue {
            number: 9,
            body,
            ..WireIssue::default()
        });
        assert!(issue.body.len() <= TEXT_LIMIT + 64);
        let warning = issue.warning().map(|problem| problem.what);
        let expected = "the text of issue #9 is 10485760 bytes long; its middle was left out";
        assert_eq!(Some(expected.to_owned()), warning);
    }

    proptest! {
        #[test]
        fn an_issue_matches_if_and_only_if_it_has_every_label(
            has in proptest::collection::vec("[a-cA-C]{1,2}", 0..5),
            wanted in proptest::collection::vec("[a-cA-C]{1,2}", 0..4),
        ) {
            let labels = has.iter().map(|name| WireLabel { name: name.clone(), ..WireLabel::default() });
            let issue = WireIssue { labels: labels.collect(), ..WireIssue::default() };
            let missing = wanted.iter().filter(|name| !has.contains(name)).count();
            prop_assert_eq!(missing == 0, issue.has_labels(&wanted));
        }
    }
}
