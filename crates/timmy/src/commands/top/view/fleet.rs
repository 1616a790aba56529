//! The picture of the fleet: how it is arranged in the room there is.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;

use super::panel::Panel;
use super::panels;
use super::runs;
use crate::commands::top::app::App;
use crate::commands::top::cells;
use crate::output;

const KEYS: &str = "arrows select  Enter log  s stop  p pause  / filter  ? keys  q quit";
/// From this width on there are two columns below the runs.
const WIDE: u16 = 76;
/// The least height of a panel below the runs.
const LEAST: u16 = 4;
/// The most a panel gets in a single column while others wait.
const NARROW: u16 = 6;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let room = usize::from(area.width);
    let mut top = vec![header(app, room)];
    top.extend(alarm(app, room));
    let top_rows = u16::try_from(top.len()).unwrap_or(1).min(area.height);
    let (head, rest) = split(area, top_rows);
    frame.render_widget(Paragraph::new(top), head);
    let footer_rows = u16::from(rest.height > LEAST || asks(app) && rest.height > 0);
    let (body, foot) = split(rest, rest.height - footer_rows);
    if footer_rows > 0 {
        frame.render_widget(Paragraph::new(super::footer(app, KEYS, room)), foot);
    }
    arrange(frame, app, body);
}

fn asks(app: &App) -> bool {
    use crate::commands::top::app::Mode;
    !matches!(app.mode, Mode::Looking | Mode::Help)
}

/// Runs first; below them two by two, or one below the other, as long as there is room.
fn arrange(frame: &mut Frame<'_>, app: &App, body: Rect) {
    // The others get a third of the room, where the runs need all of it.
    let most = (body.height - body.height / 3).max(LEAST).min(body.height);
    let height = runs::height(app).max(LEAST).min(most);
    let (mine, below) = split(body, height);
    if below.height < 2 {
        runs::draw(frame, app, body);
        return;
    }
    runs::draw(frame, app, mine);
    if body.width >= WIDE {
        two_columns(frame, app, below);
    } else {
        one_column(frame, app, below);
    }
}

fn two_columns(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let left_width = area.width / 2;
    let left = |area: Rect| Rect {
        width: left_width - 1,
        ..area
    };
    let right = |area: Rect| Rect {
        x: area.x + left_width + 1,
        width: area.width - left_width - 1,
        ..area
    };
    let (queue, alerts) = (panels::queue(app), panels::alerts(app));
    if area.height < 2 * LEAST {
        queue.draw(frame, app, left(area));
        alerts.draw(frame, app, right(area));
        return;
    }
    let providers = panels::providers(app);
    let budget = panels::budget(app, usize::from(right(area).width));
    let (upper, lower) = split(area, area.height - area.height / 2);
    queue.draw(frame, app, left(upper));
    alerts.draw(frame, app, right(upper));
    providers.draw(frame, app, left(lower));
    budget.draw(frame, app, right(lower));
}

fn one_column(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let panels: [Panel; 4] = [
        panels::alerts(app),
        panels::queue(app),
        panels::budget(app, usize::from(area.width)),
        panels::providers(app),
    ];
    let mut left = area;
    for panel in panels {
        if left.height < 2 {
            return;
        }
        let height = panel.height().min(NARROW).min(left.height);
        let (own, rest) = split(left, height);
        panel.draw(frame, app, own);
        left = rest;
    }
}

/// The upper rows, and the others.
fn split(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let upper = Rect {
        height: rows,
        ..area
    };
    let lower = Rect {
        y: area.y + rows,
        height: area.height - rows,
        ..area
    };
    (upper, lower)
}

/// The state of the fleet, and the time.
fn header(app: &App, room: usize) -> Line<'static> {
    let looks = app.looks;
    let clock = app.now.strftime("%H:%M:%S UTC").to_string();
    let (word, style) = match &app.fleet {
        _ if app.trouble.is_some() => ("NO DATABASE", looks.loud()),
        None => ("reading the log", looks.strong()),
        Some(fleet) if fleet.board.pause.is_some() => ("PAUSED", looks.loud()),
        Some(fleet) if fleet.board.at_work(app.now).is_empty() => ("idle", looks.strong()),
        Some(_) => ("working", looks.good()),
    };
    let counts = counts(app);
    let used = 7 + cells::width(word) + 2;
    let left = room.saturating_sub(used);
    let with_clock = left > cells::width(&clock);
    let left = if with_clock {
        left - cells::width(&clock) - 1
    } else {
        left
    };
    let mut spans = vec![
        Span::styled(cells::cut("timmy  ", room, looks.mark()), looks.title()),
        Span::styled(
            cells::cut(word, room.saturating_sub(7), looks.mark()),
            style,
        ),
        Span::raw(format!("  {}", cells::fit(&counts, left, looks.mark()))),
    ];
    if with_clock {
        spans.push(Span::styled(format!(" {clock}"), looks.quiet()));
    }
    Line::from(spans)
}

fn counts(app: &App) -> String {
    let Some(fleet) = &app.fleet else {
        return String::new();
    };
    let runs = fleet.board.at_work(app.now).len();
    let mut counts = vec![
        output::count(runs, "run", "runs"),
        output::count(fleet.loops, "loop", "loops"),
    ];
    let hosts = app.books.as_ref().map_or(0, |books| books.hosts);
    if hosts > 0 {
        counts.push(output::count(hosts, "host at work", "hosts at work"));
    }
    counts.join(", ")
}

/// What has to be seen before anything else: who paused the fleet, or why nothing is known.
fn alarm(app: &App, room: usize) -> Vec<Line<'static>> {
    let looks = app.looks;
    let mut lines = Vec::new();
    if let Some(trouble) = &app.trouble {
        let text = format!("{}; trying again", looks.plain(trouble));
        lines.push((text, looks.bad()));
    }
    let pause = app
        .fleet
        .as_ref()
        .and_then(|fleet| fleet.board.pause.as_ref());
    if let Some(pause) = pause {
        let by = match pause.by.as_str() {
            "" => "a person".to_owned(),
            by => looks.plain(by),
        };
        let since = cells::span(app.now.duration_since(pause.at).as_secs());
        let why = match pause.reason.as_str() {
            "" => "no reason given".to_owned(),
            reason => looks.plain(reason),
        };
        lines.push((
            format!("paused by {by} {since} ago: {why}"),
            looks.warning(),
        ));
    }
    let cut = |(text, style): (String, _)| {
        Line::from(Span::styled(cells::cut(&text, room, looks.mark()), style))
    };
    lines.into_iter().map(cut).collect()
}
