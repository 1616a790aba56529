//! Issues, comments and dependencies.

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::forge_server::ForgeServer;

const ISSUES: &str = "/repos/bot/project/issues";

async fn open(server: &ForgeServer, title: &str) -> u64 {
    let made = server
        .post(ISSUES, json!({"title": title, "body": "b"}))
        .await;
    assert_eq!(201, made.status);
    made.json()["number"].as_u64().unwrap()
}

#[tokio::test]
async fn an_issue_has_the_fields_of_gitea() {
    let server = ForgeServer::start().await;
    let issue = server
        .post(ISSUES, json!({"title": "t", "body": "b"}))
        .await
        .json();
    let mut fields: Vec<&str> = issue
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        "assets assignee assignees body closed_at comments created_at due_date html_url id \
         is_locked labels milestone number original_author original_author_id pin_order \
         pull_request ref repository state title updated_at url user",
        fields.join(" ")
    );
    assert_eq!("bot", issue["user"]["login"]);
    assert_eq!(Value::Null, issue["pull_request"]);
    assert_eq!(Value::Null, issue["assignees"]);
    assert_eq!(422, server.post(ISSUES, json!({"title": " "})).await.status);
    assert_eq!(422, server.post(ISSUES, json!({"title": 7})).await.status);
    assert_eq!(404, server.get(&format!("{ISSUES}/99")).await.status);
    assert_eq!(404, server.get(&format!("{ISSUES}/x")).await.status);
}

#[tokio::test]
async fn lists_are_paged_by_header_and_newest_first() {
    let server = ForgeServer::start().await;
    for number in 1..=61 {
        assert_eq!(number, open(&server, "bulk").await);
    }
    assert_eq!(30, server.get(ISSUES).await.numbers().len());
    let first = server
        .get(&format!("{ISSUES}?type=issues&state=open&limit=100"))
        .await;
    assert_eq!((12..=61).rev().collect::<Vec<u64>>(), first.numbers());
    assert_eq!("61", first.header("x-total-count"));
    assert!(
        first
            .header("link")
            .contains("page=2&state=open&type=issues>; rel=\"next\"")
    );
    let second = server.get(&format!("{ISSUES}?limit=50&page=2")).await;
    assert_eq!((1..=11).rev().collect::<Vec<u64>>(), second.numbers());
    assert!(!second.header("link").contains("next"));
    assert_eq!(
        Vec::<u64>::new(),
        server.get(&format!("{ISSUES}?page=9")).await.numbers()
    );
}

#[tokio::test]
async fn an_issue_is_changed_by_its_author_or_a_writer() {
    let server = ForgeServer::start().await;
    let path = "/repos/bot/project/collaborators/alice";
    server
        .ask(
            Method::PUT,
            path,
            &server.bot,
            json!({"permission": "read"}),
        )
        .await;
    let number = open(&server, "old").await;
    let place = format!("{ISSUES}/{number}");
    let edited = server
        .patch(&place, json!({"title": "new", "state": "closed"}))
        .await;
    assert_eq!(201, edited.status);
    assert_eq!("new", edited.json()["title"]);
    assert_eq!("b", edited.json()["body"]);
    assert_ne!(Value::Null, edited.json()["closed_at"]);
    let reopened = server.patch(&place, json!({"state": "open"})).await.json();
    assert_eq!(Value::Null, reopened["closed_at"]);
    let by_alice = server
        .ask(Method::PATCH, &place, &server.alice, json!({"title": "x"}))
        .await;
    assert_eq!((403, b"".to_vec()), (by_alice.status, by_alice.body));

    let asked = json!({"title": "hers", "labels": [1], "assignees": ["bot"]});
    let hers = server.ask(Method::POST, ISSUES, &server.alice, asked).await;
    assert_eq!(201, hers.status);
    assert_eq!(json!([]), hers.json()["labels"]);
    assert_eq!(Value::Null, hers.json()["assignees"]);
    let nobody = server
        .ask(Method::POST, ISSUES, "", json!({"title": "x"}))
        .await;
    assert_eq!(404, nobody.status);
}

#[tokio::test]
async fn assignees_are_replaced_as_a_whole() {
    let server = ForgeServer::start().await;
    let place = format!("{ISSUES}/{}", open(&server, "i").await);
    let names = |issue: &Value| issue["assignees"][0]["login"].clone();
    let both = server
        .patch(&place, json!({"assignees": ["bot", "alice"]}))
        .await
        .json();
    assert_eq!("alice", names(&both));
    let one = server
        .patch(&place, json!({"assignees": ["bot"]}))
        .await
        .json();
    assert_eq!(
        ("bot", 1),
        (
            names(&one).as_str().unwrap(),
            one["assignees"].as_array().unwrap().len()
        )
    );
    assert_eq!(
        422,
        server
            .patch(&place, json!({"assignees": ["nobody"]}))
            .await
            .status
    );
    let none = server.patch(&place, json!({"assignees": []})).await.json();
    assert_eq!(Value::Null, none["assignees"]);
}

#[tokio::test]
async fn ten_megabytes_of_hostile_text_come_back_as_they_were() {
    let server = ForgeServer::start().await;
    let hostile = "\u{1b}]0;x\u{7}<script>'; DROP TABLE forge_issues;--\u{202e}😀\r\n";
    let body = hostile.repeat(10 * 1024 * 1024 / hostile.len());
    let made = server
        .post(ISSUES, json!({"title": "big", "body": body}))
        .await;
    assert_eq!(201, made.status);
    let read = server.get(&format!("{ISSUES}/1")).await.json();
    assert!(read["body"] == body.as_str(), "the body was changed");
    let too_large = "x".repeat(33 << 20);
    let refused = server
        .post(ISSUES, json!({"title": "huge", "body": too_large}))
        .await;
    assert_eq!(413, refused.status);
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .starts_with("TIMMY-0557")
    );
}

#[tokio::test]
async fn comments_come_all_at_once_and_oldest_first() {
    let server = ForgeServer::start().await;
    let number = open(&server, "i").await;
    let place = format!("{ISSUES}/{number}/comments");
    for number in 0..60 {
        let made = server
            .post(&place, json!({"body": format!("c{number}")}))
            .await;
        assert_eq!(201, made.status);
    }
    let list = server.get(&format!("{place}?limit=10")).await;
    assert_eq!(
        ("60", ""),
        (list.header("x-total-count"), list.header("link"))
    );
    let list = list.json();
    assert_eq!(60, list.as_array().unwrap().len());
    assert_eq!("c0", list[0]["body"]);
    assert_eq!(
        60,
        server.get(&format!("{ISSUES}/{number}")).await.json()["comments"]
    );

    let one = format!("{ISSUES}/comments/{}", list[0]["id"]);
    let edited = server.patch(&one, json!({"body": "changed"})).await;
    assert_eq!(
        (200, json!("changed")),
        (edited.status, edited.json()["body"].clone())
    );
    assert_eq!(422, server.post(&place, json!({"body": ""})).await.status);
    assert_eq!(204, server.delete(&one).await.status);
    assert_eq!(404, server.get(&one).await.status);
}

#[tokio::test]
async fn a_blocked_issue_cannot_be_closed() {
    let server = ForgeServer::start().await;
    let (blocker, waiting) = (open(&server, "a").await, open(&server, "b").await);
    let edge = format!("{ISSUES}/{waiting}/dependencies");
    let other = json!({"owner": "bot", "repo": "project", "index": blocker});
    let made = server.post(&edge, other.clone()).await;
    assert_eq!(
        (201, json!(waiting)),
        (made.status, made.json()["number"].clone())
    );
    assert_eq!(500, server.post(&edge, other.clone()).await.status);
    let back = json!({"owner": "bot", "repo": "project", "index": waiting});
    let circle = format!("{ISSUES}/{blocker}/dependencies");
    assert_eq!(500, server.post(&circle, back).await.status);
    assert_eq!(vec![blocker], server.get(&edge).await.numbers());
    let blocks = server.get(&format!("{ISSUES}/{blocker}/blocks")).await;
    assert_eq!(vec![waiting], blocks.numbers());

    let place = format!("{ISSUES}/{waiting}");
    let refused = server.patch(&place, json!({"state": "closed"})).await;
    assert_eq!(412, refused.status);
    let removed = server.ask(Method::DELETE, &edge, &server.bot, other).await;
    assert_eq!(201, removed.status);
    assert_eq!(
        201,
        server
            .patch(&place, json!({"state": "closed"}))
            .await
            .status
    );
    assert_eq!("closed", server.get(&place).await.json()["state"]);
}

#[tokio::test]
async fn a_list_can_begin_at_a_moment() {
    let server = ForgeServer::start().await;
    for title in ["one", "two", "three"] {
        open(&server, title).await;
    }
    let all = server.get(&format!("{ISSUES}?state=all")).await.json();
    let newest = all[0]["updated_at"].as_str().unwrap();
    let since = |moment: &str| format!("{ISSUES}?state=all&since={moment}");
    let from = server.get(&since(newest)).await.numbers();
    assert!(from.contains(&3), "the second it names is whole: {from:?}");
    let later = server.get(&since("2999-01-01T00:00:00Z")).await;
    assert_eq!(Vec::<u64>::new(), later.numbers());
    assert_eq!("0", later.header("x-total-count"));
    assert_eq!(422, server.get(&since("nonsense")).await.status);
}
