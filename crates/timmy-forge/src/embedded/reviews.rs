//! Reviews of pull requests.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::KeptReviewComment;
use timmy_store::forge::NewReview;
use timmy_store::forge::Pull;
use timmy_store::forge::Review;
use timmy_store::forge::ReviewComment;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::issues;
use super::users;

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    event: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    commit_id: String,
    #[serde(default)]
    comments: Vec<Remark>,
}

#[derive(Deserialize)]
struct Remark {
    #[serde(default)]
    path: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    old_position: i64,
    #[serde(default)]
    new_position: i64,
}

/// `GET /repos/{owner}/{name}/pulls/{number}/reviews`
pub(super) async fn list(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let reviews = visit.tables().reviews(pull.issue.id).await?;
    let shapes: Vec<Value> = reviews
        .iter()
        .enumerate()
        .map(|(place, one)| shape(visit, pull, one, is_superseded(one, &reviews[place + 1..])))
        .collect();
    Ok(visit.call.page_of(&shapes))
}

/// `GET /repos/{owner}/{name}/pulls/{number}/reviews/{id}`
pub(super) async fn get(visit: &Visit<'_>, pull: &Pull, id: &str) -> Answer {
    let (review, superseded) = find(visit, pull, id).await?;
    let shape = shape(visit, pull, &review, superseded);
    Ok(answer::json(StatusCode::OK, &shape))
}

/// `GET /repos/{owner}/{name}/pulls/{number}/reviews/{id}/comments`: all of them.
pub(super) async fn comments(visit: &Visit<'_>, pull: &Pull, id: &str) -> Answer {
    let (review, _) = find(visit, pull, id).await?;
    let kept = visit.tables().review_comments(review.id).await?;
    let shapes: Vec<Value> = kept
        .iter()
        .map(|one| comment_shape(visit, pull, &review, one))
        .collect();
    Ok(answer::json(StatusCode::OK, &shapes))
}

async fn find(visit: &Visit<'_>, pull: &Pull, id: &str) -> Result<(Review, bool), Refusal> {
    let id: i64 = id.parse().map_err(|_| Refusal::Missing)?;
    let reviews = visit.tables().reviews(pull.issue.id).await?;
    let place = reviews.iter().position(|review| review.id == id);
    let place = place.ok_or(Refusal::Missing)?;
    let superseded = is_superseded(&reviews[place], &reviews[place + 1..]);
    Ok((reviews[place].clone(), superseded))
}

/// Whoever decides again dismisses what he decided before, as on Gitea.
fn is_superseded(review: &Review, later: &[Review]) -> bool {
    let decides = |review: &Review| matches!(review.state.as_str(), "APPROVED" | "REQUEST_CHANGES");
    let again = |other: &Review| other.author_id == review.author_id && decides(other);
    decides(review) && later.iter().any(again)
}

/// `POST /repos/{owner}/{name}/pulls/{number}/reviews`, which answers 200.
pub(super) async fn create(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let author = visit.user()?.id;
    let asked: Create = visit.call.json()?;
    let own = author == pull.issue.author_id;
    let state = state(&asked, own)?;
    let commit = match asked.commit_id.as_str() {
        "" => &pull.head,
        given => given,
    };
    let remarks = asked.comments.iter().map(|remark| ReviewComment {
        path: issues::stored(&remark.path),
        line: match remark.new_position {
            0 => -remark.old_position,
            line => line,
        },
        body: issues::stored(&remark.body),
    });
    let new = NewReview {
        issue: pull.issue.id,
        author,
        state,
        body: &issues::stored(&asked.body),
        commit,
        comments: &remarks.collect::<Vec<_>>(),
    };
    let id = visit.tables().add_review(&new).await?;
    let reviews = visit.tables().reviews(pull.issue.id).await?;
    let made = reviews.iter().find(|review| review.id == id);
    let made = made.ok_or(Refusal::Missing)?;
    Ok(answer::json(
        StatusCode::OK,
        &shape(visit, pull, made, false),
    ))
}

fn state(asked: &Create, own: bool) -> Result<&'static str, Refusal> {
    let no_body = asked.body.trim().is_empty();
    let refuse = |message: &str| Err(Refusal::unprocessable(message));
    match asked.event.as_str() {
        "APPROVED" if own => refuse("approve your own pull is not allowed"),
        "APPROVED" => Ok("APPROVED"),
        "REQUEST_CHANGES" if own => refuse("reject your own pull is not allowed"),
        "REQUEST_CHANGES" if no_body => refuse("review event REQUEST_CHANGES requires a body"),
        "REQUEST_CHANGES" => Ok("REQUEST_CHANGES"),
        "COMMENT" if no_body && asked.comments.is_empty() => {
            refuse("review event COMMENT requires a body or a comment")
        }
        "COMMENT" => Ok("COMMENT"),
        _ if no_body => refuse("review event PENDING requires a body"),
        _ => Ok("PENDING"),
    }
}

fn comment_shape(
    visit: &Visit<'_>,
    pull: &Pull,
    review: &Review,
    kept: &KeptReviewComment,
) -> Value {
    let page = format!("{}/pulls/{}", visit.page_url(), pull.issue.number);
    let line = kept.comment.line;
    json!({
        "id": kept.id,
        "body": kept.comment.body,
        "user": users::shape(&visit.call.base, review.author_id, &review.author),
        "resolver": null,
        "pull_request_review_id": review.id,
        "created_at": users::time(review.created_at),
        "updated_at": users::time(review.created_at),
        "path": kept.comment.path,
        "commit_id": review.commit,
        "original_commit_id": "",
        "position": line.max(0),
        "original_position": line.min(0).saturating_neg(),
        "html_url": format!("{page}#issuecomment-{}", kept.id),
        "pull_request_url": page,
    })
}

fn shape(visit: &Visit<'_>, pull: &Pull, review: &Review, dismissed: bool) -> Value {
    let page = format!("{}/pulls/{}", visit.page_url(), pull.issue.number);
    json!({
        "id": review.id,
        "user": users::shape(&visit.call.base, review.author_id, &review.author),
        "team": null,
        "state": review.state,
        "body": review.body,
        "commit_id": review.commit,
        "stale": review.commit != pull.head,
        "official": false,
        "dismissed": dismissed,
        "comments_count": review.comments,
        "submitted_at": users::time(review.created_at),
        "updated_at": users::time(review.created_at),
        "html_url": page,
        "pull_request_url": page,
    })
}
