use std::sync::Arc;

use serde_json::json;
use timmy_core::EventSink;
use timmy_store::Store;
use timmy_testkit::ManualClock;

use super::*;

/// An event by its JSON form.
fn kind(value: serde_json::Value) -> EventKind {
    serde_json::from_value(value).unwrap()
}

fn started(issue: u64) -> EventKind {
    kind(
        json!({"type": "run_started", "repo": "a/b", "issue": issue, "title": "t",
        "provider": "p", "provenance": "live", "sandbox": "L3"}),
    )
}

fn step(step: u32) -> EventKind {
    kind(json!({"type": "tool_called", "step": step, "tool": "t", "arguments": "{}"}))
}

fn settled(tokens: u64) -> EventKind {
    kind(
        json!({"type": "model_call_settled", "call": 1, "provider": "p", "model": "m",
        "usage": {"input_tokens": tokens, "output_tokens": 1, "cost": 0}, "measured": true,
        "duration_ms": 1}),
    )
}

fn ended() -> EventKind {
    kind(json!({"type": "run_ended", "outcome": {"outcome": "no_change"}, "duration_ms": 1}))
}

#[tokio::test]
async fn going_on_from_the_last_look_says_the_same_as_looking_anew() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("home");
    let store = Store::open(&home).await.unwrap();
    let clock = Arc::new(ManualClock::default());
    let log = store.log(clock);
    let [one, two, gone] = [(); 3].map(|()| RunId::generate());
    for run in [&one, &two] {
        std::fs::create_dir_all(run_lock::directory(&home, run)).unwrap();
    }
    let lock = run_lock::directory(&home, &one).join(run_lock::LOCK);
    let held = std::fs::File::create(lock).unwrap();
    held.try_lock().unwrap();
    let lock = run_lock::directory(&home, &two).join(run_lock::LOCK);
    drop(std::fs::File::create(lock).unwrap());
    let happened = [
        (&one, started(1)),
        (&one, step(1)),
        (&two, started(2)),
        (&one, settled(9)),
        (&gone, started(3)),
        (
            &one,
            kind(json!({"type": "prompt_built", "sha256": "", "bytes": 1})),
        ),
        (&one, step(2)),
        (&two, ended()),
        (&one, settled(30)),
    ];
    let mut progress = Progress::default();
    for (run, kind) in happened {
        log.append(Some(run), kind).await.unwrap();
        let (going_on, next) = read(&log, &home, &progress).await.unwrap();
        let (anew, _) = read(&log, &home, &Progress::default()).await.unwrap();
        assert_eq!(anew, going_on);
        assert_eq!(log.newest().await.unwrap(), next.after);
        progress = next;
    }
    let (runs, _) = read(&log, &home, &progress).await.unwrap();
    let [run] = runs.as_slice() else {
        panic!("{runs:?}");
    };
    let expected = RunProgress {
        phase: "working".to_owned(),
        steps: 2,
        tokens: 41,
    };
    assert_eq!(
        (&one, &expected, Lease::Held),
        (&run.run, &run.progress, run.lease)
    );
    // A log that is another one, or much longer, is read anew.
    let lost = Progress {
        after: 1_000,
        ..Progress::default()
    };
    assert_eq!(runs, read(&log, &home, &lost).await.unwrap().0);
    drop(held);
    let (runs, _) = read(&log, &home, &progress).await.unwrap();
    assert_eq!(Lease::Free, runs[0].lease);
}
