//! Commit statuses.

use serde_json::Value;
use serde_json::json;

use crate::forge_server::ForgeServer;

#[tokio::test]
async fn a_commit_has_the_newest_of_each_context() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let head = clone.run(&["rev-parse", "HEAD"]).await;
    let combined = format!("/repos/bot/project/commits/{head}/status");
    let none = server.get(&combined).await.json();
    assert_eq!(
        json!(["", 0, null]),
        json!([none["state"], none["total_count"], none["statuses"]])
    );

    let place = format!("/repos/bot/project/statuses/{head}");
    for (context, state) in [
        ("timmy", "pending"),
        ("timmy", "success"),
        ("other", "pending"),
    ] {
        let new = json!({"context": context, "state": state, "description": "d", "target_url": ""});
        let made = server.post(&place, new).await;
        assert_eq!(201, made.status);
        assert_eq!(
            (json!(state), Value::Null),
            (made.json()["status"].clone(), made.json()["state"].clone())
        );
    }
    let both = server.get(&combined).await.json();
    assert_eq!(
        json!(["pending", 2]),
        json!([both["state"], both["total_count"]])
    );
    server
        .post(&place, json!({"context": "other", "state": "warning"}))
        .await;
    let by_branch = server
        .get("/repos/bot/project/commits/main/status")
        .await
        .json();
    assert_eq!(
        (json!("success"), json!(head)),
        (by_branch["state"].clone(), by_branch["sha"].clone())
    );
    assert_eq!("4", server.get(&place).await.header("x-total-count"));
    let missing = format!("/repos/bot/project/statuses/{}", "0".repeat(40));
    assert_eq!(
        404,
        server
            .post(&missing, json!({"state": "success"}))
            .await
            .status
    );
}
