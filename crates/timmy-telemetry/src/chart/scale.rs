//! Axes: from values and moments to pixels.

use jiff::Timestamp;

use crate::report::Zone;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Distances between marks on a time axis, in seconds.
const STEPS: [i64; 15] = [
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
    365 * DAY,
];

/// A time axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeScale {
    /// Where it begins, in seconds.
    begin: i64,
    /// How long it is, in seconds.
    length: i64,
    /// Its first pixel.
    left: f64,
    /// How many pixels it has.
    width: f64,
}

/// A mark on a time axis.
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) label: String,
}

impl TimeScale {
    pub(super) fn new((begin, end): (Timestamp, Timestamp), left: f64, width: f64) -> Self {
        let begin = begin.as_second();
        Self {
            begin,
            length: (end.as_second() - begin).max(MINUTE),
            left,
            width,
        }
    }

    /// The pixel of a moment, inside the axis.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let gone = (at.as_second() - self.begin).clamp(0, self.length);
        self.left + self.width * share(gone, self.length)
    }

    /// Marks at round times of the reader's time zone, at most about `most`.
    pub(super) fn marks(&self, zone: &Zone, most: i64) -> Vec<Mark> {
        let step = step(self.length, most);
        let at = |second: i64| Timestamp::from_second(second).unwrap_or_default();
        let offset = zone.0.to_offset(at(self.begin)).seconds();
        let local = self.begin + i64::from(offset);
        let first = self.begin + (step - local.rem_euclid(step)) % step;
        let mut marks = Vec::new();
        let mut second = first;
        while second <= self.begin + self.length {
            let label = match step {
                DAY.. => zone.day(at(second)),
                _ => zone.clock(at(second)),
            };
            marks.push(Mark {
                x: self.x(at(second)),
                label,
            });
            second += step;
        }
        marks
    }
}

/// The least round distance with which a length has at most so many.
pub(super) fn step(length: i64, most: i64) -> i64 {
    let fits = |step: &&i64| length / **step <= most;
    let longest = STEPS[STEPS.len() - 1];
    *STEPS.iter().find(fits).unwrap_or(&longest)
}

/// A round number that is not below a value: 1, 2, 3, 4, 5, 6 or 8 times a power of ten.
pub(super) fn round_up(value: u64) -> u64 {
    let mut power: u64 = 1;
    while power.saturating_mul(10) <= value {
        power = power.saturating_mul(10);
    }
    let fits = |times: &u64| power.saturating_mul(*times) >= value;
    let times = [1, 2, 3, 4, 5, 6, 8, 10]
        .into_iter()
        .find(fits)
        .unwrap_or(10);
    power.saturating_mul(times)
}

/// A part of a whole.
pub(super) fn share(part: i64, whole: i64) -> f64 {
    // Seconds of thousands of years fit into the 53 bits exactly.
    #[expect(clippy::cast_precision_loss, reason = "as said above")]
    let share = part as f64 / whole.max(1) as f64;
    share
}

/// A part of a whole, of counts.
pub(super) fn share_of(part: u64, whole: u64) -> f64 {
    let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    share(bounded(part), bounded(whole))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn marks_stand_at_round_times_of_the_reader() {
        let span = ("2026-03-01T19:50:00Z", "2026-03-02T05:10:00Z");
        let span = (span.0.parse().unwrap(), span.1.parse().unwrap());
        let scale = TimeScale::new(span, 10.0, 100.0);
        let zone = Zone(TimeZone::fixed(jiff::tz::offset(1)));
        let labels: Vec<String> = scale
            .marks(&zone, 6)
            .into_iter()
            .map(|mark| mark.label)
            .collect();
        assert_eq!(vec!["22:00", "00:00", "02:00", "04:00", "06:00"], labels);
        assert!((scale.x(span.1) - 110.0).abs() < 0.01);
        assert!((scale.x(Timestamp::MAX) - 110.0).abs() < 0.01);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(
            [1, 1, 3, 8, 10, 50, 2_000],
            [0, 1, 3, 7, 10, 42, 1_234].map(round_up)
        );
    }
}
