//! Limits are checked before the call that would pass them.

use std::time::Duration;

use serde_json::json;
use timmy_core::EventKind;
use timmy_store::Cap;
use timmy_store::SpendLimits;
use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::Turn;

use crate::stage::Played;
use crate::stage::Stage;
use crate::stage::call;
use crate::stage::calls;
use crate::stage::finish;

fn list(directory: usize) -> Turn {
    call("list_files", json!({"depth": directory}))
}

fn reason(played: &Played) -> &str {
    match played.events.last() {
        Some(EventKind::AgentFinished { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_last_step_is_taken_and_no_further_one() {
    let mut stage = Stage::new([list(1), list(2), list(3), finish()]).await;
    stage.limits.steps = 2;
    let played = stage.play().await;
    assert_eq!("TIMMY-0701", played.code());
    assert_eq!((2, 2), (played.requests.len(), played.report.steps));
    assert_eq!("limit", reason(&played));
}

#[tokio::test]
async fn when_the_time_is_over_no_model_is_asked() {
    let mut stage = Stage::new([list(1), list(2), list(3), finish()]).await;
    stage.limits.seconds = 60;
    stage.tool_takes = Duration::from_secs(30);
    let played = stage.play().await;
    assert_eq!("TIMMY-0702", played.code());
    assert_eq!(2, played.requests.len());
    assert_eq!("limit", reason(&played));
}

#[tokio::test]
async fn when_the_time_is_over_no_tool_is_run_but_finish_is_heard() {
    let write = |path: &str| ("write_file", json!({"path": path, "contents": ""}));
    let mut stage = Stage::new([calls([write("a"), write("b"), write("c")])]).await;
    stage.limits.seconds = 60;
    stage.tool_takes = Duration::from_secs(30);
    let played = stage.play().await;
    assert_eq!("TIMMY-0702", played.code());
    assert_eq!([true, true], *played.successes());
    assert!(!stage.path("c").exists());

    let done = ("finish", json!({"summary": "Done."}));
    let mut stage = Stage::new([calls([write("a"), write("b"), done])]).await;
    stage.limits.seconds = 60;
    stage.tool_takes = Duration::from_secs(30);
    stage.play().await.expect_finished();
}

#[tokio::test]
async fn over_budget_nothing_is_sent() {
    let cap = |tokens| Cap {
        tokens: Some(tokens),
        cost: None,
    };
    let first_call = SpendLimits {
        per_call: cap(10),
        ..SpendLimits::default()
    };
    let second_call = SpendLimits {
        per_run: cap(500_000),
        ..SpendLimits::default()
    };
    for (spend, sent) in [(first_call, 0), (second_call, 1)] {
        let turns = [list(1).with_usage(499_000, 900), finish()];
        let mut stage = Stage::new(turns).await;
        stage.spend = spend;
        let played = stage.play().await;
        assert_eq!("TIMMY-0210", played.code());
        assert_eq!(sent, played.requests.len());
        assert_eq!("failed", reason(&played));
        assert!(
            played
                .report
                .summary
                .starts_with("Stopped: the next model call could use")
        );
    }
}

#[tokio::test]
async fn a_provider_that_refuses_the_key_ends_the_run_with_its_code() {
    let played = Stage::new([Turn::fault(Fault::WrongKey)])
        .await
        .play()
        .await;
    assert_eq!("TIMMY-0604", played.code());
    assert_eq!(1, played.requests.len());
}
