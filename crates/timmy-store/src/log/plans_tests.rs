//! How SQLite goes about the queries that every look at the fleet makes: with the wrong index they cost
//! the square of the number of runs.

use sqlx::AssertSqlSafe;
use sqlx::Row;

use super::reading::UNFINISHED;
use super::reading::of_runs_and_types;
use super::stretches::part_of_types;
use super::summaries::begun_between;
use crate::Store;

/// The steps of a query that read the table of events.
async fn plan(query: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("timmy")).await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
    let rows = sqlx::query(explain).fetch_all(&store.pool).await.unwrap();
    let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
    steps.filter(|step| step.contains("INDEX")).collect()
}

#[tokio::test]
async fn the_end_of_a_run_is_one_look_up() {
    let expected = vec![
        "SEARCH events USING INDEX events_by_type (type=?)",
        "SEARCH ended USING COVERING INDEX events_ended (type=? AND run=?)",
    ];
    assert_eq!(expected, plan(UNFINISHED).await);
}

#[tokio::test]
async fn runs_between_two_times_are_found_within_an_index() {
    let expected = vec![
        "SEARCH started USING INDEX sqlite_autoindex_events_1 (seq=?)",
        "SEARCH events USING COVERING INDEX events_started (type=? AND at_us>? AND at_us<?)",
        "SEARCH newest USING INDEX events_by_run (run=?)",
    ];
    assert_eq!(expected, plan(&begun_between()).await);
}

#[tokio::test]
async fn events_of_a_run_are_found_by_the_run() {
    let expected = vec!["SEARCH events USING INDEX events_by_run (run=?)"];
    for runs in [1, 200] {
        assert_eq!(expected, plan(&of_runs_and_types(runs, 12)).await);
    }
}

#[tokio::test]
async fn a_part_of_the_log_is_found_by_type_and_place() {
    let expected = vec!["SEARCH events USING INDEX events_by_type (type=? AND seq>? AND seq<?)"];
    for types in [1, 15] {
        assert_eq!(expected, plan(&part_of_types(types)).await);
    }
}
