//! What a kill -9 leaves behind is found out and put right at the next look.

use futures_util::future::join_all;
use serde_json::json;

use crate::forge_server::ForgeServer;

const PULLS: &str = "/repos/bot/project/pulls";

/// A pull request, and the keys of its row and of its author.
async fn offered(server: &ForgeServer) -> (crate::forge_server::Clone, String, i64, i64) {
    let clone = server.clone_project("one").await;
    let head = clone.push_branch("work", "note", "one\n").await;
    let body = json!({"title": "Offer", "head": "work", "base": "main"});
    assert_eq!(201, server.post(PULLS, body).await.status);
    let repository = server
        .tables
        .repository("bot", "project")
        .await
        .unwrap()
        .unwrap();
    let pull = server.tables.pull(repository.id, 1).await.unwrap().unwrap();
    (clone, head, pull.issue.id, pull.issue.author_id)
}

#[tokio::test]
async fn a_merge_that_reached_the_branch_is_finished() {
    let server = ForgeServer::start().await;
    let (clone, head, id, author) = offered(&server).await;
    server.tables.begin_merge(id, &head, author).await.unwrap();
    clone.run(&["push", "-q", "origin", "work:main"]).await;
    let pull = server.get(&format!("{PULLS}/1")).await.json();
    assert_eq!(
        json!(["closed", true, head, "bot"]),
        json!([
            pull["state"],
            pull["merged"],
            pull["merge_commit_sha"],
            pull["merged_by"]["login"]
        ])
    );
}

#[tokio::test]
async fn a_merge_that_did_not_is_forgotten() {
    let server = ForgeServer::start().await;
    let (_clone, head, id, author) = offered(&server).await;
    server.tables.begin_merge(id, &head, author).await.unwrap();
    let pull = server.get(&format!("{PULLS}/1")).await.json();
    assert_eq!(
        json!(["open", false, null]),
        json!([pull["state"], pull["merged"], pull["merge_commit_sha"]])
    );
}

#[tokio::test]
async fn a_repository_without_its_directory_gets_an_empty_one() {
    let server = ForgeServer::start().await;
    let repositories = server.directory.path().join("home/forge/repositories");
    std::fs::remove_dir_all(&repositories).unwrap();
    std::fs::create_dir(&repositories).unwrap();
    assert_eq!(
        json!(true),
        server.get("/repos/bot/project").await.json()["empty"]
    );
}

#[tokio::test]
async fn of_many_at_once_one_opens_the_pull_request() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    let body = json!({"title": "Offer", "head": "work", "base": "main"});
    let answers = join_all((0..8).map(|_| server.post(PULLS, body.clone()))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!([201, 409, 409, 409, 409, 409, 409, 409], *statuses);
    assert_eq!(vec![1], server.get(PULLS).await.numbers());
}
