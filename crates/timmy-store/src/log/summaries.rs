//! Runs, folded from the log in a number of queries that does not grow with the number of runs.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::any::AnyRow;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RunId;

use super::EventLog;
use super::reading::read_event;
use super::unreadable;
use crate::error::StoreError;
use crate::runs::RunSummary;

/// The types a summary is made of, without the two there are many of in each run: settled calls are
/// counted by the database, tool calls only matter to a run whose agent did not finish.
const FEW_PER_RUN: &str = "'agent_finished', 'check_finished', 'branch_pushed', \
     'pull_request_opened', 'run_ended'";

/// The types that say how an unfinished run stands.
const WHOLE_RUN: &str = "'run_started', 'tool_called', 'model_call_settled', 'agent_finished', \
     'check_finished', 'branch_pushed', 'pull_request_opened', 'run_ended'";

/// Run ids in one statement, at most. SQLite takes 32,766 values.
const AT_ONCE: usize = 1_000;

/// The event that starts a run, and when its newest one was appended.
const STARTS: &str = "SELECT seq, schema, at_us, run, body, \
     (SELECT newest.at_us FROM events AS newest WHERE newest.run = started.run \
     ORDER BY newest.seq DESC LIMIT 1) AS newest_us FROM events AS started";

/// The starts between two times, `$3` of them at most. Which ones is settled within an index, before
/// anything of them is read.
pub(super) fn begun_between() -> String {
    format!(
        "{STARTS} WHERE seq IN (SELECT seq FROM events WHERE type = 'run_started' \
         AND at_us >= $1 AND at_us < $2 ORDER BY seq DESC LIMIT $3) ORDER BY seq DESC"
    )
}

/// A run whose start was read.
struct Begun {
    seq: i64,
    summary: RunSummary,
    newest: Timestamp,
}

impl EventLog {
    /// One run, folded from its events.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        Ok(RunSummary::fold(&self.run(run).await?))
    }

    /// The newest runs that began at a time or after it, newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn runs_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        self.runs_between(since, Timestamp::MAX, limit).await
    }

    /// The newest runs that began at a time or after it and before another one, newest first, at most
    /// `limit`; each as it stands now.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn runs_between(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(begun_between()))
            .bind(since.as_microsecond())
            .bind(until.as_microsecond())
            .bind(i64::from(limit))
            .fetch_all(&self.store.pool)
            .await?;
        let begun: Vec<Begun> = rows.iter().map(begun).collect::<Result<_, _>>()?;
        self.fold_since(begun).await
    }

    /// The runs on an issue, newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn runs_on(
        &self,
        issue: &IssueName,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let rows =
            sqlx::query("SELECT run FROM events WHERE subject = $1 ORDER BY seq DESC LIMIT $2")
                .bind(issue.to_string())
                .bind(i64::from(limit))
                .fetch_all(&self.store.pool)
                .await?;
        let runs: Vec<String> = rows
            .iter()
            .map(|row| row.try_get("run"))
            .collect::<Result<_, _>>()?;
        self.fold_whole(&runs).await
    }

    /// The runs that opened or updated a pull request of this number, newest first, whatever their
    /// repository.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn runs_that_opened(&self, pull: IssueNumber) -> Result<Vec<RunSummary>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE type = 'pull_request_opened' ORDER BY seq DESC",
        )
        .fetch_all(&self.store.pool)
        .await?;
        let mut runs: Vec<String> = Vec::new();
        for row in &rows {
            let event = read_event(row)?;
            let EventKind::PullRequestOpened { number, .. } = event.kind else {
                continue;
            };
            let run = event.run.map(String::from).filter(|_| number == pull);
            runs.extend(run.filter(|run| !runs.contains(run)));
        }
        self.fold_whole(&runs).await
    }

    /// Folds runs that are close together in the log and may be many.
    async fn fold_since(&self, begun: Vec<Begun>) -> Result<Vec<RunSummary>, StoreError> {
        let first = begun.iter().map(|begun| begun.seq).min();
        let oldest = begun.iter().map(|begun| begun.summary.run.clone()).min();
        let Some((first, oldest)) = first.zip(oldest) else {
            return Ok(Vec::new());
        };
        let places = begun.iter().enumerate();
        let places: HashMap<RunId, usize> = places
            .map(|(place, begun)| (begun.summary.run.clone(), place))
            .collect();
        let mut begun = begun;
        let mut finished = vec![false; begun.len()];
        for event in self.few_per_run(first).await? {
            let Some(&place) = event.run.as_ref().and_then(|run| places.get(run)) else {
                continue;
            };
            finished[place] |= matches!(event.kind, EventKind::AgentFinished { .. });
            begun[place].summary.add(&event);
        }
        for (run, calls) in self.settled_calls(&oldest).await? {
            if let Some(&place) = places.get(&run) {
                begun[place].summary.model_calls = calls;
            }
        }
        for Begun {
            summary, newest, ..
        } in &mut begun
        {
            summary.heard_of(*newest);
        }
        let open = begun.iter().zip(finished).filter(|(_, finished)| !finished);
        let open: Vec<String> = open
            .map(|(begun, _)| begun.summary.run.to_string())
            .collect();
        for summary in self.fold_whole(&open).await? {
            if let Some(&place) = places.get(&summary.run) {
                begun[place].summary = summary;
            }
        }
        Ok(begun.into_iter().map(|begun| begun.summary).collect())
    }

    async fn few_per_run(&self, first: i64) -> Result<Vec<Event>, StoreError> {
        let statement = format!(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE type IN ({FEW_PER_RUN}) AND seq > $1 ORDER BY seq"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(first)
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(read_event).collect()
    }

    /// How many calls each run settled, from an id on: ids sort by the time they were made.
    async fn settled_calls(&self, first: &RunId) -> Result<Vec<(RunId, u32)>, StoreError> {
        let rows = sqlx::query(
            "SELECT run, COUNT(*) AS calls FROM events \
             WHERE type = 'model_call_settled' AND run >= $1 GROUP BY run",
        )
        .bind(first.as_str())
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let calls: i64 = row.try_get("calls")?;
                Ok((run_of(row)?, u32::try_from(calls).unwrap_or(u32::MAX)))
            })
            .collect()
    }

    /// Folds runs one by one from all they are made of, in the order of their ids' list.
    async fn fold_whole(&self, runs: &[String]) -> Result<Vec<RunSummary>, StoreError> {
        let mut summaries = Vec::new();
        for some in runs.chunks(AT_ONCE) {
            let places: Vec<String> = (1..=some.len()).map(|place| format!("${place}")).collect();
            let places = places.join(", ");
            let statement = format!(
                "SELECT seq, schema, at_us, run, \
                 CASE WHEN type IN ({WHOLE_RUN}) THEN body END AS body \
                 FROM events WHERE run IN ({places}) ORDER BY seq"
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for run in some {
                query = query.bind(run.clone());
            }
            let mut runs: HashMap<String, Partly> = HashMap::new();
            for row in &query.fetch_all(&self.store.pool).await? {
                let run: String = row.try_get("run")?;
                runs.entry(run).or_default().read(row)?;
            }
            let of_run = |run| runs.get(run)?.fold();
            summaries.extend(some.iter().filter_map(of_run));
        }
        Ok(summaries)
    }
}

/// What was read of one run.
#[derive(Default)]
struct Partly {
    events: Vec<Event>,
    newest: Timestamp,
}

impl Partly {
    fn read(&mut self, row: &AnyRow) -> Result<(), StoreError> {
        self.newest = time(row, "at_us")?;
        let body: Option<String> = row.try_get("body")?;
        if body.is_some() {
            self.events.push(read_event(row)?);
        }
        Ok(())
    }

    fn fold(&self) -> Option<RunSummary> {
        let mut summary = RunSummary::fold(&self.events)?;
        summary.heard_of(self.newest);
        Some(summary)
    }
}

fn time(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    let seq: i64 = row.try_get("seq")?;
    let microseconds: i64 = row.try_get(column)?;
    Timestamp::from_microsecond(microseconds).map_err(|error| unreadable(seq, &error))
}

fn begun(row: &AnyRow) -> Result<Begun, StoreError> {
    let event = read_event(row)?;
    let seq = event.seq;
    let newest = time(row, "newest_us")?;
    let summary = RunSummary::fold(&[event]);
    let summary = summary.ok_or_else(|| unreadable(seq, &"a run starts without its id"))?;
    Ok(Begun {
        seq,
        summary,
        newest,
    })
}

fn run_of(row: &AnyRow) -> Result<RunId, StoreError> {
    let run: String = row.try_get("run")?;
    run.parse().map_err(|error| unreadable(0, &error))
}
