//! The event log.

use std::sync::Arc;

use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueNumber;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::event::SCHEMA_VERSION;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_store::EventLog;
use timmy_store::Query;
use timmy_store::runs::RunSummary;
use timmy_testkit::ManualClock;

use crate::databases::Database;
use crate::databases::on_both_databases;

on_both_databases!(
    events_read_back_as_they_were_written,
    writers_queue_and_nothing_is_lost,
    a_run_is_found_by_the_end_of_its_id,
    a_run_is_folded_from_its_events,
    a_run_without_an_end_is_told_from_others,
    how_things_stand_is_read_from_the_end,
);

fn commented(issue: IssueNumber) -> EventKind {
    EventKind::IssueCommented { issue }
}

fn started() -> EventKind {
    EventKind::RunStarted {
        repo: "operator/project".parse().unwrap(),
        issue: 7,
        title: "The sum is wrong".to_owned(),
        provider: "local".to_owned(),
        provenance: Provenance::Replayed,
        sandbox: SandboxLevel::L3,
        fingerprint: None,
        answers: None,
    }
}

async fn events_read_back_as_they_were_written(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let run = RunId::generate();
    let mut written: Vec<Event> = Vec::new();
    written.push(log.append(None, commented(1)).await.unwrap());
    written.push(log.append(Some(&run), commented(2)).await.unwrap());
    written.push(log.append(Some(&run), commented(3)).await.unwrap());
    assert_eq!(
        vec![1, 2, 3],
        written.iter().map(|event| event.seq).collect::<Vec<_>>()
    );
    assert!(written.iter().all(|event| event.schema == SCHEMA_VERSION));
    assert_eq!(written, log.events(&Query::default()).await.unwrap());
    assert_eq!(written[1..], log.run(&run).await.unwrap());
    let after_first = Query {
        after: 1,
        limit: 1,
        ..Query::default()
    };
    assert_eq!(written[1..2], log.events(&after_first).await.unwrap());
}

async fn writers_queue_and_nothing_is_lost(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let writers = (0..8).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in 0..25 {
                log.append(None, commented(writer * 100 + number))
                    .await
                    .unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let events = log.events(&Query::default()).await.unwrap();
    assert_eq!(
        (1..=200).collect::<Vec<i64>>(),
        events.iter().map(|e| e.seq).collect::<Vec<_>>()
    );
}

async fn a_run_is_found_by_the_end_of_its_id(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let runs: Vec<RunId> = (0..3).map(|_| RunId::generate()).collect();
    for run in &runs {
        log.append(Some(run), started()).await.unwrap();
    }
    assert_eq!(
        vec![runs[1].clone()],
        log.runs_ending_with(runs[1].short()).await.unwrap()
    );
    let newest_first: Vec<RunId> = runs.iter().rev().cloned().collect();
    assert_eq!(newest_first, log.run_ids(10).await.unwrap());
}

async fn a_run_is_folded_from_its_events(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let run = RunId::generate();
    log.append(Some(&run), started()).await.unwrap();
    let unfinished = RunSummary::fold(&log.run(&run).await.unwrap()).unwrap();
    assert_eq!((7, None), (unfinished.issue, unfinished.outcome));
    let end = EventKind::RunEnded {
        outcome: Outcome::NoChange,
        duration_ms: 40,
    };
    log.append(Some(&run), end).await.unwrap();
    let finished = RunSummary::fold(&log.run(&run).await.unwrap()).unwrap();
    assert_eq!(
        (Some(Outcome::NoChange), 40),
        (finished.outcome, finished.duration_ms)
    );
}

async fn a_run_without_an_end_is_told_from_others(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let [older, ended, newer] = [(); 3].map(|()| RunId::generate());
    for run in [&older, &ended, &newer] {
        log.append(Some(run), started()).await.unwrap();
    }
    let end = EventKind::RunEnded {
        outcome: Outcome::Abandoned,
        duration_ms: 1,
    };
    log.append(Some(&ended), end).await.unwrap();
    let unfinished = async |limit| {
        let unfinished = log.unfinished(limit).await.unwrap();
        unfinished.into_iter().map(|started| started.run).collect()
    };
    let all: Vec<RunId> = unfinished(10).await;
    assert_eq!(vec![newer.clone(), older], all);
    let newest: Vec<RunId> = unfinished(2).await;
    assert_eq!(vec![newer], newest);
}

async fn how_things_stand_is_read_from_the_end(database: Database) {
    let log = database.store.log(Arc::new(ManualClock::default()));
    let runs = [(); 2].map(|()| RunId::generate());
    assert_eq!(None, log.newest_of_run(&runs[0]).await.unwrap());
    for (run, number) in [(0, 1), (1, 2), (0, 3)] {
        let run = Some(&runs[run]);
        log.append(run, started()).await.unwrap();
        log.append(run, commented(number)).await.unwrap();
    }
    log.append(None, EventKind::ResumeAsked).await.unwrap();
    let newest = log.newest_of_run(&runs[0]).await.unwrap().unwrap();
    assert_eq!(commented(3), newest.kind);
    let told = log
        .of_runs(&runs[..1], &["issue_commented", "run_ended"])
        .await;
    let told: Vec<EventKind> = told.unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(vec![commented(1), commented(3)], told);
    let types = ["issue_commented", "resume_asked"];
    let newest: Vec<i64> = log
        .newest_up_to(&types, EventLog::END, 2)
        .await
        .unwrap()
        .iter()
        .map(|event| event.seq)
        .collect();
    assert_eq!(vec![4, 6, 7], newest);
}
