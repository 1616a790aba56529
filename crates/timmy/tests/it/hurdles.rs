//! A loop over something that cannot be worked on: said once, waited for, never hammered.

use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;
use timmy_forge::embedded::InitialCommit;
use tokio::process::Child;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::Ran;
use crate::home::provider;
use crate::night::recorded;
use crate::served::NEEDED;
use crate::served::Served;
use crate::watch::Follower;

/// Settings with a look so seldom that the first failure is the only one of a test.
const SELDOM: &str = "[night]\npoll_s = 90\n";

/// Where nobody listens.
fn nobody() -> String {
    provider("generic", "http://127.0.0.1:9/v1")
}

/// Runs a loop that ends when nothing can be done; it was held back by one problem, said once.
async fn assert_held_back(home: &Home, code: &str) {
    let ended = home.json(&["loop", "--until-idle"]).await.well().json();
    let reason = ended["ended"].as_str().unwrap();
    assert!(reason.starts_with("what is left is held back"), "{ended}");
    let paused = recorded(home, "dispatch_paused").await;
    let [only] = paused.as_slice() else {
        panic!("{paused:?}");
    };
    assert_eq!(json!(code), only["problem"]["code"], "{only}");
    home.assert_explained(code).await;
    assert_eq!(0, recorded(home, "model_call_reserved").await.len());
}

/// What a loop is refused with before it begins.
async fn assert_no_loop(home: &Home, code: &str) {
    let refused: Ran = home.json(&["loop"]).await;
    assert_eq!((78, code.to_owned()), refused.refusal());
    assert_eq!(Vec::<Value>::new(), home.events().await);
}

#[tokio::test]
async fn without_a_configuration_nothing_begins() {
    let home = Home::new();
    assert_no_loop(&home, "TIMMY-0101").await;
    home.configure("[forge]\nkind = \"embedded\"\n");
    assert_no_loop(&home, "TIMMY-0105").await;
    home.configure_small("");
    assert_no_loop(&home, "TIMMY-0105").await;
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_told_once() {
    let home = Home::with_project().await;
    home.configure(&format!(
        "[forge]\nkind = \"embedded\"\nrepositories = [\"timmy/other\"]\n{SELDOM}{}",
        nobody()
    ));
    assert_held_back(&home, "TIMMY-0501").await;
}

#[tokio::test]
async fn a_repository_without_commits_is_told_once() {
    let (home, forge) = (Home::new(), Served::with(InitialCommit::Empty).await);
    forge.let_in(&home, &NEEDED).await;
    forge.configure(&home, CHECK, &format!("{SELDOM}{}", nobody()));
    assert_held_back(&home, "TIMMY-0911").await;
}

#[tokio::test]
async fn an_archived_repository_is_told_once() {
    let (home, forge) = (Home::new(), Served::start().await);
    forge.let_in(&home, &NEEDED).await;
    forge.configure(&home, CHECK, &format!("{SELDOM}{}", nobody()));
    forge.archive().await;
    assert_held_back(&home, "TIMMY-0910").await;
}

#[tokio::test]
async fn a_project_without_a_check_is_told_once_and_costs_no_issue_anything() {
    let home = Home::new();
    home.create_project(&[("state.txt", b"broken\n".to_vec())])
        .await;
    home.issue("One", "").await;
    home.issue("Another one", "").await;
    home.configure(&format!(
        "[forge]\nkind = \"embedded\"\nrepositories = [\"timmy/small\"]\n{SELDOM}{}",
        nobody()
    ));
    assert_held_back(&home, "TIMMY-0801").await;
    assert_eq!(0, recorded(&home, "run_started").await.len());
}

#[tokio::test]
async fn a_forge_that_is_away_is_told_once() {
    let (home, forge) = (Home::new(), Served::start().await);
    forge.let_in(&home, &NEEDED).await;
    forge.configure_at(
        &home,
        "http://127.0.0.1:9",
        CHECK,
        &format!("{SELDOM}{}", nobody()),
    );
    assert_held_back(&home, "TIMMY-0511").await;
}

/// A loop that runs until it is told to stop.
fn night(home: &Home) -> Child {
    let mut command = home.command(&["loop"]);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

async fn end(mut night: Child) {
    let pid = Pid::from_raw(i32::try_from(night.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(night.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_model_that_is_away_costs_one_attempt_for_each_slot() {
    let home = Home::with_project().await;
    home.issue("Another one", "").await;
    home.issue("And another one", "").await;
    home.configure_small(&nobody());
    let mut events = Follower::start(home.command(&["events", "--follow", "--json"]));
    let night = night(&home);
    events.until_says("\"dispatch_paused\"").await;
    end(night).await;
    events.end().await;
    assert_eq!(1, recorded(&home, "dispatch_paused").await.len());
    assert!(recorded(&home, "run_started").await.len() <= 2);
    assert_eq!(0, recorded(&home, "retry_scheduled").await.len());
    home.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_configuration_that_breaks_in_the_night_is_told_and_the_last_good_one_stays() {
    let home = Home::new();
    let good = nobody();
    home.create_project(&crate::home::small_project()).await;
    home.configure_small(&good);
    let mut events = Follower::start(home.command(&["events", "--follow", "--json"]));
    let night = night(&home);
    events.until_says("\"loop_started\"").await;
    home.configure("[forge\n");
    let told = events.until_says("\"warned\"").await;
    assert!(told.contains("TIMMY-0104"), "{told}");
    // Another place is no setting of a running loop; the file is good again after that.
    home.configure("[forge]\nkind = \"gitea\"\nurl = \"http://127.0.0.1:9\"\n");
    let told = events.until_says("\"warned\"").await;
    assert!(told.contains("TIMMY-0117"), "{told}");
    let other = good.clone() + "[night]\nslots = 1\n";
    let text = format!("[forge]\nkind = \"embedded\"\nrepositories = [\"timmy/other\"]\n{other}");
    home.configure(&text);
    let told = events.until_says("\"dispatch_paused\"").await;
    assert!(told.contains("timmy/other"), "{told}");
    home.configure_small(&good);
    events.until_says("\"dispatch_resumed\"").await;
    end(night).await;
    events.end().await;
    assert_eq!(2, recorded(&home, "warned").await.len());
}
