//! Repositories and their collaborators.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_core::RepoName;
use timmy_store::forge::NewRepository;
use timmy_store::forge::Permission;
use timmy_store::forge::RepositoryEdit;

use super::Shared;
use super::access::Caller;
use super::access::Visit;
use super::admin;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::call::Call;
use super::git;
use super::users;

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    default_branch: String,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    auto_init: bool,
}

#[derive(Deserialize)]
struct Edit {
    description: Option<String>,
    default_branch: Option<String>,
    private: Option<bool>,
    archived: Option<bool>,
}

#[derive(Deserialize)]
struct Invite {
    #[serde(default)]
    permission: String,
}

/// `POST /user/repos`
pub(super) async fn create(shared: &Arc<Shared>, call: &Call, caller: &Caller) -> Answer {
    let user = caller.user()?;
    let asked: Create = call.json()?;
    if RepoName::new(&user.name, &asked.name).is_err() {
        return Err(Refusal::unprocessable("[Name]: AlphaDashDot"));
    }
    let default_branch = match asked.default_branch.as_str() {
        "" => admin::DEFAULT_BRANCH,
        named => named,
    };
    if git::branch_ref(default_branch).is_none() {
        return Err(Refusal::unprocessable("[DefaultBranch]: GitRefName"));
    }
    let new = NewRepository {
        owner: user.id,
        name: &asked.name,
        description: &asked.description,
        default_branch,
        private: asked.private,
    };
    let Some(id) = shared.tables.add_repository(&new).await? else {
        let message = "The repository with the same name already exists.";
        return Err(Refusal::said(StatusCode::CONFLICT, message));
    };
    let bare = shared.bare(id);
    bare.ensure(default_branch).await?;
    let visit = Visit::new(shared, call, caller, &user.name, &asked.name).await?;
    if asked.auto_init {
        let readme = format!("# {}\n\n{}\n", asked.name, asked.description);
        let files = [("README.md".to_owned(), readme.into_bytes())];
        admin::commit_files(&bare, default_branch, &visit.signature(&bare)?, &files).await?;
    }
    let created = shape(&visit).await?;
    Ok(answer::json(StatusCode::CREATED, &created))
}

/// `GET /repos/{owner}/{name}`
pub(super) async fn get(visit: &Visit<'_>) -> Answer {
    Ok(answer::json(StatusCode::OK, &shape(visit).await?))
}

/// `PATCH /repos/{owner}/{name}`
pub(super) async fn edit(visit: &Visit<'_>) -> Answer {
    let user = visit.require(Permission::Admin)?;
    let asked: Edit = visit.call.json()?;
    if let Some(branch) = &asked.default_branch {
        let reference = git::branch_ref(branch);
        let reference = reference.ok_or_else(|| Refusal::unprocessable("[DefaultBranch]: name"))?;
        let bare = visit.bare().await?;
        bare.succeed(["symbolic-ref", "HEAD", &reference]).await?;
    }
    let edit = RepositoryEdit {
        description: asked.description,
        default_branch: asked.default_branch,
        private: asked.private,
        archived: asked.archived,
    };
    visit
        .tables()
        .edit_repository(visit.repository.id, edit)
        .await?;
    let (owner, name) = (&visit.repository.owner, &visit.repository.name);
    tracing::debug!(user = user.name, owner, name, "repository edited");
    get(&visit.again().await?).await
}

/// `DELETE /repos/{owner}/{name}`
pub(super) async fn remove(visit: &Visit<'_>) -> Answer {
    visit.require(Permission::Admin)?;
    visit
        .tables()
        .remove_repository(visit.repository.id)
        .await?;
    visit.shared.bare(visit.repository.id).remove()?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// `GET /repos/{owner}/{name}/collaborators/{user}`: 204 or 404; the owner is none.
pub(super) async fn is_invited(visit: &Visit<'_>, name: &str) -> Answer {
    visit.user()?;
    let user = visit.tables().user(name).await?;
    let user = user.ok_or_else(|| Refusal::unprocessable("user does not exist"))?;
    let repository = &visit.repository;
    let permission = visit.tables().permission(repository, user.id).await?;
    match permission == Permission::None || user.id == repository.owner_id {
        true => Err(Refusal::Missing),
        false => Ok(answer::empty(StatusCode::NO_CONTENT)),
    }
}

/// `GET /repos/{owner}/{name}/collaborators/{user}/permission`: others' for administrators only.
pub(super) async fn permission(visit: &Visit<'_>, name: &str) -> Answer {
    let asking = visit.user()?;
    let own = asking.name.eq_ignore_ascii_case(name);
    if !own && visit.permission < Permission::Admin {
        let message = "Only admins can query all permissions, repo admins can query all repo \
                       permissions, collaborators can query only their own";
        return Err(Refusal::said(StatusCode::FORBIDDEN, message));
    }
    let user = visit.tables().user(name).await?.ok_or(Refusal::Missing)?;
    let repository = &visit.repository;
    let word = match visit.tables().permission(repository, user.id).await? {
        _ if user.id == repository.owner_id => "owner",
        Permission::None if !repository.private => Permission::Read.as_str(),
        permission => permission.as_str(),
    };
    let shape = json!({
        "permission": word,
        "role_name": word,
        "user": users::shape(&visit.call.base, user.id, &user.name),
    });
    Ok(answer::json(StatusCode::OK, &shape))
}

/// `PUT /repos/{owner}/{name}/collaborators/{user}`
pub(super) async fn invite(visit: &Visit<'_>, name: &str) -> Answer {
    visit.require(Permission::Admin)?;
    let asked: Invite = visit.call.json()?;
    let permission = match asked.permission.as_str() {
        "read" => Permission::Read,
        "admin" => Permission::Admin,
        _ => Permission::Write,
    };
    collaborate(visit, name, permission).await
}

/// `DELETE /repos/{owner}/{name}/collaborators/{user}`
pub(super) async fn expel(visit: &Visit<'_>, name: &str) -> Answer {
    visit.require(Permission::Admin)?;
    collaborate(visit, name, Permission::None).await
}

async fn collaborate(visit: &Visit<'_>, name: &str, permission: Permission) -> Answer {
    let user = visit.tables().user(name).await?;
    let user = user.ok_or_else(|| Refusal::unprocessable("user does not exist"))?;
    visit
        .tables()
        .set_collaborator(visit.repository.id, user.id, permission)
        .await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// A repository as the API shows it.
pub(super) async fn shape(visit: &Visit<'_>) -> Result<Value, Refusal> {
    let bare = visit.bare().await?;
    let first = bare
        .succeed(["for-each-ref", "--count=1", "refs/heads/"])
        .await?;
    Ok(shape_with(visit, first.is_empty()))
}

/// The same when it is known whether there is a branch.
pub(super) fn shape_with(visit: &Visit<'_>, is_empty: bool) -> Value {
    let repository = &visit.repository;
    let (owner, name) = (&repository.owner, &repository.name);
    let page = visit.page_url();
    json!({
        "id": repository.id,
        "owner": users::shape(&visit.call.base, repository.owner_id, owner),
        "name": name,
        "full_name": format!("{owner}/{name}"),
        "description": repository.description,
        "empty": is_empty,
        "private": repository.private,
        "fork": false,
        "template": false,
        "mirror": false,
        "html_url": page,
        "url": visit.api_url(),
        "ssh_url": "",
        "clone_url": format!("{page}.git"),
        "default_branch": repository.default_branch,
        "archived": repository.archived,
        "created_at": users::time(repository.created_at),
        "updated_at": users::time(repository.updated_at),
        "permissions": {
            "admin": visit.permission == Permission::Admin,
            "push": visit.permission >= Permission::Write,
            "pull": true,
        },
        "has_issues": true,
        "has_pull_requests": true,
        "has_wiki": false,
        "has_actions": false,
        "allow_merge_commits": true,
        "allow_rebase": true,
        "allow_rebase_explicit": true,
        "allow_squash_merge": true,
        "allow_fast_forward_only_merge": true,
        "default_merge_style": "merge",
        "object_format_name": "sha1",
    })
}
