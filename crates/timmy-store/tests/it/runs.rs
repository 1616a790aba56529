//! Reading many runs at once, and events by their type.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use timmy_core::Clock;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_store::EventLog;
use timmy_store::runs::RunSummary;
use timmy_testkit::ManualClock;

use crate::databases::Database;
use crate::databases::on_both_databases;
use crate::databases::on_both_with_proptest;

on_both_databases!(
    runs_since_begin_at_a_time,
    events_are_read_by_their_type,
    the_runs_that_opened_a_pull_request_are_found,
    what_a_look_at_the_fleet_needs_is_read_without_the_rest,
);

on_both_with_proptest!(many_runs_are_folded_as_each_of_them_is, histories);

fn started(issue: IssueNumber) -> EventKind {
    EventKind::RunStarted {
        repo: "operator/project".parse().unwrap(),
        issue,
        title: "The sum is wrong".to_owned(),
        provider: "local".to_owned(),
        provenance: Provenance::Live,
        sandbox: SandboxLevel::L3,
        fingerprint: None,
        answers: None,
    }
}

async fn what_a_look_at_the_fleet_needs_is_read_without_the_rest(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let log = database.store.log(clock.clone());
    let runs: Vec<RunId> = (0..450).map(|_| RunId::generate()).collect();
    let mut expected = BTreeMap::new();
    for (issue, run) in (1..).zip(&runs) {
        log.append(Some(run), started(issue)).await.unwrap();
        clock.advance(Duration::from_secs(1));
        let renewed = EventKind::ClaimRenewed { epoch: 1 };
        let event = log.append(Some(run), renewed).await.unwrap();
        expected.insert(run.clone(), event.at);
    }
    assert_eq!(expected, log.last_heard(&runs).await.unwrap());
    assert_eq!(BTreeMap::new(), log.last_heard(&[]).await.unwrap());
    let some = &runs[..300];
    let events = log.of_runs(some, &["run_started"]).await.unwrap();
    let of: Vec<RunId> = events.into_iter().filter_map(|event| event.run).collect();
    assert_eq!(some, of);
    assert_eq!(0, log.of_runs(&runs, &[]).await.unwrap().len());

    let mut started = BTreeMap::new();
    for command in ["sprint", "work", "sprint"] {
        clock.advance(Duration::from_secs(1));
        let kind = EventKind::ProcessStarted {
            version: "1".to_owned(),
            command: command.to_owned(),
        };
        let event = log.append(None, kind).await.unwrap();
        started.insert(command.to_owned(), event.at);
    }
    assert_eq!(started, log.commands_started(10).await.unwrap());
    assert_eq!(1, log.commands_started(1).await.unwrap().len());
}

fn settled(usage: Usage) -> EventKind {
    EventKind::ModelCallSettled {
        call: 1,
        provider: "local".to_owned(),
        model: "small".to_owned(),
        usage,
        measured: true,
        duration_ms: 5,
    }
}

fn usage(tokens: u64) -> Usage {
    Usage {
        input_tokens: tokens,
        output_tokens: tokens / 2,
        cost: MicroUsd(tokens * 3),
    }
}

fn tool(step: u32) -> EventKind {
    EventKind::ToolCalled {
        step,
        tool: "run_command".to_owned(),
        arguments: "{}".to_owned(),
    }
}

fn agent_finished(steps: u32, usage: Usage) -> EventKind {
    EventKind::AgentFinished {
        reason: "finished".to_owned(),
        summary: "Done.".to_owned(),
        steps,
        usage,
    }
}

fn pushed(branch: u64) -> EventKind {
    EventKind::BranchPushed {
        branch: format!("timmy/{branch}-1"),
        commit: "0".repeat(40).parse().unwrap(),
    }
}

fn opened(number: IssueNumber) -> EventKind {
    EventKind::PullRequestOpened {
        number,
        url: format!("http://forge/{number}"),
        draft: number.is_multiple_of(2),
        adopted: false,
    }
}

fn ended() -> EventKind {
    EventKind::RunEnded {
        outcome: Outcome::NoChange,
        duration_ms: 9,
    }
}

fn issue(number: IssueNumber) -> IssueName {
    IssueName {
        repo: "operator/project".parse().unwrap(),
        number,
    }
}

/// A run that works on an issue, step by step, as far as it came.
#[derive(Debug, Clone)]
struct History {
    issue: IssueNumber,
    turns: u32,
    finished: bool,
    pull: Option<IssueNumber>,
    ended: bool,
    released: bool,
}

impl History {
    fn events(&self) -> Vec<EventKind> {
        let mut events = vec![started(self.issue)];
        for turn in 1..=self.turns {
            events.push(settled(usage(u64::from(turn) * 10)));
            events.push(tool(turn));
            events.push(EventKind::ModelSpoke {
                step: turn,
                text: "Hm.".to_owned(),
            });
        }
        events.extend(
            self.finished
                .then(|| agent_finished(self.turns + 1, usage(77))),
        );
        if let Some(number) = self.pull {
            events.extend([pushed(number), opened(number)]);
        }
        events.extend(self.ended.then(ended));
        events.extend(
            self.released
                .then_some(EventKind::ClaimReleased { epoch: 1 }),
        );
        events
    }
}

fn histories() -> impl Strategy<Value = Vec<(History, u8)>> {
    let history = (
        1_u64..4,
        0_u32..4,
        any::<bool>(),
        prop::option::of(1_u64..9),
        any::<bool>(),
        any::<bool>(),
    );
    let history = history.prop_map(|(issue, turns, finished, pull, ended, released)| History {
        issue,
        turns,
        finished,
        pull,
        ended,
        released,
    });
    prop::collection::vec((history, any::<u8>()), 1..8)
}

/// Writes the histories interleaved: each round, those whose bit is set go one event further.
async fn play(log: &EventLog, clock: &ManualClock, histories: &[(History, u8)]) -> Vec<RunId> {
    let mut lanes: Vec<_> = histories
        .iter()
        .map(|(history, pace)| (RunId::generate(), history.events().into_iter(), *pace | 1))
        .collect();
    let runs = lanes.iter().map(|(run, ..)| run.clone()).collect();
    for round in 0.. {
        for (run, events, pace) in &mut lanes {
            if *pace >> (round % 8) & 1 == 0 {
                continue;
            }
            if let Some(kind) = events.next() {
                log.append(Some(run), kind).await.unwrap();
                clock.advance(Duration::from_millis(7));
            }
        }
        if lanes.iter().all(|(_, events, _)| events.len() == 0) {
            return runs;
        }
    }
    runs
}

async fn many_runs_are_folded_as_each_of_them_is(
    database: Database,
    histories: Vec<(History, u8)>,
) {
    let clock = Arc::new(ManualClock::default());
    let log = database.store.log(clock.clone());
    let since = clock.now();
    play(&log, &clock, &histories).await;
    let mut expected: Vec<RunSummary> = Vec::new();
    for run in log.run_ids(u32::MAX).await.unwrap() {
        expected.push(log.summary(&run).await.unwrap().unwrap());
    }
    assert_eq!(expected, log.runs_since(since, u32::MAX).await.unwrap());
    let newest = log.runs_since(since, 2).await.unwrap();
    assert_eq!(expected[..expected.len().min(2)], newest);
    for number in 1..4 {
        let on_issue: Vec<RunSummary> = expected
            .iter()
            .filter(|run| run.issue == number)
            .cloned()
            .collect();
        assert_eq!(
            on_issue,
            log.runs_on(&issue(number), u32::MAX).await.unwrap()
        );
    }
}

async fn runs_since_begin_at_a_time(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let log = database.store.log(clock.clone());
    let (early, late) = (RunId::generate(), RunId::generate());
    log.append(Some(&early), started(1)).await.unwrap();
    clock.advance(Duration::from_secs(60));
    let since = clock.now();
    log.append(Some(&early), ended()).await.unwrap();
    log.append(Some(&late), started(2)).await.unwrap();
    let runs = log.runs_since(since, 10).await.unwrap();
    let runs: Vec<RunId> = runs.into_iter().map(|run| run.run).collect();
    assert_eq!(vec![late], runs);
    clock.advance(Duration::from_secs(1));
    assert!(log.runs_since(clock.now(), 10).await.unwrap().is_empty());
}

async fn events_are_read_by_their_type(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let run = RunId::generate();
    for kind in [
        started(1),
        tool(1),
        pushed(1),
        tool(2),
        opened(3),
        tool(3),
        ended(),
    ] {
        log.append(Some(&run), kind).await.unwrap();
    }
    let places = |events: Vec<timmy_core::Event>| -> Vec<i64> {
        events.into_iter().map(|event| event.seq).collect()
    };
    let types = ["run_ended", "tool_called"];
    assert_eq!(
        vec![2, 4, 6, 7],
        places(log.of_types(&types, 0, 10).await.unwrap())
    );
    assert_eq!(
        vec![4, 6],
        places(log.of_types(&types, 2, 2).await.unwrap())
    );
    assert!(log.of_types(&[], 0, 10).await.unwrap().is_empty());
    assert_eq!(7, log.newest().await.unwrap());
}

async fn the_runs_that_opened_a_pull_request_are_found(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let (first, other, again) = (RunId::generate(), RunId::generate(), RunId::generate());
    for (run, number) in [(&first, 3), (&other, 4), (&again, 3)] {
        for kind in [started(1), opened(number), ended()] {
            log.append(Some(run), kind).await.unwrap();
        }
    }
    let found = log.runs_that_opened(3).await.unwrap();
    let found: Vec<RunId> = found.into_iter().map(|run| run.run).collect();
    assert_eq!(vec![again, first], found);
    assert!(log.runs_that_opened(5).await.unwrap().is_empty());
}
