//! Comments.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::Comment;
use timmy_store::forge::Issue;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::issues;
use super::users;

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    body: String,
}

/// `GET /repos/{owner}/{name}/issues/{number}/comments`: all of them, whatever the limit.
pub(super) async fn list(visit: &Visit<'_>, issue: &Issue) -> Answer {
    let comments = visit.tables().comments(issue.id).await?;
    let shapes: Vec<Value> = comments.iter().map(|one| shape(visit, one)).collect();
    let list = answer::json(StatusCode::OK, &shapes);
    let total = shapes.len().to_string();
    Ok(answer::with_header(list, "x-total-count", &total))
}

/// `POST /repos/{owner}/{name}/issues/{number}/comments`
pub(super) async fn create(visit: &Visit<'_>, issue: &Issue) -> Answer {
    let author = visit.user()?.id;
    visit.not_archived()?;
    let body = body(visit)?;
    let id = visit.tables().add_comment(issue.id, author, &body).await?;
    let comment = find(visit, &id.to_string()).await?;
    Ok(answer::json(StatusCode::CREATED, &shape(visit, &comment)))
}

/// `GET /repos/{owner}/{name}/issues/comments/{id}`
pub(super) async fn get(visit: &Visit<'_>, id: &str) -> Answer {
    let comment = find(visit, id).await?;
    Ok(answer::json(StatusCode::OK, &shape(visit, &comment)))
}

/// `PATCH /repos/{owner}/{name}/issues/comments/{id}`
pub(super) async fn edit(visit: &Visit<'_>, id: &str) -> Answer {
    visit.not_archived()?;
    let comment = own(visit, id).await?;
    let body = body(visit)?;
    visit.tables().edit_comment(comment.id, &body).await?;
    get(visit, id).await
}

/// `DELETE /repos/{owner}/{name}/issues/comments/{id}`
pub(super) async fn remove(visit: &Visit<'_>, id: &str) -> Answer {
    let comment = own(visit, id).await?;
    visit.tables().remove_comment(comment.id).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

async fn find(visit: &Visit<'_>, id: &str) -> Result<Comment, Refusal> {
    let id: i64 = id.parse().map_err(|_| Refusal::Missing)?;
    let found = visit.tables().comment(visit.repository.id, id).await?;
    found.ok_or(Refusal::Missing)
}

/// A comment that the caller may change: his own, or any for who may write.
async fn own(visit: &Visit<'_>, id: &str) -> Result<Comment, Refusal> {
    let user = visit.user()?;
    let comment = find(visit, id).await?;
    if comment.author_id != user.id && !visit.can_write() {
        return Err(Refusal::Silent(StatusCode::FORBIDDEN));
    }
    Ok(comment)
}

fn body(visit: &Visit<'_>) -> Result<String, Refusal> {
    let said: Said = visit.call.json()?;
    if said.body.trim().is_empty() {
        return Err(Refusal::unprocessable("[Body]: Required"));
    }
    Ok(issues::stored(&said.body))
}

fn shape(visit: &Visit<'_>, comment: &Comment) -> Value {
    let page = visit.page_url();
    let Comment { id, number, .. } = comment;
    let (issue, pull) = match comment.on_pull {
        true => (String::new(), format!("{page}/pulls/{number}")),
        false => (format!("{page}/issues/{number}"), String::new()),
    };
    json!({
        "id": id,
        "html_url": format!("{issue}{pull}#issuecomment-{id}"),
        "pull_request_url": pull,
        "issue_url": issue,
        "user": users::shape(&visit.call.base, comment.author_id, &comment.author),
        "original_author": "",
        "original_author_id": 0,
        "body": comment.body,
        "assets": [],
        "created_at": users::time(comment.created_at),
        "updated_at": users::time(comment.updated_at),
    })
}
