//! Everything a tool finds is hostile: it is bounded, cleaned, rid of secrets, and stays inside.

use secrecy::SecretString;
use serde_json::json;
use timmy_core::Redactor;
use timmy_testkit::model_server::Turn;

use crate::forge::Desk;
use crate::stage::Played;
use crate::stage::Stage;
use crate::stage::call;
use crate::stage::calls;
use crate::stage::finish;

#[tokio::test]
async fn whatever_is_printed_or_read_is_bounded() {
    let commands = [
        "head -c 6000000 /dev/zero | tr '\\0' x",
        "head -c 10000000 /dev/zero | tr '\\0' x",
        "head -c 300000 /dev/urandom",
        "seq 100000 >&2; false",
    ];
    let commands = commands.map(|command| call("run_command", json!({"command": command})));
    let more = [
        call("read_file", json!({"path": "large"})),
        call("read_file", json!({"path": "wide"})),
        call("search", json!({"pattern": "y"})),
        call("list_files", json!({"path": "many"})),
        finish(),
    ];
    let mut stage = Stage::new(commands.into_iter().chain(more)).await;
    stage.limits.result_bytes = 2_000;
    stage.put("large", vec![b'x'; 5 << 20]);
    stage.put("wide", vec![b'y'; 1 << 20]);
    for number in 0..500 {
        stage.put(&format!("many/{number}"), "");
    }
    let played = stage.play().await;
    // That each result is bounded is held of every request on every stage.
    let results = played.expect_finished().results();
    assert!(results[0].starts_with("exit code 0\nxxx"), "{}", results[0]);
    assert!(
        results[1].starts_with("stopped: it printed too much\nxxx"),
        "{}",
        results[1]
    );
    assert!(results[3].starts_with("exit code 1\n1\n2\n") && results[3].contains("bytes left out"));
    assert!(
        results[4].contains("large") && results[4].contains("4194304"),
        "{}",
        results[4]
    );
    assert!(results[5].starts_with("yyy") && results[5].contains("bytes left out"));
    assert!(results[6].starts_with("./wide:1:yyy"), "{}", results[6]);
    assert!(
        results[7].contains("[only the first 400 are shown]"),
        "{}",
        results[7]
    );
    assert!(played.record().len() < 100_000, "{}", played.record().len());
}

#[tokio::test]
async fn a_listing_is_bounded() {
    let mut stage = Stage::new([call("list_files", json!({})), finish()]).await;
    for number in 0..450 {
        stage.put(&format!("many/{number}"), "");
    }
    let result = stage.play().await.only_result();
    assert_eq!(401, result.lines().count());
    assert!(result.ends_with("\n[only the first 400 are shown]"));
}

/// A secret that JSON has to escape, made at run time.
fn secret() -> String {
    ["corr\"ect", "horse\\", "battery7"].concat()
}

fn base64_of_secret(stage: &Stage) -> String {
    let file = stage.outside().join("plain");
    std::fs::write(&file, secret()).unwrap();
    let output = std::process::Command::new("base64")
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn expect_clean(played: &Played) {
    let escaped = json!(secret()).to_string();
    let spellings = [secret(), escaped.trim_matches('"').to_owned()];
    let shown = format!("{:?}", played.results());
    let proposals = serde_json::to_string(&played.report.proposals).unwrap();
    for text in [
        played.record(),
        shown,
        played.results().join("\n"),
        proposals,
    ] {
        for spelling in &spellings {
            assert!(!text.contains(spelling), "{text}");
        }
        for hidden in ['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}', '\u{e0041}'] {
            assert!(!text.contains(hidden), "{text:?}");
        }
        assert!(
            !text.contains("\\u001b") && !text.contains("\\u{1b}"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn secrets_and_escape_sequences_in_what_tools_find_go_nowhere() {
    let desk_text = format!("Key:\n{}\nsee \u{1b}]0;x\u{7}\u{202e}me", secret());
    let desk = Desk::new("A \u{1b}[31mtitle", &desk_text).await;
    desk.comment(&format!("{}{}", "x".repeat(670), secret()))
        .await;
    let turns = [
        call(
            "run_command",
            json!({"command": "cat secret; cat secret >&2; exit 1"}),
        ),
        call("run_command", json!({"command": "base64 -w0 bare"})),
        call("read_file", json!({"path": "secret"})),
        call("search", json!({"pattern": "."})),
        call("git_log", json!({})),
        call("git_diff", json!({})),
        call("git_blame", json!({"path": "secret"})),
        call("git_status", json!({})),
        call("list_files", json!({})),
        call("forge_read_issue", json!({"number": 1})),
        call("forge_list_issues", json!({})),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.redactor = Redactor::new([&SecretString::from(secret())]);
    stage.desk = Some(desk.for_agent());
    let text = format!("a\u{1b}[31m\u{200b}\u{e0041}b\n{}\n\u{9b}2J", secret());
    stage.put("secret", &text);
    stage.put("bare", secret());
    stage.put(&format!("named {}\u{1b}[2J", secret()), "");
    let commit = "git init -q . && git config user.name a && git config user.email a@b.invalid && \
        git add secret && git commit -q -F secret && printf 'x\\n' >> secret && cat bare >> secret";
    stage.shell(commit).await;
    let encoded = base64_of_secret(&stage);
    let played = stage.play().await;
    let results = played.expect_finished().results();
    expect_clean(&played);
    assert_eq!(11, results.len());
    for result in &results {
        let empty = result.contains("\"branch\"") || result.starts_with("The following");
        assert!(empty || result.contains("[redacted]"), "{result}");
    }
    let core = &encoded[4..16];
    assert!(!format!("{results:?}{}", played.record()).contains(core));
}

#[tokio::test]
async fn secrets_and_escape_sequences_of_the_model_do_not_reach_the_record() {
    let hostile = format!("\u{1b}[31m{}\u{200b}\u{202e}", secret());
    let turns = [
        Turn::say(hostile.clone()),
        call(&hostile, json!({})),
        call("read_file", json!({"path": hostile, &hostile: [hostile]})),
        call("write_file", json!({"path": "a", "contents": hostile})),
        calls([("run_command", json!({"command": hostile}))]).with_text(hostile.clone()),
        call("forge_propose_comment", json!({"body": hostile})),
        call(
            "forge_describe_pull_request",
            json!({"title": hostile, "description": hostile}),
        ),
        call("finish", json!({"summary": hostile})),
    ];
    let desk = Desk::new("t", "b").await;
    let mut stage = Stage::new(turns).await;
    stage.redactor = Redactor::new([&SecretString::from(secret())]);
    stage.desk = Some(desk.for_agent());
    let played = stage.play().await;
    expect_clean(played.expect_finished());
    assert_eq!("[redacted]", played.report.summary);
    assert_eq!(
        Some("[redacted]"),
        played.report.proposals.comment.as_deref()
    );
    assert_eq!(Some("[redacted]"), played.report.proposals.title.as_deref());
}

#[tokio::test]
async fn paths_out_of_the_workspace_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    std::fs::write(&canary, "canary-4f1d2c").unwrap();
    let canary = canary.display().to_string();
    let mut turns = Vec::new();
    for path in [
        canary.as_str(),
        "../../plain",
        "link",
        "dir/canary",
        "sub/../../../plain",
        "",
    ] {
        turns.push(calls([
            ("read_file", json!({"path": path})),
            ("write_file", json!({"path": path, "contents": "x"})),
            (
                "edit_file",
                json!({"path": path, "old": "canary", "new": "x"}),
            ),
        ]));
    }
    for path in ["/etc", "..", "dir"] {
        turns.push(call("list_files", json!({"path": path})));
    }
    for path in ["/etc", ".."] {
        turns.push(call("search", json!({"pattern": "canary", "path": path})));
        turns.push(call(
            "run_command",
            json!({"command": "ls", "directory": path}),
        ));
        turns.push(call("git_status", json!({"repo": path})));
    }
    for path in [
        ".git/config",
        "sub/.git/hooks/x",
        ".GIT/config",
        "./.git/config",
        ".git",
    ] {
        turns.push(call("write_file", json!({"path": path, "contents": "x"})));
    }
    turns.push(call(
        "edit_file",
        json!({"path": ".git/config", "old": "a", "new": "x"}),
    ));
    let count = 6 * 3 + 3 + 2 * 3 + 5 + 1;
    turns.push(finish());
    let mut stage = Stage::new(turns).await;
    std::fs::write(stage.outside().join("plain"), "canary-4f1d2c").unwrap();
    stage.put(".git/config", "a");
    std::os::unix::fs::symlink(&canary, stage.path("link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), stage.path("dir")).unwrap();
    let played = stage.play().await;
    let results = played.expect_finished().results();
    let mut expected = vec![false; count];
    expected.push(true);
    assert_eq!(expected, played.successes(), "{results:#?}");
    assert!(
        !results.join("\n").contains("canary-4f1d2c"),
        "{results:#?}"
    );
    assert_eq!("canary-4f1d2c", std::fs::read_to_string(canary).unwrap());
    let plain = stage.outside().join("plain");
    assert_eq!("canary-4f1d2c", std::fs::read_to_string(plain).unwrap());
    assert_eq!("a", stage.read(".git/config"));
    assert_eq!(1, std::fs::read_dir(stage.path(".git")).unwrap().count());
}
