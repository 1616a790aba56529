//! The append-only event log.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::SCHEMA_VERSION;

use crate::database::Dialect;
use crate::database::Store;
use crate::error::StoreError;
use crate::runs::RunSummary;

/// Events one query returns when nothing else is asked for.
const DEFAULT_LIMIT: u32 = 1_000;

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct EventLog {
    store: Store,
    clock: Arc<dyn Clock>,
}

/// Which events to read.
#[derive(Debug, Clone)]
pub struct Query {
    /// Only events after this place in the log.
    pub after: i64,
    /// Only events of this run.
    pub run: Option<RunId>,
    /// At most this many.
    pub limit: u32,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            after: 0,
            run: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

/// A run that began, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue: IssueNumber,
}

impl Started {
    fn of(event: Event) -> Option<Self> {
        match (event.run, event.kind) {
            (Some(run), EventKind::RunStarted { repo, issue, .. }) => {
                Some(Self { run, repo, issue })
            }
            _ => None,
        }
    }
}

impl EventLog {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Events in the order they were appended.
    ///
    /// # Errors
    /// When the database fails or holds an event this program cannot read.
    pub async fn events(&self, query: &Query) -> Result<Vec<Event>, StoreError> {
        let rows = match &query.run {
            None => {
                sqlx::query(
                    "SELECT seq, schema, at_us, run, body FROM events \
                     WHERE seq > $1 ORDER BY seq LIMIT $2",
                )
                .bind(query.after)
                .bind(i64::from(query.limit))
                .fetch_all(&self.store.pool)
                .await?
            }
            Some(run) => {
                sqlx::query(
                    "SELECT seq, schema, at_us, run, body FROM events \
                     WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                )
                .bind(run.as_str())
                .bind(query.after)
                .bind(i64::from(query.limit))
                .fetch_all(&self.store.pool)
                .await?
            }
        };
        rows.iter().map(read_event).collect()
    }

    /// Every event of a run.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn run(&self, run: &RunId) -> Result<Vec<Event>, StoreError> {
        let query = Query {
            run: Some(run.clone()),
            limit: u32::MAX,
            ..Query::default()
        };
        self.events(&query).await
    }

    /// Runs whose id ends with `suffix`, newest first: people type the short form.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_ending_with(&self, suffix: &str) -> Result<Vec<RunId>, StoreError> {
        let all = self.run_ids(u32::MAX).await?;
        Ok(all
            .into_iter()
            .filter(|run| run.as_str().ends_with(suffix))
            .collect())
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_ids(&self, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let rows = sqlx::query(
            "SELECT run FROM events WHERE type = 'run_started' ORDER BY seq DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let run: String = row.try_get("run")?;
                run.parse().map_err(|error| unreadable(0, &error))
            })
            .collect()
    }

    /// Which run worked on which issue, newest first.
    ///
    /// # Errors
    /// When the database fails or holds an event this program cannot read.
    pub async fn started(&self, limit: u32) -> Result<Vec<Started>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE type = 'run_started' ORDER BY seq DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        let events: Vec<Event> = rows.iter().map(read_event).collect::<Result<_, _>>()?;
        Ok(events.into_iter().filter_map(Started::of).collect())
    }

    /// One run, folded from its events.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        Ok(RunSummary::fold(&self.run(run).await?))
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

fn read_event(row: &AnyRow) -> Result<Event, StoreError> {
    let seq: i64 = row.try_get("seq")?;
    let schema: i64 = row.try_get("schema")?;
    let at_us: i64 = row.try_get("at_us")?;
    let run: Option<String> = row.try_get("run")?;
    let body: String = row.try_get("body")?;
    Ok(Event {
        seq,
        schema: u16::try_from(schema).map_err(|error| unreadable(seq, &error))?,
        at: Timestamp::from_microsecond(at_us).map_err(|error| unreadable(seq, &error))?,
        run: run
            .map(|run| run.parse())
            .transpose()
            .map_err(|error| unreadable(seq, &error))?,
        kind: serde_json::from_str(&body).map_err(|error| unreadable(seq, &error))?,
    })
}

fn unreadable(seq: i64, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        table: "events",
        row: seq.to_string(),
        reason: reason.to_string(),
    }
}
