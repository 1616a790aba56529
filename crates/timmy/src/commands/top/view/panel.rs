//! A heading with lines below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use crate::commands::top::app::App;
use crate::commands::top::cells;

/// What stands before the further rows of an entry.
const INDENT: &str = "  ";

/// Something in a panel, in one row or, where there is room, in several.
pub(super) struct Entry {
    /// A short word before the text, in a style of its own.
    pub(super) word: Option<(String, Style)>,
    pub(super) text: String,
    pub(super) style: Style,
}

impl Entry {
    pub(super) fn new(text: String, style: Style) -> Self {
        Self {
            word: None,
            text,
            style,
        }
    }

    fn in_one_row(&self, app: &App, room: usize) -> Line<'static> {
        let taken = self.word.as_ref().map_or(0, |(word, _)| cells::width(word));
        let text = cells::cut(&self.text, room.saturating_sub(taken), app.looks.mark());
        let word = self
            .word
            .iter()
            .map(|(word, style)| Span::styled(cells::cut(word, room, app.looks.mark()), *style));
        let text = Span::styled(text, self.style);
        Line::from(word.chain([text]).collect::<Vec<_>>())
    }

    fn in_rows(&self, app: &App, room: usize) -> Vec<Line<'static>> {
        let word = self.word.as_ref().map_or("", |(word, _)| word);
        let whole = format!("{word}{}", self.text);
        let mut rows = cells::wrap(&whole, room).into_iter();
        let first = rows.next().unwrap_or_default();
        let Some(shown) = first.strip_prefix(word) else {
            return vec![self.in_one_row(app, room)];
        };
        let (word, shown) = (self.word.clone(), shown.to_owned());
        let word = word.map(|(word, style)| Span::styled(word, style));
        let text = Span::styled(shown.clone(), self.style);
        let mut lines = vec![Line::from(
            word.into_iter().chain([text]).collect::<Vec<_>>(),
        )];
        let rest = self
            .text
            .get(shown.len()..)
            .unwrap_or_default()
            .trim_start();
        if !rest.is_empty() {
            for row in cells::wrap(rest, room.saturating_sub(INDENT.len())) {
                lines.push(Line::from(Span::styled(
                    format!("{INDENT}{row}"),
                    self.style,
                )));
            }
        }
        lines
    }
}

/// A part of the picture.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) entries: Vec<Entry>,
}

impl Panel {
    /// Rows it needs, with one for each entry.
    pub(super) fn height(&self) -> u16 {
        u16::try_from(self.entries.len() + 1).unwrap_or(u16::MAX)
    }

    /// Draws it: entries in full where all fit so, else each in one row; and says how many are left.
    pub(super) fn draw(&self, frame: &mut Frame<'_>, app: &App, area: Rect) {
        if area.height == 0 {
            return;
        }
        let width = usize::from(area.width);
        let room = usize::from(area.height - 1);
        let whole = self.entries.iter().flat_map(|one| one.in_rows(app, width));
        let mut lines: Vec<Line<'static>> = whole.collect();
        if lines.len() > room {
            let short = self.entries.iter().map(|one| one.in_one_row(app, width));
            lines = short.collect();
        }
        if lines.len() > room && room > 1 {
            let more = format!("{} {} more", app.looks.mark(), lines.len() + 1 - room);
            lines.truncate(room - 1);
            lines.push(Line::from(Span::styled(more, app.looks.quiet())));
        }
        lines.insert(0, heading(app, &self.title, width));
        frame.render_widget(Paragraph::new(lines), area);
    }
}

/// A title on a line.
pub(super) fn heading(app: &App, title: &str, room: usize) -> Line<'static> {
    let looks = app.looks;
    let title = cells::cut(title, room.saturating_sub(4), looks.mark());
    let left = room.saturating_sub(cells::width(&title) + 4);
    let rule = |count| looks.rule().to_string().repeat(count);
    if room < 5 {
        return Line::from(rule(room));
    }
    Line::from(vec![
        Span::styled(rule(2), looks.quiet()),
        Span::styled(format!(" {title} "), looks.title()),
        Span::styled(rule(left), looks.quiet()),
    ])
}
