//! Opening the database, and the one way to write to it.

use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Any;
use sqlx::AnyPool;
use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::Executor;
use sqlx::Transaction;
use sqlx::any::AnyConnectOptions;
use sqlx::any::AnyPoolOptions;
use sqlx::any::install_default_drivers;
use timmy_core::Clock;

use crate::error::StoreError;
use crate::log::EventLog;
use crate::migrations;
use crate::spending::Spending;

/// The database file inside the private root.
const FILE_NAME: &str = "timmy.db";

/// Connections a process keeps at most. SQLite has one writer anyway; the others read.
const MOST_CONNECTIONS: u32 = 4;

/// Any number that no other program uses for its advisory locks: "timmy" in ASCII.
const TAKE_WRITE_LOCK: &str = "SELECT pg_advisory_xact_lock(499850867065)";

/// How long anything waits for a lock or a connection, when nothing else is said. A server that is
/// started again is back by then.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every connection begins with.
fn settings(dialect: Dialect, patience: Duration) -> String {
    let patience = patience.as_millis();
    match dialect {
        Dialect::Sqlite => format!(
            "PRAGMA busy_timeout = {patience}; PRAGMA journal_mode = WAL; \
             PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
        ),
        Dialect::Postgres => format!("SET lock_timeout = {patience}"),
    }
}

/// Where the two databases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A transaction that holds the write lock.
pub(crate) type Write = Transaction<'static, Any>;

/// An open database, brought up to date. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: AnyPool,
    pub(crate) dialect: Dialect,
}

impl Store {
    /// Opens the SQLite database inside a private root, making both (0700, 0600) when missing.
    ///
    /// # Errors
    /// When the root is not private or not ours, or the file cannot be opened or migrated.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_within(root, PATIENCE).await
    }

    /// As [`Self::open`], with a limit of its own on how long anything waits for another process.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_within(root: &Path, patience: Duration) -> Result<Self, StoreError> {
        make_private_root(root)?;
        let file = root.join(FILE_NAME);
        let created = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&file);
        created.map_err(|error| StoreError::Root {
            path: file.clone(),
            reason: error.to_string(),
        })?;
        let mut url = url::Url::parse("sqlite:///").map_err(|error| StoreError::Root {
            path: file.clone(),
            reason: error.to_string(),
        })?;
        url.set_path(&file.to_string_lossy());
        Self::connect_to(url, Dialect::Sqlite, patience).await
    }

    /// Connects to a PostgreSQL server, `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or cannot be migrated.
    pub async fn connect(address: url::Url) -> Result<Self, StoreError> {
        Self::connect_within(address, PATIENCE).await
    }

    /// As [`Self::connect`], with a limit of its own on how long anything waits for a lock or for a
    /// server that went away.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_within(address: url::Url, patience: Duration) -> Result<Self, StoreError> {
        Self::connect_to(address, Dialect::Postgres, patience).await
    }

    async fn connect_to(
        address: url::Url,
        dialect: Dialect,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        install_default_drivers();
        let mut place = address.clone();
        let _no_password_to_hide = place.set_password(None);
        let open_error = |source| StoreError::Open {
            place: place.to_string(),
            source,
        };
        let options = AnyConnectOptions::from_url(&address).map_err(open_error)?;
        let options = options.disable_statement_logging();
        if dialect == Dialect::Postgres {
            // The pool would wait for a server that is not there; a wrong address is told at once.
            let first = sqlx::AnyConnection::connect_with(&options).await;
            first
                .map_err(open_error)?
                .close()
                .await
                .map_err(open_error)?;
        }
        let for_connection = match dialect {
            // A lock that another process holds is given up first, with an error that says so.
            Dialect::Sqlite => patience + patience / 4,
            // Locks are waited for with a connection in hand. This is for a server that is away: a
            // restart takes a few seconds, and a sprint asks four times before it ends.
            Dialect::Postgres => patience / 2,
        };
        let settings: Arc<str> = settings(dialect, patience).into();
        let pool = AnyPoolOptions::new()
            .acquire_timeout(for_connection)
            .max_connections(MOST_CONNECTIONS)
            .test_before_acquire(dialect == Dialect::Postgres)
            .after_connect(move |connection, _| {
                let settings = AssertSqlSafe(settings.to_string());
                Box::pin(async move { connection.execute(settings).await.map(drop) })
            })
            .connect_with(options)
            .await
            .map_err(open_error)?;
        let store = Self { pool, dialect };
        migrations::run(store.write().await?, dialect).await?;
        Ok(store)
    }

    /// Begins the one kind of transaction that may change anything. It rolls back when dropped.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        match self.dialect {
            Dialect::Sqlite => Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?),
            Dialect::Postgres => {
                let mut transaction = self.pool.begin().await?;
                transaction.execute(TAKE_WRITE_LOCK).await?;
                Ok(transaction)
            }
        }
    }

    /// The event log, stamped by this clock.
    #[must_use]
    pub fn log(&self, clock: Arc<dyn Clock>) -> EventLog {
        EventLog::new(self.clone(), clock)
    }

    /// Tokens and cost, stamped by this clock.
    #[must_use]
    pub fn spending(&self, clock: Arc<dyn Clock>) -> Spending {
        Spending::new(self.clone(), clock)
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// Makes the private root (0700), or checks that an existing one is ours and closed to writers.
///
/// Its group may pass through (0710): that is how the unprivileged agent user of a root-run timmy
/// reaches its workspace.
fn make_private_root(root: &Path) -> Result<(), StoreError> {
    let fail = |reason: String| StoreError::Root {
        path: root.to_owned(),
        reason,
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(root)
        .map_err(|error| fail(error.to_string()))?;
    let found = std::fs::metadata(root).map_err(|error| fail(error.to_string()))?;
    let ours = rustix::process::geteuid().as_raw();
    if found.uid() != ours {
        return Err(fail(format!(
            "it belongs to user {}, not to {ours}",
            found.uid()
        )));
    }
    if found.mode() & 0o067 != 0 {
        return Err(fail(format!(
            "its mode is {:o}; others can enter it",
            found.mode() & 0o777
        )));
    }
    Ok(())
}
