//! The append-only event log.

mod asked;
mod reading;
mod standing;
mod stretches;
mod summaries;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::SCHEMA_VERSION;

use crate::database::Dialect;
use crate::database::Store;
use crate::error::StoreError;

use reading::read_event;

pub use asked::StandingPause;
pub use reading::Query;
pub use reading::Started;

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct EventLog {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl EventLog {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// As [`EventSink::append`], with an error that can be looked into.
    ///
    /// # Errors
    /// When the event was not kept, except [`StoreError::Unconfirmed`].
    pub async fn try_append(
        &self,
        run: Option<&RunId>,
        kind: EventKind,
    ) -> Result<Event, StoreError> {
        let body = serde_json::to_value(&kind).map_err(|error| unreadable(0, &error))?;
        let kind_name = body.get("type").and_then(serde_json::Value::as_str);
        let row = NewRow {
            at_us: self.clock.now().as_microsecond(),
            run: run.map(RunId::as_str),
            kind: kind_name.unwrap_or_default(),
            body: body.to_string(),
            subject: subject(&kind),
        };
        let event = |seq| Event {
            seq,
            schema: SCHEMA_VERSION,
            at: Timestamp::from_microsecond(row.at_us).unwrap_or(Timestamp::UNIX_EPOCH),
            run: run.cloned(),
            kind,
        };
        match self.store.dialect {
            // One statement is a transaction of its own and takes the write lock as it begins.
            Dialect::Sqlite => Ok(event(row.insert(&self.store.pool).await?)),
            Dialect::Postgres => match self.append_on_server(&row).await {
                Ok(seq) => Ok(event(seq)),
                Err(Lost::Before(error)) if error.passes() => {
                    // Nothing was kept, and the pool waits until a server that was restarted is back.
                    let again = self.append_on_server(&row).await;
                    self.settled(again, event).await
                }
                first => self.settled(first, event).await,
            },
        }
    }

    /// Finds out whether an event was kept after all, from [`StoreError::Unconfirmed`]. None when
    /// it was not: then it may be appended again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn confirm(&self, event: &Event) -> Result<Option<Event>, StoreError> {
        // Under the write lock: whoever may still be at it has ended when this is ours.
        let mut write = self.store.write().await?;
        let row = sqlx::query("SELECT seq, schema, at_us, run, body FROM events WHERE seq = $1")
            .bind(event.seq)
            .fetch_optional(&mut *write)
            .await?;
        let found = row.as_ref().map(read_event).transpose()?;
        Ok(found.filter(|found| found == event))
    }

    async fn append_on_server(&self, row: &NewRow<'_>) -> Result<i64, Lost> {
        let mut write = self.store.write().await.map_err(Lost::Before)?;
        let seq = row.insert(&mut *write).await.map_err(Lost::Before)?;
        match write.commit().await {
            Ok(()) => Ok(seq),
            Err(source) => Err(Lost::Meanwhile { seq, source }),
        }
    }

    /// Makes an answer of what became of an append; where the reply was lost, by looking.
    async fn settled(
        &self,
        appended: Result<i64, Lost>,
        event: impl FnOnce(i64) -> Event,
    ) -> Result<Event, StoreError> {
        let (seq, source) = match appended {
            Ok(seq) => return Ok(event(seq)),
            Err(Lost::Before(error)) => return Err(error),
            Err(Lost::Meanwhile { seq, source }) => (seq, source),
        };
        let event = event(seq);
        match self.confirm(&event).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(source.into()),
            Err(_) => Err(StoreError::Unconfirmed {
                event: Box::new(event),
                source,
            }),
        }
    }
}

/// An append that failed.
enum Lost {
    /// Before it was to be made final: nothing was kept.
    Before(StoreError),
    /// While it was made final.
    Meanwhile { seq: i64, source: sqlx::Error },
}

/// What an append writes.
struct NewRow<'a> {
    at_us: i64,
    run: Option<&'a str>,
    kind: &'a str,
    body: String,
    subject: Option<String>,
}

impl NewRow<'_> {
    async fn insert<'e, E>(&self, executor: E) -> Result<i64, StoreError>
    where
        E: sqlx::Executor<'e, Database = sqlx::Any>,
    {
        let rows = sqlx::query(
            "INSERT INTO events (seq, schema, at_us, run, type, body, subject) \
             SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3, $4, $5, $6 FROM events RETURNING seq",
        )
        .bind(i64::from(SCHEMA_VERSION))
        .bind(self.at_us)
        .bind(self.run.map(str::to_owned))
        .bind(self.kind.to_owned())
        .bind(self.body.clone())
        .bind(self.subject.clone())
        .fetch_all(executor)
        .await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(row.try_get("seq")?)
    }
}

#[async_trait]
impl EventSink for EventLog {
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem> {
        self.try_append(run, kind)
            .await
            .map_err(|error| error.problem())
    }
}

/// The issue an event is indexed under: that of a run, on the event that starts it.
fn subject(kind: &EventKind) -> Option<String> {
    let EventKind::RunStarted { repo, issue, .. } = kind else {
        return None;
    };
    let subject = IssueName {
        repo: repo.clone(),
        number: *issue,
    };
    Some(subject.to_string())
}

fn unreadable(seq: i64, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        table: "events",
        row: seq.to_string(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
#[path = "plans_tests.rs"]
mod plans_tests;
