use std::sync::Arc;

use serde_json::json;
use timmy_core::Clock;
use timmy_core::EventSink;
use timmy_store::Store;
use timmy_testkit::ManualClock;

use super::*;
use crate::health::HealthSettings;

/// An event by its JSON form.
fn kind(value: serde_json::Value) -> EventKind {
    serde_json::from_value(value).unwrap()
}

struct Logged {
    log: EventLog,
    clock: Arc<ManualClock>,
    home: tempfile::TempDir,
}

impl Logged {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("home")).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let log = store.log(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { log, clock, home }
    }

    async fn append(&self, run: Option<&RunId>, value: serde_json::Value) {
        self.log.append(run, kind(value)).await.unwrap();
    }

    async fn evidence(&self, lives_here: bool) -> Evidence {
        let mut evidence = Evidence::none("night");
        evidence.night.lives_here = lives_here;
        let settings = HealthSettings::default();
        let from_log = FromLog {
            log: &self.log,
            root: self.home.path(),
            settings: &settings,
            ttl: Duration::from_secs(600),
            now: self.clock.now(),
        };
        let mut locks = Aside::within(Duration::from_secs(60));
        from_log.gather(&mut locks, &mut evidence).await.unwrap();
        evidence
    }
}

#[tokio::test]
async fn a_pause_of_a_loop_that_was_killed_ends_with_the_longest_there_is() {
    let logged = Logged::new().await;
    let started = json!({"type": "loop_started", "repositories": ["me/project"], "slots": 1});
    logged.append(None, started).await;
    let problem = json!({"code": "TIMMY-0619", "exit": "unavailable", "what": "none answers"});
    let paused = json!({"type": "dispatch_paused", "scope": "models", "problem": problem});
    logged.append(None, paused).await;
    let evidence = logged.evidence(false).await;
    assert_eq!(1, evidence.night.pauses.len());
    let project: timmy_core::RepoName = "me/project".parse().unwrap();
    assert_eq!(vec![project], evidence.night.repositories);
    logged.clock.advance(LONGEST_PAUSE + Duration::from_secs(1));
    assert_eq!(1, logged.evidence(true).await.night.pauses.len());
    assert_eq!(0, logged.evidence(false).await.night.pauses.len());
}

fn failed() -> serde_json::Value {
    json!({"type": "model_call_failed", "call": 1, "provider": "rare", "code": "TIMMY-0602",
        "what": "overloaded", "answer": "another provider is asked"})
}

fn settled(provider: &str) -> serde_json::Value {
    json!({"type": "model_call_settled", "call": 1, "provider": provider, "model": "m",
        "usage": {"input_tokens": 1, "output_tokens": 1, "cost": 0}, "measured": true,
        "duration_ms": 1})
}

#[tokio::test]
async fn an_answer_counts_however_busy_other_providers_were_since() {
    let logged = Logged::new().await;
    let run = RunId::generate();
    for _ in 0..3 {
        logged.append(Some(&run), failed()).await;
    }
    assert_eq!(3, logged.evidence(false).await.providers[0].failures.len());
    logged.append(Some(&run), settled("rare")).await;
    for _ in 0..=NEWEST {
        logged.append(Some(&run), settled("busy")).await;
    }
    assert_eq!(
        Vec::<ProviderSeen>::new(),
        logged.evidence(false).await.providers
    );
    logged.append(Some(&run), failed()).await;
    assert_eq!(1, logged.evidence(false).await.providers[0].failures.len());
}

#[tokio::test]
async fn a_run_that_is_taken_up_again_is_heard_of_and_at_its_check() {
    let logged = Logged::new().await;
    let run = RunId::generate();
    let started = json!({"type": "run_started", "repo": "me/project", "issue": 1, "title": "t",
        "provider": "p", "provenance": "live", "sandbox": "L3"});
    logged.append(Some(&run), started).await;
    let claimed = json!({"type": "claim_acquired", "reference": "refs/timmy/claims/1", "epoch": 1,
        "ttl_s": 600});
    logged.append(Some(&run), claimed.clone()).await;
    assert_eq!(Doing::Other, logged.evidence(false).await.runs[0].doing);
    let collected = json!({"type": "work_collected", "commit": "a".repeat(40)});
    logged.append(Some(&run), collected).await;
    logged.clock.advance(Duration::from_secs(9_000));
    logged.append(Some(&run), claimed).await;
    let seen = &logged.evidence(false).await.runs[0];
    assert_eq!((Doing::Check, logged.clock.now()), (seen.doing, seen.heard));
}
