//! When a cron expression fires.

use std::collections::HashMap;

use croner::Cron;
use croner::Weekday;
use croner::parser::CronParser;
use croner::parser::Seconds;
use croner::parser::Year;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The names that stand for five fields (crontab(5)).
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Every calendar there is: after 28 years the days of the week come again.
const CALENDARS: std::ops::Range<i16> = 2000..2028;

/// A cron expression.
pub(super) struct Schedule(Cron);

impl Schedule {
    /// Reads five fields or a name. None for what has no time of day, such as `@reboot`, for what is no
    /// expression, and for a day that none of its months has: that would be looked for through all
    /// centuries.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let named = NICKNAMES.iter().find(|(name, _)| *name == text);
        let text = named.map_or(text, |(_, fields)| fields);
        if text.starts_with('@') || text.split_whitespace().count() != 5 {
            return None;
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let schedule = Self(parser.parse(text).ok()?);
        schedule.has_a_day().then_some(schedule)
    }

    /// Whether there is a day on which it fires.
    fn has_a_day(&self) -> bool {
        let months = (1..=12).filter(|month| self.0.pattern.month_match(*month).unwrap_or(false));
        let months: Vec<i8> = months.filter_map(|month| month.try_into().ok()).collect();
        let firsts = CALENDARS.flat_map(|year| {
            let firsts = months.iter().map(move |month| Date::new(year, *month, 1));
            firsts.filter_map(Result::ok)
        });
        let mut days = firsts.flat_map(days_of_month);
        days.any(|day| self.is_on(day))
    }

    fn is_on(&self, day: Date) -> bool {
        let figure = |part: i8| u32::from(part.unsigned_abs());
        let (month, number) = (figure(day.month()), figure(day.day()));
        let weekday = figure(day.weekday().to_sunday_zero_offset());
        let weekday = Weekday::from_days_from_sunday(weekday);
        let matches = self
            .0
            .pattern
            .day_match(day.year().into(), month, number, weekday);
        matches.unwrap_or(false)
    }

    /// The newest time at or before a moment, and the first one after it.
    pub(super) fn around(
        &self,
        now: Timestamp,
        zone: &TimeZone,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let now = now.to_zoned(zone.clone());
        let due = self.0.find_previous_occurrence(&now, true);
        let next = self.0.find_next_occurrence(&now, false);
        (
            due.ok().map(|due| due.timestamp()),
            next.ok().map(|next| next.timestamp()),
        )
    }
}

/// The first time after a moment at which an expression fires.
pub(super) fn after(expression: &str, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let schedule = Schedule::parse(expression)?;
    let next = schedule
        .0
        .find_next_occurrence(&moment.to_zoned(zone.clone()), false);
    next.ok().map(|next| next.timestamp())
}

/// The days of the month that begins with this one.
fn days_of_month(first: Date) -> impl Iterator<Item = Date> {
    let days = 1..=first.days_in_month();
    days.filter_map(move |day| first.with().day(day).build().ok())
}

/// When something was due last, and when it will be.
pub(super) type Times = (Option<Timestamp>, Option<Timestamp>);

/// When expressions fire around one moment. Each is worked out once.
pub(super) struct Around {
    /// The moment.
    pub(super) now: Timestamp,
    /// The time zone of the system.
    pub(super) zone: TimeZone,
    worked_out: HashMap<(String, Option<String>), Times>,
}

impl Around {
    pub(super) fn new(now: Timestamp, zone: TimeZone) -> Self {
        Self {
            now,
            zone,
            worked_out: HashMap::new(),
        }
    }

    /// The times of an expression in a zone.
    pub(super) fn times(&mut self, expression: &str, zone: &TimeZone) -> Times {
        let key = (expression.to_owned(), zone.iana_name().map(str::to_owned));
        let now = self.now;
        let work_out = || Schedule::parse(expression).map(|schedule| schedule.around(now, zone));
        let times = self.worked_out.entry(key);
        *times.or_insert_with(|| work_out().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn around(text: &str, now: &str) -> Option<(String, String)> {
        let now: Timestamp = now.parse().unwrap();
        let (due, next) = Schedule::parse(text)?.around(now, &TimeZone::UTC);
        Some((due?.to_string(), next?.to_string()))
    }

    #[test]
    fn what_is_due_is_found_in_both_directions() {
        let now = "2026-11-20T19:35:01Z";
        for (text, due, next) in [
            (
                "*/15 * * * *",
                "2026-11-20T19:30:00Z",
                "2026-11-20T19:45:00Z",
            ),
            (
                "35 19 * * *",
                "2026-11-20T19:35:00Z",
                "2026-11-21T19:35:00Z",
            ),
            ("@daily", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
            ("@weekly", "2026-11-15T00:00:00Z", "2026-11-22T00:00:00Z"),
            (
                "0 0 1 * mon",
                "2026-11-16T00:00:00Z",
                "2026-11-23T00:00:00Z",
            ),
            (
                "0 0 29 feb *",
                "2024-02-29T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
        ] {
            let expected = (due.to_owned(), next.to_owned());
            assert_eq!(Some(expected), around(text, now), "{text}");
        }
    }

    #[test]
    fn what_has_no_time_is_no_schedule() {
        for text in [
            "@reboot",
            "@never",
            "",
            "* * * *",
            "* * * * * *",
            "a b c d e",
            "0 0 31 2 *",
            "0 0 30 feb *",
            "0 0 31 4,6,9,11 *",
            "0 0 30 2 +mon",
        ] {
            assert!(Schedule::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_day_of_the_week_makes_up_for_one_that_no_month_has() {
        for text in ["0 0 31 2 mon", "0 0 31 2,3 *", "0 0 29 2 +sun", "0 0 L 2 *"] {
            assert!(Schedule::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_time_zone_counts() {
        let now: Timestamp = "2026-11-20T19:35:01Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let (due, _) = Schedule::parse("0 21 * * *").unwrap().around(now, &zone);
        assert_eq!("2026-11-20T19:00:00Z", due.unwrap().to_string());
    }

    proptest! {
        #[test]
        fn due_is_before_and_next_is_after(
            minute in 0_u32..60, hour in 0_u32..24, second in 1_600_000_000_i64..2_000_000_000,
        ) {
            let now = Timestamp::from_second(second).unwrap();
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *")).unwrap();
            let (due, next) = schedule.around(now, &TimeZone::UTC);
            let (due, next) = (due.unwrap(), next.unwrap());
            prop_assert!(due <= now && now < next);
            prop_assert_eq!(86_400, next.as_second() - due.as_second());
        }

        #[test]
        fn any_text_can_be_read(text in "[@*/0-9a-zA-Z,# -]{0,40}") {
            Schedule::parse(&text);
        }
    }
}
