//! A clock that moves only when the test says so.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Clock;

/// A clock that starts at a fixed time (2026-01-01T00:00:00Z) and moves only by [`Self::advance`].
#[derive(Debug, Default)]
pub struct ManualClock {
    elapsed: Mutex<Duration>,
}

impl ManualClock {
    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

/// 2026-01-01T00:00:00Z in seconds since the Unix epoch.
const START: i64 = 1_767_225_600;

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        start
            .checked_add(self.monotonic())
            .unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
