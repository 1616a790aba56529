//! Labels: those of a repository, and those on an issue.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::Issue;
use timmy_store::forge::Label;
use timmy_store::forge::LabelEdit;
use timmy_store::forge::NewLabel;
use timmy_store::forge::Permission;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    name: String,
    #[serde(default)]
    color: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Edit {
    name: Option<String>,
    color: Option<String>,
    description: Option<String>,
}

/// Labels by key or by name, not mixed.
#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    labels: Vec<Value>,
}

/// `GET /repos/{owner}/{name}/labels`
pub(super) async fn list(visit: &Visit<'_>) -> Answer {
    let labels = visit.tables().labels(visit.repository.id).await?;
    Ok(visit.call.page_of(&shapes(visit, &labels)))
}

/// `GET /repos/{owner}/{name}/labels/{id}`
pub(super) async fn get(visit: &Visit<'_>, id: &str) -> Answer {
    let label = find(visit, id).await?;
    Ok(answer::json(StatusCode::OK, &shape(visit, &label)))
}

/// `POST /repos/{owner}/{name}/labels`
pub(super) async fn create(visit: &Visit<'_>) -> Answer {
    visit.require(Permission::Write)?;
    let asked: Create = visit.call.json()?;
    if asked.name.trim().is_empty() {
        return Err(Refusal::unprocessable("[Name]: Required"));
    }
    let new = NewLabel {
        name: &asked.name,
        color: &color(&asked.color)?,
        description: &asked.description,
    };
    let id = visit.tables().add_label(visit.repository.id, &new).await?;
    let label = find(visit, &id.to_string()).await?;
    Ok(answer::json(StatusCode::CREATED, &shape(visit, &label)))
}

/// `PATCH /repos/{owner}/{name}/labels/{id}`
pub(super) async fn edit(visit: &Visit<'_>, id: &str) -> Answer {
    visit.require(Permission::Write)?;
    let asked: Edit = visit.call.json()?;
    let label = find(visit, id).await?;
    let edit = LabelEdit {
        name: asked.name,
        color: asked.color.as_deref().map(color).transpose()?,
        description: asked.description,
    };
    visit.tables().edit_label(label.id, edit).await?;
    get(visit, id).await
}

/// `DELETE /repos/{owner}/{name}/labels/{id}`
pub(super) async fn remove(visit: &Visit<'_>, id: &str) -> Answer {
    visit.require(Permission::Write)?;
    if let Ok(label) = find(visit, id).await {
        visit.tables().remove_label(label.id).await?;
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// `GET /repos/{owner}/{name}/issues/{number}/labels`
pub(super) async fn of_issue(visit: &Visit<'_>, issue: &Issue) -> Answer {
    let labels = visit.tables().labels_of(issue.id).await?;
    Ok(answer::json(StatusCode::OK, &shapes(visit, &labels)))
}

/// `POST /repos/{owner}/{name}/issues/{number}/labels`: unknown ones are passed over in silence.
pub(super) async fn put(visit: &Visit<'_>, issue: &Issue) -> Answer {
    writer(visit)?;
    let chosen = chosen(visit).await?;
    visit.tables().put_labels(issue.id, &chosen).await?;
    of_issue(visit, issue).await
}

/// `PUT /repos/{owner}/{name}/issues/{number}/labels`
pub(super) async fn replace(visit: &Visit<'_>, issue: &Issue) -> Answer {
    writer(visit)?;
    let chosen = chosen(visit).await?;
    visit.tables().take_labels(issue.id, None).await?;
    visit.tables().put_labels(issue.id, &chosen).await?;
    of_issue(visit, issue).await
}

/// `DELETE /repos/{owner}/{name}/issues/{number}/labels`
pub(super) async fn clear(visit: &Visit<'_>, issue: &Issue) -> Answer {
    visit.require(Permission::Write)?;
    visit.tables().take_labels(issue.id, None).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /repos/{owner}/{name}/issues/{number}/labels/{id}`: the key alone, as on Gitea.
pub(super) async fn take(visit: &Visit<'_>, issue: &Issue, id: &str) -> Answer {
    visit.require(Permission::Write)?;
    let key = id.parse::<i64>().unwrap_or(0);
    let Ok(label) = find(visit, id).await else {
        let message = format!("label does not exist [label_id: {key}]");
        return Err(Refusal::unprocessable(message));
    };
    visit.tables().take_labels(issue.id, Some(label.id)).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// The keys of those names that exist: the others vanish.
pub(super) async fn named(visit: &Visit<'_>, names: &[&str]) -> Result<Vec<i64>, Refusal> {
    let labels = visit.tables().labels(visit.repository.id).await?;
    let known = labels
        .iter()
        .filter(|label| names.contains(&label.name.as_str()));
    Ok(known.map(|label| label.id).collect())
}

/// Those of the keys that are labels of this repository.
pub(super) async fn keyed(visit: &Visit<'_>, keys: &[i64]) -> Result<Vec<i64>, Refusal> {
    let labels = visit.tables().labels(visit.repository.id).await?;
    let known = labels.iter().map(|label| label.id);
    Ok(known.filter(|id| keys.contains(id)).collect())
}

pub(super) fn shapes(visit: &Visit<'_>, labels: &[Label]) -> Vec<Value> {
    labels.iter().map(|label| shape(visit, label)).collect()
}

fn shape(visit: &Visit<'_>, label: &Label) -> Value {
    json!({
        "id": label.id,
        "name": label.name,
        "exclusive": false,
        "is_archived": false,
        "color": label.color,
        "description": label.description,
        "url": format!("{}/labels/{}", visit.api_url(), label.id),
    })
}

async fn find(visit: &Visit<'_>, id: &str) -> Result<Label, Refusal> {
    let id: i64 = id.parse().map_err(|_| Refusal::Missing)?;
    let labels = visit.tables().labels(visit.repository.id).await?;
    let found = labels.into_iter().find(|label| label.id == id);
    found.ok_or(Refusal::Missing)
}

async fn chosen(visit: &Visit<'_>) -> Result<Vec<i64>, Refusal> {
    let asked: Choice = visit.call.json()?;
    let bad = |message: &str| Refusal::said(StatusCode::BAD_REQUEST, message);
    let mut names = Vec::new();
    let mut keys = Vec::new();
    for label in &asked.labels {
        match label {
            Value::String(name) => names.push(name.as_str()),
            Value::Number(key) => keys.extend(key.as_i64()),
            _ => return Err(bad("a label must be an integer or a string")),
        }
    }
    if !names.is_empty() && !keys.is_empty() {
        return Err(bad("labels should be an array of strings or integers"));
    }
    match names.is_empty() {
        true => keyed(visit, &keys).await,
        false => named(visit, &names).await,
    }
}

fn writer(visit: &Visit<'_>) -> Result<(), Refusal> {
    visit.user()?;
    if !visit.can_write() {
        let message = "write permission is required";
        return Err(Refusal::said(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

/// Three or six hexadecimal digits, with or without `#`, as six without.
fn color(text: &str) -> Result<String, Refusal> {
    let digits = text.trim().trim_start_matches('#').to_ascii_lowercase();
    let hexadecimal = digits.chars().all(|digit| digit.is_ascii_hexdigit());
    match (hexadecimal, digits.len()) {
        (true, 6) => Ok(digits),
        (true, 3) => Ok(digits.chars().flat_map(|digit| [digit, digit]).collect()),
        _ => Err(Refusal::unprocessable(format!(
            "bad color code: {}",
            text.chars().take(20).collect::<String>()
        ))),
    }
}
