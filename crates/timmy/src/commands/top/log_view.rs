//! The events of one run as lines that are scrolled through.

use std::collections::VecDeque;

use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::RunId;
use timmy_core::text;

use super::cells;
use crate::commands::telling::tell;

/// Lines that are kept. Older ones are in `timmy show`.
const MOST_LINES: usize = 5_000;
/// What stands before a line: a time, or as much space.
const LEAD: usize = 9;
/// Spaces for a tab.
const TAB: &str = "    ";

/// The log of a run, and the part of it that is shown.
#[derive(Debug, Clone)]
pub(super) struct LogView {
    pub(super) run: RunId,
    lines: VecDeque<Line>,
    /// The first row that is shown; none while the end is followed.
    top: Option<usize>,
    seq: i64,
}

/// A line of a sentence about an event.
#[derive(Debug, Clone)]
struct Line {
    /// On the first line of a sentence.
    at: Option<Timestamp>,
    text: String,
}

impl LogView {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            run,
            lines: VecDeque::new(),
            top: None,
            seq: 0,
        }
    }

    /// Goes on with an event of the run. One that was taken already changes nothing.
    pub(super) fn take(&mut self, event: &Event) {
        if event.seq <= self.seq {
            return;
        }
        self.seq = event.seq;
        let told = text::clean(&tell(&event.kind)).replace('\t', TAB);
        for (index, text) in told.lines().enumerate() {
            self.lines.push_back(Line {
                at: (index == 0).then_some(event.at),
                text: text.to_owned(),
            });
        }
        while self.lines.len() > MOST_LINES {
            self.lines.pop_front();
        }
    }

    /// Whether the end is followed.
    pub(super) fn follows(&self) -> bool {
        self.top.is_none()
    }

    /// Every row, as wide as there is room.
    pub(super) fn rows(&self, width: usize) -> Vec<String> {
        let lead = if width > 3 * LEAD { LEAD } else { 0 };
        let mut rows = Vec::new();
        for line in &self.lines {
            let at = line.at.map(|at| at.strftime("%H:%M:%S ").to_string());
            let mut before = at.filter(|_| lead > 0).unwrap_or_else(|| " ".repeat(lead));
            for part in cells::wrap(&line.text, width.saturating_sub(lead)) {
                rows.push(before + &part);
                before = " ".repeat(lead);
            }
        }
        rows
    }

    /// The first row to show of so many, where so many fit.
    pub(super) fn first(&self, rows: usize, height: usize) -> usize {
        let last = rows.saturating_sub(height);
        self.top.map_or(last, |top| top.min(last))
    }

    /// Moves by rows; at the end it follows again.
    pub(super) fn scroll(&mut self, by: isize, width: usize, height: usize) {
        let rows = self.rows(width).len();
        let last = rows.saturating_sub(height);
        let top = self.first(rows, height).saturating_add_signed(by);
        self.top = (top < last).then_some(top);
    }

    /// Goes to the beginning.
    pub(super) fn show_beginning(&mut self, width: usize, height: usize) {
        let rows = self.rows(width).len();
        self.top = (rows > height).then_some(0);
    }

    /// Goes to the end and follows it.
    pub(super) fn follow(&mut self) {
        self.top = None;
    }
}
