//! What a person or a script reads: data on standard output, talk on standard error.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::time::Duration;

use comfy_table::ColumnConstraint;
use comfy_table::ContentArrangement;
use comfy_table::Table;
use comfy_table::Width;
use comfy_table::presets;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::text;

/// Columns of space between the columns of a table.
const GAP: u16 = 2;

/// How output is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and sentences.
    Human,
    /// One JSON document, or one a line where there are many.
    Json,
}

/// Writes a line of data. A reader that went away, as `head` does, is no error.
pub(crate) fn line(text: &str) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"));
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Problem::new(
            Code::new(107),
            ExitStatus::Internal,
            "the output cannot be written",
        )
        .at(error.to_string())
        .fix("check the disk or the program that reads it")),
        _ => Ok(()),
    }
}

/// Writes a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Problem> {
    line(&json_text(value)?)
}

/// A value as one line of JSON.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| {
        Problem::new(
            Code::new(107),
            ExitStatus::Internal,
            "the output cannot be written",
        )
        .at(error.to_string())
        .fix("report this as a defect of timmy")
    })
}

/// Says something to the person in front of the terminal.
pub(crate) fn talk(text: &str) {
    let written = writeln!(io::stderr().lock(), "{text}");
    // Nobody is left to be told.
    drop(written);
}

/// A table without lines between its rows, as wide as the terminal. What would steer the terminal is
/// left out of its cells.
pub(crate) fn table(header: &[&str], mut rows: Vec<Vec<String>>) -> String {
    for cell in rows.iter_mut().flatten() {
        *cell = text::clean(cell);
    }
    let widths = longest_words(header, &rows);
    let least: usize = widths.iter().map(|width| width + usize::from(GAP)).sum();
    let mut table = Table::new();
    if table
        .width()
        .is_some_and(|width| usize::from(width) < least)
    {
        return records(header, &rows);
    }
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    // Space between the columns, none before the first; no word is broken.
    for (column, longest) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, GAP));
        let width = u16::try_from(longest)
            .unwrap_or(u16::MAX)
            .saturating_add(GAP);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
    table.trim_fmt()
}

/// The longest word of each column, in characters.
fn longest_words(header: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let longest = |text: &str| {
        let words = text.split_whitespace();
        words.map(|word| word.chars().count()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = header.iter().map(|name| longest(name)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = longest(cell).max(*width);
        }
    }
    widths
}

/// Rows as paragraphs, for a terminal that is too narrow for a table.
fn records(header: &[&str], rows: &[Vec<String>]) -> String {
    let paragraph = |row: &Vec<String>| {
        let cells = header.iter().zip(row);
        let lines = cells
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| match *name {
                "" => cell.clone(),
                name => format!("{name}: {cell}"),
            });
        lines.collect::<Vec<_>>().join("\n")
    };
    let paragraphs: Vec<String> = rows.iter().map(paragraph).collect();
    paragraphs.join("\n\n")
}

/// `1 run`, `2 runs`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

/// A sign of life for something that may take longer than a second. Only on a terminal.
pub(crate) fn progress(what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A verdict as a word, for tables, in which colour would count as width.
pub(crate) fn verdict(good: bool) -> String {
    if good { "pass" } else { "FAIL" }.to_owned()
}

/// Marks with words and, on a terminal that wants it, colour. The word carries the meaning.
pub(crate) fn mark(good: bool) -> String {
    let (word, colour) = if good { ("pass", "32") } else { ("FAIL", "31") };
    if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) {
        return format!("\u{1b}[{colour}m{word}\u{1b}[0m");
    }
    word.to_owned()
}

/// `1 h 2 min`, `3 min 4 s`, `5.6 s`.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_begins_at_the_edge() {
        let rows = vec![vec!["#1".to_owned(), "a title".to_owned()]];
        assert_eq!(
            "ISSUE  TITLE\n#1     a title",
            table(&["issue", "title"], rows)
        );
    }

    #[test]
    fn a_cell_does_not_steer_the_terminal() {
        let rows = vec![vec!["a\u{1b}[2Jb".to_owned(), "c\u{9b}31md".to_owned()]];
        assert_eq!("ONE  TWO\nab   cd", table(&["one", "two"], rows));
    }

    #[test]
    fn what_does_not_fit_is_told_line_by_line() {
        let rows = vec![
            vec!["#1".to_owned(), "pass".to_owned(), String::new()],
            vec!["#2".to_owned(), "FAIL".to_owned(), "why".to_owned()],
        ];
        assert_eq!(
            "issue: #1\npass\n\nissue: #2\nFAIL\nfinding: why",
            records(&["issue", "", "finding"], &rows)
        );
    }

    #[test]
    fn one_is_not_many() {
        let told = [0, 1, 2].map(|number| count(number, "run", "runs"));
        assert_eq!(
            ["0 runs", "1 run", "2 runs"],
            told.each_ref().map(String::as_str)
        );
    }

    #[test]
    fn durations_are_readable() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (5_678, "5.6 s"),
            (184_000, "3 min 4 s"),
            (3_725_000, "1 h 2 min"),
        ] {
            assert_eq!(text, duration(milliseconds));
        }
    }
}
