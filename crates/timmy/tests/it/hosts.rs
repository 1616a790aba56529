//! Several hosts that share a forge and a log in PostgreSQL, and nothing else.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_loopback::Server;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::task::JoinSet;
use tokio::task::LocalSet;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::mender;
use crate::home::provider;
use crate::kill::FOREVER;
use crate::kill::all_ended;
use crate::kill::kill;
use crate::kill::until;
use crate::postgres::Database;
use crate::postgres::log_at;
use crate::served::NEEDED;
use crate::served::Served;
use crate::served::repo;
use crate::together::Mender;

const HOSTS: usize = 3;
const ISSUES: u64 = 12;
/// The claims of a host that will be lost. Its heirs have to see them unrenewed for a quarter longer
/// than this, in real time; and until it is lost it has to renew them on a busy machine.
const SHORT_LIVED: &str = "[claim]\nttl_s = 4\n";

/// A host that works on this forge, with its log in this database.
async fn host(forge: &Served, database: &Database, model: &str, more: &str) -> Home {
    let home = Home::new();
    forge.let_in(&home, &NEEDED).await;
    let more = provider("generic", model) + more + &log_at(&home, &database.url());
    forge.configure(&home, CHECK, &more);
    home
}

/// Sprints until there is nothing to do.
async fn work_off(home: Arc<Home>) -> usize {
    let mut done = 0;
    loop {
        let report = home.json(&["sprint"]).await.well().json();
        if report["issue"].is_null() {
            return done;
        }
        let outcome = &report["outcome"]["outcome"];
        assert_eq!(json!("pull_request"), *outcome, "{report}");
        done += 1;
    }
}

/// Every issue has exactly one pull request whose check passed, and was told of it once.
async fn assert_each_done_once(forge: &Served, issues: u64) {
    let pulls = forge.pulls().await;
    let mut branches: Vec<&str> = pulls.iter().map(|pull| pull.head_branch.as_str()).collect();
    branches.sort_unstable();
    let mut expected: Vec<String> = (1..=issues)
        .map(|issue| format!("timmy/{issue}-1"))
        .collect();
    expected.sort_unstable();
    assert_eq!(expected, branches);
    for pull in &pulls {
        assert!(pull.body.contains("**The check passed**"), "{pull:?}");
    }
    for issue in 1..=issues {
        let comments = forge.client.comments(&repo(), issue).await.unwrap();
        assert_eq!(1, comments.len(), "issue {issue}: {comments:?}");
    }
    let refs = forge.refs().await;
    assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
}

#[tokio::test]
async fn three_hosts_do_twelve_issues_once_each() {
    let (forge, database) = (Served::start().await, Database::create().await);
    for number in 2..=ISSUES {
        forge
            .issue(&format!("The state is broken, again ({number})"))
            .await;
    }
    let model = Server::start(Mender).await.unwrap();
    let model = format!("{}/v1", model.url());
    let mut homes = Vec::new();
    for _ in 0..HOSTS {
        homes.push(Arc::new(
            host(&forge, &database, &model, "stream = false\n").await,
        ));
    }
    let here = LocalSet::new();
    let mut working = JoinSet::new();
    for home in &homes {
        working.spawn_local_on(work_off(Arc::clone(home)), &here);
    }
    let done: Vec<usize> = here.run_until(working.join_all()).await;
    assert_eq!(ISSUES, done.iter().sum::<usize>() as u64, "{done:?}");
    assert!(done.iter().all(|done| *done > 0), "an idle host: {done:?}");
    assert_each_done_once(&forge, ISSUES).await;
    let told: Vec<Value> = told_by_each(&homes).await;
    for other in &told {
        assert_eq!(told[0], *other);
    }
    assert_books_add_up(&database, &told[0]).await;
    for home in &homes {
        assert!(home.run_directories().is_empty());
    }
}

/// What `timmy runs` says on each host.
async fn told_by_each(homes: &[Arc<Home>]) -> Vec<Value> {
    let mut told = Vec::new();
    for home in homes {
        told.push(home.json(&["runs"]).await.well().json());
    }
    told
}

/// What the books hold of every run is what its events say it used, and nothing is set aside.
async fn assert_books_add_up(database: &Database, runs: &Value) {
    let runs = runs.as_array().unwrap();
    let tokens = |run: &Value| {
        let part = |name: &str| run["usage"][name].as_u64().unwrap();
        part("input_tokens") + part("output_tokens")
    };
    let expected: BTreeMap<String, u64> = runs
        .iter()
        .map(|run| (run["run"].as_str().unwrap().to_owned(), tokens(run)))
        .collect();
    let sums = "SELECT run, SUM(input_tokens + output_tokens) FROM spending GROUP BY run";
    let booked: BTreeMap<String, u64> = database
        .ask(sums)
        .await
        .iter()
        .map(|line| {
            let (run, sum) = line.split_once('|').unwrap();
            (run.to_owned(), sum.parse().unwrap())
        })
        .collect();
    assert_eq!(expected, booked);
    assert_eq!(0, database.open_reservations().await);
    let places = database.ask("SELECT COUNT(*) = MAX(seq) FROM events").await;
    assert_eq!(vec!["t"], places);
}

/// A model that never answers.
async fn silence() -> ModelServer {
    ModelServer::start(vec![Turn::say("never said").gated()]).await
}

/// A sprint on a host is killed, and the host never comes back.
async fn burn_down(home: Home, reached: &str) {
    let mut command = home.command(&["sprint"]);
    let sprint = command.stdout(Stdio::null()).spawn().unwrap();
    until(&home, reached).await;
    all_ended(kill(sprint).await).await;
    drop(home);
}

#[tokio::test]
async fn what_a_host_that_burned_down_left_is_closed_by_another() {
    let (forge, database) = (Served::start().await, Database::create().await);
    let silent = silence().await;
    let lost = host(&forge, &database, &silent.base_url(), SHORT_LIVED).await;
    burn_down(lost, "model_call_reserved").await;
    let model = mender().await;
    let heir = host(&forge, &database, &model.base_url(), "").await;
    let works = async { while heir.json(&["sprint"]).await.well().json()["issue"].is_null() {} };
    assert!(tokio::time::timeout(FOREVER, works).await.is_ok());
    // The claim was taken over; the next sprint sees that nobody can still be at the other run.
    heir.json(&["sprint"]).await.well();
    assert_each_done_once(&forge, 1).await;
    assert_eq!(vec!["abandoned", "pull_request"], outcomes(&heir).await);
    assert_eq!(0, database.open_reservations().await);
}

#[tokio::test]
async fn a_claim_of_a_host_that_burned_down_is_freed_although_nobody_wants_the_issue() {
    let (forge, database) = (Served::start().await, Database::create().await);
    let silent = silence().await;
    let lost = host(&forge, &database, &silent.base_url(), SHORT_LIVED).await;
    burn_down(lost, "model_call_reserved").await;
    forge.client.close_issue(&repo(), 1).await.unwrap();
    let model = mender().await;
    let heir = host(&forge, &database, &model.base_url(), "").await;
    let freed = async {
        while outcomes(&heir).await != ["abandoned"] {
            heir.json(&["sprint"]).await.well();
        }
    };
    assert!(tokio::time::timeout(FOREVER, freed).await.is_ok());
    let refs = forge.refs().await;
    assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
}

#[tokio::test]
async fn a_run_of_a_living_host_is_left_alone_by_others() {
    let (forge, database) = (Served::start().await, Database::create().await);
    let model = ModelServer::start(vec![Turn::say("never said").gated()]).await;
    let alive = host(&forge, &database, &model.base_url(), "").await;
    let mut command = alive.command(&["sprint"]);
    let sprint = command.stdout(Stdio::null()).spawn().unwrap();
    until(&alive, "model_call_reserved").await;
    let other = host(&forge, &database, &model.base_url(), "").await;
    for _ in 0..2 {
        let report = other.json(&["sprint"]).await.well().json();
        assert_eq!(json!(null), report["issue"], "{report}");
    }
    assert_eq!(vec!["none"], outcomes(&other).await);
    assert_eq!(1, alive.run_directories().len());
    all_ended(kill(sprint).await).await;
}

/// How the runs of the log ended, oldest first.
async fn outcomes(home: &Home) -> Vec<String> {
    let runs = home.json(&["runs"]).await.well().json();
    let outcome = |run: &Value| {
        run["outcome"]["outcome"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    };
    runs.as_array().unwrap().iter().rev().map(outcome).collect()
}
