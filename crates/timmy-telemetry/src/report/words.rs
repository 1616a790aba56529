//! Figures and texts as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timmy_core::Redactor;
use timmy_core::money::MicroUsd;
use timmy_core::text;

/// The longest text from elsewhere on one line, in characters.
const LONGEST: usize = 140;

/// Hostile text on one line: cleaned, without what looks like a secret, and bounded.
#[must_use]
pub(super) fn short(text: &str) -> String {
    let line = Redactor::default().redact(&text::clean_line(text));
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}\u{2026}", line[..cut].trim_end()),
        None => line,
    }
}

/// `1 run`, `2 runs`; thousands are set apart.
#[must_use]
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// `1,234,567`
#[must_use]
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `950`, `12.3k`, `4.5M`: for axes and figures where there is little room.
#[must_use]
pub(crate) fn rough(number: u64) -> String {
    const STEPS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    for (step, sign) in STEPS {
        if number >= step {
            let tenths = number / (step / 10);
            return match tenths % 10 {
                0 => format!("{}{sign}", tenths / 10),
                _ if tenths >= 1_000 => format!("{}{sign}", tenths / 10),
                rest => format!("{}.{rest}{sign}", tenths / 10),
            };
        }
    }
    number.to_string()
}

/// `1 h 2 min`, `3 min 4 s`, `5.6 s`.
#[must_use]
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// `$1.23` from a dollar on, below that with four decimals.
#[must_use]
pub(super) fn money(amount: MicroUsd) -> String {
    const CENT: u64 = 10_000;
    if amount.0 > 0 && amount.0 < 100 * CENT {
        return amount.to_string();
    }
    let cents = amount.0 / CENT;
    format!("${}.{:02}", grouped(cents / 100), cents % 100)
}

/// `640 J`, `12.3 kJ`, `4.5 MJ`.
#[must_use]
pub(super) fn energy(millijoules: u64) -> String {
    const STEPS: [(u64, &str); 2] = [(1_000_000_000, "MJ"), (1_000_000, "kJ")];
    for (step, unit) in STEPS {
        if millijoules >= step {
            let tenths = millijoules / (step / 10);
            return format!("{}.{} {unit}", grouped(tenths / 10), tenths % 10);
        }
    }
    format!("{} J", millijoules.div_ceil(1_000))
}

/// A share in whole hundredths; nothing of nothing is none of it.
#[must_use]
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    let exact = (u128::from(part) * 100).checked_div(u128::from(whole));
    u64::try_from(exact.unwrap_or(0)).unwrap_or(100)
}

/// Moments in the time zone of who reads.
#[derive(Debug, Clone)]
pub struct Zone(pub TimeZone);

impl Zone {
    /// `22:04`
    #[must_use]
    pub fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.0.clone()).strftime("%H:%M").to_string()
    }

    /// `2026-11-20 22:04 +01:00`
    #[must_use]
    pub fn full(&self, at: Timestamp) -> String {
        let at = at.to_zoned(self.0.clone());
        at.strftime("%Y-%m-%d %H:%M %:z").to_string()
    }

    /// `2026-11-20 22:04`
    #[must_use]
    pub fn day_and_clock(&self, at: Timestamp) -> String {
        let at = at.to_zoned(self.0.clone());
        at.strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// `Fri 20 Nov`
    #[must_use]
    pub fn day(&self, at: Timestamp) -> String {
        at.to_zoned(self.0.clone())
            .strftime("%a %-d %b")
            .to_string()
    }

    /// Whether two moments are on the same day.
    #[must_use]
    pub fn same_day(&self, one: Timestamp, other: Timestamp) -> bool {
        let date = |at: Timestamp| at.to_zoned(self.0.clone()).date();
        date(one) == date(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1_000, 12_345_678]
                .map(grouped)
                .each_ref()
                .map(String::as_str)
        );
        assert_eq!(
            ["999", "1k", "12.3k", "123k", "4.5M"],
            [999, 1_000, 12_345, 123_456, 4_560_000]
                .map(rough)
                .each_ref()
                .map(String::as_str)
        );
        assert_eq!(
            ["$0.00", "$0.0123", "$1.23", "$1,234.50"],
            [0, 12_300, 1_234_567, 1_234_500_000]
                .map(|amount| money(MicroUsd(amount)))
                .each_ref()
                .map(String::as_str)
        );
        assert_eq!(
            ["1 J", "640 J", "12.3 kJ", "4.5 MJ"],
            [1, 640_000, 12_345_000, 4_560_000_000]
                .map(energy)
                .each_ref()
                .map(String::as_str)
        );
        assert_eq!((0, 33, 100), (percent(1, 0), percent(1, 3), percent(7, 7)));
    }

    #[test]
    fn moments_are_told_in_the_readers_time_zone() {
        let zone = Zone(TimeZone::fixed(jiff::tz::offset(-3)));
        let at: Timestamp = "2026-03-01T01:05:00Z".parse().unwrap();
        assert_eq!("22:05", zone.clock(at));
        assert_eq!("2026-02-28 22:05 -03:00", zone.full(at));
        assert_eq!("Sat 28 Feb", zone.day(at));
    }

    #[test]
    fn a_text_from_elsewhere_fits_on_a_line() {
        assert_eq!("a b", short("a\u{1b}[31m\n\tb"));
        assert_eq!(141, short(&"x".repeat(9_000)).chars().count());
    }
}
