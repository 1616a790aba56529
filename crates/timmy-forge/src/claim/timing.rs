//! The times of the claim protocol, all of them fractions of a claim's time to live.

use std::time::Duration;

/// A claim is renewed every fifth of its time to live.
const RENEWALS_PER_TTL: u32 = 5;
/// After a renewal without an answer the next one comes this much sooner.
const HASTE: u32 = 4;

/// The times that follow from a time to live. The gap between [`Self::fence`] and [`Self::lapse`] is
/// what keeps two hosts from acting under one claim without any agreement about the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The time to live.
    pub ttl: Duration,
}

impl Timing {
    /// Between two renewals: a fifth of the time to live.
    #[must_use]
    pub fn renewal_interval(self) -> Duration {
        self.ttl / RENEWALS_PER_TTL
    }

    /// Between a renewal without an answer and the next.
    #[must_use]
    pub fn hasty_interval(self) -> Duration {
        self.renewal_interval() / HASTE
    }

    /// The time since the last certain renewal after which a holder no longer acts: 0.6 of the time
    /// to live.
    #[must_use]
    pub fn fence(self) -> Duration {
        self.ttl * 3 / 5
    }

    /// The time for which an observer must have seen the same commit before it takes over: the time
    /// to live and a quarter more.
    #[must_use]
    pub fn lapse(self) -> Duration {
        self.ttl + self.ttl / 4
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_holder_stops_long_before_another_may_begin(seconds in 1_u64..86_400) {
            let timing = Timing { ttl: Duration::from_secs(seconds) };
            prop_assert!(timing.hasty_interval() < timing.renewal_interval());
            // Two renewals may go unanswered before the fence, and half the time to live is between
            // the fence and a takeover.
            prop_assert!(timing.renewal_interval() * 3 <= timing.fence());
            prop_assert!(timing.fence() + timing.ttl / 2 < timing.lapse());
        }
    }
}
