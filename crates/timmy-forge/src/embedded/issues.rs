//! Issues.

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::Issue;
use timmy_store::forge::IssueEdit;
use timmy_store::forge::IssueQuery;
use timmy_store::forge::IssueState;
use timmy_store::forge::Kind;
use timmy_store::forge::NewIssue;
use timmy_store::forge::Pull;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::labels;
use super::pulls;
use super::users;

/// Longer titles are cut, as on Gitea.
const TITLE_LIMIT: usize = 255;

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    labels: Vec<i64>,
    #[serde(default)]
    assignee: String,
    #[serde(default)]
    assignees: Vec<String>,
    #[serde(default)]
    closed: bool,
}

/// What can be changed of issues and pull requests alike.
#[derive(Deserialize)]
pub(super) struct Edit {
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    assignees: Option<Vec<String>>,
}

impl Edit {
    pub(super) fn changes_state(&self) -> bool {
        self.state.as_deref().is_some_and(|state| !state.is_empty())
    }
}

/// `GET /repos/{owner}/{name}/issues`
pub(super) async fn list(visit: &Visit<'_>) -> Answer {
    let call = visit.call;
    let names: Vec<&str> = call
        .parameter("labels")
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let query = IssueQuery {
        state: wanted_state(call.parameter("state")),
        kind: match call.parameter("type") {
            "issues" => Some(Kind::Issue),
            "pulls" => Some(Kind::Pull),
            _ => None,
        },
        labels: labels::named(visit, &names).await?,
        base_branch: None,
        since: since(call.parameter("since"))?,
    };
    let page = call.page();
    let (found, total) = visit
        .tables()
        .issues(visit.repository.id, &query, page)
        .await?;
    let mut shapes = Vec::with_capacity(found.len());
    for issue in &found {
        shapes.push(shape(visit, issue).await?);
    }
    Ok(call.list(&shapes, total))
}

/// A moment to list from, in milliseconds. Times are told in seconds, so the second it names is whole.
fn since(text: &str) -> Result<Option<i64>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let moment: Result<Timestamp, _> = text.parse();
    let moment = moment.map_err(|error| Refusal::unprocessable(error.to_string()))?;
    Ok(Some(moment.as_second().saturating_mul(1000)))
}

/// `closed`, `all`, or else open.
pub(super) fn wanted_state(name: &str) -> Option<IssueState> {
    match name {
        "closed" => Some(IssueState::Closed),
        "all" => None,
        _ => Some(IssueState::Open),
    }
}

/// `GET /repos/{owner}/{name}/issues/{number}`
pub(super) async fn get(visit: &Visit<'_>, issue: &Issue) -> Answer {
    Ok(answer::json(StatusCode::OK, &shape(visit, issue).await?))
}

/// `POST /repos/{owner}/{name}/issues`: labels and assignees of somebody who may not write are
/// dropped in silence.
pub(super) async fn create(visit: &Visit<'_>) -> Answer {
    let author = visit.user()?.id;
    visit.not_archived()?;
    let asked: Create = visit.call.json()?;
    let title = title(&asked.title)?;
    let (mut label_keys, mut assignees) = (Vec::new(), Vec::new());
    if visit.can_write() {
        label_keys = labels::keyed(visit, &asked.labels).await?;
        let mut names = asked.assignees;
        names.extend((!asked.assignee.is_empty()).then_some(asked.assignee));
        assignees = user_keys(visit, &names).await?;
    }
    let new = NewIssue {
        repository: visit.repository.id,
        author,
        title: &title,
        body: &stored(&asked.body),
        labels: &label_keys,
        assignees: &assignees,
    };
    let number = visit.tables().add_issue(&new).await?;
    let issue = find(visit, &number.to_string()).await?;
    if asked.closed {
        let edit = IssueEdit {
            state: Some(IssueState::Closed),
            ..IssueEdit::default()
        };
        visit.tables().edit_issue(issue.id, edit).await?;
    }
    let issue = find(visit, &number.to_string()).await?;
    let created = shape(visit, &issue).await?;
    Ok(answer::json(StatusCode::CREATED, &created))
}

/// `PATCH /repos/{owner}/{name}/issues/{number}`, which answers 201.
pub(super) async fn edit(visit: &Visit<'_>, issue: &Issue) -> Answer {
    apply(visit, issue, visit.call.json()?).await?;
    let edited = find(visit, &issue.number.to_string()).await?;
    let edited = shape(visit, &edited).await?;
    Ok(answer::json(StatusCode::CREATED, &edited))
}

/// Changes an issue or pull request as far as the caller may.
pub(super) async fn apply(visit: &Visit<'_>, issue: &Issue, asked: Edit) -> Result<(), Refusal> {
    let user = visit.user()?;
    if user.id != issue.author_id && !visit.can_write() {
        return Err(Refusal::Silent(StatusCode::FORBIDDEN));
    }
    let state = match asked.state.as_deref() {
        None | Some("") => None,
        Some("open") => Some(IssueState::Open),
        Some("closed") => Some(IssueState::Closed),
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            return Err(Refusal::unprocessable(format!("unknown state: {other}")));
        }
    };
    if state == Some(IssueState::Closed) && issue.state == IssueState::Open {
        not_blocked(visit, issue).await?;
    }
    let assignees = match asked.assignees {
        Some(names) if visit.can_write() => Some(user_keys(visit, &names).await?),
        _ => None,
    };
    let edit = IssueEdit {
        title: match asked.title.as_deref() {
            None | Some("") => None,
            Some(new) => Some(title(new)?),
        },
        body: asked.body.map(|body| stored(&body)),
        state,
        assignees,
    };
    Ok(visit.tables().edit_issue(issue.id, edit).await?)
}

async fn not_blocked(visit: &Visit<'_>, issue: &Issue) -> Result<(), Refusal> {
    let blockers = visit.tables().blockers(issue.id).await?;
    if blockers
        .iter()
        .any(|blocker| blocker.state == IssueState::Open)
    {
        return Err(Refusal::said(
            StatusCode::PRECONDITION_FAILED,
            "cannot close this issue or pull request because it still has open dependencies",
        ));
    }
    Ok(())
}

pub(super) async fn find(visit: &Visit<'_>, number: &str) -> Result<Issue, Refusal> {
    let number: i64 = number.parse().map_err(|_| Refusal::Missing)?;
    let found = visit.tables().issue(visit.repository.id, number).await?;
    found.ok_or(Refusal::Missing)
}

/// An issue as the API shows it; a pull request too, as the issue that it also is.
pub(super) async fn shape(visit: &Visit<'_>, issue: &Issue) -> Result<Value, Refusal> {
    let pull = match issue.kind {
        Kind::Issue => None,
        Kind::Pull => {
            let repository = visit.repository.id;
            visit.tables().pull(repository, issue.number).await?
        }
    };
    let kind = page_name(issue.kind);
    let mut shape = shared_shape(visit, issue).await?;
    shape["url"] = json!(format!("{}/issues/{}", visit.api_url(), issue.number));
    shape["html_url"] = json!(format!("{}/{kind}/{}", visit.page_url(), issue.number));
    shape["pull_request"] = pull.map_or(Value::Null, |pull| pull_part(visit, &pull));
    shape["repository"] = json!({
        "id": visit.repository.id,
        "name": visit.repository.name,
        "owner": visit.repository.owner,
        "full_name": format!("{}/{}", visit.repository.owner, visit.repository.name),
    });
    Ok(shape)
}

/// The fields that issues and pull requests have in common.
pub(super) async fn shared_shape(visit: &Visit<'_>, issue: &Issue) -> Result<Value, Refusal> {
    let base = &visit.call.base;
    let labels = visit.tables().labels_of(issue.id).await?;
    let assignees = visit.tables().assignees(issue.id).await?;
    let assignees: Vec<Value> = assignees
        .iter()
        .map(|user| users::shape(base, user.id, &user.name))
        .collect();
    Ok(json!({
        "id": issue.id,
        "number": issue.number,
        "user": users::shape(base, issue.author_id, &issue.author),
        "original_author": "",
        "original_author_id": 0,
        "title": issue.title,
        "body": issue.body,
        "ref": "",
        "assets": [],
        "labels": labels::shapes(visit, &labels),
        "milestone": null,
        "assignee": assignees.first(),
        // Gitea writes null for none.
        "assignees": if assignees.is_empty() { Value::Null } else { json!(assignees) },
        "state": issue.state.as_str(),
        "is_locked": false,
        "comments": issue.comments,
        "created_at": users::time(issue.created_at),
        "updated_at": users::time(issue.updated_at),
        "closed_at": users::optional_time(issue.closed_at),
        "due_date": null,
        "pin_order": 0,
    }))
}

fn pull_part(visit: &Visit<'_>, pull: &Pull) -> Value {
    json!({
        "merged": pull.merged_at.is_some(),
        "merged_at": users::optional_time(pull.merged_at),
        "draft": pulls::is_draft(&pull.issue.title),
        "html_url": format!("{}/pulls/{}", visit.page_url(), pull.issue.number),
    })
}

/// The part of a page's address that tells the two kinds apart.
pub(super) fn page_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Issue => "issues",
        Kind::Pull => "pulls",
    }
}

/// A title as it is kept: on one line, within bounds, not empty.
pub(super) fn title(text: &str) -> Result<String, Refusal> {
    let text = stored(text.trim());
    if text.is_empty() {
        return Err(Refusal::unprocessable("[Title]: Required"));
    }
    if text.chars().count() <= TITLE_LIMIT {
        return Ok(text);
    }
    Ok(text.chars().take(TITLE_LIMIT - 1).chain(['…']).collect())
}

/// Text as it is kept: all of it but NUL, which PostgreSQL cannot store.
pub(super) fn stored(text: &str) -> String {
    text.replace('\0', "")
}

async fn user_keys(visit: &Visit<'_>, names: &[String]) -> Result<Vec<i64>, Refusal> {
    let mut keys = Vec::with_capacity(names.len());
    for name in names {
        let user = visit.tables().user(name).await?;
        let unknown = || Refusal::unprocessable(format!("Assignee does not exist: [name: {name}]"));
        keys.push(user.ok_or_else(unknown)?.id);
    }
    Ok(keys)
}
