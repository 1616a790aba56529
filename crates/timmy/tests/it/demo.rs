//! `timmy demo`, and every command that is told about in its wake.

use std::path::Path;

use serde_json::Value;
use serde_json::json;
use tokio::process::Command;

use crate::home;
use crate::home::Home;
use crate::home::Ran;
use crate::home::git;

/// `owner/name` of the demo's project and the number of its pull request.
const REPO: &str = "timmy/tally";
const PULL: &str = "timmy/tally#6";

fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

fn assert_summary(summary: &Value) {
    let expected = [
        "issue",
        "passed_over",
        "branch",
        "pull_request",
        "check",
        "model",
        "seconds",
    ];
    assert_eq!(expected.to_vec(), keys(summary));
    let passed_over = summary["passed_over"].as_array().unwrap();
    let reasons: Vec<(u64, &str)> = passed_over
        .iter()
        .map(|passed| {
            assert_eq!(vec!["issue", "reason"], keys(passed));
            let reason = passed["reason"].as_str().unwrap();
            (passed["issue"].as_u64().unwrap(), reason)
        })
        .collect();
    let expected = [
        (1, "it is labelled `epic`"),
        (2, "it is labelled `study`"),
        (3, "it is blocked by #4"),
    ];
    assert_eq!(expected.to_vec(), reasons);
    assert_eq!(
        (4, 6),
        (
            summary["issue"].as_i64().unwrap(),
            summary["pull_request"].as_i64().unwrap()
        )
    );
    assert_eq!(json!("timmy/4-1"), summary["branch"]);
    assert_eq!(
        json!({"command": "cargo test --offline --quiet", "exit_code": 0}),
        summary["check"]
    );
    assert_eq!(json!("replayed"), summary["model"]);
    assert!(summary["seconds"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn the_demo_leaves_a_pull_request_that_every_command_knows() {
    let home = Home::new();
    let demo = home.json(&["demo"]).await.well();
    assert_summary(&demo.json());
    assert_eq!(1, demo.lines().len(), "{demo:?}");
    home.assert_nothing_is_left().await;
    the_log_is_read(&home).await;
    the_forge_is_read(&home).await;
    the_change_is_real(&home).await;
    the_token_is_nowhere_else(&home).await;
    the_pull_request_is_merged(&home).await;
}

async fn the_log_is_read(home: &Home) {
    let report = home.json(&["report"]).await.well().json();
    assert_eq!(json!(true), report["replayed"]);
    let [run] = report["runs"].as_array().unwrap().as_slice() else {
        panic!("{report}");
    };
    assert_eq!(
        (json!("open"), json!("replayed"), json!(0)),
        (
            run["pull_state"].clone(),
            run["provenance"].clone(),
            run["receipt"]["exit_code"].clone()
        )
    );
    let needs = &report["needs_a_person"][0]["what"];
    assert!(
        needs.as_str().unwrap().contains("review pull request #6"),
        "{needs}"
    );

    let runs = home.json(&["runs"]).await.well().json();
    let id = runs[0]["run"].as_str().unwrap();
    let ending = &id[id.len() - 8..];
    let shown = home.run(&["show", ending]).await.well().stdout;
    for part in [
        "(replayed)",
        "check `cargo test --offline --quiet`: ",
        "opened pull request #6",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let shown = home.json(&["show", ending]).await.well().json();
    let of_run = home.json(&["events", "--run", ending]).await.well().lines();
    assert_eq!(shown["events"], Value::Array(of_run));
    let all = home.events().await;
    let types: Vec<&str> = all
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let at = |wanted: &str| {
        types
            .iter()
            .position(|kind| *kind == wanted)
            .unwrap_or_else(|| panic!("{types:?}"))
    };
    let order = [
        "issues_considered",
        "run_started",
        "workspace_ready",
        "prompt_built",
        "agent_finished",
        "check_finished",
        "branch_pushed",
        "pull_request_opened",
        "issue_commented",
        "run_ended",
    ];
    assert!(order.map(at).is_sorted(), "{types:?}");

    let results = std::fs::read_to_string(home.root().join("results.csv")).unwrap();
    let lines: Vec<&str> = results.lines().collect();
    assert_eq!(2, lines.len(), "{results}");
    assert_eq!(
        lines[0].split(',').count(),
        lines[1].split(',').count(),
        "{results}"
    );
    assert!(
        lines[1].contains(&format!("{id},{REPO},4,pull_request,timmy/4-1,6,")),
        "{results}"
    );
}

async fn the_forge_is_read(home: &Home) {
    let pulls = home.pulls().await;
    let body = pulls[0]["body"].as_str().unwrap();
    let run = home.json(&["runs"]).await.json()[0].clone();
    let receipt = &run["receipt"];
    for part in [
        "Closes #4.",
        "**replayed**",
        "`cargo test --offline --quiet`",
        receipt["commit"].as_str().unwrap(),
        receipt["tree"].as_str().unwrap(),
        receipt["output_sha256"].as_str().unwrap(),
    ] {
        assert!(body.contains(part), "no {part:?} in {body}");
    }
    let diff = home.run(&["pr", "diff", PULL]).await.well().stdout;
    assert!(diff.contains("+++ b/src/lib.rs"), "{diff}");
    let explained = home.json(&["explain", "timmy/tally#3"]).await.well().json();
    assert_eq!(json!(false), explained["workable"]);
    let answers = explained["answers"].as_array().unwrap();
    let blocked = answers.iter().find(|answer| answer["rule"] == "blockers");
    assert_eq!(json!(false), blocked.unwrap()["passed"]);
    let prompt = home.run(&["prompt", "timmy/tally#5"]).await.well().stdout;
    assert!(prompt.contains("Say which line has no amount"), "{prompt}");
    let issues = home.json(&["issues"]).await.well().json();
    let standing: Vec<&str> = issues
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["standing"].as_str().unwrap())
        .collect();
    assert_eq!("next", standing[4], "{standing:?}");
    let verified = home.json(&["verify", PULL]).await.well().json();
    assert_eq!(json!(true), verified["holds"]);
    assert_eq!(receipt["tree"], verified["verification"]["again"]["tree"]);
    assert_eq!(Vec::<std::path::PathBuf>::new(), home.run_directories());
}

/// Clones both branches from the served forge and runs the project's tests on them.
async fn the_change_is_real(home: &Home) {
    let mut served = home.command(&["forge", "serve", "--json"]);
    let mut child = served.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let url = first_line(&mut child).await;
    let url: Value = serde_json::from_str(&url).unwrap();
    let url = url["url"].as_str().unwrap();
    let token = std::fs::read_to_string(home.root().join("forge/token")).unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let address = format!("{scheme}://timmy:{}@{}{REPO}.git", token.trim(), rest);
    for (branch, code) in [("main", 101), ("timmy/4-1", 0)] {
        let clone = home.beside(&branch.replace('/', "-"));
        git(&[
            "clone",
            "--quiet",
            "--branch",
            branch,
            &address,
            &clone.to_string_lossy(),
        ])
        .await;
        let tested = cargo_test(&clone, &home.beside("target")).await;
        assert_eq!(code, tested.code, "{branch}: {tested:?}");
    }
    child.kill().await.unwrap();
}

async fn first_line(child: &mut tokio::process::Child) -> String {
    use tokio::io::AsyncBufReadExt;
    let mut line = String::new();
    let mut output = tokio::io::BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).await.unwrap();
    line
}

async fn cargo_test(project: &Path, target: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--offline", "--quiet"])
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .current_dir(project);
    home::ran(command).await
}

async fn the_token_is_nowhere_else(home: &Home) {
    let file = home.root().join("forge/token");
    let token = std::fs::read_to_string(&file).unwrap();
    let token = token.trim().as_bytes();
    assert!(token.len() >= 40);
    let found = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token);
    let holders: Vec<_> = home::files(&home.root())
        .into_iter()
        .filter(|path| !path.is_symlink() && found(&std::fs::read(path).unwrap()))
        .collect();
    assert_eq!(vec![file], holders);
    let said = home.run(&["prompt", "timmy/tally#5"]).await.well();
    let events = home.json(&["events"]).await.well();
    for output in [said.stdout, said.stderr, events.stdout, events.stderr] {
        assert!(!found(output.as_bytes()), "{output}");
    }
}

async fn the_pull_request_is_merged(home: &Home) {
    home.json(&["pr", "merge", PULL]).await.well();
    assert_eq!(Vec::<Value>::new(), home.pulls().await);
    let report = home.json(&["report"]).await.well().json();
    assert_eq!(json!("merged"), report["runs"][0]["pull_state"]);
    // What waited for the merged issue is free now.
    let explained = home.json(&["explain", "timmy/tally#3"]).await.well().json();
    assert_eq!(json!(true), explained["workable"], "{explained}");
}
