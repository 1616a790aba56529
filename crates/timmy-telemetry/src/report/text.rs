//! A report for a terminal of 80 columns, or a mail.

use super::document::Block;
use super::document::Chart;
use super::document::Column;
use super::document::ColumnKind;
use super::document::Document;
use super::document::Inline;
use super::document::Item;
use super::document::Links;
use super::document::Table;
use super::document::Words;
use super::words::grouped;
use super::words::percent;

/// The width of everything, in columns.
const WIDTH: usize = 80;
/// Columns of space between the columns of a table.
const GAP: usize = 2;
/// The least a column with long texts gets before a table is told line by line.
const LEAST: usize = 14;
/// The longest bar, in columns.
const BAR: usize = 36;

/// Writes a report.
#[must_use]
pub fn write(document: &Document, links: &Links) -> String {
    let mut text = format!("{}: {}\n", document.title, document.stretch);
    let figures = document.figures.iter();
    let figures: Vec<String> = figures
        .map(|figure| format!("{} {}", figure.value, figure.label))
        .collect();
    text.push_str(&wrapped(&figures.join(" \u{b7} "), "", ""));
    for section in &document.sections {
        text.push('\n');
        text.push_str(&section.heading);
        text.push('\n');
        text.push_str(&"\u{2500}".repeat(columns_of(&section.heading)));
        text.push('\n');
        for block in &section.blocks {
            text.push_str(&of_block(block, links));
        }
    }
    text
}

fn of_block(block: &Block, links: &Links) -> String {
    match block {
        Block::Words(words) => wrapped(&of_words(words, links), "", ""),
        Block::List(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(place, item)| of_item(place + 1, item, links))
                .collect()
        }
        Block::Table(table) => of_table(table, links),
        Block::Chart(chart) => of_chart(chart),
    }
}

fn of_item(place: usize, item: &Item, links: &Links) -> String {
    let tag = item.tag.as_ref().map(|(tag, _)| format!("{tag}: "));
    let about = of_words(&item.about, links);
    let about = if about.is_empty() {
        about
    } else {
        format!("{about}: ")
    };
    let what = of_words(&item.what, links);
    let text = format!("{}{about}{what}", tag.unwrap_or_default());
    let mut told = wrapped(&text, &format!("{place:>2}. "), "    ");
    if let Some(todo) = &item.todo {
        told.push_str(&wrapped(&of_inline(todo, links), "    -> ", "       "));
    }
    told
}

fn of_words(words: &Words, links: &Links) -> String {
    words
        .iter()
        .map(|inline| of_inline(inline, links))
        .collect()
}

fn of_inline(inline: &Inline, links: &Links) -> String {
    let text = match inline {
        Inline::Text(text) | Inline::Code(text) => text.clone(),
        Inline::Issue(name) | Inline::Pull(name) => name.to_string(),
        Inline::Number(name) => format!("#{}", name.number),
        Inline::OpenPull(name) => links.pull(name).unwrap_or_else(|| name.to_string()),
    };
    timmy_core::text::clean_line(&text)
}

/// Figures as bars.
fn of_chart(chart: &Chart) -> String {
    let most = chart
        .bars
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0);
    let widest = chart.bars.iter().map(|(label, _)| columns_of(label)).max();
    let widest = widest.unwrap_or(0).min(WIDTH / 2);
    let mut text = String::new();
    for (label, count) in &chart.bars {
        let hundredths = usize::try_from(percent(*count, most)).unwrap_or(0);
        let length = (BAR * hundredths / 100).max(1);
        let space = " ".repeat(widest.saturating_sub(columns_of(label)));
        let bar = "\u{2588}".repeat(length);
        text.push_str(&format!("  {label}{space}  {bar} {}\n", grouped(*count)));
    }
    text
}

fn of_table(table: &Table, links: &Links) -> String {
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| of_words(cell, links)).collect())
        .collect();
    let mut widths: Vec<usize> = table
        .columns
        .iter()
        .map(|column| columns_of(column.name))
        .collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns_of(cell).max(*width);
        }
    }
    let whole: usize = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let long = table
        .columns
        .iter()
        .position(|column| column.kind == ColumnKind::Long);
    if whole > WIDTH {
        let room = long.and_then(|long| {
            let others = whole - widths[long];
            let room = WIDTH.checked_sub(others).filter(|room| *room >= LEAST)?;
            Some((long, room))
        });
        match room {
            Some((long, room)) => widths[long] = room,
            None => return records(&table.columns, &rows),
        }
    }
    let header: Vec<String> = table
        .columns
        .iter()
        .map(|column| column.name.to_uppercase())
        .collect();
    let mut text = of_row(&table.columns, &widths, &header);
    for row in &rows {
        text.push_str(&of_row(&table.columns, &widths, row));
    }
    text
}

/// A row, as many lines as its longest cell needs.
fn of_row(columns: &[Column], widths: &[usize], cells: &[String]) -> String {
    let cells: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| lines(cell, *width, *width))
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..height {
        let mut told = String::new();
        for ((column, width), cell) in columns.iter().zip(widths).zip(&cells) {
            let part = cell.get(line).map_or("", String::as_str);
            let space = " ".repeat(width.saturating_sub(columns_of(part)));
            match column.kind {
                ColumnKind::Figures => told.extend([space.as_str(), part]),
                ColumnKind::Words | ColumnKind::Long => told.extend([part, space.as_str()]),
            }
            told.push_str(&" ".repeat(GAP));
        }
        text.push_str(told.trim_end());
        text.push('\n');
    }
    text
}

/// Rows as paragraphs, where a table does not fit.
fn records(columns: &[Column], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        let told = columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        for (place, (column, cell)) in told.enumerate() {
            let lead = if place == 0 { "" } else { "  " };
            let line = match column.name {
                "" => cell.clone(),
                name => format!("{name}: {cell}"),
            };
            text.push_str(&wrapped(&line, lead, "    "));
        }
    }
    text
}

/// A text as lines that begin with these leads.
fn wrapped(text: &str, first: &str, other: &str) -> String {
    let (first_room, room) = (WIDTH - columns_of(first), WIDTH - columns_of(other));
    let mut told = String::new();
    for (place, line) in lines(text, first_room, room).iter().enumerate() {
        let lead = if place == 0 { first } else { other };
        told.push_str(lead);
        told.push_str(line);
        told.push('\n');
    }
    told
}

/// Breaks a text between words; a word that is longer than a line inside.
fn lines(text: &str, first: usize, other: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let room = |lines: &Vec<String>| if lines.is_empty() { first } else { other };
    for word in text.split_whitespace() {
        let needed = columns_of(&line) + usize::from(!line.is_empty()) + columns_of(word);
        if needed > room(&lines) && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            if columns_of(&line) + column_width(character) > room(&lines) && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push(character);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

fn columns_of(text: &str) -> usize {
    text.chars().map(column_width).sum()
}

/// How many columns a character takes: two for the scripts of East Asia and for pictures.
fn column_width(character: char) -> usize {
    match u32::from(character) {
        0x300..=0x36f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x2_0000..=0x3_ffff => 2,
        _ => 1,
    }
}
