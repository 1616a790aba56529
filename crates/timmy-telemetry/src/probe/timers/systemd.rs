//! Timer units of systemd, of the system and of the user.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use timmy_core::Redactor;

use super::Seen;
use crate::finding::Timer;
use crate::finding::TimerSource;
use crate::probe::Unseen;
use crate::probe::name;
use crate::probe::program;
use crate::probe::program::Ran;

const ARGUMENTS: [&str; 3] = ["list-timers", "--all", "--output=json"];

/// A timer as systemctl lists it. Times are microseconds; 0 or nothing for none.
#[derive(Deserialize)]
struct Listed {
    unit: String,
    #[serde(default)]
    next: Value,
    #[serde(default)]
    last: Value,
}

/// The timers of both. Without a systemd that runs there are none.
pub(super) async fn read(now: Timestamp, redactor: &Redactor) -> Seen {
    let of_user = [&["--user"], &ARGUMENTS[..]].concat();
    let (system, user) = tokio::join!(
        program::run("systemctl", &ARGUMENTS),
        program::run("systemctl", &of_user),
    );
    let mut seen = Seen::default();
    for ran in [system, user] {
        match ran {
            Ran::Missing | Ran::Ended { well: false, .. } => {}
            Ran::Ended { well: true, text } => seen.timers.extend(parse(&text, now, redactor)),
            Ran::Failed(why) => seen.unseen.push(Unseen::new("systemd", &why)),
        }
    }
    seen
}

fn parse(text: &str, now: Timestamp, redactor: &Redactor) -> Vec<Timer> {
    let Ok(listed) = serde_json::from_str::<Vec<Value>>(text) else {
        return Vec::new();
    };
    let listed = listed
        .into_iter()
        .filter_map(|one| serde_json::from_value::<Listed>(one).ok());
    let timer = |listed: Listed| {
        let (next, last) = (time(&listed.next), time(&listed.last));
        // One that is overdue is still listed with the time it should have fired.
        let overdue = next.filter(|next| *next <= now);
        Timer {
            source: TimerSource::Systemd,
            name: name(&listed.unit, redactor),
            schedule: None,
            due: overdue.or(last),
            last,
            next: next.filter(|next| *next > now),
        }
    };
    listed.map(timer).collect()
}

fn time(value: &Value) -> Option<Timestamp> {
    let microseconds = value.as_i64().filter(|time| *time > 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_overdue_timer_is_late_and_others_are_not() {
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let text = r#"[{"next":1795000600000000,"left":1,"last":1794996400000000,"passed":1,
            "unit":"apt-daily.timer","activates":"apt-daily.service"},
            {"next":1794999000000000,"last":1794912600000000,"unit":"late.timer"},
            {"next":null,"last":0,"unit":"never.timer"}, {"unit":7}, 8]"#;
        let timers = parse(text, now, &Redactor::default());
        let told: Vec<_> = timers
            .iter()
            .map(|timer| {
                (
                    timer.name.as_str(),
                    timer.late(now).map(|late| late.as_secs()),
                )
            })
            .collect();
        let expected = vec![
            ("apt-daily.timer", None),
            ("late.timer", Some(1_000)),
            ("never.timer", None),
        ];
        assert_eq!(expected, told);
        assert_eq!(None, timers[2].last);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            parse(&text, Timestamp::UNIX_EPOCH, &Redactor::default());
        }
    }
}
