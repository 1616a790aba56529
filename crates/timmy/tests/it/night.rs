//! `timmy loop` with the real program, forge, git and sandbox; the model is replayed over HTTP.

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::together::configured;

/// How often an event of a type was recorded.
pub(crate) async fn recorded(home: &Home, kind: &str) -> Vec<Value> {
    let events = home.events().await.into_iter();
    events
        .filter(|event| event["type"] == json!(kind))
        .collect()
}

#[tokio::test]
async fn a_night_works_off_every_issue_and_ends_when_nothing_is_left() {
    let home = Home::with_project().await;
    home.issue("Another one", "").await;
    home.issue("[EPIC] Not for one sprint", "").await;
    home.issue("And another one", "").await;
    let _model = configured(&home).await;
    let ended = home
        .json(&["loop", "--until-idle", "--slots", "2"])
        .await
        .well();
    assert_eq!(json!("there is nothing to do"), ended.json()["ended"]);
    assert_eq!(3, home.pulls().await.len());
    home.assert_nothing_is_left().await;
    assert_eq!(1, recorded(&home, "loop_started").await.len());
    assert_eq!(1, recorded(&home, "loop_ended").await.len());
    assert_eq!(3, recorded(&home, "issue_commented").await.len());
    let calls = recorded(&home, "model_call_settled").await.len();

    // The next night finds nothing, and asks no model.
    home.json(&["loop", "--until-idle"]).await.well();
    assert_eq!(3, home.pulls().await.len());
    assert_eq!(calls, recorded(&home, "model_call_settled").await.len());
}

const WORKFLOW: &str = "---\ntracker:\n  kind: embedded\n  provider:\n    repository: timmy/small\n  \
required_labels: [night]\ntimmy:\n  check: sh test.sh\n---\nMend {{ issue.identifier }}.\n";

#[tokio::test]
async fn a_workflow_file_that_is_named_says_which_issues_are_worked_on() {
    let home = Home::with_project().await;
    home.labelled_issue("Another one", "night").await;
    let server = crate::together::model().await;
    let provider = crate::home::provider("generic", &format!("{}/v1", server.url()));
    home.configure(&format!("{provider}stream = false\n"));
    let file = home.beside("nightly.md");
    std::fs::write(&file, WORKFLOW).unwrap();
    let file = file.to_string_lossy().into_owned();
    home.json(&["loop", &file, "--until-idle"]).await.well();
    let started = recorded(&home, "run_started").await;
    let issues: Vec<&Value> = started.iter().map(|event| &event["issue"]).collect();
    assert_eq!(vec![&json!(2)], issues);
    let missing = home.json(&["loop", "nowhere.md"]).await;
    assert_eq!((66, "TIMMY-0803".to_owned()), missing.refusal());
}

#[tokio::test]
async fn a_provider_that_takes_one_run_gets_one_at_a_time() {
    let home = Home::with_project().await;
    home.issue("Another one", "").await;
    let server = crate::together::model().await;
    let provider = crate::home::provider("generic", &format!("{}/v1", server.url()));
    home.configure_small(&format!("{provider}stream = false\nruns = 1\n"));
    home.json(&["loop", "--until-idle", "--slots", "4"])
        .await
        .well();
    let mut at_once = 0_i32;
    for event in home.events().await {
        at_once += match event["type"].as_str() {
            Some("run_started") => 1,
            Some("run_ended") => -1,
            _ => 0,
        };
        assert!(at_once <= 1, "two runs at once: {event}");
    }
    assert_eq!(2, home.pulls().await.len());
}
