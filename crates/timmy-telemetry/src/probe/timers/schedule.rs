//! When a cron expression fires.

use croner::Cron;
use croner::parser::CronParser;
use croner::parser::Seconds;
use croner::parser::Year;
use jiff::Timestamp;
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

/// A cron expression.
pub(super) struct Schedule(Cron);

impl Schedule {
    /// Reads five fields or a name. None for what has no time of day, such as `@reboot`, and for what
    /// is no expression.
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
        parser.parse(text).ok().map(Self)
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
        ] {
            assert!(Schedule::parse(text).is_none(), "{text}");
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
