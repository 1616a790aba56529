//! Reading events back, always along an index.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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

/// Runs in one statement, at most. SQLite takes 500 parts of a union.
const AT_ONCE: usize = 200;

/// The starts of runs without an end, among the `$1` newest starts.
pub(super) const UNFINISHED: &str = "SELECT * FROM (SELECT seq, schema, at_us, run, body FROM events \
     WHERE type = 'run_started' ORDER BY seq DESC LIMIT $1) AS newest \
     WHERE NOT EXISTS (SELECT 1 FROM events AS ended \
     WHERE ended.run = newest.run AND ended.type = 'run_ended') ORDER BY seq DESC";

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
    /// A place after every event.
    pub const END: i64 = i64::MAX;

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
        let rows = sqlx::query(UNFINISHED)
            .bind(i64::from(limit))
            .fetch_all(&self.store.pool)
            .await?;
        let events: Vec<Event> = rows.iter().map(read_event).collect::<Result<_, _>>()?;
        Ok(events.into_iter().filter_map(Started::of).collect())
    }

    /// The newest events of some types up to a place in the log, at most `limit` of each type, in the
    /// order they were appended. The place is [`Self::END`] for all of the log.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn newest_up_to(
        &self,
        types: &[&str],
        to: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let one = |place: usize| {
            format!(
                "SELECT * FROM (SELECT seq, schema, at_us, run, body FROM events \
                 WHERE type = ${} AND seq <= $1 ORDER BY seq DESC LIMIT $2) AS of_type_{place}",
                place + 3
            )
        };
        let parts: Vec<String> = (0..types.len()).map(one).collect();
        let statement = format!("{} ORDER BY seq", parts.join(" UNION ALL "));
        let mut query = sqlx::query(AssertSqlSafe(statement))
            .bind(to)
            .bind(i64::from(limit));
        for kind in types {
            query = query.bind((*kind).to_owned());
        }
        let rows = query.fetch_all(&self.store.pool).await?;
        rows.iter().map(read_event).collect()
    }

    /// Events of some types of these runs, in the order they were appended.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn of_runs(&self, runs: &[RunId], types: &[&str]) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        if types.is_empty() {
            return Ok(events);
        }
        for some in runs.chunks(AT_ONCE) {
            let statement = of_runs_and_types(some.len(), types.len());
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for run in some {
                query = query.bind(run.to_string());
            }
            for kind in types {
                query = query.bind((*kind).to_owned());
            }
            let rows = query.fetch_all(&self.store.pool).await?;
            for row in &rows {
                events.push(read_event(row)?);
            }
        }
        events.sort_by_key(|event| event.seq);
        Ok(events)
    }

    /// When the newest event of each of these runs was appended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_heard(
        &self,
        runs: &[RunId],
    ) -> Result<BTreeMap<RunId, Timestamp>, StoreError> {
        let mut heard = BTreeMap::new();
        for some in runs.chunks(AT_ONCE) {
            // One look-up a run: its newest event is the end of its part of the index.
            let one = |place: usize| {
                format!(
                    "SELECT * FROM (SELECT run, at_us FROM events WHERE run = ${place} \
                     ORDER BY seq DESC LIMIT 1) AS of_run_{place}"
                )
            };
            let parts: Vec<String> = (1..=some.len()).map(one).collect();
            let mut query = sqlx::query(AssertSqlSafe(parts.join(" UNION ALL ")));
            for run in some {
                query = query.bind(run.to_string());
            }
            for row in &query.fetch_all(&self.store.pool).await? {
                let run: String = row.try_get("run")?;
                let run = run.parse().map_err(|error| unreadable(0, &error))?;
                let at = Timestamp::from_microsecond(row.try_get("at_us")?);
                heard.insert(run, at.map_err(|error| unreadable(0, &error))?);
            }
        }
        Ok(heard)
    }

    /// When each subcommand was last started, as far as the newest starts say, at most `limit` of them.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn commands_started(
        &self,
        limit: u32,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE type = 'process_started' ORDER BY seq DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        let mut started = BTreeMap::new();
        for row in &rows {
            let event = read_event(row)?;
            if let EventKind::ProcessStarted { command, .. } = event.kind {
                started.entry(command).or_insert(event.at);
            }
        }
        Ok(started)
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

/// The events of some types of some runs, whose names are bound before those of the types.
pub(super) fn of_runs_and_types(runs: usize, types: usize) -> String {
    let places = |range: RangeInclusive<usize>| {
        let places: Vec<String> = range.map(|place| format!("${place}")).collect();
        places.join(", ")
    };
    // An expression has no index: left the choice, SQLite walks all events of these types.
    format!(
        "SELECT seq, schema, at_us, run, body FROM events \
         WHERE run IN ({}) AND type || '' IN ({}) ORDER BY seq",
        places(1..=runs),
        places(runs + 1..=runs + types)
    )
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
