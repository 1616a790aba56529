//! The embedded forge over HTTP, as Gitea would answer.

mod access;
mod git_http;
mod repositories;
