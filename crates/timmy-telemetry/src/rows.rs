//! The lines of the telemetry files.
//!
//! `metrics.jsonl` holds samples, one [`Row`] a line; `events.jsonl` holds only what changed, one
//! [`Change`] a line. Both are flat on purpose: any program that reads JSON lines can group them by
//! `series` and `of`. docs/telemetry.md lists every series with its unit.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// One sample of one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "Line<'a>",
    into = "Line<'a>",
    bound(deserialize = "'de: 'a")
)]
pub struct Row<'a> {
    /// When it was taken.
    pub at: Timestamp,
    /// The machine it was taken on.
    pub host: Cow<'a, str>,
    /// What was sampled, with its unit at the end where it has one: `disk.free_bytes`.
    pub series: Cow<'a, str>,
    /// Of what: a mount point, a pane, a repository. Empty for the machine as a whole.
    pub of: Cow<'a, str>,
    /// The sample.
    pub sample: Sample<'a>,
}

/// What a sample is.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample<'a> {
    /// A figure in the unit of its series.
    Value(f64),
    /// A word for the state of something. Changes of it are written to `events.jsonl`.
    State(Cow<'a, str>),
}

/// A row as it is written.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    at: Timestamp,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    series: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    of: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    state: Option<Cow<'a, str>>,
}

impl<'a> TryFrom<Line<'a>> for Row<'a> {
    type Error = &'static str;

    fn try_from(line: Line<'a>) -> Result<Self, Self::Error> {
        let sample = match (line.value, line.state) {
            (Some(value), None) => Sample::Value(value),
            (None, Some(state)) => Sample::State(state),
            _ => return Err("a row has either a value or a state"),
        };
        Ok(Self {
            at: line.at,
            host: line.host,
            series: line.series,
            of: line.of,
            sample,
        })
    }
}

impl<'a> From<Row<'a>> for Line<'a> {
    fn from(row: Row<'a>) -> Self {
        let (value, state) = match row.sample {
            Sample::Value(value) => (Some(value), None),
            Sample::State(state) => (None, Some(state)),
        };
        Self {
            at: row.at,
            host: row.host,
            series: row.series,
            of: row.of,
            value,
            state,
        }
    }
}

/// A state that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<'a> {
    /// When the change was seen.
    pub at: Timestamp,
    /// The machine.
    #[serde(borrow)]
    pub host: Cow<'a, str>,
    /// What changed.
    #[serde(borrow)]
    pub series: Cow<'a, str>,
    /// Of what.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub of: Cow<'a, str>,
    /// The state before; none when it is seen for the first time.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, str>>,
    /// The state now; none when it is gone.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_they_were_written() {
        let row = Row {
            at: Timestamp::UNIX_EPOCH,
            host: "night".into(),
            series: "disk.free_bytes".into(),
            of: "/".into(),
            sample: Sample::Value(12.0),
        };
        let line = serde_json::to_string(&row).unwrap();
        insta::assert_snapshot!(line, @r#"{"at":"1970-01-01T00:00:00Z","host":"night","series":"disk.free_bytes","of":"/","value":12.0}"#);
        assert_eq!(row, serde_json::from_str(&line).unwrap());
        let whole = line.replace("12.0", "12");
        assert_eq!(row, serde_json::from_str(&whole).unwrap());
        let change = Change {
            at: Timestamp::UNIX_EPOCH,
            host: "night".into(),
            series: "timer.state".into(),
            of: "cron:backup".into(),
            from: None,
            to: Some("late".into()),
        };
        let line = serde_json::to_string(&change).unwrap();
        insta::assert_snapshot!(line, @r#"{"at":"1970-01-01T00:00:00Z","host":"night","series":"timer.state","of":"cron:backup","to":"late"}"#);
        assert_eq!(change, serde_json::from_str(&line).unwrap());
    }
}
