//! What `timmy loop` makes of what people and checks say about its pull requests.

use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::GiteaClient;
use timmy_forge::IssueState;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::PullUpdate;
use timmy_forge::Status;
use timmy_forge::StatusState;

use crate::home::git;
use crate::loop_stage::Follower;
use crate::loop_stage::Stage;
use crate::served::repo;

const BRANCH: &str = "timmy/1-1";

/// A forge on which the first night opened pull request #2 for issue #1, and a writer.
async fn after_one_night() -> (Stage, GiteaClient) {
    let stage = Stage::new().await;
    stage.until_idle().await.well();
    assert_eq!(1, stage.commits(BRANCH).await.len());
    let ada = stage.writer("ada").await;
    (stage, ada)
}

fn failed(context: &str) -> Status {
    Status {
        context: context.to_owned(),
        state: StatusState::Failure,
        description: "two tests fail on the old machine".to_owned(),
        target_url: String::new(),
    }
}

/// The newest prompt.
fn prompt(stage: &Stage) -> String {
    stage.worker.prompts().pop().unwrap()
}

#[tokio::test]
async fn what_a_person_or_a_check_says_is_answered_once_on_the_same_branch() {
    let (stage, ada) = after_one_night().await;
    let asked = "Please say why in the text too.";
    ada.comment(&repo(), 2, asked).await.unwrap();
    stage.until_idle().await.well();
    assert_eq!(2, stage.commits(BRANCH).await.len());
    assert!(prompt(&stage).contains(asked), "{}", prompt(&stage));
    let comments = ada.comments(&repo(), 2).await.unwrap();
    let authors: Vec<&str> = comments.iter().map(|one| one.author.as_str()).collect();
    assert_eq!(vec!["ada", "timmy"], authors);

    // Nothing is answered twice, nor are own words.
    let asked_for = stage.worker.prompts().len();
    stage.until_idle().await.well();
    assert_eq!(asked_for, stage.worker.prompts().len());

    // A check that fails on the newest commit.
    let head = stage.pulls().await[&2].head.clone();
    let status = failed("ci/old-machine");
    ada.set_status(&repo(), &head, &status).await.unwrap();
    stage.until_idle().await.well();
    assert_eq!(3, stage.commits(BRANCH).await.len());
    assert!(prompt(&stage).contains(&status.description));
    stage.until_idle().await.well();
    assert_eq!(asked_for + 1, stage.worker.prompts().len());

    assert_eq!(vec![2], stage.pulls().await.into_keys().collect::<Vec<_>>());
    assert_eq!(2, stage.count("feedback_taken").await);
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_running_loop_hears_of_a_comment() {
    let (stage, ada) = after_one_night().await;
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    log.next("loop_ended").await;
    log.next("loop_started").await;
    let asked = "It lacks a word about the weather.";
    ada.comment(&repo(), 2, asked).await.unwrap();
    let taken = log.next("feedback_taken").await;
    assert_eq!(json!(asked), taken["items"][0]["text"], "{taken}");
    log.next_that("issue_commented", |event| event["issue"] == json!(2))
        .await;
    log.next("run_ended").await;
    night.interrupted().await;
    assert_eq!(2, stage.commits(BRANCH).await.len());
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_branch_that_a_person_pushed_to_is_left_alone() {
    let (stage, ada) = after_one_night().await;
    let clone = stage.home.beside("clone");
    let clone = clone.to_string_lossy();
    let url = stage.forge.git_url(&stage.home);
    git(&["clone", "-q", "-b", BRANCH, &url, &clone]).await;
    std::fs::write(stage.home.beside("clone/mine"), "mine").unwrap();
    git(&["-C", &clone, "add", "-A"]).await;
    git(&["-C", &clone, "commit", "-qm", "Mine"]).await;
    git(&["-C", &clone, "push", "-q", &url, BRANCH]).await;
    ada.comment(&repo(), 2, "Now tidy up, please.")
        .await
        .unwrap();
    let before = stage.commits(BRANCH).await;
    for _ in 0..2 {
        stage.until_idle().await.well();
    }
    assert_eq!(before, stage.commits(BRANCH).await);
    assert_eq!(1, stage.worker.prompts().len());
    assert_eq!(1, stage.count("branch_edited").await);
    assert_eq!(0, stage.count("feedback_taken").await);
}

#[tokio::test]
async fn a_closed_pull_request_is_an_answer() {
    let (stage, ada) = after_one_night().await;
    let closed = PullUpdate {
        state: Some(IssueState::Closed),
        ..PullUpdate::default()
    };
    ada.update_pull(&repo(), 2, &closed).await.unwrap();
    for _ in 0..2 {
        stage.until_idle().await.well();
    }
    assert_eq!(1, stage.count("pull_request_refused").await);
    assert_eq!(1, stage.worker.prompts().len());
    assert_eq!(1, stage.pulls().await.len());
}

#[tokio::test]
async fn an_issue_that_the_forge_left_open_is_closed_after_the_merge() {
    let (stage, ada) = after_one_night().await;
    // Without the words that make a forge close it.
    let reworded = PullUpdate {
        body: Some("The state is mended.".to_owned()),
        ..PullUpdate::default()
    };
    ada.update_pull(&repo(), 2, &reworded).await.unwrap();
    let pull = ada.checked_pull(&repo(), 2).await.unwrap();
    let request = MergeRequest {
        style: MergeStyle::Merge,
        head: pull.head,
    };
    ada.merge_pull(&repo(), 2, &request).await.unwrap();
    let open = ada.issue(&repo(), 1).await.unwrap().state;
    assert_eq!(IssueState::Open, open);
    for _ in 0..2 {
        stage.until_idle().await.well();
    }
    let state = ada.issue(&repo(), 1).await.unwrap().state;
    assert_eq!(IssueState::Closed, state);
    let merged: Vec<Value> = stage.recorded("pull_request_merged").await;
    assert_eq!(1, merged.len());
    assert_eq!(1, stage.count("issue_closed").await);
    assert_eq!(1, stage.worker.prompts().len());
}
