//! Chance, repeatable.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). Every
//! part of a night draws from a stream of its own, so that a change to one leaves the others alone.

use std::time::Duration;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Values with 53 bits are exact as `f64`.
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// A stream of random numbers. The same seed gives the same stream on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed for one purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut random = Self { state: seed };
        for byte in purpose.bytes() {
            random.state = random.next() ^ u64::from(byte);
        }
        random
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `limit`; 0 when there is none.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The bias of a 64-bit product is far below anything a night could show.
        let wide = u128::from(self.next()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// An index into something of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(limit)).unwrap_or(0)
    }

    /// One of several; none of nothing.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// Whether something of this probability happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) * UNIT < probability
    }

    /// A time between two, to the millisecond.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_millis();
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.below(span.saturating_add(1)))
    }
}

/// The finishing step of SplitMix64: every bit of the input reaches every bit of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The first outputs for seed 1234567 in the reference implementation's test vectors.
        let mut random = Random { state: 1_234_567 };
        let drawn: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            vec![
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ],
            drawn
        );
    }

    #[test]
    fn streams_of_two_purposes_differ() {
        let (mut one, mut other) = (Random::new(7, "people"), Random::new(7, "faults"));
        assert_ne!(one.next(), other.next());
    }

    proptest! {
        #[test]
        fn draws_stay_within_their_bounds(seed in any::<u64>(), limit in 1_u64..u64::MAX, least in 0_u64..9_000, span in 0_u64..9_000) {
            let mut random = Random::new(seed, "test");
            prop_assert!(random.below(limit) < limit);
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(least + span));
            let drawn = random.between(least, most);
            prop_assert!(least <= drawn && drawn <= most);
            prop_assert!(!random.chance(0.0));
            prop_assert!(random.chance(1.0));
        }
    }
}
