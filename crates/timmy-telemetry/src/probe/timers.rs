//! Timers: when they are due, and when they last fired.
//!
//! Crontabs, systemd and Hermes. When something is due is worked out from its schedule in the time
//! zone of the system (or that of `CRON_TZ`), so the same files and the same moment give the same
//! answer. When it last fired is only told where somebody wrote it down: systemd and Hermes keep it
//! themselves, cron writes it to the system's log, and what timmy does is in its own.

mod cron_log;
mod crontab;
mod hermes;
mod schedule;
mod systemd;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::Redactor;

use super::Unseen;
use super::name;
use crate::finding::Timer;
use crate::finding::TimerSource;
use crate::off_thread;
use crontab::Entry;
use crontab::Form;
use schedule::Around;
use schedule::Times;

/// Files of one directory of crontabs that are read, at most.
const MOST_FILES: usize = 200;
/// Timers that are told, at most.
const MOST_TIMERS: usize = 1_000;

/// `[telemetry.timers]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimerSettings {
    /// Crontabs of the system, and directories of them, beside the user's own.
    pub crontabs: Vec<PathBuf>,
    /// Where cron may write what it started. Of each the end is read, where that is allowed.
    pub cron_logs: Vec<PathBuf>,
    /// Homes of Hermes whose jobs are looked at, with their profiles. `$HERMES_HOME`, then
    /// `~/.hermes`, when none is named.
    pub hermes_homes: Vec<PathBuf>,
    /// Seconds after which a timer that did not fire counts as late.
    pub late_after_s: u64,
}

impl Default for TimerSettings {
    fn default() -> Self {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Self {
            crontabs: paths(&["/etc/crontab", "/etc/cron.d"]),
            cron_logs: paths(&["/var/log/cron.log", "/var/log/cron", "/var/log/syslog"]),
            hermes_homes: Vec::new(),
            late_after_s: 300,
        }
    }
}

/// The moment timers are looked at, and what was known before.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Now.
    pub now: Timestamp,
    /// The time zone of the system.
    pub zone: TimeZone,
    /// When each timer was last known to fire, by [`key`], from an earlier look.
    pub known: &'a BTreeMap<String, Timestamp>,
    /// When timmy's subcommands were last started, by their name, from its own log.
    pub started: &'a BTreeMap<String, Timestamp>,
    /// When the last look was: the system's log is read from there on.
    pub looked: Option<Timestamp>,
}

/// What was seen of timers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The timers, by source and name.
    pub timers: Vec<Timer>,
    /// Sources that are there and could not be read: `cron`, `systemd`, `hermes`.
    pub unseen: Vec<Unseen>,
}

/// What names a timer: `cron:backup`.
#[must_use]
pub fn key(timer: &Timer) -> String {
    format!("{}:{}", timer.source.word(), timer.name)
}

/// How a timer stands: `on_time`, `late` by more than this, or `unknown`.
#[must_use]
pub fn state(timer: &Timer, now: Timestamp, late_after_s: u64) -> &'static str {
    let patience = i64::try_from(late_after_s).unwrap_or(i64::MAX);
    let patience = SignedDuration::from_secs(patience);
    match (timer.late(now), timer.last) {
        (Some(late), _) if late > patience => "late",
        (_, Some(_)) => "on_time",
        (_, None) => "unknown",
    }
}

/// The timers of this machine, by source and name. What cannot be looked at is left out.
pub async fn read(
    settings: &TimerSettings,
    moment: &Moment<'_>,
    redactor: &Redactor,
) -> Vec<Timer> {
    look(settings, moment, redactor).await.timers
}

/// The same, with what could not be looked at.
pub async fn look(settings: &TimerSettings, moment: &Moment<'_>, redactor: &Redactor) -> Seen {
    let ((cron, fired), systemd, hermes) = tokio::join!(
        cron(settings, moment, redactor),
        systemd::read(moment.now, redactor),
        hermes(settings, moment, redactor),
    );
    let mut seen = Seen::default();
    for source in [cron, systemd, hermes] {
        seen.timers.extend(source.timers);
        seen.unseen.extend(source.unseen);
    }
    seen.timers.truncate(MOST_TIMERS);
    seen.timers
        .sort_by(|one, other| (one.source, &one.name).cmp(&(other.source, &other.name)));
    tell_apart(&mut seen.timers);
    for timer in &mut seen.timers {
        let known = moment.known.get(&key(timer)).copied();
        timer.last = timer.last.max(known);
        let told = |last: &Timestamp| moment.started.values().any(|started| started == last);
        // A log that begins later does not tell that it did not fire.
        let unknown =
            |due| timer.last.is_none_or(|last| last < due && !told(&last)) && !fired.covers(due);
        if timer.source == TimerSource::Cron && timer.due.is_some_and(unknown) {
            timer.last = None;
        }
    }
    seen
}

/// Timers of one name get their schedule or a number behind it.
fn tell_apart(timers: &mut [Timer]) {
    let mut seen: BTreeMap<(TimerSource, String), u32> = BTreeMap::new();
    for timer in timers {
        let place = (timer.source, timer.name.clone());
        let times = seen.entry(place).or_default();
        *times += 1;
        if *times > 1 {
            timer.name = format!("{} ({times})", timer.name);
        }
    }
}

async fn cron(
    settings: &TimerSettings,
    moment: &Moment<'_>,
    redactor: &Redactor,
) -> (Seen, cron_log::Fired) {
    let (mut entries, mut unseen) = crontabs(settings).await;
    entries.truncate(MOST_TIMERS);
    if entries.is_empty() {
        let timers = Vec::new();
        return (Seen { timers, unseen }, cron_log::Fired::default());
    }
    let fired = cron_log::read(&settings.cron_logs, moment).await;
    let mut timers: Vec<Timer> = entries
        .iter()
        .map(|entry| {
            let own = entry.subcommand().and_then(|sub| moment.started.get(sub));
            Timer {
                source: TimerSource::Cron,
                name: name(&entry.name(), redactor),
                schedule: Some(name(&entry.schedule, redactor)),
                due: None,
                last: fired.of(entry).max(own.copied()),
                next: None,
            }
        })
        .collect();
    let lasts = timers.iter().map(|timer| timer.last).collect();
    match times(entries, lasts, moment).await {
        Ok(times) => {
            for (timer, (due, next)) in timers.iter_mut().zip(times) {
                (timer.due, timer.next) = (due, next);
            }
        }
        Err(late) => unseen.push(late),
    }
    (Seen { timers, unseen }, fired)
}

/// When entries fire.
async fn times(
    entries: Vec<Entry>,
    lasts: Vec<Option<Timestamp>>,
    moment: &Moment<'_>,
) -> Result<Vec<Times>, Unseen> {
    let mut around = Around::new(moment.now, moment.zone.clone());
    let work_out = move || {
        let zone = around.zone.clone();
        let times = entries.iter().zip(lasts).map(|(entry, last)| {
            let zone = entry.zone.as_ref().unwrap_or(&zone);
            let (due, next) = around.times(&entry.schedule, zone);
            // One that has not fired since is late since the first time it did not.
            let missed = last.and_then(|last| schedule::after(&entry.schedule, last, zone));
            (
                due.map(|due| missed.map_or(due, |missed| missed.min(due))),
                next,
            )
        });
        times.collect()
    };
    off_thread::CRON.look(work_out).await
}

async fn hermes(settings: &TimerSettings, moment: &Moment<'_>, redactor: &Redactor) -> Seen {
    let mut around = Around::new(moment.now, moment.zone.clone());
    let (homes, redactor) = (settings.hermes_homes.clone(), redactor.clone());
    let read = move || hermes::read(&homes, &mut around, &redactor);
    let read = off_thread::HERMES.look(read).await;
    read.unwrap_or_else(|unseen| Seen {
        timers: Vec::new(),
        unseen: vec![unseen],
    })
}

async fn crontabs(settings: &TimerSettings) -> (Vec<Entry>, Vec<Unseen>) {
    let (mut entries, mut unseen) = (Vec::new(), Vec::new());
    match super::program::run("crontab", &["-l"]).await {
        // Without a crontab of one's own it ends with an error.
        super::program::Ran::Missing | super::program::Ran::Ended { well: false, .. } => {}
        super::program::Ran::Failed(why) => unseen.push(Unseen::new("cron", &why)),
        super::program::Ran::Ended { well: true, text } => {
            entries.extend(crontab::parse(&text, Form::User));
        }
    }
    for path in &settings.crontabs {
        for file in crontab::files(path, MOST_FILES) {
            match crontab::text(&file) {
                Ok(text) => entries.extend(crontab::parse(&text, Form::System)),
                // Somebody else's is not ours to read.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                Err(error) => unseen.push(Unseen::new("cron", &error.to_string())),
            }
        }
    }
    (entries, unseen)
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
