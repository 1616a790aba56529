//! Whether a provider is asked at all: a circuit for each, closed, open or on trial.

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::RunId;

use crate::error::ModelError;

/// What is known of a provider's health.
#[derive(Debug, Clone, Default)]
pub(crate) enum Health {
    /// It is asked, with retries.
    #[default]
    Up,
    /// It is left alone until a time, then asked once without retries.
    Out {
        until: Timestamp,
        /// How often in a row it failed its trial.
        trials: u32,
        error: ModelError,
    },
    /// It is left alone for a run: what is wrong does not pass by itself.
    OutForRun { run: RunId, error: ModelError },
}

/// Whether and how a provider is asked now.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    /// With retries.
    Full,
    /// Once: it failed before, and this is its trial.
    Trial,
    /// Not at all.
    Skip(ModelError),
}

impl Health {
    /// What to do with the provider now.
    pub(crate) fn turn(&self, run: &RunId, now: Timestamp) -> Turn {
        match self {
            Self::Up => Turn::Full,
            Self::Out { until, error, .. } if now < *until => Turn::Skip(error.clone()),
            Self::Out { .. } => Turn::Trial,
            Self::OutForRun { run: out, error } if out == run => Turn::Skip(error.clone()),
            Self::OutForRun { .. } => Turn::Full,
        }
    }

    /// When the provider may be asked again, where a time is known.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Out { until, .. } => Some(*until),
            Self::Up | Self::OutForRun { .. } => None,
        }
    }

    /// Leaves the provider alone, longer with every failed trial.
    pub(crate) fn open(&mut self, error: ModelError, now: Timestamp, cooldown: Duration) {
        const MOST_DOUBLINGS: u32 = 5;
        let trials = match self {
            Self::Out { trials, .. } => *trials + 1,
            Self::Up | Self::OutForRun { .. } => 0,
        };
        let wait = cooldown.saturating_mul(1 << trials.min(MOST_DOUBLINGS));
        self.open_until(error, later(now, wait));
        if let Self::Out { trials: kept, .. } = self {
            *kept = trials;
        }
    }

    /// Leaves the provider alone until a time that it named.
    pub(crate) fn open_until(&mut self, error: ModelError, until: Timestamp) {
        *self = Self::Out {
            until,
            trials: 0,
            error,
        };
    }
}

/// A point in time after another.
pub(crate) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
