//! `timmy top`: the fleet, live, with keys to look into a run, to stop it, and to pause.
//!
//! ```text
//! keys, size, time ──▶ shell ──▶ App::update ──▶ Effects ──▶ feed ──▶ log
//!                        ▲            │                       │
//!     terminal ◀── view ─┴────────────┴────── Inputs ◀────────┘
//! ```
//!
//! - [`app`] holds what is known and what keys do, [`view`] draws it; both are pure.
//! - [`feed`] reads log and books and writes down what a person asks; `shell` owns the terminal.
//!
//! # Rules
//! - Nothing is asked of a forge or a model. The log is read from where it was read to.
//! - What comes from outside is cleaned before it is drawn, and no room is too small to draw in.

mod app;
mod books;
mod cells;
mod feed;
mod fleet;
mod keys;
mod log_view;
mod looks;
mod shell;
mod view;

#[cfg(test)]
mod frames;
#[cfg(test)]
mod properties;

use std::io;
use std::io::IsTerminal;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm;
use serde_json::json;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;

use super::Ended;
use crate::cli::TopArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

use app::App;
use app::Input;
use feed::Feed;
use fleet::Fleet;
use looks::Looks;

/// The size of a terminal that does not say its own.
const USUAL: (u16, u16) = (80, 24);
/// The largest frame that is printed.
const LARGEST: u16 = 1_000;

pub(super) async fn run(host: &Host, arguments: &TopArguments) -> Ended {
    if arguments.once || host.form == Form::Json {
        return once(host).await;
    }
    let dumb = std::env::var("TERM").is_ok_and(|name| name == "dumb" || name.is_empty());
    if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(no_terminal());
    }
    shell::live(host).await
}

fn no_terminal() -> Problem {
    let what = "there is no terminal to draw on";
    Problem::new(Code::new(1071), ExitStatus::Usage, what)
        .at("standard input, standard output, TERM")
        .fix("`timmy watch` needs none; `timmy top --once` prints one frame as text")
}

/// How things stand now, as one frame of text.
async fn once(host: &Host) -> Ended {
    let (feed, fleet) = Feed::open(host).await?;
    let books = feed.books().await?;
    if host.form == Form::Json {
        output::json(&data(&fleet, &books, host.clock.now()))?;
        return Ok(ExitStatus::Success);
    }
    let looks = Looks {
        colour: false,
        ..Looks::of_environment()
    };
    let mut app = App::new(size(), looks, host.clock.now());
    app.update(Input::Opened(Box::new(fleet)));
    app.update(Input::Books(Box::new(books)));
    let frame = frame(&app);
    // The last line names keys, and there are none here.
    let picture = frame.trim_end().rsplit_once('\n');
    output::line(picture.map_or("", |(picture, _)| picture).trim_end())?;
    Ok(ExitStatus::Success)
}

/// One frame as text.
fn frame(app: &App) -> String {
    let (columns, rows) = app.size;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = terminal.draw(|frame| view::view(frame, app));
    let cells = terminal
        .backend()
        .buffer()
        .content
        .chunks(columns.max(1).into());
    let lines = cells.map(|row| {
        let mut line = String::new();
        let mut covered = 0;
        for cell in row {
            // A wide character covers the next cell.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            covered = cells::width(cell.symbol()).saturating_sub(1);
        }
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The room there is: that of the terminal, or as `COLUMNS` and `LINES` say.
fn size() -> (u16, u16) {
    let named = |name: &str| {
        let value = std::env::var(name).ok()?;
        value.parse::<u16>().ok().filter(|cells| *cells > 0)
    };
    let own = match io::stdout().is_terminal() {
        true => crossterm::terminal::size().unwrap_or(USUAL),
        false => USUAL,
    };
    let columns = named("COLUMNS").unwrap_or(own.0).min(LARGEST);
    (columns, named("LINES").unwrap_or(own.1).min(LARGEST))
}

/// The same as data.
fn data(fleet: &Fleet, books: &books::Books, now: jiff::Timestamp) -> serde_json::Value {
    let running = fleet.board.at_work(now).into_iter().map(|(slot, live)| {
        json!({
            "slot": slot,
            "run": live.run(),
            "issue": live.issue().to_string(),
            "title": live.title(),
            "phase": live.phase(),
            "step": live.step(),
            "tokens": live.tokens(),
            "elapsed_ms": live.elapsed_ms(now),
            "last_event": live.last_event(),
        })
    });
    let waiting = fleet
        .waiting
        .iter()
        .map(|(issue, why)| json!({ "issue": issue.to_string(), "waits": why }));
    let alerts = fleet
        .pressing()
        .into_iter()
        .map(|(key, alert)| json!({ "code": key.code, "subject": key.subject, "alert": alert }));
    json!({
        "paused": fleet.board.pause,
        "loops": fleet.loops,
        "running": running.collect::<Vec<_>>(),
        "waiting": waiting.collect::<Vec<_>>(),
        "held": fleet.held,
        "providers": fleet.providers,
        "alerts": alerts.collect::<Vec<_>>(),
        "books": books,
    })
}
