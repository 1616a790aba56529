//! What waits, what is spent, who answers, what is wrong.

use jiff::Timestamp;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use timmy_core::money::MicroUsd;

use super::panel::Panel;
use crate::commands::top::app::App;
use crate::commands::top::books::Account;
use crate::commands::top::cells;
use crate::commands::top::fleet::Provider;
use crate::commands::top::fleet::Waiting;

/// The widest bar.
const BAR: usize = 20;
/// Parts of a bar that is full.
const WHOLE: u64 = 1_000;
/// From here on a bar warns.
const NEARLY: u64 = 800;

fn line(app: &App, text: &str, room: usize, style: Style) -> Line<'static> {
    Line::from(Span::styled(
        cells::cut(text, room, app.looks.mark()),
        style,
    ))
}

fn since(app: &App, at: Timestamp) -> String {
    cells::span(app.now.duration_since(at).as_secs())
}

/// What is held back, and the issues that wait.
pub(super) fn queue(app: &App, room: usize) -> Panel {
    let looks = app.looks;
    let title = match &app.books {
        Some(books) => format!("Queue: {} offered, {} taken", books.offered, books.taken),
        None => "Queue".to_owned(),
    };
    let mut lines = Vec::new();
    let Some(fleet) = &app.fleet else {
        return Panel { title, lines };
    };
    // The pause of a person stands at the top of the screen.
    for (scope, held) in fleet.held.iter().filter(|(scope, _)| *scope != "fleet") {
        let what = looks.plain(&held.problem.what);
        let text = format!(
            "{} held {}: {what}",
            looks.plain(scope),
            since(app, held.since)
        );
        lines.push(line(app, &text, room, looks.warning()));
    }
    for (issue, why) in &fleet.waiting {
        let issue = issue.to_string();
        if !app.shows(&issue, "") {
            continue;
        }
        let text = format!("{issue} {}", waits(app, why));
        lines.push(line(app, &text, room, Style::new()));
    }
    if lines.is_empty() {
        lines.push(line(app, "nothing waits", room, looks.quiet()));
    }
    Panel { title, lines }
}

fn waits(app: &App, why: &Waiting) -> String {
    match why {
        Waiting::Retry {
            attempt,
            due,
            reason,
        } => {
            let left = due.duration_since(app.now).as_secs();
            let when = match left {
                ..=0 => "now".to_owned(),
                left => format!("in {}", cells::span(left)),
            };
            format!("attempt {attempt} {when}: {}", app.looks.plain(reason))
        }
        Waiting::Quarantined { attempts } => format!("quarantined after {attempts} attempts"),
        Waiting::Stopped => "stopped by a person; waits for them".to_owned(),
    }
}

/// Day and fleet, each with a bar for every limit it has.
pub(super) fn budget(app: &App, room: usize) -> Panel {
    let title = "Budget".to_owned();
    let mut lines = Vec::new();
    if let Some(books) = &app.books {
        account(app, "today", &books.day, room, &mut lines);
        account(app, "ever", &books.fleet, room, &mut lines);
    }
    Panel { title, lines }
}

fn account(app: &App, name: &str, account: &Account, room: usize, lines: &mut Vec<Line<'static>>) {
    let booked = account.standing.booked();
    let (tokens, cost) = (booked.tokens(), booked.cost);
    let limit = account.limit;
    if let Some(most) = limit.tokens {
        let text = format!("{} of {} tokens", cells::count(tokens), cells::count(most));
        lines.push(bar(app, name, (tokens, most), &text, room));
    }
    if let Some(most) = limit.cost {
        let text = format!("{} of {}", dollars(cost), dollars(most));
        lines.push(bar(app, name, (cost.0, most.0), &text, room));
    }
    if limit.tokens.is_none() && limit.cost.is_none() {
        let text = format!(
            "{name:5} {} tokens, {}, no limit",
            cells::count(tokens),
            dollars(cost)
        );
        lines.push(line(app, &text, room, Style::new()));
    }
}

fn bar(app: &App, name: &str, (used, most): (u64, u64), text: &str, room: usize) -> Line<'static> {
    let looks = app.looks;
    let parts = u128::from(used) * u128::from(WHOLE) / u128::from(most.max(1));
    let parts = u64::try_from(parts).unwrap_or(u64::MAX).min(WHOLE);
    let style = match parts {
        WHOLE.. => looks.bad(),
        NEARLY.. => looks.warning(),
        _ => looks.good(),
    };
    let taken = 6 + cells::width(text) + 1;
    let width = room.saturating_sub(taken).min(BAR);
    let filled = usize::try_from(parts).unwrap_or(0) * width / usize::try_from(WHOLE).unwrap_or(1);
    let (full, empty) = looks.bar();
    let drawn = full.to_string().repeat(filled) + &empty.to_string().repeat(width - filled);
    let text = cells::cut(text, room.saturating_sub(6), looks.mark());
    Line::from(vec![
        Span::raw(format!("{name:5} ")),
        Span::styled(drawn, style),
        Span::raw(if width > 0 { " " } else { "" }),
        Span::raw(text),
    ])
}

fn dollars(cost: MicroUsd) -> String {
    format!("${}.{:02}", cost.0 / 1_000_000, cost.0 % 1_000_000 / 10_000)
}

/// Each provider by its newest calls.
pub(super) fn providers(app: &App, room: usize) -> Panel {
    let looks = app.looks;
    let title = "Providers".to_owned();
    let mut lines = Vec::new();
    let Some(fleet) = &app.fleet else {
        return Panel { title, lines };
    };
    for (name, provider) in &fleet.providers {
        let (word, style) = match provider.answers() {
            None => ("asked", Style::new()),
            Some(true) => ("answers", looks.good()),
            Some(false) => ("FAILS", looks.bad()),
        };
        let name = cells::fit(&looks.plain(name), 10.min(room), looks.mark());
        let word = cells::fit(word, 8, looks.mark());
        let left = room.saturating_sub(20);
        let rest = cells::cut(&newest(app, provider), left, looks.mark());
        lines.push(Line::from(vec![
            Span::raw(name + " "),
            Span::styled(word, style),
            Span::raw(format!(" {rest}")),
        ]));
    }
    if lines.is_empty() {
        lines.push(line(app, "no model was asked yet", room, looks.quiet()));
    }
    Panel { title, lines }
}

fn newest(app: &App, provider: &Provider) -> String {
    let asked = match provider.asked() {
        0 => String::new(),
        asked => format!("{asked} asked, "),
    };
    match (provider.answers(), &provider.answer, &provider.failure) {
        (Some(false), _, Some(failure)) => {
            let ago = since(app, failure.at);
            let what = app.looks.plain(&failure.what);
            format!("{asked}{ago} ago {} {what}", failure.code)
        }
        (_, Some(answer), _) => {
            let took = answer.took_ms;
            let took = format!("{}.{} s", took / 1_000, took % 1_000 / 100);
            let (ago, model) = (since(app, answer.at), app.looks.plain(&answer.model));
            let failed = match provider.failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            format!("{asked}{ago} ago in {took}, {model}{failed}")
        }
        _ => asked.trim_end_matches(", ").to_owned(),
    }
}

/// Open alerts, the most pressing first.
pub(super) fn alerts(app: &App, room: usize) -> Panel {
    let looks = app.looks;
    let fleet = app.fleet.as_ref();
    let open = fleet.map(super::super::fleet::Fleet::pressing);
    let open = open.unwrap_or_default();
    let title = format!("Alerts: {}", open.len());
    let mut lines: Vec<Line<'static>> = open
        .into_iter()
        .map(|(key, alert)| {
            let text = format!(
                "{} {} {}, {}: {}",
                alert.severity,
                key.code,
                looks.plain(&key.subject),
                since(app, alert.since),
                looks.plain(&alert.what)
            );
            line(app, &text, room, looks.of_severity(alert.severity))
        })
        .collect();
    if lines.is_empty() {
        lines.push(line(app, "none", room, looks.quiet()));
    }
    Panel { title, lines }
}
