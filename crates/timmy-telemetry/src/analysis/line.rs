//! One line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use timmy_core::text;

use super::Fault;
use crate::rows::Change;
use crate::rows::Row;
use crate::rows::Sample;

/// The longest line that is looked at, in bytes.
pub(super) const LONGEST_LINE: usize = 64 << 10;
/// The longest name of a host or a series, in bytes.
const LONGEST_NAME: usize = 256;
/// The longest subject or state, in bytes.
const LONGEST_SUBJECT: usize = 1_024;
/// The largest figure: an exabyte is still below it.
const LARGEST: f64 = 1e18;
/// 2000-01-01 and 2200-01-01, in seconds since 1970: no clock that is set is outside.
const BELIEVABLE: std::ops::Range<i64> = 946_684_800..7_258_118_400;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Samples.
    Row,
    /// Changes.
    Change,
}

/// A line of ours.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) at: Timestamp,
    pub(super) host: Cow<'a, str>,
    pub(super) series: Cow<'a, str>,
    pub(super) of: Cow<'a, str>,
    pub(super) said: Said<'a>,
}

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Said<'a> {
    Value(f64),
    State(Cow<'a, str>),
    Changed,
}

/// Reads a line without its end.
pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Line<'_>, Fault> {
    let line = match expected {
        Expected::Row => serde_json::from_slice(bytes).map(of_row).ok(),
        Expected::Change => serde_json::from_slice(bytes).ok().and_then(of_change),
    };
    let line = line.ok_or_else(|| fault(bytes))?;
    if believable(&line) {
        Ok(shown(line))
    } else {
        Err(Fault::Absurd)
    }
}

/// The line as it may be shown: whoever can write a file of ours could steer a terminal with it.
fn shown(line: Line<'_>) -> Line<'_> {
    Line {
        at: line.at,
        host: clean(line.host),
        series: clean(line.series),
        of: clean(line.of),
        said: match line.said {
            Said::State(state) => Said::State(clean(state)),
            said @ (Said::Value(_) | Said::Changed) => said,
        },
    }
}

/// Nearly every word is plain, and stays as it is.
fn clean(word: Cow<'_, str>) -> Cow<'_, str> {
    let plain = word.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain {
        word
    } else {
        text::clean_line(&word).into()
    }
}

fn of_row(row: Row<'_>) -> Line<'_> {
    let said = match row.sample {
        Sample::Value(value) => Said::Value(value),
        Sample::State(state) => Said::State(state),
    };
    Line {
        at: row.at,
        host: row.host,
        series: row.series,
        of: row.of,
        said,
    }
}

/// A sample would pass for a change from nothing to nothing.
fn of_change(change: Change<'_>) -> Option<Line<'_>> {
    let longest = |state: &Option<Cow<'_, str>>| state.as_ref().map_or(0, |state| state.len());
    let known = change.from.is_some() || change.to.is_some();
    let short = longest(&change.from).max(longest(&change.to)) <= LONGEST_SUBJECT;
    (known && short).then_some(Line {
        at: change.at,
        host: change.host,
        series: change.series,
        of: change.of,
        said: Said::Changed,
    })
}

fn believable(line: &Line<'_>) -> bool {
    let said = match &line.said {
        Said::Value(value) => value.abs() <= LARGEST,
        Said::State(state) => state.len() <= LONGEST_SUBJECT,
        Said::Changed => true,
    };
    said && line.host.len() <= LONGEST_NAME
        && line.series.len() <= LONGEST_NAME
        && line.of.len() <= LONGEST_SUBJECT
        && BELIEVABLE.contains(&line.at.as_second())
}

/// What is wrong with a line that could not be read.
fn fault(bytes: &[u8]) -> Fault {
    let whole = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    if !whole && bytes.starts_with(b"{") {
        Fault::Torn
    } else {
        Fault::Foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        r#"{"at":"2026-01-02T03:04:05.5Z","host":"a","series":"load.1m","value":0.25}"#;

    fn row(text: &str) -> Result<Said<'_>, Fault> {
        parse(text.as_bytes(), Expected::Row).map(|line| line.said)
    }

    fn change(text: &str) -> Result<Said<'_>, Fault> {
        parse(text.as_bytes(), Expected::Change).map(|line| line.said)
    }

    #[test]
    fn lines_are_told_apart() {
        let state = WHOLE.replace(r#""value":0.25"#, r#""state":"l\u00e4uft""#);
        let neither = WHOLE.replace(r#","value":0.25"#, "");
        assert_eq!(Ok(Said::Value(0.25)), row(WHOLE));
        assert_eq!(Ok(Said::State("läuft".into())), row(&state));
        for (text, fault) in [
            (&WHOLE[..40], Fault::Torn),
            (&format!("{}{WHOLE}", &WHOLE[..40]), Fault::Torn),
            (&WHOLE[3..], Fault::Foreign),
            (&neither, Fault::Foreign),
            ("42", Fault::Foreign),
            ("{}", Fault::Foreign),
            ("hello", Fault::Foreign),
            (&WHOLE.replace("0.25", "1e999"), Fault::Foreign),
            (&WHOLE.replace("0.25", "NaN"), Fault::Torn),
            (&WHOLE.replace("0.25", "-1e19"), Fault::Absurd),
            (&WHOLE.replace("2026", "1970"), Fault::Absurd),
            (&WHOLE.replace("2026", "9999"), Fault::Absurd),
            (&WHOLE.replace("load", &"x".repeat(300)), Fault::Absurd),
        ] {
            assert_eq!(Err(fault), row(text), "{}", &text[..text.len().min(80)]);
        }
        assert_eq!(
            Err(Fault::Foreign),
            parse(b"{\"at\":\"\xff\"}", Expected::Row).map(|line| line.said)
        );
    }

    #[test]
    fn nothing_of_a_line_steers_a_terminal() {
        let text = r#"{"at":"2026-01-02T03:04:05.5Z","host":"a\u001b[2J","series":"x\u009b31my",
            "of":"b\u001b]0;title\u0007","state":"l\u00e4uft\u202e\n"}"#;
        let line = parse(text.as_bytes(), Expected::Row).unwrap();
        let told = (&*line.host, &*line.series, &*line.of, line.said);
        assert_eq!(("a", "xy", "b", Said::State("läuft".into())), told);
    }

    #[test]
    fn a_sample_is_no_change() {
        assert_eq!(Err(Fault::Foreign), change(WHOLE));
        let real = WHOLE.replace(r#""value":0.25"#, r#""from":"a""#);
        assert_eq!(Ok(Said::Changed), change(&real));
    }
}
