//! `timmy telemetry analyze`: telemetry files as they are found after a bad night.

use serde_json::json;

use crate::home::Home;

fn row(minute: u32, more: &str) -> String {
    format!(r#"{{"at":"2026-01-01T00:{minute:02}:00Z","host":"night",{more}}}"#)
}

fn free(minute: u32, value: u64) -> String {
    let more = format!(r#""series":"disk.free_bytes","of":"/","value":{value}"#);
    row(minute, &more)
}

/// A home with rows and changes, some of them bad.
fn home() -> Home {
    let home = Home::new();
    let directory = home.root().join("telemetry");
    std::fs::create_dir(&directory).unwrap();
    let phase = |minute, phase: &str| {
        let more = format!(r#""series":"run.phase","of":"r1","state":"{phase}""#);
        row(minute, &more)
    };
    let metrics = [
        free(0, 4_294_967_296),
        phase(0, "working"),
        free(1, 2_147_483_648),
        phase(1, "checking"),
        free(1, 2_147_483_648),
        free(2, 1)[..30].to_owned(),
        phase(3, "checking"),
        "Permission denied\u{1b}[2J".to_owned(),
    ];
    std::fs::write(directory.join("metrics.jsonl"), metrics.join("\n")).unwrap();
    let change = row(
        1,
        r#""series":"run.phase","of":"r1","from":"working","to":"checking""#,
    );
    std::fs::write(directory.join("events.jsonl"), change + "\n").unwrap();
    home
}

#[tokio::test]
async fn a_bad_night_is_told_and_not_fatal() {
    let home = home();
    let told = home.run(&["telemetry", "analyze"]).await.well().stdout;
    insta::assert_snapshot!(told);
    let analysis = home.json(&["telemetry", "analyze"]).await.well().json();
    assert_eq!(json!(9), analysis["lines"]["total"]);
    assert_eq!(json!("duplicated"), analysis["lines"]["faults"][3]["fault"]);
    assert_eq!(json!(1), analysis["lines"]["faults"][3]["count"]);
    assert_eq!(
        json!(120_000),
        analysis["states"][0]["states"][1]["time_ms"]
    );
}

#[tokio::test]
async fn a_time_can_be_asked_for() {
    let home = home();
    let day = [
        "--since",
        "2026-01-01T00:01:00Z",
        "--until",
        "2026-01-01T00:02:00Z",
    ];
    let asked = [&["telemetry", "analyze"], &day[..]].concat();
    let analysis = home.json(&asked).await.well().json();
    assert_eq!(json!(2), analysis["lines"]["samples"]);
    let hours = home.json(&["telemetry", "analyze", "--since", "1.5"]).await;
    assert_eq!(json!(0), hours.well().json()["lines"]["samples"]);
    let backwards = ["telemetry", "analyze", "--since", "1", "--until", "2"];
    let refused = home.json(&backwards).await.refusal();
    assert_eq!((2, "TIMMY-0111".to_owned()), refused);
    let nonsense = home.run(&["telemetry", "analyze", "--since", "-1e9"]).await;
    assert_eq!(2, nonsense.code);
}

#[tokio::test]
async fn nothing_collected_is_no_error() {
    let home = Home::new();
    let told = home.run(&["telemetry", "analyze"]).await.well().stdout;
    assert!(told.contains("timmy telemetry collect"), "{told}");
}
