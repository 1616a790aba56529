//! What changed, and whose words count.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::Issue;
use timmy_forge::PullState;
use timmy_loopback::Reply;

use crate::scripted::Scripted;
use crate::scripted::json;
use crate::scripted::repo;
use crate::scripted::with_header;

fn numbers(issues: &[Issue]) -> Vec<u64> {
    issues.iter().map(|issue| issue.number).collect()
}

#[tokio::test]
async fn changes_are_one_request_and_no_older_than_the_first_page() {
    let entry = |number: u64, second: u64| {
        json!({"id": number, "number": number, "state": "closed", "title": "WIP: t",
               "body": "x".repeat(100_000), "labels": [{"id": 1, "name": "merge"}],
               "updated_at": format!("2026-01-01T00:00:{second:02}Z")})
    };
    let forge = Scripted::start(move |asked| {
        let pull = |number, second, part: Value| {
            let mut pull = entry(number, second);
            pull["pull_request"] = part;
            pull
        };
        if asked.line.contains("page=2") {
            return json(200, &json!([entry(3, 40)]));
        }
        let page = json!([
            pull(9, 20, json!({"merged": true})),
            pull(8, 30, json!({"merged": false, "draft": true})),
            entry(7, 10),
        ]);
        with_header(
            json(200, &page),
            "link",
            "<http://h/x?page=2>; rel=\"next\"",
        )
    })
    .await;
    let since = "2026-01-01T00:00:10Z".parse().unwrap();
    let changes = forge.client().changes(&repo(), Some(since)).await.unwrap();
    let asked = "state=all&since=2026-01-01T00%3A00%3A10Z&limit=50&page=1";
    assert_eq!(asked, forge.queries()[0]);
    assert_eq!(vec![7, 3], numbers(&changes.issues));
    assert!(changes.issues[0].body.len() <= timmy_forge::LISTED_TEXT_LIMIT + 64);
    assert_eq!(100_000, changes.issues[0].body_bytes);
    let pulls: Vec<_> = changes
        .pulls
        .iter()
        .map(|pull| (pull.number, pull.state, pull.draft, pull.title.as_str()))
        .collect();
    let expected = vec![
        (9, PullState::Merged, true, "t"),
        (8, PullState::Closed, true, "t"),
    ];
    assert_eq!(expected, pulls);
    assert_eq!(
        Some("2026-01-01T00:00:30Z".parse().unwrap()),
        changes.newest
    );
    assert!(changes.complete);
}

#[tokio::test]
async fn who_may_write_is_asked_in_the_ways_a_token_allows() {
    let forge = Scripted::start(|asked| {
        let path = asked.request.uri().path();
        let login = path.split('/').nth(7).unwrap();
        match (login, path.ends_with("/permission")) {
            ("told-writer", true) => json(200, &json!({"permission": "write"})),
            ("told-reader", true) => json(200, &json!({"permission": "read"})),
            (_, true) => json(403, &json!({"message": "Only admins"})),
            ("invited", false) => Reply::empty(StatusCode::NO_CONTENT),
            ("stranger", false) => json(404, &json!({})),
            (_, false) => json(422, &json!({"message": "user does not exist"})),
        }
    })
    .await;
    let client = forge.client();
    let mut writers = Vec::new();
    for login in [
        "Night",
        "",
        "told-writer",
        "told-reader",
        "invited",
        "stranger",
        "nobody",
    ] {
        if client.is_writer(&repo(), login).await.unwrap() {
            writers.push(login);
        }
    }
    assert_eq!(vec!["Night", "told-writer", "invited"], writers);
}
