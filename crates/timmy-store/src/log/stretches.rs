//! Reading a stretch of the log, along its index, however long the log is.

use jiff::Timestamp;
use sqlx::Row;
use timmy_core::Event;

use super::EventLog;
use super::reading::read_event;
use crate::error::StoreError;

impl EventLog {
    /// The place before the first event that was appended at a time or after it, found by halving.
    ///
    /// Hosts' clocks differ, so times in the log do not quite ascend: who must not miss anything asks
    /// for a time that is earlier by as much.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn place_of(&self, at: Timestamp) -> Result<i64, StoreError> {
        let wanted = at.as_microsecond();
        let (mut older, mut newer) = (0, self.newest().await?);
        while older < newer {
            let middle = older + (newer - older) / 2;
            let row =
                sqlx::query("SELECT seq, at_us FROM events WHERE seq > $1 ORDER BY seq LIMIT 1")
                    .bind(middle)
                    .fetch_optional(&self.store.pool)
                    .await?;
            let Some(row) = row else {
                newer = middle;
                continue;
            };
            if row.try_get::<i64, _>("at_us")? < wanted {
                older = row.try_get("seq")?;
            } else {
                newer = middle;
            }
        }
        Ok(older)
    }

    /// Events of some types, in the order they were appended, from after a place in the log up to
    /// another one, which is part of it.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub async fn between(
        &self,
        types: &[&str],
        after: i64,
        to: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        // One look-up a type: with a list of types a planner may walk the whole log instead.
        let statement = "SELECT seq, schema, at_us, run, body FROM events \
             WHERE type = $4 AND seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
        let mut found = Vec::new();
        for kind in types {
            let rows = sqlx::query(statement)
                .bind(after)
                .bind(to)
                .bind(i64::from(limit))
                .bind((*kind).to_owned())
                .fetch_all(&self.store.pool)
                .await?;
            for row in &rows {
                found.push(read_event(row)?);
            }
        }
        found.sort_by_key(|event| event.seq);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use timmy_core::Clock;
    use timmy_core::EventKind;
    use timmy_core::EventSink;
    use timmy_testkit::ManualClock;

    use super::*;
    use crate::Store;

    fn ended(reason: u64) -> EventKind {
        EventKind::LoopEnded {
            reason: reason.to_string(),
        }
    }

    fn places(events: &[Event]) -> Vec<i64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[tokio::test]
    async fn a_stretch_is_found_by_its_times_and_read_in_order() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("timmy")).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let log = store.log(clock.clone());
        assert_eq!(0, log.place_of(clock.now()).await.unwrap());
        let begun = clock.now();
        for number in 1..=9_u64 {
            let kind = match number % 3 {
                0 => EventKind::ResumeAsked,
                _ => ended(number),
            };
            log.append(None, kind).await.unwrap();
            clock.advance(Duration::from_mins(1));
        }
        for (minutes, place) in [(0, 0), (1, 1), (4, 4), (8, 8), (9, 9), (500, 9)] {
            let at = begun + Duration::from_mins(minutes);
            assert_eq!(place, log.place_of(at).await.unwrap(), "{minutes} minutes");
            let within = at.checked_sub(Duration::from_secs(1)).unwrap();
            let found = log.place_of(within).await.unwrap();
            assert_eq!(place, found, "just before {minutes} minutes");
        }
        let types = ["resume_asked", "loop_ended"];
        let all = log.between(&types, 2, 7, 100).await.unwrap();
        assert_eq!(vec![3, 4, 5, 6, 7], places(&all));
        let some = log.between(&types, 2, 7, 2).await.unwrap();
        assert_eq!(vec![3, 4], places(&some));
        let newest = log.newest_up_to(&types, 7, 3).await.unwrap();
        assert_eq!(vec![3, 4, 5, 6, 7], places(&newest), "three of each type");
        let one = log.newest_up_to(&types, EventLog::END, 1).await.unwrap();
        assert_eq!(vec![8, 9], places(&one));
    }
}
