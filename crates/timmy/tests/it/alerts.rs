//! `timmy health --alert`: news goes to the operator's command, once.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::home::Ran;
use crate::home::ran;
use crate::loop_stage::Follower;
use crate::loop_stage::QUICK;
use crate::loop_stage::Stage;

/// A home with no forge, whose disk is full or not, and whose news goes to a script.
struct Told {
    home: Home,
}

impl Told {
    fn new(script: &str) -> Self {
        let home = Home::new();
        let told = Self { home };
        let path = told.home.beside("tell");
        let news = told.home.beside("news").display().to_string();
        std::fs::write(&path, format!("#!/bin/sh\nNEWS={news}\n{script}\n")).unwrap();
        let runs = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&path, runs).unwrap();
        told
    }

    fn configure(&self, keep_free_bytes: u64) {
        let nowhere = self.home.beside("nowhere").display().to_string();
        self.home.configure(&format!(
            "[health]\nkeep_free_bytes = {keep_free_bytes}\n\
             [alerts]\ncommand = [{:?}]\nquiet_s = 0\ntimeout_s = 30\n\
             [hermes]\nhome = {nowhere:?}\n\
             [telemetry.timers]\ncrontabs = []\ncron_logs = []\nhermes_homes = [{nowhere:?}]\n",
            self.home.beside("tell").display().to_string()
        ));
    }

    async fn turn(&self) -> Ran {
        let mut command = self.home.command(&["health", "--alert", "--json"]);
        // Timers of this machine are no part of it.
        command.env("PATH", "/nowhere");
        ran(command).await
    }

    /// What the script was given, turn by turn.
    fn news(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.home.beside("news")).unwrap_or_default();
        let letters = text.lines().map(|line| serde_json::from_str(line).unwrap());
        letters.collect()
    }

    async fn recorded(&self) -> Vec<String> {
        let events = self.home.events().await;
        let kinds = events
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned());
        kinds
            .filter(|kind| kind.starts_with("alert") || kind == "warned")
            .collect()
    }
}

/// Whatever the script is given, one turn a line. Its interpreter is all it needs.
const KEEP: &str = "read -r line; echo \"$line\" >> \"$NEWS\"";
const FULL: u64 = 9_000_000_000_000_000_000;

#[tokio::test]
async fn a_finding_is_told_once_and_so_is_its_end() {
    let told = Told::new(KEEP);
    told.configure(FULL);
    for _ in 0..3 {
        assert_eq!(1, told.turn().await.code);
    }
    let news = told.news();
    assert_eq!(1, news.len(), "{news:?}");
    let one = &news[0]["news"][0];
    let said = [&one["code"], &one["turn"], &one["severity"], &one["fix"]];
    let expected = ["TIMMY-1008", "raised", "critical", "timmy workspace reap"];
    assert_eq!(expected.map(Value::from).each_ref(), said);
    told.configure(0);
    for _ in 0..2 {
        told.turn().await.well();
    }
    let news = told.news();
    assert_eq!(2, news.len(), "{news:?}");
    assert_eq!(json!("ended"), news[1]["news"][0]["turn"]);
    let expected = ["alert_raised", "alert_told", "alert_cleared", "alert_told"];
    assert_eq!(expected.as_slice(), told.recorded().await);
}

#[tokio::test]
async fn a_command_that_fails_is_said_once_and_tried_again() {
    let told = Told::new("echo 'the mail server is away' >&2; exit 3");
    told.configure(FULL);
    for _ in 0..3 {
        assert_eq!(1, told.turn().await.code);
    }
    assert_eq!(["alert_raised", "warned"].as_slice(), told.recorded().await);
    let events = told.home.events().await;
    let warned = events.iter().find(|event| event["type"] == json!("warned"));
    let problem = &warned.unwrap()["problem"];
    assert_eq!(json!("TIMMY-1080"), problem["code"]);
    let what = problem["what"].as_str().unwrap();
    assert!(what.contains("the mail server is away"), "{what}");
    std::fs::write(
        told.home.beside("tell"),
        format!(
            "#!/bin/sh\nNEWS={}\n{KEEP}\n",
            told.home.beside("news").display()
        ),
    )
    .unwrap();
    told.turn().await;
    assert_eq!(1, told.news().len());
    let expected = ["alert_raised", "warned", "alert_told"];
    assert_eq!(expected.as_slice(), told.recorded().await);
}

#[tokio::test]
async fn processes_that_look_at_once_tell_it_once() {
    let told = Told::new(KEEP);
    told.configure(FULL);
    let (one, two, three) = tokio::join!(told.turn(), told.turn(), told.turn());
    for ran in [one, two, three] {
        assert_eq!(1, ran.code, "{ran:?}");
    }
    assert_eq!(1, told.news().len());
    assert_eq!(
        ["alert_raised", "alert_told"].as_slice(),
        told.recorded().await
    );
}

#[tokio::test]
async fn a_home_without_a_configuration_can_be_looked_at() {
    let home = Home::new();
    let mut command = home.command(&["health", "--json"]);
    command
        .env("PATH", "/nowhere")
        .env("HOME", home.beside("nobody"));
    let looked = ran(command).await.json();
    let codes: Vec<&Value> = looked["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["code"])
        .collect();
    // A machine may really be short of room, or have a late timer; nothing else can be found.
    let possible = [json!("TIMMY-1008"), json!("TIMMY-1010")];
    assert!(codes.iter().all(|code| possible.contains(code)), "{looked}");
    assert_eq!(json!([]), looked["unseen"]);
}

#[tokio::test]
async fn a_loop_looks_after_itself() {
    let stage = Stage::new().await;
    let nowhere = stage.home.beside("nowhere").display().to_string();
    stage.configure(&format!(
        "{QUICK}[health]\nkeep_free_bytes = {FULL}\n[hermes]\nhome = {nowhere:?}\n\
         [telemetry]\nevery_s = 1\n\
         [telemetry.timers]\ncrontabs = []\ncron_logs = []\nhermes_homes = [{nowhere:?}]\n"
    ));
    stage.worker.set_held(true);
    let night = stage.start(&["--until-idle"]);
    stage.worker.reached().await;
    let mut log = Follower::start(&stage);
    let disk = |event: &Value| event["code"] == json!("TIMMY-1008");
    log.next_that("alert_raised", disk).await;
    stage.worker.open(1);
    night.ended().await.well();
    // A run that is at work is no finding.
    let raised = stage.recorded("alert_raised").await;
    let own: Vec<&Value> = raised
        .iter()
        .filter(|event| event["code"] != json!("TIMMY-1010"))
        .collect();
    assert_eq!(1, own.len(), "{raised:?}");
}

#[tokio::test]
async fn a_loop_that_collects_nothing_looks_under_the_newest_settings() {
    let stage = Stage::new().await;
    let nowhere = stage.home.beside("nowhere").display().to_string();
    let configure = |keep_free_bytes: u64| {
        stage.configure(&format!(
            "{QUICK}[health]\nkeep_free_bytes = {keep_free_bytes}\n[hermes]\nhome = {nowhere:?}\n\
             [telemetry]\nin_loop = false\nevery_s = 1\n\
             [telemetry.timers]\ncrontabs = []\ncron_logs = []\nhermes_homes = [{nowhere:?}]\n"
        ));
    };
    configure(0);
    stage.worker.set_held(true);
    let night = stage.start(&["--until-idle"]);
    stage.worker.reached().await;
    let mut log = Follower::start(&stage);
    configure(FULL);
    let disk = |event: &Value| event["code"] == json!("TIMMY-1008");
    log.next_that("alert_raised", disk).await;
    stage.worker.open(1);
    night.ended().await.well();
}
