//! A heading with lines below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use crate::commands::top::app::App;
use crate::commands::top::cells;

/// A part of the picture.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<Line<'static>>,
}

impl Panel {
    /// Rows it would like to have.
    pub(super) fn height(&self) -> u16 {
        u16::try_from(self.lines.len() + 1).unwrap_or(u16::MAX)
    }

    /// Draws as much of it as fits, and says how much does not.
    pub(super) fn draw(self, frame: &mut Frame<'_>, app: &App, area: Rect) {
        if area.height == 0 {
            return;
        }
        let room = usize::from(area.height - 1);
        let mut lines = vec![heading(app, &self.title, usize::from(area.width))];
        let all = self.lines.len();
        if all > room && room > 0 {
            lines.extend(self.lines.into_iter().take(room - 1));
            let more = format!("{} {} more", app.looks.mark(), all + 1 - room);
            lines.push(Line::from(Span::styled(more, app.looks.quiet())));
        } else {
            lines.extend(self.lines.into_iter().take(room));
        }
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
