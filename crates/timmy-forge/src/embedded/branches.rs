//! Branches, refs and commits: what the API shows of git.

use std::collections::HashMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::Permission;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::error::EmbeddedError;
use super::git;
use super::git::Bare;
use super::git::Reference;
use super::git::Signature;
use super::merge_check;

const HEADS: &str = "refs/heads/";
/// What is printed of a commit: hash, tree, parents, author, committer, message.
const COMMIT_FORMAT: &str =
    "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";

/// A commit.
pub(super) struct Commit {
    pub(super) name: String,
    tree: String,
    pub(super) parents: Vec<String>,
    pub(super) author: Signature,
    committer: Signature,
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    new_branch_name: String,
    #[serde(default)]
    old_branch_name: String,
    #[serde(default)]
    old_ref_name: String,
}

/// `GET /repos/{owner}/{name}/branches`
pub(super) async fn list(visit: &Visit<'_>) -> Answer {
    let bare = visit.bare().await?;
    let heads = bare.references(HEADS).await?;
    let mut shapes = Vec::with_capacity(heads.len());
    for head in &heads {
        shapes.push(branch_shape(visit, &bare, head).await?);
    }
    Ok(visit.call.page_of(&shapes))
}

/// `GET /repos/{owner}/{name}/branches/{branch}`
pub(super) async fn get(visit: &Visit<'_>, branch: &str) -> Answer {
    let bare = visit.bare().await?;
    let found = bare.branch(branch).await?.ok_or(Refusal::Missing)?;
    let head = Reference {
        name: format!("{HEADS}{branch}"),
        object: found,
        kind: "commit".to_owned(),
    };
    let shape = branch_shape(visit, &bare, &head).await?;
    Ok(answer::json(StatusCode::OK, &shape))
}

/// `POST /repos/{owner}/{name}/branches`
pub(super) async fn create(visit: &Visit<'_>) -> Answer {
    visit.require(Permission::Write)?;
    visit.not_archived()?;
    let asked: Create = visit.call.json()?;
    let bare = visit.bare().await?;
    let heads = bare.references(HEADS).await?;
    if heads.is_empty() {
        let message = "Git Repository is empty.";
        return Err(Refusal::said(StatusCode::NOT_FOUND, message));
    }
    let new = &asked.new_branch_name;
    let invalid = || Refusal::unprocessable("[NewBranchName]: GitRefName");
    let reference = git::branch_ref(new).ok_or_else(invalid)?;
    let old = starting_point(visit, &bare, &asked).await?;
    let conflict = |message: &str| Err(Refusal::said(StatusCode::CONFLICT, message));
    if heads.iter().any(|head| head.name == reference) {
        return conflict("The branch already exists.");
    }
    if bare.commit_at(&format!("refs/tags/{new}")).await?.is_some() {
        return conflict("The branch with the same tag already exists.");
    }
    let absent = "0".repeat(old.len());
    if !bare.move_reference(&reference, &absent, &old).await? {
        return conflict("The branch with the same name already exists.");
    }
    merge_check::follow(visit.shared, &visit.repository, &[]).await?;
    let created = get(visit, new).await?;
    Ok(answer::with_status(created, StatusCode::CREATED))
}

async fn starting_point(visit: &Visit<'_>, bare: &Bare, asked: &Create) -> Result<String, Refusal> {
    let named = [&asked.old_ref_name, &asked.old_branch_name];
    let named = named.into_iter().find(|name| !name.is_empty());
    let named = named.unwrap_or(&visit.repository.default_branch);
    let found = match bare.branch(named).await? {
        Some(found) => Some(found),
        None => bare.commit_at(named).await?,
    };
    let missing = || Refusal::said(StatusCode::NOT_FOUND, "The old branch does not exist");
    found.ok_or_else(missing)
}

/// `DELETE /repos/{owner}/{name}/branches/{branch}`
pub(super) async fn remove(visit: &Visit<'_>, branch: &str) -> Answer {
    visit.require(Permission::Write)?;
    visit.not_archived()?;
    if branch == visit.repository.default_branch {
        let message = "can not delete default branch";
        return Err(Refusal::said(StatusCode::FORBIDDEN, message));
    }
    let bare = visit.bare().await?;
    let tip = bare.branch(branch).await?.ok_or(Refusal::Missing)?;
    let reference = git::branch_ref(branch).ok_or(Refusal::Missing)?;
    if !bare.move_reference(&reference, &tip, "").await? {
        return Err(Refusal::said(StatusCode::CONFLICT, "the branch has moved"));
    }
    merge_check::follow(visit.shared, &visit.repository, &[]).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// `GET /repos/{owner}/{name}/git/refs/{prefix}`: always a list, as Gitea 1.25 and Forgejo 7 answer.
pub(super) async fn references(visit: &Visit<'_>, prefix: &str) -> Answer {
    let bare = visit.bare().await?;
    let prefix = format!("refs/{prefix}");
    let found = bare.references(&prefix).await?;
    let shapes: Vec<Value> = found
        .iter()
        .map(|reference| reference_shape(visit, reference))
        .collect();
    if shapes.is_empty() {
        return Err(Refusal::Missing);
    }
    Ok(answer::json(StatusCode::OK, &shapes))
}

/// `GET /repos/{owner}/{name}/git/commits/{commit}`
pub(super) async fn commit(visit: &Visit<'_>, revision: &str) -> Answer {
    let bare = visit.bare().await?;
    let name = match bare.commit_at(revision).await? {
        Some(name) => name,
        None => bare.branch(revision).await?.ok_or(Refusal::Missing)?,
    };
    let commit = read(&bare, &name).await?.ok_or(Refusal::Missing)?;
    Ok(answer::json(StatusCode::OK, &commit_shape(visit, &commit)))
}

/// `GET /repos/{owner}/{name}/commits`
pub(super) async fn commits(visit: &Visit<'_>) -> Answer {
    let bare = visit.bare().await?;
    let revision = match visit.call.parameter("sha") {
        "" => &visit.repository.default_branch,
        named => named,
    };
    let tip = match bare.branch(revision).await? {
        Some(tip) => Some(tip),
        None => bare.commit_at(revision).await?,
    };
    let Some(tip) = tip else {
        return Err(match bare.references(HEADS).await?.as_slice() {
            [] => Refusal::said(StatusCode::CONFLICT, "Git Repository is empty."),
            _ => Refusal::Missing,
        });
    };
    let counted = bare.succeed(["rev-list", "--count", &tip, "--"]).await?;
    let total = String::from_utf8_lossy(&counted)
        .trim()
        .parse()
        .unwrap_or(0);
    let page = visit.call.page();
    let skip = format!("--skip={}", (page.number - 1).saturating_mul(page.size));
    let most = format!("--max-count={}", page.size);
    let commits = log(&bare, &[&skip, &most, &tip]).await?;
    let shapes = commits.iter().map(|commit| commit_shape(visit, commit));
    Ok(visit.call.list(&shapes.collect::<Vec<_>>(), total))
}

/// Branches by name, and the commit at the tip of each.
pub(super) async fn tips(bare: &Bare) -> Result<HashMap<String, String>, EmbeddedError> {
    let heads = bare.references(HEADS).await?;
    let tips = heads.into_iter().map(|head| {
        let name = head.name.trim_start_matches(HEADS).to_owned();
        (name, head.object)
    });
    Ok(tips.collect())
}

pub(super) async fn read(bare: &Bare, name: &str) -> Result<Option<Commit>, EmbeddedError> {
    Ok(log(bare, &["--max-count=1", name])
        .await?
        .into_iter()
        .next())
}

/// Commits that `git log` prints for these arguments, which are options and objects' names.
pub(super) async fn log(bare: &Bare, range: &[&str]) -> Result<Vec<Commit>, EmbeddedError> {
    let arguments = [
        "log",
        "-z",
        "--no-show-signature",
        "--encoding=UTF-8",
        COMMIT_FORMAT,
    ];
    let printed = bare
        .succeed(arguments.iter().chain(range).chain(&["--"]))
        .await?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let fields: Vec<&str> = printed.split('\0').collect();
    Ok(fields.chunks_exact(10).filter_map(parse).collect())
}

fn parse(fields: &[&str]) -> Option<Commit> {
    let [
        name,
        tree,
        parents,
        author,
        email,
        date,
        committer,
        their_email,
        their_date,
        message,
    ] = fields
    else {
        return None;
    };
    let parents = parents.split_whitespace().map(str::to_owned);
    Some(Commit {
        name: (*name).to_owned(),
        tree: (*tree).to_owned(),
        parents: parents.collect(),
        author: signature(author, email, date),
        committer: signature(committer, their_email, their_date),
        message: (*message).to_owned(),
    })
}

/// git makes no commit for somebody without a name, but accepts such a commit when it is pushed.
fn signature(name: &str, email: &str, date: &str) -> Signature {
    Signature {
        name: if name.is_empty() { "unknown" } else { name }.to_owned(),
        email: email.to_owned(),
        date: date.replace("+00:00", "Z"),
    }
}

fn signature_shape(signature: &Signature) -> Value {
    let Signature { name, email, date } = signature;
    json!({"name": name, "email": email, "date": date})
}

pub(super) fn commit_shape(visit: &Visit<'_>, commit: &Commit) -> Value {
    let api = visit.api_url();
    let url = |name: &str| format!("{api}/git/commits/{name}");
    let meta =
        |name: &String| json!({"sha": name, "url": url(name), "created": commit.committer.date});
    json!({
        "sha": commit.name,
        "url": url(&commit.name),
        "created": commit.committer.date,
        "html_url": format!("{}/commit/{}", visit.page_url(), commit.name),
        "commit": {
            "url": url(&commit.name),
            "author": signature_shape(&commit.author),
            "committer": signature_shape(&commit.committer),
            "message": commit.message,
            "tree": {
                "sha": commit.tree,
                "url": format!("{api}/git/trees/{}", commit.tree),
                "created": commit.committer.date,
            },
        },
        "author": null,
        "committer": null,
        "parents": commit.parents.iter().map(meta).collect::<Vec<_>>(),
    })
}

async fn branch_shape(visit: &Visit<'_>, bare: &Bare, head: &Reference) -> Result<Value, Refusal> {
    let commit = read(bare, &head.object).await?.ok_or(Refusal::Missing)?;
    Ok(json!({
        "name": head.name.trim_start_matches(HEADS),
        "commit": {
            "id": commit.name,
            "message": commit.message,
            "url": format!("{}/commit/{}", visit.page_url(), commit.name),
            "author": signature_shape(&commit.author),
            "committer": signature_shape(&commit.committer),
            "timestamp": commit.committer.date,
        },
        "protected": false,
        "required_approvals": 0,
        "enable_status_check": false,
        "status_check_contexts": [],
        "user_can_push": visit.can_write(),
        "user_can_merge": visit.can_write(),
        "effective_branch_protection_name": "",
    }))
}

fn reference_shape(visit: &Visit<'_>, reference: &Reference) -> Value {
    let api = visit.api_url();
    let Reference { name, object, kind } = reference;
    json!({
        "ref": name,
        "url": format!("{api}/git/{name}"),
        "object": {
            "type": kind,
            "sha": object,
            "url": format!("{api}/git/{kind}s/{object}"),
        },
    })
}
