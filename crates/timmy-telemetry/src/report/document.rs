//! A report as headings, lists, tables and charts, before it is written in any form. Every form
//! escapes in one place, so nothing in here is escaped.

use timmy_core::IssueName;
use url::Url;

use crate::chart::Drawing;
use crate::chart::Tone;

/// A report.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it is.
    pub title: String,
    /// Which stretch of time it is about.
    pub stretch: String,
    /// A name for that stretch that no other has.
    pub key: String,
    /// The figures to read first.
    pub figures: Vec<Figure>,
    /// The rest.
    pub sections: Vec<Section>,
}

impl Document {
    /// The same with at most so many entries in each list and rows in each table; it says how many
    /// are left out.
    #[must_use]
    pub fn shortened(&self, most: usize) -> Self {
        let mut document = self.clone();
        for section in &mut document.sections {
            let blocks = std::mem::take(&mut section.blocks);
            for mut block in blocks {
                let left_out = block.shorten(most);
                section.blocks.push(block);
                if left_out > 0 {
                    let note = format!("{left_out} more are left out here.");
                    section.blocks.push(Block::Words(plain(note)));
                }
            }
        }
        document
    }
}

/// A figure to read first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// The figure.
    pub value: String,
    /// What it counts.
    pub label: String,
    /// Whether it is good news.
    pub tone: Tone,
}

/// A part under a heading.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name in links.
    pub id: &'static str,
    /// Its heading.
    pub heading: String,
    /// What it says.
    pub blocks: Vec<Block>,
    /// Whether it is for looking things up, and may be folded away.
    pub folded: bool,
}

/// A part of a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A paragraph.
    Words(Words),
    /// A list, the first thing first.
    List(Vec<Item>),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Box<Chart>),
}

impl Block {
    /// Keeps the first entries; gives back how many went.
    fn shorten(&mut self, most: usize) -> usize {
        let length = match self {
            Self::List(items) => items.len(),
            Self::Table(table) => table.rows.len(),
            Self::Words(_) | Self::Chart(_) => return 0,
        };
        match self {
            Self::List(items) => items.truncate(most),
            Self::Table(table) => table.rows.truncate(most),
            Self::Words(_) | Self::Chart(_) => {}
        }
        length.saturating_sub(most)
    }
}

/// A chart, with what is told of it where nothing can be drawn.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The drawing.
    pub drawing: Drawing,
    /// Its figures, for a form without drawings; may be empty.
    pub bars: Vec<(String, u64)>,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What kind of entry, in a word.
    pub tag: Option<(String, Tone)>,
    /// What it is about.
    pub about: Words,
    /// What is said.
    pub what: Words,
    /// What to do.
    pub todo: Option<Inline>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows, for who cannot see it.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as wide as there are columns.
    pub rows: Vec<Vec<Words>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// What stands in it.
    pub kind: ColumnKind,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Words.
    Words,
    /// Words that may be long: such a column gives way when there is little room.
    Long,
    /// Figures.
    Figures,
}

/// A run of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Text.
    Text(String),
    /// Something to type, or an identifier.
    Code(String),
    /// An issue.
    Issue(IssueName),
    /// An issue of the only repository there is, by its number.
    Number(IssueName),
    /// A pull request.
    Pull(IssueName),
    /// A pull request to open.
    OpenPull(IssueName),
}

/// Text with what is special in it.
pub type Words = Vec<Inline>;

/// Plain words.
#[must_use]
pub fn plain(text: impl Into<String>) -> Words {
    vec![Inline::Text(text.into())]
}

/// Where a forge shows issues and pull requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The forge's address; none for one that is not always at the same place.
    pub base: Option<Url>,
}

impl Links {
    /// Where an issue is read.
    #[must_use]
    pub fn issue(&self, issue: &IssueName) -> Option<String> {
        self.below(issue, "issues")
    }

    /// Where a pull request is read.
    #[must_use]
    pub fn pull(&self, pull: &IssueName) -> Option<String> {
        self.below(pull, "pulls")
    }

    fn below(&self, name: &IssueName, kind: &str) -> Option<String> {
        let base = self.base.as_ref()?.as_str().trim_end_matches('/');
        let IssueName { repo, number } = name;
        Some(format!(
            "{base}/{}/{}/{kind}/{number}",
            repo.owner(),
            repo.name()
        ))
    }
}
