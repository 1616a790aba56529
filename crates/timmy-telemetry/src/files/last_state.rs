//! What was known after the last look, to compare the next one with.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::RepoName;
use timmy_core::RunId;

use crate::error::TelemetryError;
use crate::replace::replace_json;

pub(super) const FILE: &str = "last_state.json";
/// Files that could not be read and are kept, at most.
const MOST_UNREADABLE: u64 = 9;
/// A longer file is none of ours.
const LONGEST: u64 = 64 << 20;

/// Which thing of which series.
pub type Key = (String, String);

/// The states of everything, and what need not be asked again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastState {
    /// When the last look was.
    pub at: Option<Timestamp>,
    /// The machine.
    pub host: String,
    /// How often this file could not be read, and everything began anew.
    #[serde(default)]
    pub begun_anew: u64,
    /// Every state.
    #[serde(with = "states")]
    pub states: BTreeMap<Key, Standing>,
    /// What the forge said.
    #[serde(default)]
    pub forge: BTreeMap<RepoName, Counted>,
    /// How far runs are.
    #[serde(default)]
    pub runs: Progress,
    /// When timers were last known to fire. The system's log forgets.
    #[serde(default)]
    pub timers: BTreeMap<String, Timestamp>,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The word for it.
    pub state: String,
    /// Since when, as far as was looked.
    pub since: Timestamp,
}

/// How much a repository of the forge holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When the forge was asked.
    pub asked: Timestamp,
    /// Open issues.
    pub open_issues: u64,
    /// Open pull requests.
    pub open_pulls: u64,
    /// Commits of the default branch.
    pub commits: u64,
}

/// What was read from the log so far of the runs that have no end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The place of the last event that is counted in.
    pub after: i64,
    /// The runs without an end.
    pub runs: BTreeMap<RunId, RunProgress>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// What it does now.
    pub phase: String,
    /// Steps the agent took.
    pub steps: u32,
    /// Tokens that its model calls used, in and out.
    pub tokens: u64,
}

/// Reads it. One that cannot be read is put aside, and everything begins anew.
pub(super) fn read(directory: &Path) -> Result<LastState, TelemetryError> {
    let path = directory.join(FILE);
    let fail = TelemetryError::files("read its last state", &path);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LastState::default()),
        opened => opened.map_err(fail)?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if let Ok(state) = serde_json::from_slice(&bytes) {
        return Ok(state);
    }
    begin_anew(directory)
}

/// Puts the file aside under the first number that is free.
fn begin_anew(directory: &Path) -> Result<LastState, TelemetryError> {
    let aside = |number: u64| directory.join(format!("last_state.unreadable-{number}.json"));
    let mut free = (1..MOST_UNREADABLE).filter(|number| !aside(*number).exists());
    let number = free.next().unwrap_or(MOST_UNREADABLE);
    let path = directory.join(FILE);
    let moved = std::fs::rename(&path, aside(number));
    moved.map_err(TelemetryError::files("put its last state aside", &path))?;
    let state = LastState {
        begun_anew: number,
        ..LastState::default()
    };
    write(directory, &state)?;
    Ok(state)
}

/// Replaces it: whoever reads sees the old one or the new one.
pub(super) fn write(directory: &Path, state: &LastState) -> Result<(), TelemetryError> {
    let path = directory.join(FILE);
    let fail = TelemetryError::files("keep its last state", &path);
    replace_json(&path, state).map_err(fail)
}

/// Keys of two parts, as JSON has none.
mod states {
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error;

    use super::BTreeMap;
    use super::Deserialize;
    use super::Key;
    use super::Serialize;
    use super::Standing;
    use super::Timestamp;

    #[derive(Serialize, Deserialize)]
    struct Line {
        series: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        of: String,
        state: String,
        since: Timestamp,
    }

    pub(super) fn serialize<S: Serializer>(
        states: &BTreeMap<Key, Standing>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(states.iter().map(|((series, of), standing)| Line {
            series: series.clone(),
            of: of.clone(),
            state: standing.state.clone(),
            since: standing.since,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Key, Standing>, D::Error> {
        let mut states = BTreeMap::new();
        for line in Vec::<Line>::deserialize(deserializer)? {
            let standing = Standing {
                state: line.state,
                since: line.since,
            };
            let key = (line.series, line.of);
            if states.insert(key, standing).is_some() {
                return Err(D::Error::custom("a state is there twice"));
            }
        }
        Ok(states)
    }
}
