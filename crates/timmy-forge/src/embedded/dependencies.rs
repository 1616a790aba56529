//! Which issue waits for which: `dependencies` from one side, `blocks` from the other.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use timmy_store::forge::Issue;
use timmy_store::forge::Permission;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::issues;

/// From which side an edge is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What the issue waits for.
    Dependencies,
    /// What waits for the issue.
    Blocks,
}

#[derive(Deserialize)]
struct Other {
    #[serde(default)]
    index: i64,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    repo: String,
}

/// `GET /repos/{owner}/{name}/issues/{number}/{dependencies|blocks}`
pub(super) async fn list(visit: &Visit<'_>, issue: &Issue, side: Side) -> Answer {
    let found = match side {
        Side::Dependencies => visit.tables().blockers(issue.id).await?,
        Side::Blocks => visit.tables().blocked_by(issue.id).await?,
    };
    let mut shapes: Vec<Value> = Vec::with_capacity(found.len());
    for issue in &found {
        shapes.push(issues::shape(visit, issue).await?);
    }
    Ok(visit.call.page_of(&shapes))
}

/// `POST /repos/{owner}/{name}/issues/{number}/{dependencies|blocks}`
pub(super) async fn create(visit: &Visit<'_>, issue: &Issue, side: Side) -> Answer {
    let other = other(visit).await?;
    let (waiting, blocker) = edge(issue, &other, side);
    let broken = |message: String| Err(Refusal::said(StatusCode::INTERNAL_SERVER_ERROR, message));
    let ids = format!("[issue id: {}, dependency id: {}]", waiting.id, blocker.id);
    if waiting.id == blocker.id {
        return broken(format!("cannot depend on itself {ids}"));
    }
    let beyond = visit.tables().blockers(blocker.id).await?;
    if beyond.iter().any(|further| further.id == waiting.id) {
        return broken(format!(
            "circular dependencies exists (two issues blocking each other) {ids}"
        ));
    }
    if !visit
        .tables()
        .add_dependency(waiting.id, blocker.id)
        .await?
    {
        return broken(format!("issue dependency does already exist {ids}"));
    }
    let shape = issues::shape(visit, issue).await?;
    Ok(answer::json(StatusCode::CREATED, &shape))
}

/// `DELETE /repos/{owner}/{name}/issues/{number}/{dependencies|blocks}`, which answers 201.
pub(super) async fn remove(visit: &Visit<'_>, issue: &Issue, side: Side) -> Answer {
    let other = other(visit).await?;
    let (waiting, blocker) = edge(issue, &other, side);
    if !visit
        .tables()
        .remove_dependency(waiting.id, blocker.id)
        .await?
    {
        return Err(Refusal::Missing);
    }
    let shape = issues::shape(visit, issue).await?;
    Ok(answer::json(StatusCode::CREATED, &shape))
}

fn edge<'a>(issue: &'a Issue, other: &'a Issue, side: Side) -> (&'a Issue, &'a Issue) {
    match side {
        Side::Dependencies => (issue, other),
        Side::Blocks => (other, issue),
    }
}

/// The issue that the body names. Only this repository's own are known here.
async fn other(visit: &Visit<'_>) -> Result<Issue, Refusal> {
    visit.require(Permission::Write)?;
    visit.not_archived()?;
    let asked: Other = visit.call.json()?;
    let here = &visit.repository;
    let same = |said: &str, ours: &str| said.is_empty() || said.eq_ignore_ascii_case(ours);
    if !same(&asked.owner, &here.owner) || !same(&asked.repo, &here.name) {
        return Err(Refusal::Missing);
    }
    issues::find(visit, &asked.index.to_string()).await
}
