//! The private root, and databases that are not ours to open.

use std::os::unix::fs::PermissionsExt;

use sqlx::Connection;
use sqlx::Executor;
use tempfile::TempDir;
use timmy_core::Coded;
use timmy_store::Store;
use timmy_store::StoreError;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_root_and_its_files_are_private() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("deep/home");
    let store = Store::open(&root).await.unwrap();
    assert_eq!((0o700, 0o600), (mode(&root), mode(&root.join("timmy.db"))));
    store.close().await;
    Store::open(&root).await.unwrap();
}

#[tokio::test]
async fn a_root_that_others_can_enter_is_refused() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("home");
    std::fs::create_dir(&root).unwrap();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Store::open(&root).await.unwrap_err();
    assert!(matches!(refused, StoreError::Root { .. }));
    assert_eq!("TIMMY-0202", refused.problem().code.to_string());
    assert!(!root.join("timmy.db").exists());
}

#[tokio::test]
async fn a_database_of_a_newer_timmy_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("home");
    Store::open(&root).await.unwrap().close().await;
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", root.join("timmy.db").display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    connection
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'from the future', 1, x'00', 0)",
        )
        .await
        .unwrap();
    let refused = Store::open(&root).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Newer { found: 9999, .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_an_event() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("home");
    let store = Store::open(&root).await.unwrap();
    let clock = std::sync::Arc::new(timmy_testkit::ManualClock::default());
    let log = store.log(clock);
    let kind = timmy_core::EventKind::IssueCommented { issue: 1 };
    timmy_core::EventSink::append(&log, None, kind)
        .await
        .unwrap();
    let url = format!("sqlite://{}", root.join("timmy.db").display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    for statement in ["UPDATE events SET body = '{}'", "DELETE FROM events"] {
        let refused = connection.execute(statement).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}
