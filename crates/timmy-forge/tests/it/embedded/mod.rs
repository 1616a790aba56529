//! The embedded forge over HTTP, as Gitea would answer.

mod access;
mod conformance;
mod crashes;
mod faults;
mod git_http;
mod issues;
mod labels;
mod merging;
mod pulls;
mod repositories;
mod statuses;
