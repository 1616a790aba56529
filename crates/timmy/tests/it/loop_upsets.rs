//! What `timmy loop` does when something it depends on is away, and when it is back.

use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::NewIssue;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;

use crate::home::REPO;
use crate::home::git;
use crate::home::small_project;
use crate::loop_stage::Follower;
use crate::loop_stage::QUICK;
use crate::loop_stage::Stage;
use crate::served::Served;

pub(crate) const OTHER: &str = "timmy/other";
/// A front matter that is no mapping.
const BROKEN: &str = "---\n- nothing\n---\n# Rules\n";
const MENDED: &str = "---\n{}\n---\n# Rules\n";

pub(crate) async fn add_other(forge: &Served) {
    let files = small_project().into_iter();
    let files = files.map(|(name, content)| (name.to_owned(), content));
    let new = NewRepository {
        name: OTHER.parse().unwrap(),
        description: String::new(),
        private: true,
        content: InitialCommit::Files(files.collect()),
    };
    forge.handler().create_repository(&new).await.unwrap();
}

pub(crate) async fn issue(stage: &Stage, repo: &str) {
    let new = NewIssue {
        title: "The state is broken here too".to_owned(),
        body: String::new(),
        labels: Vec::new(),
    };
    let repo = repo.parse().unwrap();
    stage.forge.client.create_issue(&repo, &new).await.unwrap();
}

/// Pushes a file to the base branch of the small project.
async fn push(stage: &Stage, file: &str, content: &str) {
    let clone = stage.home.beside("clone");
    let path = clone.to_string_lossy();
    let url = stage.forge.git_url(&stage.home);
    if !clone.exists() {
        git(&["clone", "-q", &url, &path]).await;
    }
    std::fs::write(clone.join(file), content).unwrap();
    git(&["-C", &path, "add", "-A"]).await;
    git(&["-C", &path, "commit", "-qm", "Rules"]).await;
    git(&["-C", &path, "push", "-q", &url, "main"]).await;
}

fn scopes(events: &[Value]) -> Vec<&str> {
    let scopes = events.iter();
    scopes
        .map(|event| event["scope"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_workflow_file_that_breaks_pauses_its_repository_alone_until_it_is_mended() {
    let stage = Stage::new().await;
    add_other(&stage.forge).await;
    stage.configure_for(&[REPO, OTHER], QUICK);
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    log.next("pull_request_opened").await;
    log.next("run_ended").await;
    push(&stage, "WORKFLOW.md", BROKEN).await;
    let paused = log.next("dispatch_paused").await;
    let scope = "timmy/small (its settings)";
    assert_eq!(json!(scope), paused["scope"], "{paused}");
    issue(&stage, REPO).await;
    issue(&stage, OTHER).await;
    let started = log.next("run_started").await;
    assert_eq!(json!(OTHER), started["repo"]);
    log.next("run_ended").await;
    // It was looked at again, and nothing is said again.
    let lists = stage.front.count("timmy/small/issues");
    stage.front.until("timmy/small/issues", lists + 3).await;
    push(&stage, "WORKFLOW.md", MENDED).await;
    log.next("dispatch_resumed").await;
    let started = log.next("run_started").await;
    assert_eq!(json!(REPO), started["repo"]);
    log.next("run_ended").await;
    night.interrupted().await;
    assert_eq!(
        vec![scope],
        scopes(&stage.recorded("dispatch_paused").await)
    );
    assert_eq!(
        vec![scope],
        scopes(&stage.recorded("dispatch_resumed").await)
    );
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_night_until_idle_goes_on_beside_a_repository_that_cannot_be_worked_on() {
    let stage = Stage::new().await;
    add_other(&stage.forge).await;
    push(&stage, "WORKFLOW.md", BROKEN).await;
    for _ in 0..3 {
        issue(&stage, OTHER).await;
    }
    stage.configure_for(&[REPO, OTHER], QUICK);
    stage
        .start(&["--until-idle", "--slots", "1"])
        .ended()
        .await
        .well();
    let started = stage.recorded("run_started").await;
    let repos: Vec<&Value> = started.iter().map(|event| &event["repo"]).collect();
    assert_eq!(vec![&json!(OTHER); 3], repos);
    assert_eq!(1, stage.count("dispatch_paused").await);
}

#[tokio::test]
async fn a_forge_that_is_away_is_told_of_once_and_work_goes_on_when_it_is_back() {
    let stage = Stage::new().await;
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    log.next("run_ended").await;
    let before = stage.front.seen().len();
    stage.front.set_down(true);
    let of_the_list = |event: &Value| event["scope"] == json!(REPO);
    log.next_that("dispatch_paused", of_the_list).await;
    stage.front.until("", before + 20).await;
    issue(&stage, REPO).await;
    stage.front.set_down(false);
    log.next_that("dispatch_resumed", of_the_list).await;
    log.next("pull_request_opened").await;
    log.next("run_ended").await;
    night.interrupted().await;
    // An attempt may have met the outage too; nothing is said twice.
    let paused = stage.recorded("dispatch_paused").await;
    let mut resumed = stage.recorded("dispatch_resumed").await;
    resumed.sort_by_key(|event| event["scope"].to_string());
    let once: std::collections::BTreeSet<&str> = scopes(&paused).into_iter().collect();
    assert_eq!(once.len(), paused.len(), "{paused:?}");
    let over: std::collections::BTreeSet<&str> = scopes(&resumed).into_iter().collect();
    assert_eq!(over.len(), resumed.len(), "{resumed:?}");
    assert!(over.is_subset(&once) && over.contains(REPO), "{resumed:?}");
    assert_eq!(2, stage.pulls().await.len());
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_model_that_is_away_costs_no_issue_an_attempt() {
    let stage = Stage::new().await;
    stage.worker.set_down(true);
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    let paused = log.next("dispatch_paused").await;
    assert_eq!(json!("models"), paused["scope"], "{paused}");
    stage.worker.set_down(false);
    log.next("pull_request_opened").await;
    log.next("dispatch_resumed").await;
    night.interrupted().await;
    assert_eq!(1, stage.count("dispatch_paused").await);
    assert_eq!(1, stage.count("dispatch_resumed").await);
    assert_eq!(0, stage.count("retry_scheduled").await);
    let runs = stage.home.json(&["runs"]).await.well().json();
    assert_eq!(2, runs.as_array().unwrap().len(), "{runs}");
    stage.assert_nothing_is_left().await;
}
