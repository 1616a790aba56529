//! Labels, and the traps of filtering by them.

use serde_json::Value;
use serde_json::json;

use crate::forge_server::ForgeServer;

const ISSUES: &str = "/repos/bot/project/issues";
const LABELS: &str = "/repos/bot/project/labels";

async fn label(server: &ForgeServer, name: &str) -> i64 {
    let made = server
        .post(LABELS, json!({"name": name, "color": "#00AABB"}))
        .await;
    assert_eq!(
        (201, json!("00aabb")),
        (made.status, made.json()["color"].clone())
    );
    made.json()["id"].as_i64().unwrap()
}

fn names(labels: &Value) -> Vec<&str> {
    let labels = labels.as_array().unwrap();
    labels
        .iter()
        .map(|label| label["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_filter_means_all_and_unknown_names_vanish() {
    let server = ForgeServer::start().await;
    let (todo, bug) = (label(&server, "todo").await, label(&server, "bug").await);
    for labels in [json!([todo, bug]), json!([todo]), json!([])] {
        server
            .post(ISSUES, json!({"title": "i", "labels": labels}))
            .await;
    }
    for (filter, expected) in [
        ("bug", vec![1]),
        ("todo,bug", vec![1]),
        ("todo", vec![2, 1]),
        ("bug,nonexistent", vec![1]),
        ("nonexistent", vec![3, 2, 1]),
    ] {
        let found = server.get(&format!("{ISSUES}?labels={filter}")).await;
        assert_eq!(expected, found.numbers(), "{filter}");
        assert_eq!(expected.len().to_string(), found.header("x-total-count"));
    }
    label(&server, "bug").await;
    let twice = server.get(&format!("{ISSUES}?labels=bug")).await.numbers();
    assert_eq!(
        Vec::<u64>::new(),
        twice,
        "a name that two labels have asks for both"
    );
}

#[tokio::test]
async fn labels_go_on_by_name_or_key_and_off_by_key() {
    let server = ForgeServer::start().await;
    let (todo, bug) = (label(&server, "todo").await, label(&server, "bug").await);
    server.post(ISSUES, json!({"title": "i"})).await;
    let place = format!("{ISSUES}/1/labels");
    let put = |labels: Value| server.post(&place, json!({"labels": labels}));
    assert_eq!(vec!["bug"], names(&put(json!(["bug"])).await.json()));
    assert_eq!(vec!["bug"], names(&put(json!(["nope"])).await.json()));
    assert_eq!(
        vec!["bug", "todo"],
        names(&put(json!([todo, 9999])).await.json())
    );
    assert_eq!(400, put(json!(["bug", todo])).await.status);
    assert_eq!(400, put(json!([null])).await.status);
    assert_eq!(422, server.delete(&format!("{place}/bug")).await.status);
    assert_eq!(204, server.delete(&format!("{place}/{bug}")).await.status);
    assert_eq!(204, server.delete(&format!("{place}/{bug}")).await.status);
    assert_eq!(
        vec!["todo"],
        names(&server.get(&format!("{ISSUES}/1")).await.json()["labels"])
    );
    let put = server
        .ask(
            http::Method::PUT,
            &place,
            &server.bot,
            json!({"labels": ["bug"]}),
        )
        .await;
    assert_eq!(vec!["bug"], names(&put.json()));
    let by_alice = server
        .ask(http::Method::POST, &place, &server.alice, json!({}))
        .await;
    assert_eq!(404, by_alice.status);
}

#[tokio::test]
async fn labels_are_edited_and_removed() {
    let server = ForgeServer::start().await;
    let id = label(&server, "bug").await;
    let place = format!("{LABELS}/{id}");
    let edited = server.patch(&place, json!({"name": "defect"})).await;
    assert_eq!(
        (200, json!("defect")),
        (edited.status, edited.json()["name"].clone())
    );
    assert_eq!(vec!["defect"], names(&server.get(LABELS).await.json()));
    assert_eq!(
        422,
        server
            .post(LABELS, json!({"name": "x", "color": "blue"}))
            .await
            .status
    );
    assert_eq!(204, server.delete(&place).await.status);
    assert_eq!(404, server.get(&place).await.status);
}
