//! A block of whole lines, parsed: what a thread hands to the fold.

use std::collections::HashMap;

use jiff::Timestamp;
use timmy_core::Redactor;
use timmy_core::text;

use super::EXAMPLES;
use super::Fault;
use super::Period;
use super::line;
use super::line::Expected;
use super::line::LONGEST_LINE;
use super::line::Line;
use super::line::Said;

/// The longest beginning of a line that is shown, in bytes.
const LONGEST_EXAMPLE: usize = 160;
/// What is shown of a line that was not kept.
const OVERLONG: &[u8] = b"(a line of more than 64 KiB)";

/// Lines of one file, still as bytes.
#[derive(Debug)]
pub(super) struct Block {
    /// Whole lines, the last one perhaps without its end.
    pub(super) bytes: Vec<u8>,
    /// The place of the file among those that are read.
    pub(super) file: usize,
    pub(super) expected: Expected,
    /// Lines before the end of this block that were too long to be kept.
    pub(super) overlong: u64,
}

/// What the lines of a block say.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The buffer, to be filled again.
    pub(super) bytes: Vec<u8>,
    pub(super) file: usize,
    pub(super) lines: u64,
    pub(super) outside: u64,
    pub(super) blank: u64,
    /// By the order of [`Fault::ALL`].
    pub(super) faults: [u64; Fault::ALL.len()],
    /// Faulty lines by their place in the block, from 0.
    pub(super) examples: Vec<(Fault, u64, String)>,
    /// The series that are spoken of.
    pub(super) keys: Vec<Key>,
    /// The states that are spoken of.
    pub(super) states: Vec<Box<str>>,
    /// What is said, line by line.
    pub(super) entries: Vec<Entry>,
}

/// A usable line.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its place in the block, from 0.
    pub(super) line: u64,
    pub(super) at: Timestamp,
    /// Which of [`Parsed::keys`].
    pub(super) key: u32,
    pub(super) said: Entered,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Entered {
    Value(f64),
    /// Which of [`Parsed::states`].
    State(u32),
    Changed,
}

/// What tells series apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) host: Box<str>,
    pub(super) series: Box<str>,
    pub(super) of: Box<str>,
    pub(super) kind: Kind,
}

/// A series that has figures and states is two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Value,
    State,
    Change,
}

/// Parses blocks, one after the other.
pub(super) struct Parser {
    period: Period,
    keys: HashMap<Vec<u8>, u32>,
    states: HashMap<Box<str>, u32>,
    spelled: Vec<u8>,
}

impl Parser {
    pub(super) fn new(period: Period) -> Self {
        Self {
            period,
            keys: HashMap::new(),
            states: HashMap::new(),
            spelled: Vec::new(),
        }
    }

    pub(super) fn parse(&mut self, block: Block) -> Parsed {
        self.keys.clear();
        self.states.clear();
        let mut parsed = Parsed {
            file: block.file,
            ..Parsed::default()
        };
        let text = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
        if !block.bytes.is_empty() {
            for bytes in text.split(|byte| *byte == b'\n') {
                self.line(bytes, block.expected, &mut parsed);
                parsed.lines += 1;
            }
        }
        for _ in 0..block.overlong {
            parsed.fault(Fault::Absurd, OVERLONG);
            parsed.lines += 1;
        }
        parsed.bytes = block.bytes;
        parsed
    }

    fn line(&mut self, bytes: &[u8], expected: Expected, parsed: &mut Parsed) {
        if bytes.len() > LONGEST_LINE {
            return parsed.fault(Fault::Absurd, OVERLONG);
        }
        if bytes.trim_ascii().is_empty() {
            parsed.blank += 1;
            return;
        }
        let line = match line::parse(bytes, expected) {
            Ok(line) => line,
            Err(fault) => return parsed.fault(fault, bytes),
        };
        if !self.period.holds(line.at) {
            parsed.outside += 1;
            return;
        }
        let key = self.key(&line, parsed);
        let said = match line.said {
            Said::Value(value) => Entered::Value(value),
            Said::State(state) => Entered::State(self.state(&state, parsed)),
            Said::Changed => Entered::Changed,
        };
        parsed.entries.push(Entry {
            line: parsed.lines,
            at: line.at,
            key,
            said,
        });
    }

    fn key(&mut self, line: &Line<'_>, parsed: &mut Parsed) -> u32 {
        let kind = match line.said {
            Said::Value(_) => Kind::Value,
            Said::State(_) => Kind::State,
            Said::Changed => Kind::Change,
        };
        self.spelled.clear();
        self.spelled.push(kind as u8);
        for name in [&line.host, &line.series] {
            let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
            self.spelled.extend(length.to_le_bytes());
            self.spelled.extend(name.as_bytes());
        }
        self.spelled.extend(line.of.as_bytes());
        if let Some(place) = self.keys.get(&self.spelled) {
            return *place;
        }
        let place = next_place(parsed.keys.len());
        self.keys.insert(self.spelled.clone(), place);
        parsed.keys.push(Key {
            host: line.host.as_ref().into(),
            series: line.series.as_ref().into(),
            of: line.of.as_ref().into(),
            kind,
        });
        place
    }

    fn state(&mut self, state: &str, parsed: &mut Parsed) -> u32 {
        if let Some(place) = self.states.get(state) {
            return *place;
        }
        let place = next_place(parsed.states.len());
        self.states.insert(state.into(), place);
        parsed.states.push(state.into());
        place
    }
}

impl Parsed {
    fn fault(&mut self, fault: Fault, bytes: &[u8]) {
        let count = &mut self.faults[fault as usize];
        *count += 1;
        if *count <= EXAMPLES as u64 {
            self.examples.push((fault, self.lines, shown(bytes)));
        }
    }
}

/// The beginning of a line, fit to be shown.
fn shown(bytes: &[u8]) -> String {
    let beginning = &bytes[..bytes.len().min(LONGEST_EXAMPLE)];
    let line = text::clean_line(&String::from_utf8_lossy(beginning));
    Redactor::default().redact(&line)
}

/// A block is far too short for more entries than this can count.
fn next_place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
