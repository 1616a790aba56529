//! The log of a run.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use crate::commands::top::app::App;
use crate::commands::top::cells;
use crate::commands::top::log_view::LogView;

const KEYS: &str = "arrows, PgUp, PgDn scroll  End follow  s stop  Esc back  ? keys";

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, log: &LogView, area: Rect) {
    let looks = app.looks;
    let width = usize::from(area.width);
    let height = usize::from(area.height.saturating_sub(2));
    let rows = log.rows(width);
    let first = log.first(rows.len(), height);
    let shown = rows.iter().skip(first).take(height);
    let plain = |row: &String| match looks.unicode {
        true => row.clone(),
        // Leading space is part of the picture.
        false => row.replace(|c: char| !c.is_ascii(), "?"),
    };
    let mut lines = vec![title(app, log, first, rows.len(), width)];
    lines.extend(shown.map(|row| Line::from(plain(row))));
    let body = Rect {
        height: area.height.saturating_sub(1),
        ..area
    };
    frame.render_widget(Paragraph::new(lines), body);
    let foot = Rect {
        y: area.y + area.height - 1,
        height: 1,
        ..area
    };
    frame.render_widget(Paragraph::new(super::footer(app, KEYS, width)), foot);
}

fn title(app: &App, log: &LogView, first: usize, rows: usize, room: usize) -> Line<'static> {
    let looks = app.looks;
    let live = app
        .fleet
        .as_ref()
        .and_then(|fleet| fleet.board.live(&log.run));
    let about = match live {
        Some(live) => format!(
            "{} {}, {}",
            live.issue(),
            looks.plain(live.title()),
            live.phase()
        ),
        None => "ended".to_owned(),
    };
    let place = match log.follows() {
        true => "follows".to_owned(),
        false => format!("{} of {rows}", first + 1),
    };
    let place_width = cells::width(&place) + 1;
    let left = room.saturating_sub(place_width);
    let text = format!("run {}  {about}", log.run.short());
    Line::from(vec![
        Span::styled(cells::fit(&text, left, looks.mark()), looks.title()),
        Span::styled(
            cells::cut(&format!(" {place}"), room, looks.mark()),
            looks.quiet(),
        ),
    ])
}
