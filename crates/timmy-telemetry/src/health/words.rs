//! Figures as people read them.

use std::time::Duration;

use jiff::Timestamp;

const KIBIBYTE: u64 = 1 << 10;
const UNITS: [(u64, &str); 4] = [
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (KIBIBYTE, "KiB"),
];

/// `2026-11-20 19:40:57 UTC`
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `40 s`, `12 min`, `3 h 20 min`, `4 d 2 h`: two units at most, rounded down.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

/// From one moment to a later one; nothing when it is not later.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// `1.5 GiB`, rounded down to one digit after the point.
pub(crate) fn bytes(bytes: u64) -> String {
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = bytes % unit / (unit / 10).max(1);
            return format!("{}.{} {name}", bytes / unit, tenths.min(9));
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        let spans = [0, 59, 60, 3_599, 3_600, 12_000, 90_000, 356_400];
        let told = spans.map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(
            [
                "0 s",
                "59 s",
                "1 min",
                "59 min",
                "1 h 0 min",
                "3 h 20 min",
                "1 d 1 h",
                "4 d 3 h"
            ],
            told.each_ref().map(String::as_str)
        );
        let sizes = [0, 1_023, 1_024, 1_610_612_736, u64::MAX].map(bytes);
        assert_eq!(
            ["0 B", "1023 B", "1.0 KiB", "1.5 GiB", "16777215.9 TiB"],
            sizes.each_ref().map(String::as_str)
        );
    }
}
