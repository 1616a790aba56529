//! What cron wrote about what it started: `CRON[12]: (user) CMD (command)`.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::Moment;
use super::crontab::Entry;
use crate::probe::program;
use crate::probe::program::Ran;

/// How much of the end of a log is read, in bytes.
const END: u64 = 1 << 20;
/// Lines of the journal that are read, at most.
const LINES: &str = "2000";
const MOST_LINES: usize = 2_000;
/// A log line may be written this much before the last look ended.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// When commands were started, the newest time of each.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fired {
    newest: HashMap<(String, String), Timestamp>,
    /// From when on everything that was started was read.
    begins: Option<Timestamp>,
}

impl Fired {
    /// When cron last started an entry.
    pub(super) fn of(&self, entry: &Entry) -> Option<Timestamp> {
        let same = |(user, command): &(String, String)| {
            let whose = entry.user.as_ref().is_none_or(|name| name == user);
            whose && *command == entry.command
        };
        let times = self.newest.iter().filter(|(started, _)| same(started));
        times.map(|(_, at)| *at).max()
    }

    /// Whether a start at this time would have been read. Without that nobody knows that there was none.
    pub(super) fn covers(&self, at: Timestamp) -> bool {
        self.begins.is_some_and(|begins| begins <= at)
    }

    fn begins(&mut self, at: Timestamp) {
        self.begins = Some(self.begins.map_or(at, |begins| begins.min(at)));
    }

    fn add(&mut self, message: &str, at: Timestamp) {
        let Some(started) = started(message) else {
            return;
        };
        let newest = self.newest.entry(started).or_insert(at);
        *newest = at.max(*newest);
    }
}

/// Reads the logs that can be read; without one, the journal.
pub(super) async fn read(logs: &[PathBuf], moment: &Moment<'_>) -> Fired {
    let mut fired = Fired::default();
    let mut readable = false;
    for log in logs {
        if let Ok(text) = end(log) {
            readable = true;
            add_lines(&mut fired, &text, moment.now, &moment.zone);
        }
    }
    if readable {
        return fired;
    }
    let mut arguments = ["-t", "CRON", "-t", "crond", "-o", "json", "-q", "-n", LINES]
        .map(str::to_owned)
        .to_vec();
    let mut since_then = None;
    if let Some(looked) = moment.looked {
        let since = looked.as_second() - OVERLAP.as_secs();
        since_then = Timestamp::from_second(since).ok();
        arguments.push(format!("--since=@{since}"));
    }
    if let Ran::Ended { well: true, text } = program::run("journalctl", &arguments).await {
        add_journal(&mut fired, &text);
        // Nothing was left out between then and the first line.
        if let Some(since) = since_then.filter(|_| text.lines().count() < MOST_LINES) {
            fired.begins(since);
        }
    }
    fired
}

/// The last lines of a file.
fn end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn add_lines(fired: &mut Fired, text: &str, now: Timestamp, zone: &TimeZone) {
    for line in text.lines() {
        if let Some(at) = time(line, now, zone) {
            fired.begins(at);
        }
        let Some((head, message)) = line.split_once("]: (") else {
            continue;
        };
        let by_cron = head.rsplit(' ').next().unwrap_or_default();
        if !["CRON[", "cron[", "crond["]
            .iter()
            .any(|name| by_cron.starts_with(name))
        {
            continue;
        }
        if let Some(at) = time(head, now, zone) {
            fired.add(&line[line.len() - message.len() - 1..], at);
        }
    }
}

fn add_journal(fired: &mut Fired, text: &str) {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(rename = "__REALTIME_TIMESTAMP")]
        microseconds: &'a str,
        #[serde(rename = "MESSAGE")]
        message: String,
    }
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Line<'_>>(line) else {
            continue;
        };
        let at = line.microseconds.parse().ok();
        let at = at.and_then(|at| Timestamp::from_microsecond(at).ok());
        if let Some(at) = at {
            fired.begins(at);
            fired.add(&line.message, at);
        }
    }
}

/// Who and what, from `(user) CMD (command)`.
fn started(message: &str) -> Option<(String, String)> {
    let (user, rest) = message.trim().strip_prefix('(')?.split_once(") CMD (")?;
    let command = rest.strip_suffix(')')?;
    Some((user.to_owned(), command.trim().to_owned()))
}

/// The time in front of a line: RFC 3339, or `Nov 20 19:35:01` of the year that is nearest before.
fn time(head: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let first = head.split(' ').next()?;
    if let Ok(at) = first.parse::<Timestamp>() {
        return Some(at);
    }
    let words: Vec<&str> = head.split_whitespace().take(3).collect();
    let [month, day, clock] = words[..] else {
        return None;
    };
    let this_year = now.to_zoned(zone.clone()).year();
    let of_year = |year: i16| {
        let text = format!("{year} {month} {day} {clock}");
        let at = DateTime::strptime("%Y %b %d %H:%M:%S", text).ok()?;
        zone.to_timestamp(at).ok()
    };
    let tomorrow = now + SignedDuration::from_hours(24);
    let at = of_year(this_year).filter(|at| *at <= tomorrow);
    at.or_else(|| of_year(this_year - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::timers::crontab::Form;
    use crate::probe::timers::crontab::parse;

    fn entry(line: &str, form: Form) -> Entry {
        parse(line, form).remove(0)
    }

    #[test]
    fn both_forms_of_the_system_log_are_read() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let text = "Dec 31 23:59:01 night CRON[12]: (root) CMD (run-parts /etc (all))\n\
            2026-01-01T10:00:01.5+00:00 night CRON[13]: (ada) CMD (   backup )\n\
            2026-01-01T11:00:01+00:00 night CRON[13]: (ada) CMD (backup\n\
            2026-01-01T12:00:01+00:00 night sshd[13]: (ada) CMD (backup)\n\
            2026-01-01T09:00:01+00:00 night CRON[14]: (ada) CMD (backup)\nhalf a li";
        let mut fired = Fired::default();
        add_lines(&mut fired, text, now, &TimeZone::UTC);
        let of = |line, form| fired.of(&entry(line, form)).map(|at| at.to_string());
        assert_eq!(
            Some("2025-12-31T23:59:01Z".to_owned()),
            of("@daily root run-parts /etc (all)", Form::System)
        );
        assert_eq!(
            Some("2026-01-01T10:00:01.5Z".to_owned()),
            of("@daily backup", Form::User)
        );
        assert_eq!(None, of("@daily root backup", Form::System));
    }

    #[test]
    fn the_journal_is_read() {
        let text = "{\"__REALTIME_TIMESTAMP\":\"1795000000000000\",\"MESSAGE\":\"(ada) CMD (backup)\"}\n\
            {\"__REALTIME_TIMESTAMP\":\"1795000001000000\",\"MESSAGE\":[40,97]}\n{\"__REAL";
        let mut fired = Fired::default();
        add_journal(&mut fired, text);
        let at = fired.of(&entry("@daily backup", Form::User));
        assert_eq!(Some(1_795_000_000), at.map(Timestamp::as_second));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            let mut fired = Fired::default();
            add_lines(&mut fired, &text, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
            add_lines(&mut fired, &format!("{text} CRON[1]: ({text}"), Timestamp::UNIX_EPOCH, &TimeZone::UTC);
            add_journal(&mut fired, &text);
        }
    }
}
