//! The picture. Pure: the same [`App`] in the same room is the same frame.

mod fleet;
mod log;
mod panel;
mod panels;
mod runs;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Clear;
use ratatui::widgets::Paragraph;

use super::app::App;
use super::app::Mode;
use super::cells;

/// The keys, as they are explained.
const HELP: [(&str, &str); 11] = [
    ("arrows, j k", "choose a run; in a log: scroll"),
    ("Enter", "the log of the run, which follows what happens"),
    (
        "PgUp PgDn",
        "scroll a log by pages; Home and End go to its ends",
    ),
    ("Esc, q", "back from a log"),
    ("s", "stop the run, on whichever host it is; asks first"),
    ("p", "pause every host, or let all go on; asks first"),
    ("/", "only issues with a text in them; Esc shows all again"),
    ("?", "these keys"),
    ("q, Ctrl-C", "leave; nothing else ends with this view"),
    ("", ""),
    ("", "any key goes back"),
];

/// Draws everything.
pub(super) fn view(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    match &app.log {
        Some(open) => log::draw(frame, app, open, area),
        None => fleet::draw(frame, app, area),
    }
    if app.mode == Mode::Help {
        help(frame, app, area);
    }
}

/// The last line: a question, an answer, or the keys.
fn footer(app: &App, keys: &str, room: usize) -> Line<'static> {
    let looks = app.looks;
    let question = match &app.mode {
        Mode::Looking | Mode::Help => None,
        Mode::AskStop(run) => Some(format!("Stop run {}? y/n", run.short())),
        Mode::AskPause => Some("Pause every host of this log? y/n".to_owned()),
        Mode::AskReason(reason) => Some(typed("Why? (Enter pauses, Esc does not) ", reason, room)),
        Mode::AskResume => Some("Let the fleet go on? y/n".to_owned()),
        Mode::Filtering => Some(typed("Only issues with: ", &app.filter, room)),
    };
    let (text, style) = match (question, &app.notice) {
        (Some(question), _) => (question, looks.loud()),
        (None, Some((_, notice))) => (looks.plain(notice), looks.strong()),
        (None, None) => (keys.to_owned(), looks.quiet()),
    };
    Line::from(Span::styled(cells::fit(&text, room, looks.mark()), style))
}

/// A text that is being typed: its end is seen.
fn typed(question: &str, text: &str, room: usize) -> String {
    let left = room.saturating_sub(cells::width(question) + 1);
    let mut shown = text;
    while cells::width(shown) > left {
        let mut rest = shown.chars();
        rest.next();
        shown = rest.as_str();
    }
    format!("{question}{shown}_")
}

fn help(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let looks = app.looks;
    let rows = u16::try_from(HELP.len()).unwrap_or(u16::MAX) + 1;
    let window = Rect {
        height: rows.min(area.height),
        ..area
    };
    let room = usize::from(area.width);
    let mut lines = vec![panel::heading(app, "Keys", room)];
    for (keys, meaning) in HELP {
        let keys = cells::fit(keys, 12.min(room), looks.mark());
        let left = room.saturating_sub(13);
        let meaning = cells::cut(meaning, left, looks.mark());
        lines.push(Line::from(vec![
            Span::styled(keys, looks.strong()),
            Span::raw(" "),
            Span::raw(meaning),
        ]));
    }
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), window);
}
