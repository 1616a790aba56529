//! How long the client waits, and how often it asks again.

use std::time::Duration;

use backon::BackoffBuilder;
use backon::ExponentialBackoff;
use backon::ExponentialBuilder;

use crate::error::ForgeError;

/// How long [`crate::Forge::checked_pull`] waits before "not known to merge" counts as "no".
/// A Forgejo 7 with its default queue needs up to 2.5 s after a push (measured).
pub const MERGEABLE_WAIT: Duration = Duration::from_secs(20);

/// How long the client waits, and how often it asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pacing {
    /// How often a call is repeated after a passing fault.
    pub repeats: usize,
    /// The wait before the first repetition. It doubles from one to the next, with jitter.
    pub first_wait: Duration,
    /// The longest wait between two repetitions.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is sat out. A longer one is the caller's to plan with.
    pub longest_retry_after: Duration,
    /// How long to wait for the forge to find out whether a pull request merges.
    pub mergeable_wait: Duration,
    /// The longest time to wait for a connection.
    pub connect_timeout: Duration,
    /// The longest silence in the middle of an answer.
    pub idle_timeout: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            repeats: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(8),
            longest_retry_after: Duration::from_secs(60),
            mergeable_wait: MERGEABLE_WAIT,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

impl Pacing {
    /// The waits between repetitions, one after the other.
    pub(super) fn waits(&self) -> ExponentialBackoff {
        self.growing().with_max_times(self.repeats).build()
    }

    /// The waits between looks at a pull request; together they take no longer than
    /// [`Self::mergeable_wait`].
    pub(super) fn mergeable_waits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let mut left = self.mergeable_wait;
        let waits = self.growing().without_max_times().build();
        waits.map_while(move |wait| {
            let wait = wait.min(left);
            left -= wait;
            (!wait.is_zero()).then_some(wait)
        })
    }

    fn growing(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_jitter()
    }

    /// How long to wait before a call that failed is repeated; `None` when it is not.
    pub(super) fn wait_after(
        &self,
        error: &ForgeError,
        next: Option<Duration>,
    ) -> Option<Duration> {
        let next = next?;
        match error {
            ForgeError::RateLimited {
                retry_after: Some(asked),
                ..
            } => (*asked <= self.longest_retry_after).then(|| next.max(*asked)),
            other => other.is_passing().then_some(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limited(retry_after: Option<Duration>) -> ForgeError {
        ForgeError::RateLimited {
            call: String::new(),
            retry_after,
        }
    }

    #[test]
    fn a_wish_to_be_left_alone_is_honoured_or_handed_on() {
        let pacing = Pacing::default();
        let wait = |asked| pacing.wait_after(&limited(asked), Some(SECOND));
        assert_eq!(Some(7 * SECOND), wait(Some(7 * SECOND)));
        assert_eq!(Some(SECOND), wait(Some(Duration::ZERO)));
        assert_eq!(Some(SECOND), wait(None));
        assert_eq!(None, wait(Some(61 * SECOND)));
        assert_eq!(None, pacing.wait_after(&limited(None), None));
    }

    #[test]
    fn waiting_for_mergeable_ends() {
        let pacing = Pacing::default();
        let total: Duration = pacing.mergeable_waits().sum();
        assert_eq!(MERGEABLE_WAIT, total);
    }
}
