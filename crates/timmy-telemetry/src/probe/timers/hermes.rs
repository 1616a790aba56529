//! Jobs of Hermes, from `cron/jobs.json` in its home and in those of its profiles.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use timmy_core::Redactor;

use super::MOST_TIMERS;
use super::Seen;
use super::schedule::Around;
use super::schedule::Times;
use crate::finding::Timer;
use crate::finding::TimerSource;
use crate::probe::Unseen;
use crate::probe::name;

const JOBS: &str = "cron/jobs.json";
const PROFILES: &str = "profiles";
/// A longer file is none of Hermes'.
const LONGEST: u64 = 8 << 20;
/// Profiles that are looked at, at most.
const MOST_PROFILES: usize = 200;

/// The jobs in these homes, or in the usual one. Without Hermes there are none.
pub(super) fn read(homes: &[PathBuf], around: &mut Around, redactor: &Redactor) -> Seen {
    let usual = usual_home();
    let homes: Vec<&PathBuf> = if homes.is_empty() {
        usual.iter().collect()
    } else {
        homes.iter().collect()
    };
    let mut seen = Seen::default();
    for home in homes {
        for (profile, file) in files(home) {
            match text(&file) {
                Ok(None) => {}
                Ok(Some(text)) => match parse(&text, profile.as_deref(), around, redactor) {
                    Some(timers) => {
                        let room = MOST_TIMERS - seen.timers.len();
                        seen.timers.extend(timers.into_iter().take(room));
                    }
                    None => seen
                        .unseen
                        .push(Unseen::new("hermes", "its jobs are no JSON")),
                },
                Err(error) => seen.unseen.push(Unseen::new("hermes", &error.to_string())),
            }
        }
    }
    seen
}

fn usual_home() -> Option<PathBuf> {
    let named = std::env::var_os("HERMES_HOME").filter(|home| !home.is_empty());
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".hermes"));
    named.map(PathBuf::from).or_else(usual)
}

/// The files of a home and of its profiles, each with the profile's name.
fn files(home: &Path) -> Vec<(Option<String>, PathBuf)> {
    let profiles = std::fs::read_dir(home.join(PROFILES));
    let mut profiles: Vec<PathBuf> = profiles
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    profiles.sort();
    profiles.truncate(MOST_PROFILES);
    let of_profile = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((Some(name), path.join(JOBS)))
    };
    let own = (None, home.join(JOBS));
    std::iter::once(own)
        .chain(profiles.into_iter().filter_map(of_profile))
        .collect()
}

fn text(file: &Path) -> io::Result<Option<String>> {
    let file = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The jobs that are to run, at most [`MOST_TIMERS`]: not those that are paused, off or done. None when
/// it is no JSON.
fn parse(
    text: &str,
    profile: Option<&str>,
    around: &mut Around,
    redactor: &Redactor,
) -> Option<Vec<Timer>> {
    let jobs: Value = serde_json::from_str(text).ok()?;
    let jobs = jobs.get("jobs").unwrap_or(&jobs).as_array()?;
    let runs = |job: &&Value| {
        let on = job["enabled"].as_bool().unwrap_or(true);
        let state = job["state"].as_str().unwrap_or("scheduled");
        on && !["paused", "completed", "error"].contains(&state)
    };
    let mut timer = |job: &Value| {
        let named = job["name"].as_str().or_else(|| job["id"].as_str())?;
        let named = match profile {
            Some(profile) => format!("{named} @{profile}"),
            None => named.to_owned(),
        };
        let display = job["schedule_display"].as_str();
        let display = display.or_else(|| job["schedule"]["display"].as_str());
        let (due, next) = due(job, around);
        Some(Timer {
            source: TimerSource::Hermes,
            name: name(&named, redactor),
            schedule: display.map(|schedule| name(schedule, redactor)),
            due,
            last: last(job, &around.zone),
            next,
        })
    };
    let jobs = jobs.iter().filter(runs).take(MOST_TIMERS);
    Some(jobs.filter_map(&mut timer).collect())
}

/// When it should have run, and when it will. Hermes moves its own next time on when a run was
/// missed, so what is due comes from the schedule.
fn due(job: &Value, around: &mut Around) -> Times {
    let (now, zone) = (around.now, around.zone.clone());
    let next = time(&job["next_run_at"], &zone);
    if next.is_some_and(|next| next <= now) {
        return (next, None);
    }
    let schedule = &job["schedule"];
    let due = match schedule["kind"].as_str() {
        Some("cron") => {
            let expression = schedule["expr"].as_str();
            expression.and_then(|expression| around.times(expression, &zone).0)
        }
        Some("interval") => {
            let minutes = schedule["minutes"].as_i64().unwrap_or(0);
            let before = SignedDuration::try_from_mins(minutes);
            next.zip(before)
                .and_then(|(next, before)| next.checked_sub(before).ok())
        }
        _ => None,
    };
    let created = time(&job["created_at"], &zone);
    let due = due.filter(|due| *due <= now && created.is_none_or(|created| created < *due));
    (due, next)
}

/// When it last ran, or began to: a run is only written down when it ends.
fn last(job: &Value, zone: &TimeZone) -> Option<Timestamp> {
    let told = [
        &job["last_run_at"],
        &job["run_claim"]["at"],
        &job["fire_claim"]["at"],
    ];
    told.into_iter().filter_map(|value| time(value, zone)).max()
}

/// A time with its offset, or without one in the system's zone.
fn time(value: &Value, zone: &TimeZone) -> Option<Timestamp> {
    let text = value.as_str()?;
    let civil = || zone.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(civil)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Option<Vec<(String, Option<i64>)>> {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let mut around = Around::new(now, TimeZone::UTC);
        let timers = parse(text, None, &mut around, &Redactor::default())?;
        let told = timers.iter().map(|timer| {
            let late = timer.late(now).map(|late| late.as_secs());
            (timer.name.clone(), late)
        });
        Some(told.collect())
    }

    #[test]
    fn a_run_that_was_dropped_is_late() {
        let text = r#"{"jobs": [
          {"id": "1", "name": "dropped", "enabled": true, "state": "scheduled",
           "schedule": {"kind": "cron", "expr": "0 9 * * *", "display": "0 9 * * *"},
           "created_at": "2026-11-01T00:00:00+00:00",
           "next_run_at": "2026-11-21T09:00:00+00:00", "last_run_at": "2026-11-19T09:00:40+00:00"},
          {"id": "2", "name": "good", "schedule": {"kind": "interval", "minutes": 30},
           "next_run_at": "2026-11-20T12:20:00+00:00", "last_run_at": "2026-11-20T11:50:02+00:00"},
          {"id": "3", "name": "stalled", "schedule": {"kind": "interval", "minutes": 30},
           "next_run_at": "2026-11-20T11:00:00+00:00", "last_run_at": "2026-11-20T10:30:00+00:00"},
          {"id": "4", "name": "running", "schedule": {"kind": "cron", "expr": "0 9 * * *"},
           "next_run_at": "2026-11-21T09:00:00", "last_run_at": "2026-11-19T09:00:40",
           "run_claim": {"at": "2026-11-20T09:00:02+00:00", "by": "x"}},
          {"id": "5", "name": "new", "schedule": {"kind": "cron", "expr": "0 9 * * *"},
           "created_at": "2026-11-20T10:00:00+00:00", "last_run_at": null,
           "next_run_at": "2026-11-21T09:00:00+00:00"},
          {"id": "6", "name": "paused", "enabled": false}, 7]}"#;
        let expected = vec![
            ("dropped".to_owned(), Some(3 * 3_600)),
            ("good".to_owned(), None),
            ("stalled".to_owned(), Some(3_600)),
            ("running".to_owned(), None),
            ("new".to_owned(), None),
        ];
        assert_eq!(Some(expected), told(text));
        assert_eq!(None, told("{\"jobs\": ["));
    }

    #[test]
    fn of_ever_so_many_jobs_only_the_first_are_worked_out() {
        let job = |number: u32| {
            serde_json::json!({"id": number.to_string(),
                "schedule": {"kind": "cron", "expr": format!("{} 0 31 2 *", number % 60)}})
        };
        let jobs: Vec<Value> = (0..100_000).map(job).collect();
        let told = told(&Value::from(jobs).to_string()).unwrap();
        let expected: Vec<_> = (0..1_000)
            .map(|number| (number.to_string(), None))
            .collect();
        assert_eq!(expected, told);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>(), minutes in any::<i64>(), when in any::<String>()) {
            told(&text);
            let job = serde_json::json!([{"id": text, "next_run_at": when,
                "schedule": {"kind": "interval", "minutes": minutes}}]);
            told(&job.to_string());
        }
    }
}
