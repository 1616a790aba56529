//! Two workers on hosts of their own that share nothing but a forge, and a network that breaks
//! between them and it. Skipped, with a reason, where no network namespaces can be made.
//!
//! A claim's time to live has to pass in real time here: it is the clock of another host that a
//! worker must not rely on. It is as short as renewals over HTTP on a busy machine allow.

use std::io::Write;
use std::io::stderr;
use std::net::SocketAddr;
use std::process::Stdio;

use http::Method;
use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::embedded::Fault;
use timmy_forge::embedded::Gate;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::process::Child;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::Ran;
use crate::home::mender;
use crate::home::mending;
use crate::home::provider;
use crate::home::ran;
use crate::kill::FOREVER;
use crate::kill::until;
use crate::namespaces::Network;
use crate::served::NEEDED;
use crate::served::Served;
use crate::served::repo;
use crate::way::Way;

/// A claim lapses after a quarter more than this, and its holder may act under it for 0.6 of it.
const SHORT: u64 = 5;
/// Longer than any test.
const LONG: u64 = 600;

/// A forge and the hosts that can reach it.
struct Stage {
    network: Network,
    forge: Served,
    forge_way: Way,
}

/// A worker: a home, on a host with its own model.
struct Worker {
    name: &'static str,
    home: Home,
    model: ModelServer,
    _model_way: Way,
}

impl Stage {
    /// None, with the reason printed, where this machine does not allow it.
    async fn new() -> Option<Self> {
        let network = match Network::of(&["ada", "bob"]) {
            Ok(network) => network,
            Err(reason) => {
                // Past the harness, which keeps what passing tests print to itself.
                let line = format!("skipped, no network namespaces: {reason}\n");
                stderr().write_all(line.as_bytes()).unwrap();
                return None;
            }
        };
        let forge = Served::start().await;
        let forge_way = network.serve_forge(forge.address());
        Some(Self {
            network,
            forge,
            forge_way,
        })
    }

    async fn worker(&self, name: &'static str, model: ModelServer, ttl_s: u64) -> Worker {
        let home = Home::new();
        self.forge.let_in(&home, &NEEDED).await;
        let model_address: SocketAddr = authority(&model.root_url());
        let way = self.network.serve_at(name, model_address);
        let model_url = format!("http://{}/v1", way.address);
        let more = provider("generic", &model_url) + &format!("[claim]\nttl_s = {ttl_s}\n");
        let forge_url = format!("http://{}", self.forge_way.address);
        self.forge.configure_at(&home, &forge_url, CHECK, &more);
        Worker {
            name,
            home,
            model,
            _model_way: way,
        }
    }

    /// Starts a sprint on the worker's host.
    fn start(&self, worker: &Worker) -> Child {
        let mut command = worker
            .home
            .command_under(&self.network.on(worker.name), &["sprint", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// A whole sprint.
    async fn sprint(&self, worker: &Worker) -> Value {
        let on = self.network.on(worker.name);
        let command = worker.home.command_under(&on, &["sprint", "--json"]);
        ran(command).await.well().json()
    }

    /// Sprints until there is something to do.
    async fn sprint_that_works(&self, worker: &Worker) -> Value {
        let working = async {
            loop {
                let report = self.sprint(worker).await;
                if !report["issue"].is_null() {
                    return report;
                }
            }
        };
        tokio::time::timeout(FOREVER, working).await.unwrap()
    }

    /// One pull request, one comment, and nothing that is left of anybody.
    async fn assert_done_once(&self, workers: [&Worker; 2]) {
        for worker in workers {
            let report = self.sprint(worker).await;
            assert_eq!(json!(null), report["issue"], "{}: {report}", worker.name);
            assert!(worker.home.run_directories().is_empty(), "{}", worker.name);
        }
        let pulls = self.forge.pulls().await;
        assert_eq!(1, pulls.len(), "{pulls:?}");
        assert!(pulls[0].body.contains("**The check passed**"), "{pulls:?}");
        let comments = self.forge.client.comments(&repo(), 1).await.unwrap();
        assert_eq!(1, comments.len(), "{comments:?}");
        let refs = self.forge.refs().await;
        assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
        let branches = refs
            .iter()
            .filter(|name| name.starts_with("refs/heads/timmy/"));
        assert_eq!(1, branches.count(), "{refs:?}");
    }
}

fn authority(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

/// A model that thinks about its first answer until it is released.
async fn thinker() -> ModelServer {
    let [first, second, third] = mending().map(|(tool, arguments)| Turn::call(tool, arguments));
    ModelServer::start(vec![first.gated(), second, third]).await
}

async fn ended(child: Child) -> Ran {
    let output = tokio::time::timeout(FOREVER, child.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[tokio::test]
async fn a_worker_that_was_cut_off_stops_and_another_does_the_issue() {
    let Some(stage) = Stage::new().await else {
        return;
    };
    let ada = stage.worker("ada", thinker().await, SHORT).await;
    let bob = stage.worker("bob", mender().await, SHORT).await;
    let sprint = stage.start(&ada);
    until(&ada.home, "model_call_reserved").await;
    stage.network.cut(ada.name);
    let report = stage.sprint_that_works(&bob).await;
    assert_eq!(
        json!("pull_request"),
        report["outcome"]["outcome"],
        "{report}"
    );
    // Nobody told her; she stopped because she could not renew.
    until(&ada.home, "claim_lost").await;
    stage.network.heal(ada.name);
    ada.model.release();
    let report = ended(sprint).await.json();
    assert_eq!(
        json!("claim_lost"),
        report["outcome"]["outcome"],
        "{report}"
    );
    stage.assert_done_once([&ada, &bob]).await;
}

#[tokio::test]
async fn a_pull_request_of_a_worker_that_was_cut_off_comes_too_late() {
    let Some(stage) = Stage::new().await else {
        return;
    };
    let ada = stage.worker("ada", mender().await, SHORT).await;
    let bob = stage.worker("bob", mender().await, SHORT).await;
    let gate = Gate::new();
    stage
        .forge
        .faults
        .plan(Method::POST, "/pulls", Fault::Held(gate.clone()));
    let sprint = stage.start(&ada);
    // Her branch is there, and her wish for a pull request is on its way.
    gate.reached().await;
    stage.network.cut(ada.name);
    let report = stage.sprint_that_works(&bob).await;
    assert_eq!(
        json!("pull_request"),
        report["outcome"]["outcome"],
        "{report}"
    );
    until(&ada.home, "claim_lost").await;
    // Now it arrives.
    gate.open();
    stage.network.heal(ada.name);
    let report = ended(sprint).await.json();
    assert_eq!(
        json!("claim_lost"),
        report["outcome"]["outcome"],
        "{report}"
    );
    stage.assert_done_once([&ada, &bob]).await;
}

#[tokio::test]
async fn a_cut_that_heals_before_the_claim_lapses_costs_nothing() {
    let Some(stage) = Stage::new().await else {
        return;
    };
    let ada = stage.worker("ada", thinker().await, LONG).await;
    let bob = stage.worker("bob", mender().await, LONG).await;
    let sprint = stage.start(&ada);
    until(&ada.home, "model_call_reserved").await;
    stage.network.cut(ada.name);
    let before = stage.network.sent_by(ada.name);
    ada.model.release();
    until(&ada.home, "check_finished").await;
    // What she publishes goes nowhere.
    let publishing = async {
        while stage.network.sent_by(ada.name) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(FOREVER, publishing).await.unwrap();
    let report = stage.sprint(&bob).await;
    assert_eq!(json!(null), report["issue"], "{report}");
    let reason = report["passed_over"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("works on it"), "{report}");
    stage.network.heal(ada.name);
    let report = ended(sprint).await.well().json();
    assert_eq!(
        json!("pull_request"),
        report["outcome"]["outcome"],
        "{report}"
    );
    stage.assert_done_once([&ada, &bob]).await;
}
