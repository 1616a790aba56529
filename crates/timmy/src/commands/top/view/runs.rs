//! What runs: as many columns as there is room for.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use super::panel;
use crate::commands::board::Live;
use crate::commands::telling::tell;
use crate::commands::top::app::App;
use crate::commands::top::cells;

/// The least room for the last event beside the others.
const EVENT: usize = 30;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Slot,
    Issue,
    Title,
    Phase,
    Step,
    Elapsed,
    Tokens,
    Event,
}

impl Column {
    /// In the order in which they are shown.
    const ALL: [Self; 8] = [
        Self::Slot,
        Self::Issue,
        Self::Title,
        Self::Phase,
        Self::Step,
        Self::Elapsed,
        Self::Tokens,
        Self::Event,
    ];
    /// In the order in which they are given up.
    const DROPPED: [Self; 6] = [
        Self::Event,
        Self::Tokens,
        Self::Step,
        Self::Title,
        Self::Elapsed,
        Self::Slot,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Slot => "#",
            Self::Issue => "ISSUE",
            Self::Title => "TITLE",
            Self::Phase => "PHASE",
            Self::Step => "STEP",
            Self::Elapsed => "ELAPSED",
            Self::Tokens => "TOKENS",
            Self::Event => "LAST EVENT",
        }
    }

    /// The least it needs.
    fn least(self, runs: &[(u32, &Live)]) -> usize {
        match self {
            Self::Slot => 2,
            Self::Issue => {
                let widths = runs
                    .iter()
                    .map(|(_, l)| cells::width(&l.issue().to_string()));
                widths.max().unwrap_or(0).clamp(8, 24)
            }
            Self::Title => 14,
            Self::Phase => 10,
            Self::Step => 4,
            Self::Elapsed => 9,
            Self::Tokens => 7,
            Self::Event => EVENT,
        }
    }

    fn cell(self, app: &App, slot: u32, live: &Live) -> String {
        match self {
            Self::Slot => slot.to_string(),
            Self::Issue => live.issue().to_string(),
            Self::Title => app.looks.plain(live.title()),
            Self::Phase => live.phase().to_owned(),
            Self::Step => live.step().to_string(),
            Self::Elapsed => elapsed(app, live),
            Self::Tokens => cells::count(live.tokens()),
            Self::Event => last_event(app, live),
        }
    }
}

/// Rows that all of it needs: a heading, the names of columns, the runs, the last event.
pub(super) fn height(app: &App) -> u16 {
    u16::try_from(app.runs().len() + 3).unwrap_or(u16::MAX)
}

/// The runs, the selected one marked and always among those that are shown, with its last event
/// below where that has no column.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (room, height) = (usize::from(area.width), usize::from(area.height));
    let runs = app.runs();
    let looks = app.looks;
    let filter = match app.filter.as_str() {
        "" => String::new(),
        filter => format!(", with {:?}", looks.plain(filter)),
    };
    let title = format!("Runs: {}{filter}", runs.len());
    let mut lines = vec![panel::heading(app, &title, room)];
    if runs.is_empty() {
        let nothing = match (&app.fleet, app.filter.as_str()) {
            (None, _) => "not known yet",
            (Some(_), "") => "nothing runs",
            (Some(_), _) => "nothing that runs has that text; Esc shows all",
        };
        let nothing = cells::cut(nothing, room, looks.mark());
        lines.push(Line::from(Span::styled(nothing, looks.quiet())));
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let columns = columns(&runs, room);
    let names = columns.iter();
    let names = names.map(|(column, width)| cells::fit(column.name(), *width, looks.mark()));
    let names = names.collect::<Vec<_>>().join(" ");
    let header = cells::fit(&format!("  {names}"), room, looks.mark());
    lines.push(Line::from(Span::styled(header, looks.quiet())));
    let selection = app.selection().unwrap_or(0);
    let rows = height.saturating_sub(lines.len());
    let first = (selection + 1).saturating_sub(rows);
    for (place, run) in runs.iter().enumerate().skip(first).take(rows) {
        lines.push(row(app, &columns, *run, selection == place, room));
    }
    let has_event = columns.iter().any(|(column, _)| *column == Column::Event);
    if let Some((_, live)) = runs.get(selection).filter(|_| !has_event) {
        let event = last_event(app, live);
        let event = cells::cut(&format!("  last: {event}"), room, looks.mark());
        lines.push(Line::from(Span::styled(event, looks.quiet())));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn row(
    app: &App,
    columns: &[(Column, usize)],
    (slot, live): (u32, &Live),
    chosen: bool,
    room: usize,
) -> Line<'static> {
    let looks = app.looks;
    let cells = columns
        .iter()
        .map(|(column, width)| cells::fit(&column.cell(app, slot, live), *width, looks.mark()));
    let (lead, style) = match chosen {
        true => (looks.pointer(), looks.selected()),
        false => (' ', Style::new()),
    };
    let row = format!("{lead} {}", cells.collect::<Vec<_>>().join(" "));
    Line::from(Span::styled(cells::fit(&row, room, looks.mark()), style))
}

/// The columns there is room for. What is left is shared by title and event.
fn columns(runs: &[(u32, &Live)], room: usize) -> Vec<(Column, usize)> {
    let mut columns: Vec<(Column, usize)> = Column::ALL
        .into_iter()
        .map(|column| (column, column.least(runs)))
        .collect();
    let needs =
        |columns: &[(Column, usize)]| columns.iter().map(|(_, width)| width + 1).sum::<usize>() + 1;
    for dropped in Column::DROPPED {
        if needs(&columns) <= room {
            break;
        }
        columns.retain(|(column, _)| *column != dropped);
    }
    let mut left = room.saturating_sub(needs(&columns));
    let has_event = columns.iter().any(|(column, _)| *column == Column::Event);
    for (column, width) in &mut columns {
        let more = match column {
            Column::Title if has_event => (left / 2).min(20),
            Column::Title | Column::Event => left,
            _ => 0,
        };
        *width += more;
        left -= more;
    }
    columns
}

fn elapsed(app: &App, live: &Live) -> String {
    let seconds = live.elapsed_ms(app.now) / 1_000;
    cells::span(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn last_event(app: &App, live: &Live) -> String {
    let told = tell(&live.last_event().kind);
    app.looks.plain(told.lines().next().unwrap_or_default())
}
