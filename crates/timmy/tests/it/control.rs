//! What people ask of the fleet: `timmy pause`, `timmy resume`, `timmy stop`.

use std::process::Stdio;

use http::Method;
use serde_json::Value;
use serde_json::json;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::mender;
use crate::home::mending;
use crate::home::provider;
use crate::loop_stage::Follower;
use crate::loop_stage::Stage;
use crate::postgres::Database;
use crate::postgres::log_at;
use crate::served::NEEDED;
use crate::served::Served;

const LIST: &str = "/issues?state=open";

/// Waits until the loop has looked at its issues so many times more.
async fn looked(stage: &Stage, times: usize) {
    let seen = stage.front.count(LIST);
    stage.front.until(LIST, seen + times).await;
}

/// The first rule that leaves an issue out.
async fn obstacle(home: &Home, issue: &str) -> Option<(String, String)> {
    let explained = home.json(&["explain", issue]).await.well().json();
    let answers = explained["answers"].as_array().unwrap();
    let failed = answers.iter().find(|one| one["passed"] == json!(false))?;
    let text = |name: &str| failed[name].as_str().unwrap_or_default().to_owned();
    Some((text("rule"), text("finding")))
}

fn run_of(event: &Value) -> &str {
    event["run"].as_str().unwrap()
}

#[tokio::test]
async fn a_paused_fleet_finishes_what_runs_and_begins_nothing() {
    let stage = Stage::new().await;
    stage.worker.set_held(true);
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    stage.worker.reached().await;
    let asked = stage.home.json(&["pause", "the", "power is cut"]).await;
    let asked = asked.well().json();
    assert_eq!(json!(true), asked["changed"], "{asked}");
    assert_eq!(json!("the power is cut"), asked["paused"]["reason"]);
    let again = stage.home.json(&["pause", "something else"]).await.well();
    let again = again.json();
    assert_eq!(json!(false), again["changed"], "{again}");
    assert_eq!(json!("the power is cut"), again["paused"]["reason"]);
    let told = stage.home.run(&["pause"]).await.well().stdout;
    assert!(told.contains("paused already"), "{told}");
    assert_eq!(1, stage.count("pause_asked").await);

    log.next_that("dispatch_paused", |event| event["scope"] == json!("fleet"))
        .await;
    stage.forge.issue("Another one").await;
    stage.worker.set_held(false);
    stage.worker.open(1);
    let ended = log.next("run_ended").await;
    assert_eq!(json!("pull_request"), ended["outcome"]["outcome"]);
    looked(&stage, 3).await;
    assert_eq!(1, stage.count("run_started").await);
    assert_eq!(1, stage.worker.prompts().len());

    let sprint = stage.home.json(&["sprint"]).await;
    assert_eq!((75, "TIMMY-0975".to_owned()), sprint.refusal());
    let queue = stage.home.json(&["queue", "--run"]).await;
    assert_eq!((75, "TIMMY-0975".to_owned()), queue.refusal());
    stage.home.assert_explained("TIMMY-0975").await;
    let idle = stage.until_idle().await.well().json();
    let why = idle["ended"].as_str().unwrap();
    assert!(
        why.contains("a person paused the fleet: the power is cut"),
        "{why}"
    );
    let explained = stage.home.json(&["explain", "#2"]).await.well().json();
    assert_eq!(json!("the power is cut"), explained["paused"]["reason"]);
    let picture = stage.home.json(&["watch", "--once"]).await.well().json();
    assert_eq!(json!("the power is cut"), picture["paused"]["reason"]);
    for view in [&["watch", "--once"][..], &["report"], &["explain", "#2"]] {
        let told = stage.home.run(view).await.well().stdout;
        assert!(
            told.contains("PAUSED") && told.contains("the power is cut"),
            "{told}"
        );
    }

    let resumed = stage.home.json(&["resume"]).await.well().json();
    assert_eq!(json!(true), resumed["changed"]);
    log.next_that("dispatch_resumed", |event| event["scope"] == json!("fleet"))
        .await;
    let started = log.next("run_started").await;
    assert_eq!(json!(2), started["issue"]);
    log.next("run_ended").await;
    let again = stage.home.json(&["resume"]).await.well().json();
    assert_eq!(json!(false), again["changed"]);
    night.interrupted().await;
    assert_eq!(2, stage.pulls().await.len());
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_stopped_run_gives_its_claim_back_and_its_issue_waits_for_people() {
    let stage = Stage::new().await;
    stage.worker.set_held(true);
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    stage.worker.reached().await;
    let started = log.next("run_started").await;
    let run = run_of(&started);
    let short = &run[run.len() - 8..];
    for changed in [true, false] {
        let asked = stage.home.json(&["stop", short]).await.well().json();
        assert_eq!(
            (json!(run), json!(changed)),
            (asked["run"].clone(), asked["changed"].clone())
        );
    }
    let ended = log.next("run_ended").await;
    let expected = json!({"outcome": "cancelled", "reason": "a person asked for it"});
    assert_eq!(expected, ended["outcome"]);
    log.next("claim_released").await;
    looked(&stage, 3).await;
    assert_eq!(1, stage.count("run_started").await);
    let (rule, finding) = obstacle(&stage.home, "#1").await.unwrap();
    assert_eq!("stopped", rule, "{finding}");
    assert!(finding.contains(short), "{finding}");
    // Another loop has not heard of it, and reads it in the log.
    stage.until_idle().await.well();
    assert_eq!(1, stage.count("run_started").await);

    let over = stage.home.json(&["stop", short]).await.refusal();
    assert_eq!((66, "TIMMY-1070".to_owned()), over);
    stage.home.assert_explained("TIMMY-1070").await;
    let unknown = stage.home.json(&["stop", "nowhere"]).await.refusal();
    assert_eq!((66, "TIMMY-0112".to_owned()), unknown);
    let unnamed = stage.home.json(&["stop", ""]).await.refusal();
    assert_eq!((66, "TIMMY-0112".to_owned()), unnamed);

    let edit = json!({"body": "Now it is clear what is wanted."});
    stage.api(Method::PATCH, "issues/1", &edit).await;
    let second = log.next("run_started").await;
    stage.worker.reached().await;
    stage.home.json(&["stop", run_of(&second)]).await.well();
    log.next("run_ended").await;
    looked(&stage, 2).await;
    assert_eq!(2, stage.count("run_started").await);
    // Nothing is paused, but somebody waits for a word.
    stage.worker.set_held(false);
    let resumed = stage.home.json(&["resume"]).await.well().json();
    assert_eq!(json!(true), resumed["changed"]);
    log.next("run_started").await;
    let ended = log.next("run_ended").await;
    assert_eq!(json!("pull_request"), ended["outcome"]["outcome"]);
    night.interrupted().await;
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_pause_can_stop_everything_that_runs() {
    let stage = Stage::new().await;
    stage.forge.issue("Another one").await;
    stage.worker.set_held(true);
    let night = stage.start(&[]);
    stage.worker.reached().await;
    stage.worker.reached().await;
    let asked = stage.home.json(&["pause", "--stop-running"]).await.well();
    let asked = asked.json();
    assert_eq!(2, asked["stopped"].as_array().unwrap().len(), "{asked}");
    let mut log = Follower::start(&stage);
    for _ in 0..2 {
        let ended = log.next("run_ended").await;
        assert_eq!(json!("cancelled"), ended["outcome"]["outcome"], "{ended}");
    }
    looked(&stage, 2).await;
    assert_eq!(2, stage.count("run_started").await);
    night.interrupted().await;
    stage.assert_nothing_is_left().await;
}

/// A model whose second turn waits until it is let go.
async fn gated() -> ModelServer {
    let [look, write, finish] = mending().map(|(tool, arguments)| Turn::call(tool, arguments));
    ModelServer::start(vec![look, write.gated(), finish]).await
}

#[tokio::test]
async fn a_sprint_stops_when_a_person_asks_for_it() {
    let home = Home::with_project().await;
    let model = gated().await;
    home.configure_small(&provider("generic", &model.base_url()));
    let mut command = home.command(&["sprint", "--json"]);
    let sprint = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut events = crate::watch::Follower::start(home.command(&["events", "--follow", "--json"]));
    let said = events.until_says("\"tool_finished\"").await;
    let event: Value = serde_json::from_str(&said).unwrap();
    home.json(&["stop", run_of(&event)]).await.well();
    let output = sprint.wait_with_output().await.unwrap();
    assert_eq!(Some(1), output.status.code());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json!("a person asked for it"),
        report["outcome"]["reason"],
        "{report}"
    );
    home.assert_nothing_is_left().await;
    // Nobody named it, so it is left alone; named by a person it is not.
    let next = home.json(&["sprint", "--dry-run"]).await.well().json();
    assert_eq!(Value::Null, next["issue"], "{next}");
    let model = mender().await;
    home.configure_small(&provider("generic", &model.base_url()));
    let insisted = home.json(&["sprint", "--issue", "1"]).await.well().json();
    assert_eq!(json!("pull_request"), insisted["outcome"]["outcome"]);
    events.end().await;
}

#[tokio::test]
async fn hosts_of_one_database_are_paused_together() {
    let (forge, database) = (Served::start().await, Database::create().await);
    let model = mender().await;
    let host = async || {
        let home = Home::new();
        forge.let_in(&home, &NEEDED).await;
        let more = provider("generic", &model.base_url()) + &log_at(&home, &database.url());
        forge.configure(&home, CHECK, &more);
        home
    };
    let (one, other) = (host().await, host().await);
    one.json(&["pause", "on both"]).await.well();
    let refused = other.json(&["sprint"]).await.refusal();
    assert_eq!((75, "TIMMY-0975".to_owned()), refused);
    other.json(&["resume"]).await.well();
    let done = one.json(&["sprint"]).await.well().json();
    assert_eq!(json!("pull_request"), done["outcome"]["outcome"]);
    let over = done["run"].as_str().unwrap();
    let refused = other.json(&["stop", over]).await.refusal();
    assert_eq!((66, "TIMMY-1070".to_owned()), refused);
}
