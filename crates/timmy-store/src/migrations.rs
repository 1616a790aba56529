//! Bringing a database up to date.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::MigrateError;
use sqlx::migrate::Migration;
use sqlx::migrate::MigrationType;
use sqlx::migrate::Migrator;

use crate::database::Dialect;
use crate::database::Write;
use crate::error::StoreError;

/// One change of the schema. A released one is never edited; a new one is added below it.
struct Change {
    version: i64,
    description: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

impl Change {
    const fn portable(version: i64, description: &'static str, sql: &'static str) -> Self {
        Self {
            version,
            description,
            sqlite: sql,
            postgres: sql,
        }
    }
}

const CHANGES: [Change; 8] = [
    Change::portable(
        1,
        "the event log",
        include_str!("../migrations/0001_log.sql"),
    ),
    Change {
        version: 2,
        description: "the event log is append-only",
        sqlite: include_str!("../migrations/0002_append_only.sqlite.sql"),
        postgres: include_str!("../migrations/0002_append_only.postgres.sql"),
    },
    Change::portable(
        3,
        "spending",
        include_str!("../migrations/0003_spending.sql"),
    ),
    Change::portable(
        4,
        "the embedded forge",
        include_str!("../migrations/0004_forge.sql"),
    ),
    Change {
        version: 5,
        description: "which issue runs and calls are for",
        sqlite: include_str!("../migrations/0005_subjects.sqlite.sql"),
        postgres: include_str!("../migrations/0005_subjects.postgres.sql"),
    },
    Change::portable(
        6,
        "totals of spending",
        include_str!("../migrations/0006_spending_totals.sql"),
    ),
    Change {
        version: 7,
        description: "the queue",
        sqlite: include_str!("../migrations/0007_queue.sqlite.sql"),
        postgres: include_str!("../migrations/0007_queue.postgres.sql"),
    },
    Change::portable(
        8,
        "when runs began, and whether they ended",
        include_str!("../migrations/0008_run_ends.sql"),
    ),
];

/// Applies what is missing in one transaction that holds the write lock: other processes may open
/// the same database at the same moment.
pub(crate) async fn run(write: Write, dialect: Dialect) -> Result<(), StoreError> {
    apply(&CHANGES, write, dialect).await
}

async fn apply(changes: &[Change], mut write: Write, dialect: Dialect) -> Result<(), StoreError> {
    let migrations = changes.iter().map(|change| {
        let sql = match dialect {
            Dialect::Sqlite => change.sqlite,
            Dialect::Postgres => change.postgres,
        };
        let description = Cow::Borrowed(change.description);
        let sql = SqlStr::from_static(sql);
        Migration::new(
            change.version,
            description,
            MigrationType::Simple,
            sql,
            false,
        )
    });
    let known = changes.last().map_or(0, |change| change.version);
    match Migrator::with_migrations(migrations.collect())
        .run(&mut write)
        .await
    {
        Ok(()) => Ok(write.commit().await?),
        Err(MigrateError::VersionMissing(found)) => Err(StoreError::Newer { found, known }),
        Err(error) => Err(failed(error)),
    }
}

/// A server that goes away during a migration is no broken migration.
fn failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(source) => match StoreError::from(source) {
            StoreError::Statement(source) => StoreError::Migrate(MigrateError::Execute(source)),
            passing => passing,
        },
        MigrateError::ExecuteMigration(source, version) => match StoreError::from(source) {
            StoreError::Statement(source) => {
                StoreError::Migrate(MigrateError::ExecuteMigration(source, version))
            }
            passing => passing,
        },
        other => StoreError::Migrate(other),
    }
}

#[cfg(test)]
#[path = "migrations_tests.rs"]
mod tests;
