//! Throw-away databases of both kinds.

use proptest::strategy::Strategy;
use proptest::test_runner::Config as ProptestConfig;
use proptest::test_runner::TestRunner;
use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::Executor;
use tempfile::TempDir;
use timmy_store::Store;

/// A store that lives as long as the test.
pub(crate) struct Database {
    pub(crate) store: Store,
    place: Place,
}

enum Place {
    Directory(TempDir),
    Server(url::Url),
}

impl Database {
    /// The same database, opened a second time.
    pub(crate) async fn again(&self) -> Store {
        match &self.place {
            Place::Directory(directory) => Store::open(&directory.path().join("home")).await,
            Place::Server(url) => Store::connect(url.clone()).await,
        }
        .unwrap()
    }
}

/// A fresh SQLite file.
pub(crate) async fn sqlite() -> Database {
    let directory = TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("home")).await.unwrap();
    Database {
        store,
        place: Place::Directory(directory),
    }
}

/// A fresh database on the cluster that script/test started.
pub(crate) async fn postgres() -> Database {
    let cluster = std::env::var("TIMMY_TEST_POSTGRES")
        .expect("TIMMY_TEST_POSTGRES is not set: run the tests through script/test");
    let mut url: url::Url = cluster.parse().unwrap();
    let name = format!("timmy_{}", uuid::Uuid::now_v7().simple());
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url.as_str()).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.unwrap();
    url.set_path(&name);
    Database {
        store: Store::connect(url.clone()).await.unwrap(),
        place: Place::Server(url),
    }
}

/// Writes one test function for each database.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::databases::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::databases::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

/// Writes one property test for each database. Every case gets a fresh one.
macro_rules! on_both_with_proptest {
    ($name:ident, $strategy:ident) => {
        mod property_on_sqlite {
            #[test]
            fn $name() {
                crate::databases::check(super::$strategy(), async |case| {
                    super::$name(crate::databases::sqlite().await, case).await;
                });
            }
        }
        mod property_on_postgres {
            #[test]
            fn $name() {
                crate::databases::check(super::$strategy(), async |case| {
                    super::$name(crate::databases::postgres().await, case).await;
                });
            }
        }
    };
}
pub(crate) use on_both_with_proptest;

/// Cases of a property that needs a database each.
const CASES: u32 = 12;

/// Runs a property on a runtime of its own.
pub(crate) fn check<S: Strategy>(strategy: S, property: impl AsyncFn(S::Value)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    };
    let outcome = TestRunner::new(config).run(&strategy, |case| {
        runtime.block_on(property(case));
        Ok(())
    });
    outcome.unwrap();
}
