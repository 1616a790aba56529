//! Merging, in every style, and every reason not to.

use serde_json::Value;
use serde_json::json;

use crate::forge_server::Answered;
use crate::forge_server::Clone;
use crate::forge_server::ForgeServer;

const PULLS: &str = "/repos/bot/project/pulls";

async fn offer(server: &ForgeServer, title: &str, head: &str) -> u64 {
    let body = json!({"title": title, "head": head, "base": "main"});
    let made = server.post(PULLS, body).await;
    assert_eq!(201, made.status, "{}", made.json());
    made.json()["number"].as_u64().unwrap()
}

/// Merges as soon as the forge knows that it can be merged.
async fn merge(server: &ForgeServer, number: u64, how: Value) -> Answered {
    loop {
        let answer = server
            .post(&format!("{PULLS}/{number}/merge"), how.clone())
            .await;
        let later = |answer: &Answered| answer.json()["message"] == "Please try again later";
        if answer.status != 405 || !later(&answer) {
            return answer;
        }
        server.get(&format!("{PULLS}/{number}")).await;
        tokio::task::yield_now().await;
    }
}

/// `main` and a branch `work` of two commits that have parted.
async fn parted(server: &ForgeServer) -> (Clone, String) {
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    let head = clone.push_more("work", "other", "two\n").await;
    clone.run(&["checkout", "-q", "main"]).await;
    clone.push_more("main", "elsewhere", "three\n").await;
    (clone, head)
}

async fn subjects(clone: &Clone) -> Vec<String> {
    clone.run(&["fetch", "-q", "--prune", "origin"]).await;
    let log = clone
        .run(&["log", "--format=%s", "--topo-order", "origin/main"])
        .await;
    log.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_merge_commit_joins_both() {
    let server = ForgeServer::start().await;
    let (clone, head) = parted(&server).await;
    let number = offer(&server, "Offer", "work").await;
    let how = json!({"Do": "merge", "head_commit_id": head, "delete_branch_after_merge": true});
    let merged = merge(&server, number, how).await;
    assert_eq!((200, b"".to_vec()), (merged.status, merged.body));
    let pull = server.get(&format!("{PULLS}/{number}")).await.json();
    assert_eq!(
        json!(["closed", true, false]),
        json!([pull["state"], pull["merged"], pull["mergeable"]])
    );
    assert_eq!("bot", pull["merged_by"]["login"]);
    let subjects = subjects(&clone).await;
    assert_eq!(
        "Merge pull request 'Offer' (#1) from work into main",
        subjects[0]
    );
    let tip = clone.run(&["rev-parse", "origin/main"]).await;
    assert_eq!(tip, pull["merge_commit_sha"]);
    let parents = clone.run(&["rev-parse", "origin/main^2"]).await;
    assert_eq!(head, parents);
    let branches = clone.run(&["ls-remote", "--heads", "origin"]).await;
    assert!(!branches.contains("work"), "{branches}");
    let again = merge(&server, number, json!({"Do": "merge"})).await;
    assert_eq!(
        (405, json!("The PR is already merged")),
        (again.status, again.json()["message"].clone())
    );
}

#[tokio::test]
async fn a_squash_is_one_commit() {
    let server = ForgeServer::start().await;
    let (clone, _) = parted(&server).await;
    let number = offer(&server, "Offer", "work").await;
    let how = json!({"Do": "squash", "MergeTitleField": "One", "MergeMessageField": "Because."});
    assert_eq!(200, merge(&server, number, how).await.status);
    assert_eq!(
        vec!["One", "Write elsewhere", "Initial commit"],
        subjects(&clone).await
    );
    let body = clone
        .run(&["log", "-1", "--format=%b", "origin/main"])
        .await;
    assert_eq!("Because.", body);
    clone.run(&["cat-file", "-e", "origin/main:note"]).await;
    clone
        .run(&["cat-file", "-e", "origin/main:elsewhere"])
        .await;
}

#[tokio::test]
async fn a_rebase_keeps_the_commits_and_their_authors() {
    let server = ForgeServer::start().await;
    let (clone, _) = parted(&server).await;
    let number = offer(&server, "Offer", "work").await;
    assert_eq!(
        200,
        merge(&server, number, json!({"Do": "rebase"})).await.status
    );
    assert_eq!(
        vec![
            "Write other",
            "Write note",
            "Write elsewhere",
            "Initial commit"
        ],
        subjects(&clone).await
    );
    let people = clone
        .run(&["log", "-1", "--format=%an %cn", "origin/main"])
        .await;
    assert_eq!("Test bot", people);
    let tree = clone.run(&["ls-tree", "--name-only", "origin/main"]).await;
    assert_eq!("README.md\nelsewhere\nnote\nother\nsrc", tree);
}

#[tokio::test]
async fn a_rebase_of_what_has_not_parted_is_a_fast_forward() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let head = clone.push_branch("work", "note", "one\n").await;
    let number = offer(&server, "Offer", "work").await;
    assert_eq!(
        200,
        merge(&server, number, json!({"Do": "rebase"})).await.status
    );
    clone.run(&["fetch", "-q", "origin"]).await;
    assert_eq!(head, clone.run(&["rev-parse", "origin/main"]).await);
}

#[tokio::test]
async fn a_fast_forward_needs_a_straight_line() {
    let server = ForgeServer::start().await;
    let _parted = parted(&server).await;
    let number = offer(&server, "Offer", "work").await;
    assert_eq!(
        409,
        merge(&server, number, json!({"Do": "fast-forward-only"}))
            .await
            .status
    );
}

#[tokio::test]
async fn reasons_not_to_merge_have_their_own_answers() {
    let server = ForgeServer::start().await;
    let (clone, head) = parted(&server).await;
    let number = offer(&server, "WIP: Offer", "work").await;
    let place = format!("{PULLS}/{number}");
    let draft = merge(&server, number, json!({"Do": "merge"})).await;
    assert_eq!(
        (405, json!("Work in progress PRs cannot be merged")),
        (draft.status, draft.json()["message"].clone())
    );
    server.patch(&place, json!({"title": "Offer"})).await;
    assert_eq!(
        422,
        merge(&server, number, json!({"Do": "octopus"}))
            .await
            .status
    );
    assert_eq!(422, merge(&server, number, json!({})).await.status);
    let path = "/repos/bot/project/collaborators/alice";
    server
        .ask(
            http::Method::PUT,
            path,
            &server.bot,
            json!({"permission": "read"}),
        )
        .await;
    let hers = json!({"Do": "merge"});
    let hers = server
        .ask(
            http::Method::POST,
            &format!("{place}/merge"),
            &server.alice,
            hers,
        )
        .await;
    assert_eq!(
        (405, json!("User not allowed to merge PR")),
        (hers.status, hers.json()["message"].clone())
    );
    clone.run(&["checkout", "-q", "work"]).await;
    clone.push_more("work", "note", "changed\n").await;
    let stale = merge(
        &server,
        number,
        json!({"Do": "merge", "head_commit_id": head}),
    )
    .await;
    assert_eq!(
        (409, json!("head out of date")),
        (stale.status, stale.json()["message"].clone())
    );
    assert_eq!(404, server.get(&format!("{place}/merge")).await.status);
    server.patch(&place, json!({"state": "closed"})).await;
    assert_eq!(
        404,
        merge(&server, number, json!({"Do": "merge"})).await.status
    );
}

#[tokio::test]
async fn a_conflict_is_never_merged() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("one", "note", "one\n").await;
    clone.push_branch("two", "note", "two\n").await;
    let first = offer(&server, "One", "one").await;
    let second = offer(&server, "Two", "two").await;
    assert_eq!(
        200,
        merge(&server, first, json!({"Do": "squash"})).await.status
    );
    let place = format!("{PULLS}/{second}");
    let refused = server
        .post(&format!("{place}/merge"), json!({"Do": "squash"}))
        .await;
    assert_eq!(405, refused.status);
    assert_eq!(json!(false), server.get(&place).await.json()["mergeable"]);
    assert_eq!("open", server.get(&place).await.json()["state"]);
    assert_eq!(vec!["One (#1)", "Initial commit"], subjects(&clone).await);
}

#[tokio::test]
async fn a_merge_closes_the_issues_that_it_names() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let issues = "/repos/bot/project/issues";
    for title in ["named", "mentioned", "blocked"] {
        server.post(issues, json!({"title": title})).await;
    }
    let edge = json!({"owner": "bot", "repo": "project", "index": 2});
    server.post(&format!("{issues}/3/dependencies"), edge).await;
    clone.push_branch("work", "note", "one\n").await;
    let body = "Closes #1, fixes #3, see #2.";
    let new = json!({"title": "Offer", "body": body, "head": "work", "base": "main"});
    assert_eq!(201, server.post(PULLS, new).await.status);
    assert_eq!(200, merge(&server, 4, json!({"Do": "merge"})).await.status);
    assert_eq!(
        vec![3, 2],
        server.get(&format!("{issues}?state=open")).await.numbers()
    );
}
