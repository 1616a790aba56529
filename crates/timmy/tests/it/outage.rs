//! A forge and a database that go away in the middle of a sprint, for a while or for longer than
//! anybody waits. Whatever the sprint makes of it, the next one leaves the issue answered once.

use std::process::Stdio;

use http::Method;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_forge::embedded::Fault;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::process::Child;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::Ran;
use crate::home::mender;
use crate::home::mending;
use crate::home::provider;
use crate::kill::FOREVER;
use crate::kill::until;
use crate::postgres::Cluster;
use crate::postgres::Database;
use crate::postgres::log_at;
use crate::served::NEEDED;
use crate::served::Served;
use crate::way::Way;

/// A push that nobody answers is tried again every twentieth of this, and for 0.6 of it.
const PATIENT: &str = "[claim]\nttl_s = 40\n";
/// As short as renewals on a busy machine allow.
const IMPATIENT: &str = "[claim]\nttl_s = 5\n";

/// A home whose forge is behind a way that can be closed.
struct Stage {
    home: Home,
    forge: Served,
    way: Way,
}

impl Stage {
    async fn new() -> Self {
        let (home, forge) = (Home::new(), Served::start().await);
        forge.let_in(&home, &NEEDED).await;
        let way = Way::to(forge.address()).await;
        Self { home, forge, way }
    }

    fn configure(&self, model: &ModelServer, more: &str) {
        let url = format!("http://{}", self.way.address);
        let more = provider("generic", &model.base_url()) + more;
        self.forge.configure_at(&self.home, &url, CHECK, &more);
    }

    fn start(&self) -> Child {
        let mut command = self.home.command(&["sprint", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// A sprint whose agent is at work, and whose model waits to be released.
    async fn at_work(&self, model: &ModelServer, more: &str) -> Child {
        self.configure(model, more);
        let sprint = self.start();
        until(&self.home, "model_call_reserved").await;
        sprint
    }

    /// The next sprint, with nothing in its way.
    async fn next_sprint(&self, more: &str) {
        let model = mender().await;
        self.configure(&model, more);
        self.home.json(&["sprint"]).await.well();
        self.assert_done_once().await;
    }

    async fn assert_done_once(&self) {
        assert_eq!(Vec::<String>::new(), self.forge.defects(&self.home).await);
    }
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

fn outcome(report: &Value) -> &Value {
    &report["outcome"]["outcome"]
}

#[tokio::test]
async fn single_requests_that_fail_are_repeated_and_nothing_is_said_twice() {
    let stage = Stage::new().await;
    let gateway = Fault::Refused(StatusCode::BAD_GATEWAY);
    let faults = [
        (Method::GET, "/issues", gateway),
        (
            Method::POST,
            "git-receive-pack",
            Fault::AppliedThen(StatusCode::BAD_GATEWAY),
        ),
        (
            Method::POST,
            "/pulls",
            Fault::AppliedThen(StatusCode::GATEWAY_TIMEOUT),
        ),
        (Method::POST, "/comments", Fault::ReplyLost),
    ];
    for (method, path, fault) in faults {
        stage.forge.faults.plan(method, path, fault);
    }
    let model = mender().await;
    stage.configure(&model, "");
    let report = stage.home.json(&["sprint"]).await.well().json();
    assert_eq!(json!("pull_request"), *outcome(&report), "{report}");
    assert_eq!(0, stage.forge.faults.left());
    stage.assert_done_once().await;
}

#[tokio::test]
async fn a_forge_that_refuses_for_long_ends_the_run_and_the_next_one_does_the_issue() {
    let stage = Stage::new().await;
    // More often than a request is repeated.
    for _ in 0..8 {
        let gateway = Fault::Refused(StatusCode::BAD_GATEWAY);
        stage.forge.faults.plan(Method::POST, "/pulls", gateway);
    }
    let model = mender().await;
    stage.configure(&model, "");
    let report = stage.home.json(&["sprint"]).await.json();
    assert_eq!(json!("failed"), *outcome(&report), "{report}");
    let code = report["outcome"]["problem"]["code"].as_str().unwrap();
    stage.home.assert_explained(code).await;
    stage.forge.faults.clear();
    stage.next_sprint("").await;
}

#[tokio::test]
async fn a_forge_that_comes_back_is_waited_for() {
    let stage = Stage::new().await;
    let model = thinker().await;
    let sprint = stage.at_work(&model, PATIENT).await;
    stage.way.close();
    model.release();
    until(&stage.home, "check_finished").await;
    stage.way.turned_away().await;
    stage.way.open();
    let report = ended(sprint).await.well().json();
    assert_eq!(json!("pull_request"), *outcome(&report), "{report}");
    stage.assert_done_once().await;
}

#[tokio::test]
async fn a_forge_that_stays_away_ends_the_run_and_the_next_one_does_the_issue() {
    let stage = Stage::new().await;
    let model = thinker().await;
    let sprint = stage.at_work(&model, IMPATIENT).await;
    stage.way.close();
    model.release();
    let report = ended(sprint).await.json();
    assert_eq!(json!("claim_lost"), *outcome(&report), "{report}");
    assert_eq!(0, stage.forge.pulls().await.len());
    stage.way.open();
    stage.next_sprint("").await;
}

#[tokio::test]
async fn no_forge_at_all_is_said_with_a_code() {
    let stage = Stage::new().await;
    let model = mender().await;
    stage.configure(&model, "");
    stage.way.close();
    let (status, code) = stage.home.json(&["sprint"]).await.refusal();
    assert_eq!(69, status, "{code}");
    stage.home.assert_explained(&code).await;
    assert!(model.chats().is_empty());
    stage.way.open();
    stage.next_sprint("").await;
}

#[tokio::test]
async fn a_database_that_was_restarted_meanwhile_is_not_noticed() {
    let (stage, cluster) = (Stage::new().await, Cluster::start().await);
    let database = Database::on(cluster.url()).await;
    let more = log_at(&stage.home, &database.url());
    let model = thinker().await;
    let sprint = stage.at_work(&model, &more).await;
    cluster.stop().await;
    cluster.start_again().await;
    model.release();
    let report = ended(sprint).await.well().json();
    assert_eq!(json!("pull_request"), *outcome(&report), "{report}");
    stage.assert_done_once().await;
    assert_eq!(0, database.open_reservations().await);
}

#[tokio::test]
async fn a_database_that_is_away_ends_the_sprint_and_the_next_one_carries_on() {
    let (stage, cluster) = (Stage::new().await, Cluster::start().await);
    let database = Database::on(cluster.url()).await;
    let more = log_at(&stage.home, &database.url());
    let model = thinker().await;
    let sprint = stage.at_work(&model, &more).await;
    cluster.stop().await;
    model.release();
    let (_, code) = ended(sprint).await.refusal();
    cluster.start_again().await;
    stage.home.assert_explained(&code).await;
    assert_eq!(0, stage.forge.pulls().await.len());
    stage.next_sprint(&more).await;
    assert_eq!(0, database.open_reservations().await);
}
