//! Pull requests.

use std::collections::HashMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::IssueQuery;
use timmy_store::forge::Kind;
use timmy_store::forge::Mergeable;
use timmy_store::forge::NewIssue;
use timmy_store::forge::NewPull;
use timmy_store::forge::Pull;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::branches;
use super::changes;
use super::git::Bare;
use super::issues;
use super::labels;
use super::merge_check;
use super::merging;
use super::repositories;
use super::users;

/// Titles that begin like this, in any case, are drafts.
const DRAFT_PREFIXES: [&str; 2] = ["wip:", "[wip]"];

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    head: String,
    #[serde(default)]
    base: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    labels: Vec<i64>,
}

#[derive(Deserialize)]
struct NewBase {
    #[serde(default)]
    base: String,
}

/// Whether a title says that there is work to do still.
pub(super) fn is_draft(title: &str) -> bool {
    let title = title.trim_start().to_lowercase();
    DRAFT_PREFIXES
        .iter()
        .any(|prefix| title.starts_with(prefix))
}

/// `GET /repos/{owner}/{name}/pulls`: no filter by head, as on Gitea.
pub(super) async fn list(visit: &Visit<'_>) -> Answer {
    let call = visit.call;
    let base = call.parameter("base_branch");
    let query = IssueQuery {
        state: issues::wanted_state(call.parameter("state")),
        kind: Some(Kind::Pull),
        labels: Vec::new(),
        base_branch: (!base.is_empty()).then(|| base.to_owned()),
        since: None,
    };
    let page = call.page();
    let repository = visit.repository.id;
    let (found, total) = visit.tables().issues(repository, &query, page).await?;
    let tips = branches::tips(&visit.bare().await?).await?;
    let mut shapes = Vec::with_capacity(found.len());
    for issue in &found {
        let pull = visit.tables().pull(repository, issue.number).await?;
        let pull = pull.ok_or(Refusal::Missing)?;
        shapes.push(shape_with(visit, &pull, &tips).await?);
    }
    Ok(call.list(&shapes, total))
}

/// `GET /repos/{owner}/{name}/pulls/{number}`
pub(super) async fn get(visit: &Visit<'_>, pull: &Pull) -> Answer {
    merge_check::start_if_needed(visit, pull);
    Ok(answer::json(StatusCode::OK, &shape(visit, pull).await?))
}

/// `GET /repos/{owner}/{name}/pulls/{base}/{head}`
pub(super) async fn between(visit: &Visit<'_>, base: &str, head: &str) -> Answer {
    let head = own_branch(visit, head);
    let repository = visit.repository.id;
    let found = visit.tables().pull_between(repository, base, head).await?;
    let found = merging::settle(visit, found.ok_or(Refusal::Missing)?).await?;
    get(visit, &found).await
}

/// `POST /repos/{owner}/{name}/pulls`
pub(super) async fn create(visit: &Visit<'_>) -> Answer {
    let author = visit.user()?.id;
    visit.not_archived()?;
    let asked: Create = visit.call.json()?;
    let title = issues::title(&asked.title)?;
    let head_branch = own_branch(visit, &asked.head);
    if head_branch.contains(':') {
        return Err(Refusal::Missing);
    }
    if head_branch == asked.base {
        return Err(Refusal::unprocessable(
            "Invalid PullRequest: There are no changes between the head and the base",
        ));
    }
    let bare = visit.bare().await?;
    let base = bare.branch(&asked.base).await?.ok_or(Refusal::Missing)?;
    let head = bare.branch(head_branch).await?.ok_or(Refusal::Missing)?;
    let merge_base = changes::merge_base(&bare, &base, &head).await?;
    let label_keys = match visit.can_write() {
        true => labels::keyed(visit, &asked.labels).await?,
        false => Vec::new(),
    };
    let new = NewPull {
        issue: NewIssue {
            repository: visit.repository.id,
            author,
            title: &title,
            body: &issues::stored(&asked.body),
            labels: &label_keys,
            assignees: &[],
        },
        head_branch,
        base_branch: &asked.base,
        head: &head,
        merge_base: &merge_base,
    };
    let number = match visit.tables().add_pull(&new).await? {
        Ok(number) => number,
        Err(number) => return Err(exists_already(visit, number, &new)),
    };
    let pull = find(visit, &number.to_string()).await?;
    keep_reference(&bare, &pull).await?;
    let created = shape(visit, &pull).await?;
    merge_check::start_if_needed(visit, &pull);
    Ok(answer::json(StatusCode::CREATED, &created))
}

/// `PATCH /repos/{owner}/{name}/pulls/{number}`, which answers 201.
pub(super) async fn edit(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let new_base: NewBase = visit.call.json()?;
    let asked: issues::Edit = visit.call.json()?;
    if pull.merged_at.is_some() && asked.changes_state() {
        return Err(Refusal::said(
            StatusCode::PRECONDITION_FAILED,
            "cannot change state of this pull request, it was already merged",
        ));
    }
    issues::apply(visit, &pull.issue, asked).await?;
    if !new_base.base.is_empty() && new_base.base != pull.base_branch {
        retarget(visit, pull, &new_base.base).await?;
    }
    merge_check::follow(visit.shared, &visit.repository, &[]).await?;
    let edited = find(visit, &pull.issue.number.to_string()).await?;
    let shape = shape(visit, &edited).await?;
    Ok(answer::json(StatusCode::CREATED, &shape))
}

async fn retarget(visit: &Visit<'_>, pull: &Pull, base_branch: &str) -> Result<(), Refusal> {
    let bare = visit.bare().await?;
    let missing = || {
        let message = format!("new base '{base_branch}' not exist");
        Refusal::said(StatusCode::NOT_FOUND, message)
    };
    let base = bare.branch(base_branch).await?.ok_or_else(missing)?;
    let merge_base = changes::merge_base(&bare, &base, &pull.head).await?;
    let id = pull.issue.id;
    visit
        .tables()
        .move_pull(id, base_branch, &pull.head, &merge_base)
        .await?;
    Ok(())
}

pub(super) fn is_number(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

pub(super) async fn find(visit: &Visit<'_>, number: &str) -> Result<Pull, Refusal> {
    let number: i64 = number.parse().map_err(|_| Refusal::Missing)?;
    let found = visit.tables().pull(visit.repository.id, number).await?;
    found.ok_or(Refusal::Missing)
}

/// Points `refs/pull/N/head` at the commit that is offered.
pub(super) async fn keep_reference(bare: &Bare, pull: &Pull) -> Result<(), Refusal> {
    let reference = format!("refs/pull/{}/head", pull.issue.number);
    bare.succeed(["update-ref", &reference, &pull.head]).await?;
    Ok(())
}

/// A pull request as the API shows it.
pub(super) async fn shape(visit: &Visit<'_>, pull: &Pull) -> Result<Value, Refusal> {
    let tips = branches::tips(&visit.bare().await?).await?;
    shape_with(visit, pull, &tips).await
}

async fn shape_with(
    visit: &Visit<'_>,
    pull: &Pull,
    tips: &HashMap<String, String>,
) -> Result<Value, Refusal> {
    let number = pull.issue.number;
    let page = format!("{}/pulls/{number}", visit.page_url());
    let merged = pull.merged_at.is_some();
    let draft = is_draft(&pull.issue.title);
    let base = match tips.get(&pull.base_branch) {
        Some(tip) if !merged => tip,
        _ => &pull.merge_base,
    };
    let merged_by = match &pull.merged_by {
        Some(name) if merged => visit.tables().user(name).await?,
        _ => None,
    };
    let merged_by = merged_by.map(|user| users::shape(&visit.call.base, user.id, &user.name));
    let mut shape = issues::shared_shape(visit, &pull.issue).await?;
    let own = json!({
        "url": page,
        "html_url": page,
        "diff_url": format!("{page}.diff"),
        "patch_url": format!("{page}.patch"),
        "draft": draft,
        "mergeable": !merged && !draft && pull.mergeable == Mergeable::Yes,
        "merged": merged,
        "merged_at": users::optional_time(pull.merged_at),
        "merge_commit_sha": pull.merge_commit.as_ref().filter(|_| merged),
        "merged_by": merged_by,
        "allow_maintainer_edit": false,
        "merge_base": pull.merge_base,
        "requested_reviewers": [],
        "base": side(visit, &pull.base_branch, base, tips),
        "head": side(visit, &pull.head_branch, &pull.head, tips),
    });
    if let (Value::Object(shape), Value::Object(own)) = (&mut shape, own) {
        shape.extend(own);
    }
    Ok(shape)
}

fn side(visit: &Visit<'_>, branch: &str, commit: &str, tips: &HashMap<String, String>) -> Value {
    json!({
        "label": branch,
        "ref": branch,
        "sha": commit,
        "repo_id": visit.repository.id,
        "repo": repositories::shape_with(visit, tips.is_empty()),
    })
}

/// `branch` or `owner:branch`; a branch of somebody else's keeps its colon.
fn own_branch<'a>(visit: &Visit<'_>, head: &'a str) -> &'a str {
    match head.split_once(':') {
        Some((owner, branch)) if owner.eq_ignore_ascii_case(&visit.repository.owner) => branch,
        _ => head,
    }
}

fn exists_already(visit: &Visit<'_>, number: i64, new: &NewPull<'_>) -> Refusal {
    let repository = visit.repository.id;
    let (head, base) = (new.head_branch, new.base_branch);
    let message = format!(
        "pull request already exists for these targets [id: {number}, issue_id: {number}, \
         head_repo_id: {repository}, base_repo_id: {repository}, head_branch: {head}, \
         base_branch: {base}]"
    );
    Refusal::said(StatusCode::CONFLICT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_known_by_its_title() {
        for draft in ["WIP: x", "wip:x", "[WIP] x", " WIP: x"] {
            assert!(is_draft(draft), "{draft}");
        }
        for ready in ["wipe", "x WIP:", ""] {
            assert!(!is_draft(ready), "{ready}");
        }
    }
}
