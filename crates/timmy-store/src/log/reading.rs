//! Reading events back, always along an index.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::any::AnyRow;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::RunId;

use super::EventLog;
use super::unreadable;
use crate::error::StoreError;

/// Events one query returns when nothing else is asked for.
const DEFAULT_LIMIT: u32 = 1_000;

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

    /// Of the newest runs, at most `limit`, those without an end, newest first.
    ///
    /// # Errors
    /// When the database fails or holds an event this program cannot read.
    pub async fn unfinished(&self, limit: u32) -> Result<Vec<Started>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT seq, schema, at_us, run, body FROM events \
             WHERE type = 'run_started' ORDER BY seq DESC LIMIT $1) AS newest \
             WHERE NOT EXISTS (SELECT 1 FROM events AS ended \
             WHERE ended.run = newest.run AND ended.type = 'run_ended') ORDER BY seq DESC",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        let events: Vec<Event> = rows.iter().map(read_event).collect::<Result<_, _>>()?;
        Ok(events.into_iter().filter_map(Started::of).collect())
    }

    /// Events of some types, in the order they were appended, from after a place in the log. A type
    /// is named as in the JSON form, `run_ended`.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn of_types(
        &self,
        types: &[&str],
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        if types.is_empty() {
            return Ok(Vec::new());
        }
        // One look-up a type: with a list of types a planner may walk the whole log instead.
        let one = |place: usize| {
            format!(
                "SELECT * FROM (SELECT seq, schema, at_us, run, body FROM events \
                 WHERE type = ${} AND seq > $1 ORDER BY seq LIMIT $2) AS of_type_{place}",
                place + 3
            )
        };
        let parts: Vec<String> = (0..types.len()).map(one).collect();
        let statement = format!("{} ORDER BY seq LIMIT $2", parts.join(" UNION ALL "));
        let mut query = sqlx::query(AssertSqlSafe(statement))
            .bind(after)
            .bind(i64::from(limit));
        for kind in types {
            query = query.bind((*kind).to_owned());
        }
        let rows = query.fetch_all(&self.store.pool).await?;
        rows.iter().map(read_event).collect()
    }

    /// The newest events of a type, newest first. A type is named as in the JSON form, `run_ended`.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn newest_of(&self, kind: &str, limit: u32) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE type = $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(kind.to_owned())
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter().map(read_event).collect()
    }

    /// The place of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS seq FROM events")
            .fetch_one(&self.store.pool)
            .await?;
        Ok(row.try_get("seq")?)
    }
}

pub(super) fn read_event(row: &AnyRow) -> Result<Event, StoreError> {
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
