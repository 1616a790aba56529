//! Repositories, branches, refs and commits.

use serde_json::json;
use timmy_forge::embedded::EmbeddedError;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;

use crate::forge_server::ForgeServer;
use crate::forge_server::git;

#[tokio::test]
async fn a_repository_is_made_once() {
    let server = ForgeServer::start().await;
    let new = json!({"name": "r", "auto_init": true, "private": true, "default_branch": "trunk"});
    let made = server.post("/user/repos", new.clone()).await;
    assert_eq!(201, made.status);
    let made = made.json();
    assert_eq!("bot/r", made["full_name"]);
    assert_eq!("trunk", made["default_branch"]);
    assert_eq!(false, made["empty"]);
    assert_eq!(
        json!({"admin": true, "push": true, "pull": true}),
        made["permissions"]
    );
    assert_eq!(format!("{}/bot/r.git", server.url()), made["clone_url"]);
    let again = server.post("/user/repos", new).await;
    assert_eq!(409, again.status);
    assert_eq!(
        422,
        server
            .post("/user/repos", json!({"name": "../r"}))
            .await
            .status
    );
    assert_eq!(204, server.delete("/repos/bot/r").await.status);
    assert_eq!(404, server.get("/repos/bot/r").await.status);
}

#[tokio::test]
async fn an_empty_repository_has_an_unborn_branch() {
    let server = ForgeServer::start().await;
    let made = server
        .post("/user/repos", json!({"name": "empty"}))
        .await
        .json();
    assert_eq!(true, made["empty"]);
    assert_eq!("main", made["default_branch"]);
    let branch = json!({"new_branch_name": "x", "old_ref_name": "main"});
    let refused = server.post("/repos/bot/empty/branches", branch).await;
    assert_eq!(
        (404, "Git Repository is empty."),
        (refused.status, refused.json()["message"].as_str().unwrap())
    );
    assert_eq!(
        json!([]),
        server.get("/repos/bot/empty/branches").await.json()
    );
    assert_eq!(
        404,
        server.get("/repos/bot/empty/branches/main").await.status
    );
}

#[tokio::test]
async fn branches_are_made_once_and_may_hold_slashes() {
    let server = ForgeServer::start().await;
    let path = "/repos/bot/project/branches";
    let new = |name: &str, old: &str| json!({"new_branch_name": name, "old_ref_name": old});
    assert_eq!(
        201,
        server.post(path, new("timmy/1-1", "main")).await.status
    );
    assert_eq!(
        409,
        server.post(path, new("timmy/1-1", "main")).await.status
    );
    assert_eq!(
        409,
        server.post(path, new("timmy/1-1/x", "main")).await.status
    );
    assert_eq!(404, server.post(path, new("other", "missing")).await.status);
    assert_eq!(422, server.post(path, new("a..b", "main")).await.status);
    for name in ["timmy/1-1", "timmy%2F1-1"] {
        let branch = server.get(&format!("{path}/{name}")).await;
        assert_eq!("timmy/1-1", branch.json()["name"]);
        assert_eq!("Initial commit\n", branch.json()["commit"]["message"]);
    }
    let list = server.get(path).await;
    assert_eq!("2", list.header("x-total-count"));
    assert_eq!(403, server.delete(&format!("{path}/main")).await.status);
    assert_eq!(
        204,
        server.delete(&format!("{path}/timmy/1-1")).await.status
    );
    assert_eq!(404, server.get(&format!("{path}/timmy/1-1")).await.status);
}

#[tokio::test]
async fn commits_are_listed_newest_first_and_counted() {
    let server = ForgeServer::start().await;
    let path = "/repos/bot/project/commits";
    let list = server.get(&format!("{path}?limit=1&sha=main")).await;
    assert_eq!("1", list.header("x-total-count"));
    assert_eq!("Initial commit\n", list.json()[0]["commit"]["message"]);
    let after = server.get(&format!("{path}?limit=1&page=2")).await;
    assert_eq!((200, json!([])), (after.status, after.json()));
    assert_eq!(404, server.get(&format!("{path}?sha=none")).await.status);
    server.post("/user/repos", json!({"name": "empty"})).await;
    assert_eq!(409, server.get("/repos/bot/empty/commits").await.status);
}

#[tokio::test]
async fn an_archived_repository_can_only_be_read() {
    let server = ForgeServer::start().await;
    let edited = server
        .patch("/repos/bot/project", json!({"archived": true}))
        .await;
    assert_eq!(
        (200, json!(true)),
        (edited.status, edited.json()["archived"].clone())
    );
    let branch = json!({"new_branch_name": "x", "old_ref_name": "main"});
    assert_eq!(
        423,
        server
            .post("/repos/bot/project/branches", branch)
            .await
            .status
    );
    assert_eq!(200, server.get("/repos/bot/project/branches").await.status);
}

#[tokio::test]
async fn refs_match_by_prefix_and_commits_can_be_read() {
    let server = ForgeServer::start().await;
    let refs = server.get("/repos/bot/project/git/refs/heads/ma").await;
    let main = refs.json()[0].clone();
    assert_eq!("refs/heads/main", main["ref"]);
    let sha = main["object"]["sha"].as_str().unwrap().to_owned();
    let commit = server
        .get(&format!("/repos/bot/project/git/commits/{sha}"))
        .await
        .json();
    assert_eq!(json!([]), commit["parents"]);
    assert_eq!("Initial commit\n", commit["commit"]["message"]);
    assert_eq!("bot", commit["commit"]["author"]["name"]);
    assert_eq!(
        404,
        server
            .get("/repos/bot/project/git/refs/timmy/none")
            .await
            .status
    );
    assert_eq!(
        404,
        server
            .get("/repos/bot/project/git/commits/--help")
            .await
            .status
    );
}

#[tokio::test]
async fn a_local_repository_is_imported_with_its_default_branch() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.run(&["checkout", "-q", "-b", "trunk"]).await;
    clone.run(&["branch", "-q", "-D", "main"]).await;
    clone.run(&["tag", "v1"]).await;
    let new = NewRepository {
        name: "bot/imported".parse().unwrap(),
        description: String::new(),
        private: false,
        content: InitialCommit::Empty,
    };
    server
        .forge
        .import_repository(&new, &clone.path)
        .await
        .unwrap();
    let imported = server.get("/repos/bot/imported").await.json();
    assert_eq!(
        json!(["trunk", false]),
        json!([imported["default_branch"], imported["empty"]])
    );
    let head = clone.run(&["rev-parse", "HEAD"]).await;
    let url = format!("{}/bot/imported", server.url());
    let listed = git(server.directory.path(), "", &["ls-remote", &url]).await;
    assert_eq!(
        format!("{head}\tHEAD\n{head}\trefs/heads/trunk\n{head}\trefs/tags/v1\n"),
        listed.said
    );
    let again = server.forge.import_repository(&new, &clone.path).await;
    assert!(matches!(again, Err(EmbeddedError::Exists(_))), "{again:?}");
    let names: Vec<String> = server
        .forge
        .repositories()
        .await
        .unwrap()
        .into_iter()
        .map(|repository| repository.name)
        .collect();
    assert_eq!(vec!["project", "imported"], names);
}
