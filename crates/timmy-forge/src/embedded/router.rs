//! From a method and a path to the one function that answers it.

use std::sync::Arc;

use http::Method;
use http::StatusCode;
use serde_json::json;
use timmy_loopback::Reply;
use timmy_loopback::Request;

use super::Shared;
use super::VERSION;
use super::access::Caller;
use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::branches;
use super::call::Call;
use super::credentials::Category;
use super::git_http;
use super::repositories;
use super::users;

pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Reply {
    let (head, body) = request.into_parts();
    let call = Call::new(head, body);
    let segments = call.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answer = match segments.as_slice() {
        ["api", "v1", rest @ ..] => api(shared, &call, rest).await,
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
        (&Method::PUT, ["collaborators", user]) => repositories::invite(visit, user).await,
        (&Method::DELETE, ["collaborators", user]) => repositories::expel(visit, user).await,
        (_, ["branches", rest @ ..]) => branch(visit, rest).await,
        (&Method::GET, ["git", "refs", rest @ ..]) => {
            branches::references(visit, &rest.join("/")).await
        }
        (&Method::GET, ["git", "commits", revision]) => branches::commit(visit, revision).await,
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
