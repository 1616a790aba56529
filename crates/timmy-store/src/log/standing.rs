//! How a run stands, without reading all of it.

use sqlx::AssertSqlSafe;
use timmy_core::Event;
use timmy_core::RunId;

use super::EventLog;
use super::reading::read_event;
use crate::error::StoreError;

impl EventLog {
    /// The newest event of a run; none when there is no such run.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn newest_of_run(&self, run: &RunId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE run = $1 ORDER BY seq DESC LIMIT 1",
        )
        .bind(run.as_str())
        .fetch_optional(&self.store.pool)
        .await?;
        row.as_ref().map(read_event).transpose()
    }

    /// The events of a run that are of some types, in the order they were appended. A type is named as
    /// in the JSON form, `run_ended`.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn of_run(&self, run: &RunId, types: &[&str]) -> Result<Vec<Event>, StoreError> {
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (2..types.len() + 2)
            .map(|place| format!("${place}"))
            .collect();
        // Not the bare column: a planner might walk every event of the types instead of the run's.
        let statement = format!(
            "SELECT seq, schema, at_us, run, body FROM events \
             WHERE run = $1 AND type || '' IN ({}) ORDER BY seq",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(run.as_str());
        for kind in types {
            query = query.bind((*kind).to_owned());
        }
        let rows = query.fetch_all(&self.store.pool).await?;
        rows.iter().map(read_event).collect()
    }
}
