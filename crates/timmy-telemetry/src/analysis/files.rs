//! Which files there are, and which of them cannot matter.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Period;
use super::line::Expected;

/// How a rotated file says its time.
const STAMP: &str = "%Y%m%dT%H%M%SZ";
/// A clock that was set may have put lines this far from where they belong.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) expected: Expected,
}

/// The files of a directory that may say something about a time: samples, then changes, each from the
/// oldest file to the one that is being written. A directory that does not exist has none.
pub(super) fn of_period(dir: &Path, period: Period) -> io::Result<Vec<File>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let mut files = Vec::new();
    for (stem, expected) in [("metrics", Expected::Row), ("events", Expected::Change)] {
        files.extend(wanted(&names, stem, period).into_iter().map(|name| File {
            path: dir.join(&name),
            name,
            expected,
        }));
    }
    Ok(files)
}

/// A name may say when its file was begun or when it was set aside: it is left out only when its
/// neighbours say that nothing of the time can be in it, either way.
fn wanted(names: &[String], stem: &str, period: Period) -> Vec<String> {
    let mut rotated: Vec<(Timestamp, &String)> = names
        .iter()
        .filter_map(|name| Some((stamp(name, stem)?, name)))
        .collect();
    rotated.sort();
    let within = |place: usize| {
        let after = rotated.get(place + 1).map(|(time, _)| *time);
        let before = place.checked_sub(1).map(|before| rotated[before].0);
        let too_old = after.is_some_and(|time| before_by(time, period.since));
        let too_new = before.is_some_and(|time| before_by(period.until, time));
        !too_old && !too_new
    };
    let mut wanted: Vec<String> = (0..rotated.len())
        .filter(|place| within(*place))
        .map(|place| rotated[place].1.clone())
        .collect();
    let current = format!("{stem}.jsonl");
    if names.contains(&current) {
        wanted.push(current);
    }
    wanted
}

/// Whether one time is before another by more than the slack.
fn before_by(early: Timestamp, late: Timestamp) -> bool {
    late.duration_since(early) > SLACK
}

fn stamp(name: &str, stem: &str) -> Option<Timestamp> {
    let rest = name.strip_prefix(stem)?.strip_prefix('-')?;
    let rest = rest.strip_suffix(".jsonl")?;
    // A second file of the same second has more behind its time.
    let time = rest.get(..16)?;
    let time = DateTime::strptime(STAMP, time).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn old_and_new_files_are_left_out_by_name() {
        let names = names(&[
            "metrics.jsonl",
            "metrics-20260103T000000Z.jsonl",
            "metrics-20260101T000000Z.jsonl",
            "metrics-20260105T000000Z.jsonl",
            "metrics-20260104T000000Z.jsonl",
            "metrics-20260102T000000Z.jsonl",
            "metrics-20260104T000000Z-2.jsonl",
            "metrics-notes.jsonl",
            "events.jsonl",
            "metrics-20260102T000000Z.jsonl.tmp",
        ]);
        let period = |since: &str, until: &str| Period {
            since: since.parse().unwrap(),
            until: until.parse().unwrap(),
        };
        let day = period("2026-01-02T12:00:00Z", "2026-01-02T13:00:00Z");
        assert_eq!(
            [
                "metrics-20260102T000000Z.jsonl",
                "metrics-20260103T000000Z.jsonl",
                "metrics.jsonl",
            ],
            *wanted(&names, "metrics", day)
        );
        let ever = Period {
            since: Timestamp::MIN,
            until: Timestamp::MAX,
        };
        assert_eq!(7, wanted(&names, "metrics", ever).len());
        assert_eq!(["events.jsonl"], *wanted(&names, "events", ever));
    }
}
