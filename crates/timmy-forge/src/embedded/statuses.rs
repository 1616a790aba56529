//! What checks say about commits.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::NewStatus;
use timmy_store::forge::Permission;
use timmy_store::forge::Status;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::repositories;
use super::users;

/// The context of a status that names none.
const DEFAULT_CONTEXT: &str = "default";

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    state: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    target_url: String,
    #[serde(default)]
    description: String,
}

/// `POST /repos/{owner}/{name}/statuses/{sha}`: any word is a state, as on Gitea.
pub(super) async fn create(visit: &Visit<'_>, revision: &str) -> Answer {
    let creator = visit.require(Permission::Write)?.id;
    let asked: Create = visit.call.json()?;
    let sha = resolve(visit, revision).await?;
    let context = match asked.context.as_str() {
        "" => DEFAULT_CONTEXT,
        given => given,
    };
    let new = NewStatus {
        repository: visit.repository.id,
        sha: &sha,
        context,
        state: &asked.state,
        target_url: &asked.target_url,
        description: &asked.description,
        creator,
    };
    let id = visit.tables().add_status(&new).await?;
    let statuses = visit.tables().statuses(visit.repository.id, &sha).await?;
    let made = statuses.iter().find(|status| status.id == id);
    let made = made.ok_or(Refusal::Missing)?;
    Ok(answer::json(StatusCode::CREATED, &shape(visit, &sha, made)))
}

/// `GET /repos/{owner}/{name}/statuses/{sha}`, `GET .../commits/{ref}/statuses`
pub(super) async fn list(visit: &Visit<'_>, revision: &str) -> Answer {
    let sha = resolve(visit, revision).await?;
    let statuses = visit.tables().statuses(visit.repository.id, &sha).await?;
    let shapes: Vec<Value> = statuses.iter().map(|one| shape(visit, &sha, one)).collect();
    Ok(visit.call.page_of(&shapes))
}

/// `GET /repos/{owner}/{name}/commits/{ref}/status`: the newest of each context, and all in one.
pub(super) async fn combined(visit: &Visit<'_>, revision: &str) -> Answer {
    let sha = resolve(visit, revision).await?;
    let mut newest: Vec<Status> = Vec::new();
    for status in visit.tables().statuses(visit.repository.id, &sha).await? {
        if !newest.iter().any(|known| known.context == status.context) {
            newest.push(status);
        }
    }
    let states: Vec<&str> = newest.iter().map(|status| status.state.as_str()).collect();
    let shapes: Vec<Value> = newest.iter().map(|one| shape(visit, &sha, one)).collect();
    let commit = format!("{}/commits/{sha}", visit.api_url());
    let body = json!({
        "state": combine(&states),
        "sha": sha,
        "total_count": shapes.len(),
        // Gitea writes null for none.
        "statuses": if shapes.is_empty() { Value::Null } else { json!(shapes) },
        "repository": repositories::shape_with(visit, false),
        "commit_url": commit,
        "url": format!("{commit}/status"),
    });
    Ok(answer::json(StatusCode::OK, &body))
}

/// Failure if one failed; success if each is a success, a warning or skipped; else pending. Nothing
/// for none.
fn combine(states: &[&str]) -> &'static str {
    let passed = ["success", "warning", "skipped"];
    let failed = ["error", "failure"];
    if states.is_empty() {
        ""
    } else if states.iter().any(|state| failed.contains(state)) {
        "failure"
    } else if states.iter().all(|state| passed.contains(state)) {
        "success"
    } else {
        "pending"
    }
}

async fn resolve(visit: &Visit<'_>, revision: &str) -> Result<String, Refusal> {
    let bare = visit.bare().await?;
    if let Some(commit) = bare.commit_at(revision).await? {
        return Ok(commit);
    }
    bare.branch(revision).await?.ok_or(Refusal::Missing)
}

fn shape(visit: &Visit<'_>, sha: &str, status: &Status) -> Value {
    json!({
        "id": status.id,
        "status": status.state,
        "target_url": status.target_url,
        "description": status.description,
        "url": format!("{}/statuses/{sha}", visit.api_url()),
        "context": status.context,
        "creator": users::shape(&visit.call.base, status.creator_id, &status.creator),
        "created_at": users::time(status.created_at),
        "updated_at": users::time(status.created_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_combined_as_gitea_does() {
        assert_eq!("", combine(&[]));
        assert_eq!("success", combine(&["success", "skipped"]));
        assert_eq!("success", combine(&["success", "warning"]));
        assert_eq!("pending", combine(&["warning", "pending"]));
        assert_eq!("failure", combine(&["pending", "error"]));
    }
}
