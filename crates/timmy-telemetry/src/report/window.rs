//! Which stretch of time a report is about.

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::Unit;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Serialize;
use timmy_core::text;

use super::error::ReportError;

/// The longest stretch that is counted back, in hours: a hundred years.
const LONGEST_HOURS: i64 = 876_000;
const HOURS_PER_DAY: i64 = 24;
/// Of a word that is not understood so much is repeated, in characters.
const SHOWN: usize = 40;

/// A stretch of time: everything from `since` on and before `until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Where it begins; none for the beginning of the log.
    pub since: Option<Timestamp>,
    /// Where it ends; none when it goes on.
    pub until: Option<Timestamp>,
    /// How it was chosen.
    pub of: Stretch,
}

/// How a window was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stretch {
    /// Everything in the log.
    Everything,
    /// From when the newest loop began.
    Night,
    /// As somebody asked for it.
    Asked,
}

/// A moment as a person writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// When the newest loop began.
    Night,
    /// That one.
    At(Timestamp),
}

impl Moment {
    /// Reads `night`, `8`, `8h`, `3d`, a date, a date with a time, or a time of day, which is the
    /// newest one that is not in the future. Hours and days are counted back from the beginning of
    /// the current hour, so that the same words mean the same moment for a while.
    ///
    /// # Errors
    /// [`ReportError::Moment`] for anything else.
    pub fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Self, ReportError> {
        let text = text.trim();
        if text == "night" {
            return Ok(Self::Night);
        }
        hours_back(text)
            .and_then(|hours| full_hour(now, zone).checked_sub(hours).ok())
            .or_else(|| written(text, now, zone))
            .map(Self::At)
            .ok_or_else(|| ReportError::Moment {
                text: text::clean_line(text).chars().take(SHOWN).collect(),
            })
    }

    /// The moment itself, once it is known when the newest loop began.
    #[must_use]
    pub fn resolved(self, night: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Night => night,
            Self::At(at) => Some(at),
        }
    }
}

impl Window {
    /// The window between two moments. Without any it is the newest night where there was one, else
    /// everything.
    ///
    /// # Errors
    /// [`ReportError::Backwards`] when it ends before it begins.
    pub fn between(
        since: Option<Moment>,
        until: Option<Moment>,
        night: Option<Timestamp>,
    ) -> Result<Self, ReportError> {
        let of = match (since, until) {
            (None, None) | (Some(Moment::Night), None) if night.is_some() => Stretch::Night,
            (None, None) => Stretch::Everything,
            _ => Stretch::Asked,
        };
        let begin = match (since, until) {
            (None, None) => night,
            (since, _) => since.and_then(|moment| moment.resolved(night)),
        };
        let end = until.and_then(|moment| moment.resolved(night));
        if let (Some(since), Some(until)) = (begin, end)
            && since >= until
        {
            let window = format!("{since} to {until}");
            return Err(ReportError::Backwards { window });
        }
        Ok(Self {
            since: begin,
            until: end,
            of,
        })
    }

    /// Where it begins, for comparing.
    #[must_use]
    pub fn begin(&self) -> Timestamp {
        self.since.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Where it ends, for comparing.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp::MAX)
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.begin() <= at && at < self.end()
    }

    /// A name for it that no other window has.
    #[must_use]
    pub fn key(&self) -> String {
        let word = |at: Option<Timestamp>, open: &str| {
            at.map_or(open.to_owned(), |at| {
                at.strftime("%Y%m%dT%H%M%SZ").to_string()
            })
        };
        format!(
            "{}/{}",
            word(self.since, "beginning"),
            word(self.until, "open")
        )
    }
}

/// The hours of `8`, `8h` or `3d`.
fn hours_back(text: &str) -> Option<SignedDuration> {
    let (digits, hours) = match text.strip_suffix('d') {
        Some(days) => (days, HOURS_PER_DAY),
        None => (text.strip_suffix('h').unwrap_or(text), 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours = digits.parse::<i64>().ok()?.checked_mul(hours)?;
    (hours <= LONGEST_HOURS).then(|| SignedDuration::from_hours(hours))
}

fn full_hour(now: Timestamp, zone: &TimeZone) -> Timestamp {
    let rounding = jiff::ZonedRound::new()
        .smallest(Unit::Hour)
        .mode(jiff::RoundMode::Trunc);
    let full = now.to_zoned(zone.clone()).round(rounding);
    full.map_or(now, |full| full.timestamp())
}

/// A moment that was written out. One without an offset is meant in the system's time zone.
fn written(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let meant = |moment: DateTime| {
        let zoned = moment.to_zoned(zone.clone()).ok()?;
        Some(zoned.timestamp())
    };
    if !text.contains('-')
        && let Ok(time) = text.parse::<Time>()
    {
        let today = now.to_zoned(zone.clone()).date();
        let newest = meant(today.to_datetime(time)).filter(|at| *at <= now);
        return newest.or_else(|| meant(today.yesterday().ok()?.to_datetime(time)));
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() <= "2026-01-31".len()
    {
        return meant(date.to_datetime(Time::midnight()));
    }
    meant(text.parse::<DateTime>().ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use timmy_core::Coded;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(2))
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = at("2026-03-05T06:40:12Z");
        for (text, expected) in [
            ("8", "2026-03-04T22:00:00Z"),
            ("8h", "2026-03-04T22:00:00Z"),
            ("3d", "2026-03-02T06:00:00Z"),
            ("0", "2026-03-05T06:00:00Z"),
            ("2026-03-01", "2026-02-28T22:00:00Z"),
            ("2026-03-01T22:00", "2026-03-01T20:00:00Z"),
            ("2026-03-01 22:00:30", "2026-03-01T20:00:30Z"),
            ("2026-03-01T22:00:00Z", "2026-03-01T22:00:00Z"),
            ("2026-03-01T22:00+05:30", "2026-03-01T16:30:00Z"),
            ("08:00", "2026-03-05T06:00:00Z"),
            ("22:00", "2026-03-04T20:00:00Z"),
        ] {
            let read = Moment::read(text, now, &zone()).unwrap();
            assert_eq!(Moment::At(at(expected)), read, "{text}");
        }
        assert_eq!(Moment::Night, Moment::read("night", now, &zone()).unwrap());
        for bad in [
            "",
            "h",
            "-3",
            "8x",
            "soon",
            "2026-13-01",
            "99999999d",
            "25:00",
        ] {
            let error = Moment::read(bad, now, &zone()).unwrap_err();
            assert_eq!("TIMMY-1060", error.problem().code.to_string(), "{bad}");
        }
    }

    #[test]
    fn without_a_word_it_is_the_newest_night_or_everything() {
        let night = at("2026-03-04T20:00:00Z");
        let window = Window::between(None, None, Some(night)).unwrap();
        assert_eq!((Some(night), Stretch::Night), (window.since, window.of));
        assert_eq!("20260304T200000Z/open", window.key());
        let window = Window::between(None, None, None).unwrap();
        assert_eq!((None, Stretch::Everything), (window.since, window.of));
        assert_eq!("beginning/open", window.key());
        let before = Window::between(None, Some(Moment::Night), Some(night)).unwrap();
        assert_eq!((None, Some(night)), (before.since, before.until));
        let moment = Some(Moment::At(night));
        assert!(Window::between(moment, moment, None).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>(), seconds in 0_i64..4_000_000_000) {
            let now = Timestamp::from_second(seconds).unwrap();
            drop(Moment::read(&text, now, &zone()));
        }

        #[test]
        fn hours_count_back_from_a_full_hour(hours in 0_i64..10_000, seconds in 50_000_000_i64..4_000_000_000) {
            let now = Timestamp::from_second(seconds).unwrap();
            let Moment::At(since) = Moment::read(&hours.to_string(), now, &zone()).unwrap() else {
                unreachable!();
            };
            prop_assert_eq!(0, since.as_second() % 3_600);
            let gone = now.duration_since(since).as_secs() - hours * 3_600;
            prop_assert!((0..3_600).contains(&gone));
        }
    }
}
