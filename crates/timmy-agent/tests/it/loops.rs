//! Each way of going in circles: a warning one step before, then the end with its event.

use serde_json::Value;
use serde_json::json;
use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::Turn;

use crate::stage::Played;
use crate::stage::Stage;
use crate::stage::TASK;
use crate::stage::call;
use crate::stage::calls;
use crate::stage::finish;

const WARNING: &str = "You are going in circles";
const LEFT_OUT: &str = "[left out to save room; call the tool again if it is needed]";

/// The run was stopped for this pattern, and the last request, no earlier one, held the warning.
#[track_caller]
fn expect_stopped(played: &Played, pattern: &str, requests: usize) {
    assert_eq!("TIMMY-0703", played.code());
    assert_eq!([pattern], *played.loops());
    assert_eq!(requests, played.requests.len());
    let warned: Vec<bool> = (0..requests)
        .map(|request| played.remarks(request).contains(WARNING))
        .collect();
    let expected: Vec<bool> = (1..=requests).map(|request| request == requests).collect();
    assert_eq!(expected, warned);
    assert!(
        played
            .remarks(requests - 1)
            .contains(&format!("({pattern}, nearly)"))
    );
}

async fn played(turns: impl IntoIterator<Item = Turn>) -> Played {
    Stage::new(turns).await.play().await
}

#[tokio::test]
async fn the_same_result_four_times() {
    let turns = (0..5).map(|_| call("list_files", json!({})));
    let played = played(turns).await;
    expect_stopped(&played, "the same call gave the same result four times", 4);
}

#[tokio::test]
async fn the_same_failure_three_times() {
    let turns = (0..4).map(|_| call("run_command", json!({"command": "date +%N; false"})));
    let played = played(turns).await;
    expect_stopped(&played, "the same call failed three times", 3);
}

#[tokio::test]
async fn three_messages_without_a_call() {
    let turns = (0..4).map(|number| Turn::say(format!("Thinking {number}.")));
    let played = played(turns).await;
    expect_stopped(&played, "three messages called no tool", 3);
    let remarks = played.remarks(1);
    assert!(
        remarks.contains("Your message called no tool."),
        "{remarks}"
    );
}

#[tokio::test]
async fn two_calls_in_turn() {
    let turns = (0..7).map(|number| {
        let command = ["date +%N", "date +%N ; true"][number % 2];
        call("run_command", json!({"command": command}))
    });
    let played = played(turns).await;
    expect_stopped(&played, "two calls took turns for six calls", 6);
}

fn overflow() -> Turn {
    Turn::fault(Fault::ContextOverflow)
}

/// Six results of 2 KB each: the oldest two can be left out.
async fn with_long_results(more: impl IntoIterator<Item = Turn>) -> Stage {
    let read = (0..6).map(|number| call("read_file", json!({"path": number.to_string()})));
    let stage = Stage::new(read.chain(more)).await;
    for number in 0..6 {
        stage.put(&number.to_string(), number.to_string().repeat(2_000));
    }
    stage
}

fn left_out(played: &Played) -> usize {
    let results = played.results();
    results.iter().filter(|text| *text == LEFT_OUT).count()
}

#[tokio::test]
async fn an_overflow_is_cured_by_leaving_old_results_out() {
    let mut stage = with_long_results([overflow(), finish()]).await;
    let played = stage.play().await;
    assert_eq!(
        (8, 2),
        (played.expect_finished().requests.len(), left_out(&played))
    );
    assert!(played.loops().is_empty());
    let sizes = [6, 7].map(|request: usize| {
        Value::from(played.requests[request].clone())
            .to_string()
            .len()
    });
    assert!(sizes[0] > sizes[1] + 3_000, "{sizes:?}");
    assert_eq!(7, played.report.steps);
}

#[tokio::test]
async fn an_overflow_that_comes_again_at_once() {
    let mut stage = with_long_results([overflow(), overflow(), finish()]).await;
    let played = stage.play().await;
    expect_stopped(&played, "the conversation stayed too long for the model", 8);
}

#[tokio::test]
async fn overflows_with_work_between_them_are_no_circle() {
    let more = [
        overflow(),
        Turn::say("I see."),
        overflow(),
        call("list_files", json!({})),
        finish(),
    ];
    let mut stage = with_long_results(more).await;
    let played = stage.play().await;
    assert_eq!(3, left_out(played.expect_finished()));
}

#[tokio::test]
async fn an_overflow_with_nothing_to_leave_out_ends_the_run() {
    let played = played([overflow()]).await;
    assert_eq!("TIMMY-0605", played.code());
    assert_eq!(1, played.requests.len());
}

#[tokio::test]
async fn a_warning_waits_until_all_results_of_the_reply_are_there() {
    let same = || ("list_files", json!({}));
    let other = || ("list_files", json!({"depth": 1}));
    let turns = [calls([same(), same(), same()]), finish()];
    let warned = played(turns).await;
    assert!(warned.expect_finished().remarks(1).contains(WARNING));
    let turns = [calls([same(), same(), same(), other()]), finish()];
    let forgiven = played(turns).await;
    assert_eq!(TASK, forgiven.expect_finished().remarks(1));
    let turns = [calls([same(), same(), same(), same(), other()]), finish()];
    let stopped = played(turns).await;
    assert_eq!(
        ("TIMMY-0703", 4),
        (stopped.code().as_str(), stopped.successes().len())
    );
}
