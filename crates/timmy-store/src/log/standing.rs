//! How a run stands, without reading all of it.

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
}
