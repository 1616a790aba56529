//! What `timmy loop` decides: which issues are given up, what is not spent, when it asks the forge.

use std::net::SocketAddr;

use hmac::Hmac;
use hmac::Mac;
use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use sha2::Sha256;
use timmy_forge::Forge;
use timmy_forge::IssueState;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;
use timmy_forge::PullState;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::home::REPO;
use crate::loop_stage::Follower;
use crate::loop_stage::POISON;
use crate::loop_stage::QUICK;
use crate::loop_stage::Stage;
use crate::loop_upsets::OTHER;
use crate::loop_upsets::add_other;
use crate::loop_upsets::issue;
use crate::served::repo;

/// What the webhook was made with.
const SECRET: &str = "between the two of us";

/// The first rule that leaves an issue out, and what it found.
async fn obstacle(stage: &Stage, issue: &str) -> Option<(String, String)> {
    let explained = stage.home.json(&["explain", issue]).await.well().json();
    let answers = explained["answers"].as_array().unwrap();
    let failed = answers.iter().find(|one| one["passed"] == json!(false))?;
    let text = |name: &str| failed[name].as_str().unwrap_or_default().to_owned();
    Some((text("rule"), text("finding")))
}

#[tokio::test]
async fn an_issue_that_nothing_becomes_of_is_given_up_until_it_changes() {
    let stage = Stage::new().await;
    stage.configure(&format!("{QUICK}[selection]\nattempts = 2\n"));
    let new = NewIssue {
        title: "Something else".to_owned(),
        body: format!("This is {POISON}."),
        labels: Vec::new(),
    };
    let made = stage.forge.client.create_issue(&repo(), &new).await;
    assert_eq!(2, made.unwrap().number);
    stage.forge.issue("Another one").await;
    for _ in 0..2 {
        stage.until_idle().await.well();
    }
    let tried = |runs: &[Value]| {
        let poison = runs.iter().filter(|run| run["issue"] == json!(2));
        poison.count()
    };
    assert_eq!(2, tried(&stage.recorded("run_started").await));
    assert_eq!(2, stage.pulls().await.len());
    assert_eq!(1, stage.count("issue_quarantined").await);
    assert_eq!(1, stage.count("retry_scheduled").await);
    let (rule, finding) = obstacle(&stage, "#2").await.unwrap();
    assert_eq!("attempts", rule, "{finding}");

    let edit = json!({"body": "Now it can be done."});
    stage.api(Method::PATCH, "issues/2", &edit).await;
    assert_eq!(None, obstacle(&stage, "#2").await);
    stage.until_idle().await.well();
    assert_eq!(3, tried(&stage.recorded("run_started").await));
    assert_eq!(3, stage.pulls().await.len());
    assert_eq!(1, stage.count("quarantine_lifted").await);
    let (rule, _) = obstacle(&stage, "#2").await.unwrap();
    assert_eq!("pull request", rule);
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_day_whose_budget_is_spent_pauses_the_night() {
    let stage = Stage::new().await;
    stage.until_idle().await.well();
    let spent = tokens(&stage).await;
    assert!(spent > 0);
    stage.forge.issue("Another one").await;
    stage.forge.issue("And another one").await;
    let cap = spent + 100;
    stage.configure(&format!("{QUICK}[budget.per_day]\ntokens = {cap}\n"));
    let night = stage.start(&[]);
    Follower::start(&stage).next("dispatch_paused").await;
    night.interrupted().await;
    let paused = stage.recorded("dispatch_paused").await;
    assert_eq!(1, paused.len(), "{paused:?}");
    assert_eq!(json!("budget"), paused[0]["scope"]);
    assert_eq!(1, stage.pulls().await.len());
    assert!(tokens(&stage).await <= cap);
    assert_eq!(0, stage.count("retry_scheduled").await);
    stage.assert_nothing_is_left().await;
}

/// What the books say was spent today.
async fn tokens(stage: &Stage) -> u64 {
    let budget = stage.home.json(&["budget", "--recount"]).await.well();
    let budget = budget.json();
    let scopes = budget["scopes"].as_array().unwrap();
    let day = scopes.iter().find(|row| row["scope"] == json!("day"));
    let spent = &day.unwrap()["spent"];
    spent["input_tokens"].as_u64().unwrap() + spent["output_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn a_signed_delivery_wakes_the_loop_and_no_other_does() {
    let stage = Stage::new().await;
    std::fs::write(stage.home.beside("secret"), SECRET).unwrap();
    let secret = stage.home.beside("secret");
    let listen = format!(
        "[night]\npoll_s = 3600\n[webhook]\nlisten = \"127.0.0.1:0\"\nsecret = {{ file = \"{}\" }}\n",
        secret.display()
    );
    stage.configure(&listen);
    let mut night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    let said = night.says("deliveries of the forge are taken at").await;
    let url = said.split("http://").nth(1).unwrap();
    let address: SocketAddr = url.trim().trim_end_matches("/webhook").parse().unwrap();
    log.next("run_ended").await;
    stage.forge.issue("Another one").await;
    let body = json!({"repository": {"full_name": REPO}, "sender": {"login": "ada"}});
    let body = body.to_string();
    let lists = stage.front.count("/issues?state=");
    let wrong = signature("another secret", &body);
    for signature in [None, Some(""), Some(wrong.as_str())] {
        let answer = deliver(address, signature, &body).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    assert_eq!(lists, stage.front.count("/issues?state="));
    let right = signature(SECRET, &body);
    let answer = deliver(address, Some(&right), &body).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let started = log.next("run_started").await;
    assert_eq!(json!(3), started["issue"]);
    log.next("run_ended").await;
    night.interrupted().await;
    assert_eq!(2, stage.pulls().await.len());
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Delivers as a forge does, and gives the answer.
async fn deliver(address: SocketAddr, signature: Option<&str>, body: &str) -> String {
    let signature = signature.map(|one| format!("X-Gitea-Signature: {one}\r\n"));
    let request = format!(
        "POST /webhook HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         X-Gitea-Event: issues\r\nX-Gitea-Delivery: one\r\n{}\
         Content-Length: {}\r\n\r\n{body}",
        signature.unwrap_or_default(),
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_loop_without_work_asks_once_a_tick_and_no_model() {
    let stage = Stage::new().await;
    stage.forge.client.close_issue(&repo(), 1).await.unwrap();
    stage.configure("[night]\npoll_s = 1\n");
    let night = stage.start(&[]);
    let list = "/issues?state=open";
    stage.front.until(list, 2).await;
    let before = stage.front.seen().len();
    stage.front.until(list, 6).await;
    let asked = stage.front.seen().split_off(before);
    let others: Vec<&String> = asked.iter().filter(|one| !one.contains(list)).collect();
    assert!(others.is_empty(), "{asked:?}");
    assert_eq!(0, stage.worker.prompts().len());
    night.interrupted().await;
    let told: Vec<Value> = stage.home.events().await;
    let kinds: Vec<&Value> = told.iter().map(|event| &event["type"]).collect();
    assert_eq!(vec!["loop_started", "loop_ended"], kinds);
}

#[tokio::test]
async fn edited_settings_are_taken_over_and_broken_ones_are_told_of_once() {
    let stage = Stage::new().await;
    add_other(&stage.forge).await;
    issue(&stage, OTHER).await;
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    log.next("run_ended").await;
    stage.home.configure("[forge\n");
    log.next("warned").await;
    // It goes on with what it has.
    stage.forge.issue("Another one").await;
    log.next("run_ended").await;
    // Mended, with another repository.
    stage.configure_for(&[REPO, OTHER], QUICK);
    let started = log.next("run_started").await;
    assert_eq!(json!(OTHER), started["repo"]);
    log.next("run_ended").await;
    // Another forge.
    stage.home.configure(&format!(
        "[forge]\nkind = \"gitea\"\nurl = \"http://127.0.0.1:1\"\nuser = \"timmy\"\n\
         token = {{ file = \"{}\" }}\nrepositories = [\"timmy/small\"]\n{}",
        stage.home.beside("token").display(),
        stage.provider(),
    ));
    let warned = log.next("warned").await;
    assert_eq!(json!("TIMMY-0117"), warned["problem"]["code"], "{warned}");
    night.signal(Signal::TERM);
    night.ended().await.well();
    assert_eq!(2, stage.count("warned").await);
    assert_eq!(2, stage.pulls().await.len());
}

#[tokio::test]
async fn labelled_pull_requests_are_checked_together_and_merged() {
    let stage = Stage::new().await;
    stage.forge.issue("Another one").await;
    stage.until_idle().await.well();
    let label = NewLabel {
        name: "merge".to_owned(),
        color: "00ff00".to_owned(),
        description: String::new(),
    };
    let client = &stage.forge.client;
    client.create_label(&repo(), &label).await.unwrap();
    for number in stage.pulls().await.into_keys() {
        client
            .add_labels(&repo(), number, &["merge"])
            .await
            .unwrap();
    }
    stage.configure(&format!("{QUICK}[merge_queue]\nenabled = true\n"));
    stage.until_idle().await.well();
    let pulls = stage.pulls().await;
    assert_eq!(2, pulls.len());
    for pull in pulls.into_values() {
        assert_eq!(PullState::Merged, pull.state);
    }
    for issue in [1, 2] {
        let issue = client.issue(&repo(), issue).await.unwrap();
        assert_eq!(IssueState::Closed, issue.state);
    }
    assert!(stage.count("stack_checked").await > 0);
    assert_eq!(2, stage.count("pull_request_merged").await);
    assert_eq!(2, stage.worker.prompts().len());
    stage.assert_nothing_is_left().await;
}
