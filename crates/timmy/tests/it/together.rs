//! Several processes of one home at once.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;

use crate::home::Home;
use crate::home::mending;
use crate::home::provider;

/// A model for any number of conversations at once: how far each is, it tells by its messages.
pub(crate) struct Mender;

impl Handler for Mender {
    async fn handle(&self, request: Request) -> Reply {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let messages = body["messages"].as_array().unwrap().iter();
        let said = messages.filter(|message| message["role"] == json!("assistant"));
        let (tool, arguments) = mending()[said.count()].clone();
        let function = json!({"name": tool, "arguments": arguments.to_string()});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        let message = json!({"role": "assistant", "content": "", "tool_calls": [call]});
        let reply = json!({"object": "chat.completion", "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}});
        Reply::json(StatusCode::OK, reply.to_string())
    }
}

/// Serves such a model.
pub(crate) async fn model() -> Server {
    Server::start(Mender).await.unwrap()
}

pub(crate) async fn configured(home: &Home) -> Server {
    let server = model().await;
    let whole = "stream = false\n";
    let settings = provider("generic", &format!("{}/v1", server.url())) + whole;
    home.configure_small(&settings);
    server
}

#[tokio::test]
async fn the_first_processes_of_a_home_make_its_database_together() {
    for _ in 0..3 {
        let home = Home::new();
        let [one, two, three, four] = [(); 4].map(|()| home.json(&["runs"]));
        let (one, two, three, four) = tokio::join!(one, two, three, four);
        for ran in [one, two, three, four] {
            assert_eq!(json!([]), ran.well().json());
        }
    }
}

#[tokio::test]
async fn two_sprints_do_not_take_the_same_issue() {
    let home = Home::with_project().await;
    let _model = configured(&home).await;
    let (one, other) = tokio::join!(home.json(&["sprint"]), home.json(&["sprint"]));
    let reports = [one.well().json(), other.well().json()];
    let taken: Vec<&Value> = reports
        .iter()
        .filter(|report| !report["issue"].is_null())
        .collect();
    assert_eq!(1, taken.len(), "{reports:?}");
    assert_eq!(json!("pull_request"), taken[0]["outcome"]["outcome"]);
    assert_eq!(1, home.pulls().await.len());
    home.assert_nothing_is_left().await;
}

#[tokio::test]
async fn three_sprints_take_three_issues() {
    let home = Home::with_project().await;
    home.issue("Another one", "").await;
    home.issue("And another one", "").await;
    let _model = configured(&home).await;
    let [one, two, three] = [(); 3].map(|()| home.json(&["sprint"]));
    let (one, two, three) = tokio::join!(one, two, three);
    let mut issues = Vec::new();
    for ran in [one, two, three] {
        let report = ran.well().json();
        issues.push(report["issue"].as_u64());
    }
    issues.sort_unstable();
    assert_eq!(vec![Some(1), Some(2), Some(3)], issues);
    assert_eq!(3, home.pulls().await.len());
    home.assert_nothing_is_left().await;
}
