//! What people asked of the fleet, as the log tells of it.

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::RunId;

use super::EventLog;
use crate::error::StoreError;

/// Stops that are looked through, newest first. A person asks for each.
const STOPS_LOOKED_AT: u32 = 10_000;

/// A pause that a person asked for and nobody has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingPause {
    /// Since when.
    pub at: Timestamp,
    /// Who asked for it; empty where that is not known.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

impl EventLog {
    /// The pause that is in force; the newest word about it counts.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn standing_pause(&self) -> Result<Option<StandingPause>, StoreError> {
        let asked = self.newest_up_to(&["pause_asked", "resume_asked"], Self::END, 1);
        let newest = asked.await?.pop();
        Ok(newest.and_then(|event| match event.kind {
            EventKind::PauseAsked { reason, by } => Some(StandingPause {
                at: event.at,
                by,
                reason,
            }),
            _ => None,
        }))
    }

    /// Whether a person asked that a run be stopped.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn was_asked_to_stop(&self, run: &RunId) -> Result<bool, StoreError> {
        Ok(self.stops_since(0).await?.contains(run))
    }

    /// The runs that people asked to stop, and whose issues nobody has let go on since.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn standing_stops(&self) -> Result<Vec<RunId>, StoreError> {
        let resumed = self.newest_up_to(&["resume_asked"], Self::END, 1).await?;
        let after = resumed.last().map_or(0, |event| event.seq);
        self.stops_since(after).await
    }

    async fn stops_since(&self, after: i64) -> Result<Vec<RunId>, StoreError> {
        let stops = self
            .newest_up_to(&["stop_asked"], Self::END, STOPS_LOOKED_AT)
            .await?;
        let stops = stops.into_iter().filter(|event| event.seq > after);
        let target = |kind| match kind {
            EventKind::StopAsked { target } => Some(target),
            _ => None,
        };
        Ok(stops.filter_map(|event| target(event.kind)).collect())
    }
}
