//! How long to wait before the next attempt.

use std::time::Duration;

/// The power of two at which doubling stops: far beyond every limit.
const MOST_DOUBLINGS: u32 = 20;

/// `first * 2^(failures - 1)`, at most `longest`: section 8.4 of the Symphony specification.
#[must_use]
pub(super) fn delay(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_limit() {
        let seconds =
            |failures| delay(Duration::from_secs(10), Duration::from_secs(300), failures).as_secs();
        let delays: Vec<u64> = (0..8).map(seconds).collect();
        assert_eq!(vec![10, 10, 20, 40, 80, 160, 300, 300], delays);
        assert_eq!(300, seconds(u32::MAX));
    }
}
