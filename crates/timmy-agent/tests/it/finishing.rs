//! How a run ends well, and what it leaves for the report.

use serde_json::json;
use timmy_agent::Proposals;
use timmy_core::EventKind;
use timmy_testkit::model_server::Turn;

use crate::stage::Stage;
use crate::stage::call;
use crate::stage::calls;

#[tokio::test]
async fn the_report_carries_the_models_account() {
    let end = json!({"summary": "Mended \u{1b}[31mthe\u{1b}[0m sum.", "title": "Mend it"});
    let turns = [
        call("run_command", json!({"command": "true"})).with_usage(100, 10),
        call("finish", end)
            .with_text("All done.")
            .with_usage(200, 20),
    ];
    let played = Stage::new(turns).await.play().await;
    let report = &played.expect_finished().report;
    assert_eq!(
        ("Mended the sum.", 2),
        (report.summary.as_str(), report.steps)
    );
    assert_eq!(
        (300, 30),
        (report.usage.input_tokens, report.usage.output_tokens)
    );
    let proposals = Proposals {
        title: Some("Mend it".to_owned()),
        ..Proposals::default()
    };
    assert_eq!(proposals, report.proposals);
    let finished = EventKind::AgentFinished {
        reason: "finished".to_owned(),
        summary: report.summary.clone(),
        steps: 2,
        usage: report.usage,
    };
    assert_eq!(Some(&finished), played.events.last());
    let spoken = EventKind::ModelSpoke {
        step: 2,
        text: "All done.".to_owned(),
    };
    assert!(played.events.contains(&spoken));
}

#[tokio::test]
async fn calls_of_one_reply_run_in_its_order() {
    let turns = [
        calls([
            ("write_file", json!({"path": "a", "contents": "1"})),
            ("read_file", json!({"path": "a"})),
            ("edit_file", json!({"path": "a", "old": "1", "new": "2"})),
            ("run_command", json!({"command": "cat a"})),
        ]),
        call("finish", json!({"summary": "Done."})),
    ];
    let played = Stage::new(turns).await.play().await;
    let results = played.expect_finished().results();
    assert_eq!(
        [
            "Wrote 1 bytes.",
            "1",
            "Replaced 1 occurrence(s).",
            "exit code 0\n2"
        ],
        *results
    );
    assert_eq!((2, 2), (played.report.steps, played.requests.len() as u32));
}

#[tokio::test]
async fn nothing_is_done_after_finish_in_the_same_reply() {
    let turn = calls([
        ("write_file", json!({"path": "before", "contents": "1"})),
        ("finish", json!({"summary": "First."})),
        ("write_file", json!({"path": "after", "contents": "1"})),
        ("finish", json!({"summary": "Second.", "title": "Second"})),
    ]);
    let mut stage = Stage::new([turn]).await;
    let played = stage.play().await;
    assert_eq!("First.", played.expect_finished().report.summary);
    assert_eq!(Proposals::default(), played.report.proposals);
    assert!(stage.path("before").exists() && !stage.path("after").exists());
    assert_eq!([true, true], *played.successes());
    assert_eq!(1, played.requests.len());
}

#[tokio::test]
async fn an_empty_account_is_not_taken() {
    let turns = [
        call("finish", json!({"summary": " \n"})),
        call("finish", json!({"summary": "Nothing to do."})),
    ];
    let played = Stage::new(turns).await.play().await;
    assert_eq!(
        "`summary` is empty. Say what was done.",
        played.only_result()
    );
    assert_eq!("Nothing to do.", played.report.summary);
}

#[tokio::test]
async fn an_account_is_bounded_and_a_stop_accounts_for_itself() {
    let long = call("finish", json!({"summary": "x".repeat(100_000)}));
    let played = Stage::new([long]).await.play().await;
    assert!(played.expect_finished().report.summary.len() < 5_000);

    let mut stage = Stage::new(Vec::<Turn>::new()).await;
    stage.limits.steps = 0;
    let played = stage.play().await;
    assert_eq!(
        "Stopped: the agent used its 0 steps.",
        played.report.summary
    );
}
