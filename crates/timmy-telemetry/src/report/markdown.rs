//! A report as Markdown, fit for an issue of a forge: nobody is told, nothing is closed, and no text
//! from elsewhere becomes markup.
//!
//! Issues and pull requests are named in code spans, because a forge would note the report on every
//! issue that it names otherwise.

use timmy_core::text;

use super::document::Block;
use super::document::Chart;
use super::document::ColumnKind;
use super::document::Document;
use super::document::Inline;
use super::document::Item;
use super::document::Links;
use super::document::Table;
use super::document::Words;

/// Where the drawings of a report are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// Nowhere: they are left out.
    None,
    /// In files beside the report, whose names begin like this: `report` for `report-timeline.svg`.
    Beside(String),
}

impl Images {
    /// The file of a drawing.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<String> {
        match self {
            Self::None => None,
            Self::Beside(stem) => Some(format!("{stem}-{name}.svg")),
        }
    }
}

/// The mark by which the report of a window is known again.
#[must_use]
pub fn marker(key: &str) -> String {
    timmy_forge::marker::mark(&format!("report/{key}"))
}

/// Writes a report.
#[must_use]
pub fn write(document: &Document, links: &Links, images: &Images) -> String {
    let mut markdown = format!(
        "{}\n# {}\n\n{}\n\n",
        marker(&document.key),
        safe(&document.title),
        safe(&document.stretch)
    );
    let figures = document.figures.iter();
    let figures: Vec<String> = figures
        .map(|figure| format!("**{}** {}", safe(&figure.value), safe(&figure.label)))
        .collect();
    markdown.push_str(&figures.join(" \u{b7} "));
    markdown.push('\n');
    let drawn = |block: &Block| matches!(block, Block::Chart(_));
    let charts = document
        .sections
        .iter()
        .any(|section| section.blocks.iter().any(drawn));
    for section in &document.sections {
        markdown.push_str(&format!("\n## {}\n", safe(&section.heading)));
        let blocks: Vec<String> = section
            .blocks
            .iter()
            .map(|block| of_block(block, links, images))
            .filter(|block| !block.is_empty())
            .collect();
        let blocks = blocks.join("\n");
        if section.folded {
            markdown.push_str(&format!(
                "\n<details><summary>Show</summary>\n\n{blocks}\n</details>\n"
            ));
        } else {
            markdown.push_str(&format!("\n{blocks}"));
        }
    }
    if charts && *images == Images::None {
        markdown.push_str("\nCharts are in the HTML form: `timmy report --format html`.\n");
    }
    markdown
}

fn of_block(block: &Block, links: &Links, images: &Images) -> String {
    match block {
        Block::Words(words) => format!("{}\n", of_words(words, links)),
        Block::List(items) => items.iter().map(|item| of_item(item, links)).collect(),
        Block::Table(table) => of_table(table, links),
        Block::Chart(chart) => of_chart(chart, images),
    }
}

fn of_chart(chart: &Chart, images: &Images) -> String {
    let Some(file) = images.file(chart.drawing.name()) else {
        return String::new();
    };
    let title = safe(chart.drawing.title());
    // A name of a file may hold what ends an address.
    let address: String = file
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!(
        "![{title}: {}]({address})\n",
        safe(chart.drawing.description())
    )
}

fn of_item(item: &Item, links: &Links) -> String {
    let tag = item
        .tag
        .as_ref()
        .map(|(tag, _)| format!("**{}** ", safe(tag)));
    let about = of_words(&item.about, links);
    let about = if about.is_empty() {
        about
    } else {
        format!("{about}: ")
    };
    let what = of_words(&item.what, links);
    let todo = item
        .todo
        .as_ref()
        .map(|todo| format!(" \u{2192} {}", of_inline(todo, links)));
    format!(
        "1. {}{about}{what}{}\n",
        tag.unwrap_or_default(),
        todo.unwrap_or_default()
    )
}

fn of_table(table: &Table, links: &Links) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let header = table
        .columns
        .iter()
        .map(|column| safe(column.name))
        .collect();
    let rule = table.columns.iter().map(|column| match column.kind {
        ColumnKind::Figures => "---:".to_owned(),
        ColumnKind::Words | ColumnKind::Long => "---".to_owned(),
    });
    let mut markdown = row(header) + &row(rule.collect());
    for cells in &table.rows {
        markdown.push_str(&row(cells
            .iter()
            .map(|cell| of_words(cell, links))
            .collect()));
    }
    markdown
}

fn of_words(words: &Words, links: &Links) -> String {
    words
        .iter()
        .map(|inline| of_inline(inline, links))
        .collect()
}

fn of_inline(inline: &Inline, links: &Links) -> String {
    match inline {
        Inline::Text(text) => safe(text),
        Inline::Code(text) => code(text),
        Inline::Issue(name) | Inline::Pull(name) => code(&name.to_string()),
        Inline::Number(name) => code(&format!("#{}", name.number)),
        Inline::OpenPull(name) => code(&links.pull(name).unwrap_or_else(|| name.to_string())),
    }
}

/// A code span. What could end one, or a cell, is written as text.
fn code(text: &str) -> String {
    let line = text::clean_line(text);
    if line.is_empty() || line.contains(['`', '|', '\\']) {
        return safe(&line);
    }
    format!("`{line}`")
}

/// Text from elsewhere, without any effect: nobody is told, nothing is linked, closed or drawn.
fn safe(text: &str) -> String {
    let line = text::clean_line(text);
    let mut safe = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let acts = match character {
            '@' | '#' | '!' | '<' | '>' | '&' | '[' | ']' => true,
            '|' | '`' | '*' | '_' | '~' | '\\' | '$' => true,
            // `https://`, `:tada:`
            ':' => next == '/' || next.is_alphabetic(),
            // `GH-12`
            '-' => next.is_ascii_digit() && safe.ends_with(|c: char| c.is_ascii_alphabetic()),
            // `www.example.org`
            '.' => ends_with_www(&safe),
            // The beginning of a line may be that of a list or a heading.
            '+' | '=' => safe.is_empty(),
            _ => false,
        };
        if acts {
            safe.push_str(&format!("&#{};", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe
}

fn ends_with_www(text: &str) -> bool {
    let last = text.as_bytes().last_chunk::<3>();
    last.is_some_and(|last| last.eq_ignore_ascii_case(b"www"))
}
