//! Edits of issues.

use std::sync::Arc;
use std::sync::Mutex;

use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::ForgeError;
use timmy_forge::IssueUpdate;

use crate::scripted::Scripted;
use crate::scripted::json;
use crate::scripted::repo;
use crate::scripted::text;

#[tokio::test]
async fn an_issue_whose_edit_was_applied_behind_a_500_is_edited_once() {
    let kept = Arc::new(Mutex::new(
        json!({"number": 3, "title": "Old", "body": "old"}),
    ));
    let forge = Scripted::start(move |asked| {
        let mut kept = kept.lock().unwrap();
        if asked.is("GET", "/issues/3") {
            return json(200, &kept);
        }
        for (name, value) in asked.json().as_object().unwrap() {
            kept[name] = value.clone();
        }
        text(500, "text/plain", "database is locked")
    })
    .await;
    let update = IssueUpdate {
        title: None,
        body: Some("new".to_owned()),
    };
    let issue = forge.client().edit_issue(&repo(), 3, &update).await;
    let issue = issue.unwrap();
    assert_eq!(("Old", "new"), (issue.title.as_str(), issue.body.as_str()));
    let expected = ["GET", "PATCH", "GET"].map(|method| format!("{method} /issues/3"));
    assert_eq!(expected.to_vec(), forge.asked());
}

#[tokio::test]
async fn a_pull_request_is_not_edited_as_an_issue() {
    let forge = Scripted::start(|_| json(200, &json!({"number": 3, "pull_request": {}}))).await;
    let update = IssueUpdate::default();
    let error = forge.client().edit_issue(&repo(), 3, &update).await;
    assert!(matches!(error, Err(ForgeError::NotFound(_))), "{error:?}");
    assert_eq!(vec!["GET /issues/3".to_owned()], forge.asked());
}
