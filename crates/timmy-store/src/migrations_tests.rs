//! A database that an earlier timmy wrote is brought up to date without losing anything.

use sqlx::Any;
use sqlx::AnyPool;
use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::Executor;
use sqlx::Row;
use sqlx::any::install_default_drivers;

use super::*;

/// Releases before issues were booked ended here.
const FIRST_RELEASE: usize = 4;

/// What the first release wrote in one run: a call that was settled and one that was not.
const OLD_ROWS: [&str; 3] = [
    r#"INSERT INTO events (seq, schema, at_us, run, type, body) VALUES
       (1, 1, 0, NULL, 'process_started', '{"type":"process_started","version":"1","command":"sprint"}'),
       (2, 1, 0, 'r', 'run_started', '{"type":"run_started","repo":"a/b","issue":7}')"#,
    "INSERT INTO spending VALUES
       ('one', 'reserve', 'r', 'local', '2026-01-31', 100, 50, 9, 0),
       ('one', 'settle', 'r', 'local', '2026-01-31', -30, -40, -2, 0),
       ('two', 'reserve', 'r', 'local', '2026-01-31', 5, 6, 7, 0)",
    "INSERT INTO spending VALUES ('three', 'reserve', 'work', 'local', '2026-01-30', 1, 1, 1, 0)",
];

async fn begin(pool: &AnyPool) -> Write {
    let begun: Result<sqlx::Transaction<'static, Any>, _> = pool.begin().await;
    begun.unwrap()
}

async fn old_rows_are_taken_over(address: &str, dialect: Dialect) {
    install_default_drivers();
    let pool = AnyPool::connect(address).await.unwrap();
    apply(&CHANGES[..FIRST_RELEASE], begin(&pool).await, dialect)
        .await
        .unwrap();
    for statement in OLD_ROWS {
        pool.execute(statement).await.unwrap();
    }
    run(begin(&pool).await, dialect).await.unwrap();
    let subjects = pool
        .fetch_all("SELECT subject FROM events ORDER BY seq")
        .await
        .unwrap();
    let subjects: Vec<Option<String>> = subjects.iter().map(|row| row.get(0)).collect();
    assert_eq!(vec![None, Some("a/b#7".to_owned())], subjects);
    let totals = pool
        .fetch_all("SELECT * FROM spending_totals ORDER BY scope, day, key")
        .await
        .unwrap();
    let totals: Vec<(String, String, String, [i64; 6])> = totals
        .iter()
        .map(|row| {
            let numbers = std::array::from_fn(|column| row.get(column + 3));
            (row.get(0), row.get(1), row.get(2), numbers)
        })
        .collect();
    let row = |scope: &str, day: &str, key: &str, numbers| {
        (scope.to_owned(), day.to_owned(), key.to_owned(), numbers)
    };
    let expected = vec![
        row("day", "2026-01-30", "", [1, 1, 1, 0, 0, 0]),
        row("day", "2026-01-31", "", [5, 6, 7, 70, 10, 7]),
        row("fleet", "", "", [6, 7, 8, 70, 10, 7]),
        row("issue", "", "a/b#7", [5, 6, 7, 70, 10, 7]),
        row("repository", "2026-01-31", "a/b", [5, 6, 7, 70, 10, 7]),
        row("run", "", "r", [5, 6, 7, 70, 10, 7]),
        row("run", "", "work", [1, 1, 1, 0, 0, 0]),
    ];
    assert_eq!(expected, totals);
    let refused = pool.execute("UPDATE events SET subject = 'x'").await;
    assert!(refused.unwrap_err().to_string().contains("append-only"));
}

#[tokio::test]
async fn old_rows_are_taken_over_on_sqlite() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("old.db");
    let address = format!("sqlite://{}?mode=rwc", file.display());
    old_rows_are_taken_over(&address, Dialect::Sqlite).await;
}

#[tokio::test]
async fn old_rows_are_taken_over_on_postgres() {
    let cluster = std::env::var("TIMMY_TEST_POSTGRES").unwrap();
    let mut address: url::Url = cluster.parse().unwrap();
    install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(address.as_str())
        .await
        .unwrap();
    let name = format!("timmy_{}", uuid::Uuid::now_v7().simple());
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.unwrap();
    address.set_path(&name);
    old_rows_are_taken_over(address.as_str(), Dialect::Postgres).await;
}
