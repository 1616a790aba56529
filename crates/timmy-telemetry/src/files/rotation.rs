//! Putting files aside, and removing them when they are old.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::EVENTS;
use super::METRICS;
use super::last_state;
use crate::error::TelemetryError;
use crate::export::otlp;
use crate::replace;

/// The time in a name. Names sort by it.
const STAMP: &str = "%Y%m%dT%H%M%SZ";
const ENDING: &str = ".jsonl";
/// A file that begins longer ago than this is put aside.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Files that are replaced whole.
const REPLACED: [&str; 2] = [last_state::FILE, otlp::FILE];
/// The part of a file in which its first time is looked for, in bytes.
const BEGINNING: u64 = 4 << 10;

/// Puts a file aside when it is full, or begins a day ago.
pub(super) fn put_aside(
    directory: &Path,
    which: &str,
    bytes: u64,
    now: Timestamp,
) -> Result<(), TelemetryError> {
    let path = directory.join(format!("{which}{ENDING}"));
    let fail = TelemetryError::files("put its file aside", &path);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(fail)?,
    };
    let size = file.metadata().map_err(fail)?.len();
    let begins = first_time(file).map_err(fail)?;
    let old = begins.is_some_and(|begins| now.duration_since(begins) >= DAY);
    if size == 0 || !(size >= bytes || old) {
        return Ok(());
    }
    let mut at = now;
    loop {
        let aside = directory.join(format!("{which}-{}{ENDING}", stamp(at)));
        if !aside.try_exists().map_err(fail)? {
            return std::fs::rename(&path, &aside).map_err(fail);
        }
        at += SignedDuration::from_secs(1);
    }
}

/// Removes files of ours that were put aside longer ago than `keep`.
pub(super) fn remove_old(
    directory: &Path,
    keep: Duration,
    now: Timestamp,
) -> Result<(), TelemetryError> {
    for name in REPLACED {
        replace::remove_left(&directory.join(name), now);
    }
    let fail = TelemetryError::files("read its directory", directory);
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let Some(aside) = time_in(name) else {
            continue;
        };
        if now.duration_since(aside).unsigned_abs() > keep && aside < now {
            let path = entry.path();
            let removed = std::fs::remove_file(&path);
            removed.map_err(TelemetryError::files("remove its old file", &path))?;
        }
    }
    Ok(())
}

/// A time as names have it.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime(STAMP).to_string()
}

/// The time that a stamp says; none for anything else.
pub(crate) fn stamped(text: &str) -> Option<Timestamp> {
    let at = DateTime::strptime(STAMP, text).ok()?;
    let at = TimeZone::UTC.to_timestamp(at).ok()?;
    (stamp(at) == text).then_some(at)
}

/// When a file was put aside, from a name that only we give.
fn time_in(name: &str) -> Option<Timestamp> {
    let name = name.strip_suffix(ENDING)?;
    let (which, time) = name.split_once('-')?;
    if ![METRICS, EVENTS].contains(&which) {
        return None;
    }
    stamped(time)
}

/// The time of the first line that has one.
fn first_time(file: File) -> io::Result<Option<Timestamp>> {
    #[derive(serde::Deserialize)]
    struct Line {
        at: Timestamp,
    }
    let mut beginning = Vec::new();
    file.take(BEGINNING).read_to_end(&mut beginning)?;
    let lines = beginning.split(|byte| *byte == b'\n');
    let mut times = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    Ok(times.next().map(|line| line.at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_our_own_names_have_a_time(name in "[a-z]{0,8}-?[0-9TZ]{0,17}(\\.jsonl)?") {
            if let Some(time) = time_in(&name) {
                let (which, _) = name.split_once('-').unwrap();
                prop_assert_eq!(name.clone(), format!("{which}-{}.jsonl", stamp(time)));
            }
        }

        #[test]
        fn names_sort_by_time(one in 0_i64..4_000_000_000, other in 0_i64..4_000_000_000) {
            let at = |second| Timestamp::from_second(second).unwrap();
            prop_assert_eq!(at(one).cmp(&at(other)), stamp(at(one)).cmp(&stamp(at(other))));
            prop_assert_eq!(Some(at(one)), stamped(&stamp(at(one))));
        }
    }
}
