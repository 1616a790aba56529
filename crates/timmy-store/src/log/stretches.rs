//! Reading a stretch of the log, along its index, however long the log is.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::Row;
use timmy_core::Event;

use super::EventLog;
use super::reading::read_event;
use crate::error::StoreError;

/// Of so many places for each event that is wanted the first part of a search consists; each further
/// part is twice as long as the one before.
const FIRST_PART: i64 = 2;

/// The events of some types after `$1` up to `$2`, `$3` of them at most.
pub(super) fn part_of_types(types: usize) -> String {
    let places: Vec<String> = (0..types).map(|place| format!("${}", place + 4)).collect();
    format!(
        "SELECT seq, schema, at_us, run, body FROM events \
         WHERE type IN ({}) AND seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
        places.join(", ")
    )
}

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
        self.between(types, after, self.newest().await?, limit)
            .await
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
        let mut found = Vec::new();
        if types.is_empty() {
            return Ok(found);
        }
        let most = i64::from(limit);
        // Part by part: nothing is read that a later page reads again, however many types there are.
        let (mut begin, mut length) = (after, most.saturating_mul(FIRST_PART));
        let mut missing = most;
        while missing > 0 && begin < to {
            let end = begin.saturating_add(length).min(to);
            let mut query = sqlx::query(AssertSqlSafe(part_of_types(types.len())))
                .bind(begin)
                .bind(end)
                .bind(missing);
            for kind in types {
                query = query.bind((*kind).to_owned());
            }
            for row in &query.fetch_all(&self.store.pool).await? {
                found.push(read_event(row)?);
            }
            missing = most - i64::try_from(found.len()).unwrap_or(most);
            (begin, length) = (end, length.saturating_mul(2));
        }
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

    #[tokio::test]
    async fn what_is_rare_is_found_over_many_parts() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("timmy")).await.unwrap();
        let log = store.log(Arc::new(ManualClock::default()));
        for number in 1..=150_u64 {
            let kind = match number % 50 {
                0 => EventKind::ResumeAsked,
                _ => ended(number),
            };
            log.append(None, kind).await.unwrap();
        }
        let rare = ["resume_asked", "pause_asked"];
        for limit in 1..=4_u32 {
            let found = log.of_types(&rare, 0, limit).await.unwrap();
            let expected: Vec<i64> = [50, 100, 150].into_iter().take(limit as usize).collect();
            assert_eq!(expected, places(&found));
        }
        let rest = log.between(&rare, 50, 149, 9).await.unwrap();
        assert_eq!(vec![100], places(&rest));
        assert_eq!(0, log.of_types(&rare, 0, 0).await.unwrap().len());
        assert_eq!(0, log.of_types(&rare, 500, u32::MAX).await.unwrap().len());
        assert_eq!(0, log.of_types(&[], 0, 9).await.unwrap().len());
        let all = log.of_types(&["loop_ended", "resume_asked"], 0, u32::MAX);
        assert_eq!(150, all.await.unwrap().len());
    }
}
