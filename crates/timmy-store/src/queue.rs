//! A durable queue: what waits, in which order, and who is at it.
//!
//! Hosts that share one PostgreSQL pick different entries from it without asking the forge. An entry
//! is held under a lease; when its holder dies the lease runs out and the next one takes it. The
//! queue only keeps hosts out of each other's way: the claim on the forge decides.
//!
//! # Rules
//! - Nothing here takes the one write lock of the store. On PostgreSQL whoever takes an entry passes
//!   over those that others are just taking (`FOR UPDATE SKIP LOCKED`); on SQLite one statement is a
//!   write transaction of its own.
//! - Every operation is one statement, so a killed process leaves an entry either as it was or as it
//!   was to be.
//! - Leases are measured by one clock: that of the machine on SQLite, that of the server on
//!   PostgreSQL. The clocks of hosts may differ and jump; a lease does not notice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyPool;
use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::any::AnyArguments;
use sqlx::any::AnyRow;
use sqlx::query::Query;
use timmy_core::Clock;

use crate::database::Dialect;
use crate::database::Store;
use crate::error::StoreError;

/// An entry that is free, or whose lease has run out. `$2` is now.
const FREE: &str = "(holder IS NULL OR lease_until_us <= $2)";

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    time: Time,
}

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name in the topic. There is one entry of a name.
    pub key: String,
    /// Lower ones are taken first.
    pub rank: i64,
    /// How long it is left alone from now on.
    pub due_in: Duration,
    /// What whoever takes it needs to know.
    pub payload: String,
}

/// An entry as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name in the topic.
    pub key: String,
    /// Lower ones are taken first.
    pub rank: i64,
    /// What whoever takes it needs to know.
    pub payload: String,
    /// Who holds it; none when it is free or the lease has run out.
    pub holder: Option<String>,
}

/// The clock that leases are measured by.
#[derive(Clone)]
enum Time {
    /// All processes are on one machine.
    Wall(Arc<dyn Clock>),
    /// The server's time at one moment, continued by the time that passes here.
    Server {
        clock: Arc<dyn Clock>,
        then_us: i64,
        since: Duration,
    },
}

impl Time {
    async fn of(store: &Store, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        match store.dialect {
            Dialect::Sqlite => Ok(Self::Wall(clock)),
            Dialect::Postgres => {
                let row = sqlx::query(
                    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now_us",
                )
                .fetch_one(&store.pool)
                .await?;
                let since = clock.monotonic();
                Ok(Self::Server {
                    clock,
                    then_us: row.try_get("now_us")?,
                    since,
                })
            }
        }
    }

    /// Microseconds since the Unix epoch.
    fn now_us(&self) -> i64 {
        match self {
            Self::Wall(clock) => clock.now().as_microsecond(),
            Self::Server {
                clock,
                then_us,
                since,
            } => later(*then_us, clock.monotonic().saturating_sub(*since)),
        }
    }

    fn us_after(&self, wait: Duration) -> i64 {
        later(self.now_us(), wait)
    }
}

fn later(from_us: i64, wait: Duration) -> i64 {
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    from_us.saturating_add(wait)
}

impl Store {
    /// The queue. Leases are measured by this clock, and on PostgreSQL by the server's time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queue(&self, clock: Arc<dyn Clock>) -> Result<Queue, StoreError> {
        Ok(Queue {
            store: self.clone(),
            time: Time::of(self, clock).await?,
        })
    }
}

impl Queue {
    /// Puts something into the queue, or brings the entry of that name up to date. Whoever holds it
    /// goes on holding it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn offer(&self, topic: &str, offer: &Offer) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "INSERT INTO queue (topic, key, rank, due_us, holder, lease_until_us, payload) \
             VALUES ($1, $2, $3, $4, NULL, 0, $5) ON CONFLICT (topic, key) DO UPDATE SET \
             rank = excluded.rank, due_us = excluded.due_us, payload = excluded.payload",
        )
        .bind(topic.to_owned())
        .bind(offer.key.clone())
        .bind(offer.rank)
        .bind(self.time.us_after(offer.due_in))
        .bind(offer.payload.clone());
        changed(&self.store.pool, statement).await?;
        Ok(())
    }

    /// Takes the first entry that is due and free: by rank, then by when it was due, then by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        &self,
        topic: &str,
        holder: &str,
        lease: Duration,
    ) -> Result<Option<Item>, StoreError> {
        let skip = match self.store.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
        };
        // Materialized: otherwise a plan may choose more than one entry.
        let statement = format!(
            "WITH chosen AS MATERIALIZED (SELECT topic, key FROM queue \
             WHERE topic = $1 AND due_us <= $2 AND {FREE} \
             ORDER BY rank, due_us, key LIMIT 1 {skip}) \
             UPDATE queue SET holder = $3, lease_until_us = $4 FROM chosen \
             WHERE queue.topic = chosen.topic AND queue.key = chosen.key \
             RETURNING queue.key AS key, rank, payload, holder"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(topic.to_owned())
            .bind(self.time.now_us())
            .bind(holder.to_owned())
            .bind(self.time.us_after(lease))
            .fetch_all(&self.store.pool)
            .await?;
        rows.first().map(read_item).transpose()
    }

    /// Takes the entry of a name, which is made if there is none: a lock that nobody waits for. Whoever
    /// holds it already gets a new lease. Says whether it is held now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease(
        &self,
        topic: &str,
        key: &str,
        holder: &str,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO queue (topic, key, rank, due_us, holder, lease_until_us, payload) \
             VALUES ($1, $3, 0, $2, $4, $5, '') ON CONFLICT (topic, key) DO UPDATE SET \
             holder = excluded.holder, lease_until_us = excluded.lease_until_us \
             WHERE queue.holder IS NULL OR queue.lease_until_us <= $2 \
             OR queue.holder = excluded.holder",
        )
        .bind(topic.to_owned())
        .bind(self.time.now_us())
        .bind(key.to_owned())
        .bind(holder.to_owned())
        .bind(self.time.us_after(lease));
        Ok(changed(&self.store.pool, statement).await? > 0)
    }

    /// Makes a lease longer, from now on. Says whether the entry is still this holder's: also one
    /// that ran out is, as long as nobody else took it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(
        &self,
        topic: &str,
        key: &str,
        holder: &str,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE queue SET lease_until_us = $4 WHERE topic = $1 AND key = $2 AND holder = $3",
        )
        .bind(topic.to_owned())
        .bind(key.to_owned())
        .bind(holder.to_owned())
        .bind(self.time.us_after(lease));
        Ok(changed(&self.store.pool, statement).await? > 0)
    }

    /// Removes an entry that is done with. Says whether it was this holder's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn done(&self, topic: &str, key: &str, holder: &str) -> Result<bool, StoreError> {
        let statement =
            sqlx::query("DELETE FROM queue WHERE topic = $1 AND key = $2 AND holder = $3")
                .bind(topic.to_owned())
                .bind(key.to_owned())
                .bind(holder.to_owned());
        Ok(changed(&self.store.pool, statement).await? > 0)
    }

    /// Gives an entry back, to be left alone for a while. Says whether it was this holder's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_back(
        &self,
        topic: &str,
        key: &str,
        holder: &str,
        due_in: Duration,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE queue SET holder = NULL, lease_until_us = 0, due_us = $4 \
             WHERE topic = $1 AND key = $2 AND holder = $3",
        )
        .bind(topic.to_owned())
        .bind(key.to_owned())
        .bind(holder.to_owned())
        .bind(self.time.us_after(due_in));
        Ok(changed(&self.store.pool, statement).await? > 0)
    }

    /// Removes every entry of a topic that nobody holds, and says how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn purge(&self, topic: &str) -> Result<u64, StoreError> {
        let statement = format!("DELETE FROM queue WHERE topic = $1 AND {FREE}");
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(topic.to_owned())
            .bind(self.time.now_us());
        changed(&self.store.pool, statement).await
    }

    /// The entries of a topic in the order in which they are taken, held and waiting ones included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries(&self, topic: &str, limit: u32) -> Result<Vec<Item>, StoreError> {
        let statement = format!(
            "SELECT key, rank, payload, CASE WHEN {FREE} THEN NULL ELSE holder END AS holder \
             FROM queue WHERE topic = $1 ORDER BY rank, due_us, key LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(topic.to_owned())
            .bind(self.time.now_us())
            .bind(i64::from(limit))
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(read_item).collect()
    }
}

/// How long a queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// Entries that nobody holds.
    pub offered: u64,
    /// Entries that somebody holds.
    pub taken: u64,
}

impl Queue {
    /// How long the queue of every topic is that has entries.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lengths(&self) -> Result<BTreeMap<String, Length>, StoreError> {
        let rows = sqlx::query(
            "SELECT topic, COUNT(*) AS entries, CAST(SUM(CASE WHEN holder IS NOT NULL \
             AND lease_until_us > $1 THEN 1 ELSE 0 END) AS BIGINT) AS taken \
             FROM queue GROUP BY topic",
        )
        .bind(self.time.now_us())
        .fetch_all(&self.store.pool)
        .await?;
        let length = |row: &AnyRow| {
            let (all, taken): (i64, i64) = (row.try_get("entries")?, row.try_get("taken")?);
            let number = |number: i64| u64::try_from(number).unwrap_or(0);
            let length = Length {
                offered: number(all - taken),
                taken: number(taken),
            };
            Ok((row.try_get("topic")?, length))
        };
        rows.iter().map(length).collect()
    }
}

async fn changed(
    pool: &AnyPool,
    statement: Query<'_, sqlx::Any, AnyArguments>,
) -> Result<u64, StoreError> {
    Ok(statement.execute(pool).await?.rows_affected())
}

fn read_item(row: &AnyRow) -> Result<Item, StoreError> {
    Ok(Item {
        key: row.try_get("key")?,
        rank: row.try_get("rank")?,
        payload: row.try_get("payload")?,
        holder: row.try_get("holder")?,
    })
}
