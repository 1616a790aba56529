//! What the telemetry files say, in one pass over them.
//!
//! [`read`] looks at every line of `metrics*.jsonl` and `events*.jsonl` once. Blocks of lines are parsed
//! by several threads and folded by one, in the order of files and lines: how the work was divided
//! cannot be seen in the result, not even in the last digit of a sum.
//!
//! # Rules
//! - No line is fatal. What cannot be used is counted, and the first [`EXAMPLES`] of each kind are shown.
//! - Every line is counted exactly once: [`Lines`] adds up to [`Lines::total`].
//! - Memory grows with the number of distinct series, which is bounded, and not with that of lines.
//!
//! # What counts as what
//! - *Torn*: begins like a line of ours and is not whole: a write that did not end, or two of them in
//!   one line.
//! - *Foreign*: anything else that is no sample and no change.
//! - *Absurd*: a line of ours with a figure, a time or a length that cannot be meant.
//! - *Duplicated*: the host, series, subject and time of one of the last four lines of that series in
//!   the same kind of file. The first one counts.
//! - *Out of order*: older than the newest line of its series so far. It counts for everything but time
//!   in a state, which nobody can tell any more.

mod block;
mod files;
mod fold;
mod line;
mod pipeline;
mod series;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

pub use series::Bucket;
pub use series::StateSeries;
pub use series::StateTime;
pub use series::ValueSeries;

/// Examples that are kept of each kind of line that cannot be used.
pub const EXAMPLES: usize = 5;

/// Time buckets of a chart, at most.
pub const BUCKETS: i64 = 240;

/// Distinct series that are told apart, at most. A night of 500 runs on one host makes some 3,000.
pub const SERIES: usize = 100_000;

/// The longest silence between two samples of a state that still counts as time in it, in
/// milliseconds. Nobody knows what was during a longer one.
pub const LONGEST_SILENCE_MS: i64 = 15 * 60 * 1_000;

/// What the files say about a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// The files, in the order in which they were read.
    pub files: Vec<FileRead>,
    /// What became of the lines.
    pub lines: Lines,
    /// How long each bucket of [`ValueSeries::buckets`] is, in seconds: the same for all series, and a
    /// power of two, so that buckets begin at multiples of it since 1970.
    pub bucket_s: i64,
    /// Series of figures, by host, series and subject.
    pub values: Vec<ValueSeries>,
    /// Series of states, by host, series and subject.
    pub states: Vec<StateSeries>,
}

impl Analysis {
    /// The figures of a series, of every host and subject.
    pub fn values_of<'a>(&'a self, series: &'a str) -> impl Iterator<Item = &'a ValueSeries> {
        self.values.iter().filter(move |one| one.series == series)
    }

    /// The states of a series, of every host and subject.
    pub fn states_of<'a>(&'a self, series: &'a str) -> impl Iterator<Item = &'a StateSeries> {
        self.states.iter().filter(move |one| one.series == series)
    }
}

/// A file and what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRead {
    /// Its name.
    pub name: String,
    /// Lines, those included that cannot be used.
    pub lines: u64,
    /// Why it was not read to its end, or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What became of the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// All of them.
    pub total: u64,
    /// Samples that were counted.
    pub samples: u64,
    /// Changes that were counted.
    pub changes: u64,
    /// Whole lines of ours from before or after the time that was asked for.
    pub outside: u64,
    /// Empty ones.
    pub blank: u64,
    /// What cannot be used, or only partly.
    pub faults: Vec<Faulty>,
}

impl Lines {
    /// How many lines had a fault.
    #[must_use]
    pub fn faulty(&self, fault: Fault) -> u64 {
        let of_kind = self.faults.iter().find(|faulty| faulty.fault == fault);
        of_kind.map_or(0, |faulty| faulty.count)
    }
}

/// Lines with the same fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faulty {
    /// The fault.
    pub fault: Fault,
    /// How many.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<Example>,
}

/// A line with a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The name of the file.
    pub file: String,
    /// Which line, from 1.
    pub line: u64,
    /// Its beginning, cleaned and redacted.
    pub text: String,
}

/// Why a line cannot be used. The module says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Not whole.
    Torn,
    /// Not one of ours.
    Foreign,
    /// Not to be believed.
    Absurd,
    /// Said before.
    Duplicated,
    /// Older than one before it. It is among the samples or changes as well.
    OutOfOrder,
    /// Of one more series than are told apart.
    Crowded,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Torn,
        Self::Foreign,
        Self::Absurd,
        Self::Duplicated,
        Self::OutOfOrder,
        Self::Crowded,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Foreign => "foreign",
            Self::Absurd => "absurd",
            Self::Duplicated => "duplicated",
            Self::OutOfOrder => "out of order",
            Self::Crowded => "of too many series",
        }
    }
}

/// Reads what the files in a directory say about the time from `since` to `until`, both included.
///
/// A directory that does not exist says nothing, which is no error: nothing was collected yet.
#[must_use]
pub fn read(dir: &Path, since: Timestamp, until: Timestamp) -> Analysis {
    let period = Period { since, until };
    pipeline::read(dir, period, pipeline::Shape::of_this_machine())
}

/// The time that is asked about, both ends included.
#[derive(Debug, Clone, Copy)]
struct Period {
    since: Timestamp,
    until: Timestamp,
}

impl Period {
    fn holds(self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }
}
