//! 401, 403 and 404, told apart as Gitea tells them.

use http::Method;
use secrecy::ExposeSecret;
use serde_json::Value;
use serde_json::json;
use timmy_forge::embedded::Scope;

use crate::forge_server::ForgeServer;

#[tokio::test]
async fn the_version_says_what_it_is_to_anybody() {
    let server = ForgeServer::start().await;
    let version = server.ask(Method::GET, "/version", "", Value::Null).await;
    assert_eq!(200, version.status);
    let version = version.json()["version"].as_str().unwrap().to_owned();
    assert!(version.starts_with("1.25.0+timmy-"), "{version}");
}

#[tokio::test]
async fn a_private_repository_is_not_there_for_others() {
    let server = ForgeServer::start().await;
    for token in ["", server.alice.as_str()] {
        let answer = server
            .ask(Method::GET, "/repos/bot/project", token, Value::Null)
            .await;
        assert_eq!(404, answer.status);
        assert_eq!("not found", answer.json()["message"]);
    }
    assert_eq!(200, server.get("/repos/BOT/Project").await.status);
}

#[tokio::test]
async fn a_wrong_token_is_401_even_where_none_is_needed() {
    let server = ForgeServer::start().await;
    let wrong = "0".repeat(40);
    let answer = server
        .ask(Method::GET, "/version", &wrong, Value::Null)
        .await;
    assert_eq!(401, answer.status);
}

#[tokio::test]
async fn a_missing_scope_is_403_and_named() {
    let server = ForgeServer::start().await;
    let scopes = [Scope::ReadIssue, Scope::WriteUser];
    let token = server
        .forge
        .create_token("bot", "narrow", &scopes)
        .await
        .unwrap();
    let token = token.expose_secret();
    let cases = [
        (
            Method::GET,
            "/repos/bot/project",
            "required=[read:repository]",
        ),
        (Method::POST, "/user/repos", "required=[write:repository]"),
        (
            Method::POST,
            "/repos/bot/project/issues",
            "required=[write:issue]",
        ),
    ];
    for (method, path, named) in cases {
        let answer = server
            .ask(method, path, token, json!({"name": "x", "title": "x"}))
            .await;
        assert_eq!(403, answer.status, "{path}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{message}");
        assert!(message.starts_with("token does not have at least one of required scope(s)"));
    }
    assert_eq!(
        200,
        server
            .ask(Method::GET, "/user", token, Value::Null)
            .await
            .status
    );
}

#[tokio::test]
async fn no_token_is_stored() {
    let server = ForgeServer::start().await;
    let mut found = Vec::new();
    let mut directories = vec![server.directory.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            let token = server.bot.as_bytes();
            if content.windows(token.len()).any(|window| window == token) {
                found.push(path);
            }
        }
    }
    assert_eq!(Vec::<std::path::PathBuf>::new(), found);
}

#[tokio::test]
async fn only_administrators_hear_of_the_rights_of_others() {
    let server = ForgeServer::start().await;
    let people = "/repos/bot/project/collaborators";
    let invite = json!({"permission": "write"});
    let path = format!("{people}/alice");
    assert_eq!(404, server.get(&path).await.status);
    server.ask(Method::PUT, &path, &server.bot, invite).await;
    assert_eq!(204, server.get(&path).await.status);
    assert_eq!(404, server.get(&format!("{people}/bot")).await.status);
    assert_eq!(422, server.get(&format!("{people}/nobody")).await.status);
    let rights = async |who: &str, token: &str| {
        let path = format!("{people}/{who}/permission");
        let answer = server.ask(Method::GET, &path, token, Value::Null).await;
        (answer.status, answer.json()["permission"].clone())
    };
    assert_eq!((200, json!("write")), rights("alice", &server.bot).await);
    assert_eq!((200, json!("owner")), rights("bot", &server.bot).await);
    assert_eq!((404, Value::Null), rights("nobody", &server.bot).await);
    assert_eq!((200, json!("write")), rights("alice", &server.alice).await);
    assert_eq!((403, Value::Null), rights("bot", &server.alice).await);
}
