//! What a model gets wrong, it is told in a way that it can mend, and the run goes on.

use serde_json::json;
use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::Turn;

use crate::stage::Stage;
use crate::stage::call;
use crate::stage::finish;

#[tokio::test]
async fn arguments_that_do_not_fit_are_answered() {
    let unreadable = Fault::Arguments {
        tool: "read_file".to_owned(),
        text: "the file a.txt".to_owned(),
    };
    let turns = [
        Turn::fault(unreadable),
        call("read_file", json!({})),
        call("read_file", json!({"path": "a", "line": 1})),
        call("read_file", json!({"path": 7})),
        call("git_add", json!({"paths": ["../x"]})),
        finish(),
    ];
    let played = Stage::new(turns).await.play().await;
    let results = played.expect_finished().results();
    let expected = [
        (
            "The arguments of read_file are not a JSON object: ",
            "Send them again as one.",
        ),
        (
            "The arguments do not fit read_file: ",
            "missing field `path`",
        ),
        (
            "The arguments do not fit read_file: ",
            "unknown field `line`, expected one of `path`, `from_line`, `lines`",
        ),
        (
            "The arguments do not fit read_file: ",
            "expected path string",
        ),
        ("The arguments do not fit git_add: ", "without '..'"),
    ];
    for ((start, part), result) in expected.iter().zip(&results) {
        assert!(
            result.starts_with(start) && result.contains(part),
            "{result}"
        );
    }
    assert_eq!(
        [false, false, false, false, false, true],
        *played.successes()
    );
}

#[tokio::test]
async fn an_unknown_tool_is_answered_with_those_there_are() {
    let odd = format!("functions.read file {}", "x".repeat(200));
    let mut stage = Stage::new([call(&odd, json!({})), finish()]).await;
    let played = stage.play().await;
    let result = played.only_result();
    assert!(
        result.starts_with("There is no tool `functions.read file xxx"),
        "{result}"
    );
    assert!(
        result.contains("read_file, write_file, edit_file"),
        "{result}"
    );
    assert!(result.len() < 600, "{result}");
    // Servers reject a history that names a call otherwise.
    let name = &played.requests[1][2]["tool_calls"][0]["function"]["name"];
    let name = name.as_str().unwrap();
    assert!(
        name.starts_with("functions_read_file_xxx") && name.len() == 64,
        "{name}"
    );
}

#[tokio::test]
async fn a_tool_without_a_forge_is_unknown() {
    let turns = [call("forge_list_issues", json!({})), finish()];
    let result = Stage::new(turns).await.play().await.only_result();
    assert!(
        result.starts_with("There is no tool `forge_list_issues`."),
        "{result}"
    );
}

fn empty() -> Turn {
    Turn::fault(Fault::EmptyReply)
}

#[tokio::test]
async fn an_empty_reply_is_asked_for_again() {
    let played = Stage::new([empty(), empty(), finish()]).await.play().await;
    assert_eq!(3, played.expect_finished().requests.len());
    assert_eq!(1, played.report.steps);
}

#[tokio::test]
async fn replies_that_stay_empty_are_a_step_in_which_nothing_was_said() {
    let turns = [empty(), empty(), empty(), finish()];
    let played = Stage::new(turns).await.play().await;
    assert_eq!(2, played.expect_finished().report.steps);
    let remarks = played.remarks(3);
    assert!(remarks.ends_with("Your reply was empty or unreadable. Call a tool to go on, or `finish` when the work is done."));

    let played = Stage::new((0..10).map(|_| empty())).await.play().await;
    assert_eq!("TIMMY-0703", played.code());
    assert_eq!((3, 9), (played.report.steps, played.requests.len()));
    assert_eq!(["three messages called no tool"], *played.loops());
}

#[tokio::test]
async fn a_reply_that_was_cut_off_is_not_executed() {
    let cut = Fault::CutCall {
        tool: "write_file".to_owned(),
        text: r#"{"path": "a", "contents": "half"#.to_owned(),
    };
    let whole = call("write_file", json!({"path": "b", "contents": "whole"})).with_finish("length");
    let mut stage = Stage::new([Turn::fault(cut), whole, finish()]).await;
    let played = stage.play().await;
    played.expect_finished();
    assert!(!stage.path("a").exists() && !stage.path("b").exists());
    let remarks = played.remarks(2);
    assert_eq!(
        2,
        remarks
            .matches("Your reply was cut off at its limit")
            .count(),
        "{remarks}"
    );
    assert_eq!("[nothing was said]", played.requests[1][2]["content"]);
}
