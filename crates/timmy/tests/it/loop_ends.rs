//! How `timmy loop` ends, and what is left of it: signals, and kill -9.

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;

use crate::kill::all_ended;
use crate::kill::kill;
use crate::loop_stage::Follower;
use crate::loop_stage::Stage;
use crate::served::repo;

/// How the runs ended, oldest first.
async fn outcomes(stage: &Stage) -> Vec<String> {
    let ended = stage.recorded("run_ended").await;
    let outcome = |event: &Value| event["outcome"]["outcome"].as_str().unwrap().to_owned();
    ended.iter().map(outcome).collect()
}

#[tokio::test]
async fn a_killed_loop_is_carried_on_without_doing_anything_twice() {
    let stage = Stage::new().await;
    stage.forge.issue("Another one").await;
    stage.worker.set_held(true);
    let night = stage.start(&[]);
    for _ in 0..2 {
        stage.worker.reached().await;
    }
    all_ended(kill(night.0).await).await;
    stage.worker.set_held(false);
    stage.until_idle().await.well();
    let mut branches: Vec<String> = Vec::new();
    for pull in stage.pulls().await.into_values() {
        branches.push(pull.head_branch);
    }
    branches.sort();
    assert_eq!(2, branches.len(), "{branches:?}");
    assert!(branches[0].starts_with("timmy/1-") && branches[1].starts_with("timmy/2-"));
    for issue in [1, 2] {
        let comments = stage.forge.client.comments(&repo(), issue).await.unwrap();
        assert_eq!(1, comments.len(), "{comments:?}");
    }
    let mut outcomes = outcomes(&stage).await;
    outcomes.sort();
    let expected = ["abandoned", "abandoned", "pull_request", "pull_request"];
    assert_eq!(expected.to_vec(), outcomes);
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn feedback_whose_answer_was_cut_off_is_answered_by_the_next_loop() {
    let stage = Stage::new().await;
    stage.until_idle().await.well();
    let ada = stage.writer("ada").await;
    let asked = "Please say why in the text too.";
    ada.comment(&repo(), 2, asked).await.unwrap();
    stage.worker.set_held(true);
    let night = stage.start(&[]);
    stage.worker.reached().await;
    all_ended(kill(night.0).await).await;
    // The next one is told to stop in the middle of the answer.
    let night = stage.start(&[]);
    stage.worker.reached().await;
    night.signal(Signal::TERM);
    night.ended().await.well();
    stage.worker.set_held(false);
    stage.until_idle().await.well();
    let expected = ["pull_request", "abandoned", "cancelled", "pull_request"];
    assert_eq!(expected.to_vec(), outcomes(&stage).await);
    assert_eq!(2, stage.commits("timmy/1-1").await.len());
    assert_eq!(1, stage.pulls().await.len());
    let told = ada.comments(&repo(), 2).await.unwrap();
    assert_eq!(2, told.len(), "{told:?}");
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn an_interrupted_loop_finishes_what_runs_and_begins_nothing() {
    let stage = Stage::new().await;
    stage.forge.issue("Another one").await;
    stage.worker.set_held(true);
    let mut night = stage.start(&["--slots", "1"]);
    stage.worker.reached().await;
    night.signal(Signal::INT);
    night.says("finishing what runs").await;
    let seen = stage.front.seen().len();
    stage.worker.set_held(false);
    stage.worker.open(1);
    let ended = night.ended().await.well();
    let why = "it was told to stop, and nothing runs any more";
    assert_eq!(json!(why), ended.json()["ended"]);
    assert!(seen > 0);
    assert_eq!(vec!["pull_request"], outcomes(&stage).await);
    assert_eq!(1, stage.count("run_started").await);
    assert_eq!(1, stage.count("loop_ended").await);
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_second_interrupt_or_a_termination_stops_what_runs() {
    for signals in [[Signal::INT, Signal::INT], [Signal::TERM, Signal::TERM]] {
        let stage = Stage::new().await;
        stage.worker.set_held(true);
        let mut night = stage.start(&[]);
        let mut log = Follower::start(&stage);
        stage.worker.reached().await;
        night.signal(signals[0]);
        if signals[0] == Signal::INT {
            night.says("finishing what runs").await;
            night.signal(signals[1]);
        }
        night.ended().await.well();
        let ended = log.next("run_ended").await;
        assert_eq!(json!("cancelled"), ended["outcome"]["outcome"], "{ended}");
        log.next("loop_ended").await;
        assert_eq!(1, stage.count("claim_released").await);
        stage.assert_nothing_is_left().await;
    }
}
