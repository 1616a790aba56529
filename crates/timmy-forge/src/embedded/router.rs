//! From a method and a path to the one function that answers it.

use std::sync::Arc;

use http::Method;
use http::StatusCode;
use serde_json::json;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_store::forge::Issue;
use timmy_store::forge::Pull;

use super::Shared;
use super::VERSION;
use super::access::Caller;
use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::branches;
use super::call::Call;
use super::changes;
use super::comments;
use super::credentials::Category;
use super::dependencies;
use super::dependencies::Side;
use super::git_http;
use super::issues;
use super::labels;
use super::merging;
use super::pulls;
use super::repositories;
use super::reviews;
use super::statuses;
use super::users;

pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Reply {
    let (head, body) = request.into_parts();
    let call = Call::new(head, body);
    let segments = call.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answer = match segments.as_slice() {
        ["api", "v1", rest @ ..] => api(shared, &call, rest).await,
        [owner, name, "pulls", number] if call.method == Method::GET => {
            page(shared, &call, owner, name, number).await
        }
        [owner, name, service @ ..] => {
            return git_http::answer(shared, &call, owner, name, service).await;
        }
        _ => Err(Refusal::Missing),
    };
    Reply::Whole(answer.unwrap_or_else(|refusal| refusal.into_response(&call.base)))
}

async fn api(shared: &Arc<Shared>, call: &Call, path: &[&str]) -> Answer {
    let caller = Caller::of(&shared.tables, &call.headers).await?;
    let allow = |category| caller.may_call(category, &call.method);
    match (&call.method, path) {
        (&Method::GET, ["version"]) => {
            Ok(answer::json(StatusCode::OK, &json!({"version": VERSION})))
        }
        (&Method::GET, ["settings", "api"]) => Ok(answer::json(
            StatusCode::OK,
            &json!({"max_response_items": 50, "default_paging_num": 30}),
        )),
        (&Method::GET, ["user"]) => {
            allow(Category::User)?;
            users::current(call, &caller)
        }
        (&Method::GET, ["users", name]) => {
            allow(Category::User)?;
            users::get(shared, call, name).await
        }
        (&Method::POST, ["user", "repos"]) => {
            allow(Category::User)?;
            allow(Category::Repository)?;
            repositories::create(shared, call, &caller).await
        }
        (_, ["repos", owner, name, rest @ ..]) => {
            allow(category(rest))?;
            let visit = Visit::new(shared, call, &caller, owner, name).await?;
            repository(&visit, rest).await
        }
        _ => Err(Refusal::Missing),
    }
}

/// The addresses in `diff_url` and `patch_url`. There are no other pages.
async fn page(shared: &Arc<Shared>, call: &Call, owner: &str, name: &str, number: &str) -> Answer {
    let caller = Caller::of(&shared.tables, &call.headers).await?;
    caller.may_call(Category::Repository, &call.method)?;
    let visit = Visit::new(shared, call, &caller, owner, name).await?;
    match number.contains('.') {
        true => pulls(&visit, &[number]).await,
        false => Err(Refusal::Missing),
    }
}

fn category(path: &[&str]) -> Category {
    match path.first() {
        Some(&"issues" | &"labels") => Category::Issue,
        _ => Category::Repository,
    }
}

async fn repository(visit: &Visit<'_>, path: &[&str]) -> Answer {
    match (&visit.call.method, path) {
        (&Method::GET, []) => repositories::get(visit).await,
        (&Method::PATCH, []) => repositories::edit(visit).await,
        (&Method::DELETE, []) => repositories::remove(visit).await,
        (&Method::GET, ["collaborators", user]) => repositories::is_invited(visit, user).await,
        (&Method::GET, ["collaborators", user, "permission"]) => {
            repositories::permission(visit, user).await
        }
        (&Method::PUT, ["collaborators", user]) => repositories::invite(visit, user).await,
        (&Method::DELETE, ["collaborators", user]) => repositories::expel(visit, user).await,
        (_, ["branches", rest @ ..]) => branch(visit, rest).await,
        (&Method::GET, ["git", "refs", rest @ ..]) => {
            branches::references(visit, &rest.join("/")).await
        }
        (&Method::GET, ["commits"]) => branches::commits(visit).await,
        (&Method::GET, ["git", "commits", revision]) => branches::commit(visit, revision).await,
        (_, ["issues", rest @ ..]) => issues(visit, rest).await,
        (_, ["labels", rest @ ..]) => label(visit, rest).await,
        (_, ["pulls", rest @ ..]) => pulls(visit, rest).await,
        (&Method::POST, ["statuses", sha]) => statuses::create(visit, sha).await,
        (&Method::GET, ["statuses", sha]) => statuses::list(visit, sha).await,
        (&Method::GET, ["commits", revision @ .., "status"]) => {
            statuses::combined(visit, &revision.join("/")).await
        }
        (&Method::GET, ["commits", revision @ .., "statuses"]) => {
            statuses::list(visit, &revision.join("/")).await
        }
        _ => Err(Refusal::Missing),
    }
}

async fn label(visit: &Visit<'_>, path: &[&str]) -> Answer {
    match (&visit.call.method, path) {
        (&Method::GET, []) => labels::list(visit).await,
        (&Method::POST, []) => labels::create(visit).await,
        (&Method::GET, [id]) => labels::get(visit, id).await,
        (&Method::PATCH, [id]) => labels::edit(visit, id).await,
        (&Method::DELETE, [id]) => labels::remove(visit, id).await,
        _ => Err(Refusal::Missing),
    }
}

async fn issues(visit: &Visit<'_>, path: &[&str]) -> Answer {
    match (&visit.call.method, path) {
        (&Method::GET, []) => issues::list(visit).await,
        (&Method::POST, []) => issues::create(visit).await,
        (&Method::GET, ["comments", id]) => comments::get(visit, id).await,
        (&Method::PATCH, ["comments", id]) => comments::edit(visit, id).await,
        (&Method::DELETE, ["comments", id]) => comments::remove(visit, id).await,
        (_, [number, rest @ ..]) => issue(visit, &issues::find(visit, number).await?, rest).await,
        _ => Err(Refusal::Missing),
    }
}

async fn issue(visit: &Visit<'_>, issue: &Issue, path: &[&str]) -> Answer {
    let side = match path {
        ["dependencies"] => Side::Dependencies,
        _ => Side::Blocks,
    };
    match (&visit.call.method, path) {
        (&Method::GET, []) => issues::get(visit, issue).await,
        (&Method::PATCH, []) => issues::edit(visit, issue).await,
        (&Method::GET, ["comments"]) => comments::list(visit, issue).await,
        (&Method::POST, ["comments"]) => comments::create(visit, issue).await,
        (&Method::GET, ["labels"]) => labels::of_issue(visit, issue).await,
        (&Method::POST, ["labels"]) => labels::put(visit, issue).await,
        (&Method::PUT, ["labels"]) => labels::replace(visit, issue).await,
        (&Method::DELETE, ["labels"]) => labels::clear(visit, issue).await,
        (&Method::DELETE, ["labels", id]) => labels::take(visit, issue, id).await,
        (&Method::GET, ["dependencies" | "blocks"]) => dependencies::list(visit, issue, side).await,
        (&Method::POST, ["dependencies" | "blocks"]) => {
            dependencies::create(visit, issue, side).await
        }
        (&Method::DELETE, ["dependencies" | "blocks"]) => {
            dependencies::remove(visit, issue, side).await
        }
        _ => Err(Refusal::Missing),
    }
}

async fn pulls(visit: &Visit<'_>, path: &[&str]) -> Answer {
    match (&visit.call.method, path) {
        (&Method::GET, []) => pulls::list(visit).await,
        (&Method::POST, []) => pulls::create(visit).await,
        (_, [number, rest @ ..]) => match number.split_once('.') {
            Some((number, form @ ("diff" | "patch"))) if rest.is_empty() => {
                pull(visit, &pulls::find(visit, number).await?, &[form]).await
            }
            _ if pulls::is_number(number) => {
                let found = pulls::find(visit, number).await?;
                let found = merging::settle(visit, found).await?;
                pull(visit, &found, rest).await
            }
            _ if visit.call.method == Method::GET && !rest.is_empty() => {
                pulls::between(visit, number, &rest.join("/")).await
            }
            _ => Err(Refusal::Missing),
        },
        _ => Err(Refusal::Missing),
    }
}

async fn pull(visit: &Visit<'_>, pull: &Pull, path: &[&str]) -> Answer {
    match (&visit.call.method, path) {
        (&Method::GET, []) => pulls::get(visit, pull).await,
        (&Method::PATCH, []) => pulls::edit(visit, pull).await,
        (&Method::GET, ["diff"]) => changes::diff(visit, pull).await,
        (&Method::GET, ["patch"]) => changes::patch(visit, pull).await,
        (&Method::GET, ["files"]) => changes::files(visit, pull).await,
        (&Method::GET, ["commits"]) => changes::commits(visit, pull).await,
        (&Method::GET, ["merge"]) => merging::is_merged(pull),
        (&Method::POST, ["merge"]) => merging::merge(visit, pull).await,
        (&Method::GET, ["reviews"]) => reviews::list(visit, pull).await,
        (&Method::POST, ["reviews"]) => reviews::create(visit, pull).await,
        (&Method::GET, ["reviews", id]) => reviews::get(visit, pull, id).await,
        (&Method::GET, ["reviews", id, "comments"]) => reviews::comments(visit, pull, id).await,
        (&Method::GET, head) => {
            pulls::between(visit, &pull.issue.number.to_string(), &head.join("/")).await
        }
        _ => Err(Refusal::Missing),
    }
}

async fn branch(visit: &Visit<'_>, path: &[&str]) -> Answer {
    match (&visit.call.method, path) {
        (&Method::GET, []) => branches::list(visit).await,
        (&Method::POST, []) => branches::create(visit).await,
        (&Method::GET, name) => branches::get(visit, &name.join("/")).await,
        (&Method::DELETE, name) => branches::remove(visit, &name.join("/")).await,
        _ => Err(Refusal::Missing),
    }
}
