//! The append-only event log.

mod reading;
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

    async fn append_event(
        &self,
        run: Option<&RunId>,
        kind: EventKind,
    ) -> Result<Event, StoreError> {
        let at_us = self.clock.now().as_microsecond();
        let subject = subject(&kind);
        let body = serde_json::to_value(&kind).map_err(|error| unreadable(0, &error))?;
        let kind_name = body
            .get("type")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let insert = sqlx::query(
            "INSERT INTO events (seq, schema, at_us, run, type, body, subject) \
             SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3, $4, $5, $6 FROM events RETURNING seq",
        )
        .bind(i64::from(SCHEMA_VERSION))
        .bind(at_us)
        .bind(run.map(RunId::as_str))
        .bind(kind_name)
        .bind(body.to_string())
        .bind(subject);
        let row = match self.store.dialect {
            // One statement is a transaction of its own and takes the write lock as it begins.
            Dialect::Sqlite => insert.fetch_all(&self.store.pool).await?.pop(),
            Dialect::Postgres => {
                let mut write = self.store.write().await?;
                let row = insert.fetch_optional(&mut *write).await?;
                write.commit().await?;
                row
            }
        };
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        let seq: i64 = row.try_get("seq")?;
        let at = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Event {
            seq,
            schema: SCHEMA_VERSION,
            at,
            run: run.cloned(),
            kind,
        })
    }
}

#[async_trait]
impl EventSink for EventLog {
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem> {
        self.append_event(run, kind)
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
