//! How fast something falls, whatever a few of its samples say: the median of the slopes between all
//! pairs of samples.
//!
//! H. Theil, A rank-invariant method of linear and polynomial regression analysis (1950); P. K. Sen,
//! Estimates of the regression coefficient based on Kendall's tau (1968). Up to 29 of 100 samples may be
//! anything.

use jiff::Timestamp;

/// Samples below which nothing is said.
const LEAST_SAMPLES: usize = 12;
/// The largest number of samples whose pairs are looked at; more are thinned out evenly.
const MOST_SAMPLES: usize = 300;
/// The part of all pairs that has to fall, of four: a saw-tooth falls in half of them.
const FALLING_OF_FOUR: usize = 3;

/// How much is lost in a second, when it falls steadily; none when it does not, or nobody can tell.
pub(crate) fn loss_per_second(samples: &[(Timestamp, f64)]) -> Option<f64> {
    if samples.len() < LEAST_SAMPLES {
        return None;
    }
    let every = samples.len().div_ceil(MOST_SAMPLES);
    let samples: Vec<_> = samples.iter().step_by(every).collect();
    let mut slopes = Vec::with_capacity(samples.len() * samples.len() / 2);
    for (place, (at, value)) in samples.iter().enumerate() {
        for (later, other) in &samples[place + 1..] {
            let seconds = later.duration_since(*at).as_secs_f64();
            if seconds > 0.0 {
                slopes.push((other - value) / seconds);
            }
        }
    }
    let falling = slopes.iter().filter(|slope| **slope < 0.0).count();
    if slopes.is_empty() || falling * 4 < slopes.len() * FALLING_OF_FOUR {
        return None;
    }
    let middle = slopes.len() / 2;
    let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    Some(-*median).filter(|loss| *loss > 0.0 && loss.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every_minute(values: &[f64]) -> Vec<(Timestamp, f64)> {
        let at =
            |minute: usize| Timestamp::from_second(60 * i64::try_from(minute).unwrap()).unwrap();
        values
            .iter()
            .enumerate()
            .map(|(minute, value)| (at(minute), *value))
            .collect()
    }

    fn line(length: u32, loss: f64) -> Vec<f64> {
        (0..length)
            .map(|minute| 1e9 - f64::from(minute) * 60.0 * loss)
            .collect()
    }

    #[test]
    fn a_few_wild_samples_change_nothing() {
        let mut values = line(60, 250.0);
        for wild in [3, 17, 18, 40, 59] {
            values[wild] = 0.0;
        }
        let loss = loss_per_second(&every_minute(&values)).unwrap();
        assert!((loss - 250.0).abs() < 1.0, "{loss}");
    }

    #[test]
    fn what_goes_up_and_down_does_not_fall() {
        let saw: Vec<f64> = (0..120)
            .map(|minute| f64::from(100 - minute % 20))
            .collect();
        assert_eq!(None, loss_per_second(&every_minute(&saw)));
        assert_eq!(None, loss_per_second(&every_minute(&line(60, 0.0))));
        assert_eq!(None, loss_per_second(&every_minute(&line(60, -5.0))));
        assert_eq!(None, loss_per_second(&every_minute(&line(11, 5.0))));
    }

    #[test]
    fn samples_of_one_moment_say_nothing() {
        let samples = vec![(Timestamp::UNIX_EPOCH, 1.0); 20];
        assert_eq!(None, loss_per_second(&samples));
    }

    proptest! {
        #[test]
        fn a_straight_line_is_found(length in 12..700_u32, loss in 1.0..1e7_f64) {
            let found = loss_per_second(&every_minute(&line(length, loss))).unwrap();
            prop_assert!((found - loss).abs() / loss < 1e-3, "{} {}", found, loss);
        }

        #[test]
        fn any_figures_are_taken(values in proptest::collection::vec(any::<f64>(), 0..40)) {
            loss_per_second(&every_minute(&values));
        }
    }
}
