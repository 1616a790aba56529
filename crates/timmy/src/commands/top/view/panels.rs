//! What waits, what is spent, who answers, what is wrong.

use jiff::Timestamp;
use ratatui::style::Style;
use timmy_core::money::MicroUsd;

use super::panel::Entry;
use super::panel::Panel;
use crate::commands::top::app::App;
use crate::commands::top::books::Account;
use crate::commands::top::cells;
use crate::commands::top::fleet::Fleet;
use crate::commands::top::fleet::Provider;
use crate::commands::top::fleet::Waiting;

/// The widest bar.
const BAR: usize = 20;
/// The width of a name before a bar.
const NAME: usize = 6;
/// Parts of a bar that is full.
const WHOLE: u64 = 1_000;
/// From here on a bar warns.
const NEARLY: u64 = 800;

fn since(app: &App, at: Timestamp) -> String {
    cells::span(app.now.duration_since(at).as_secs())
}

/// A panel whose entries come from the log, or that says why it has none.
fn from_log(
    app: &App,
    title: String,
    nothing: &str,
    make: impl FnOnce(&Fleet) -> Vec<Entry>,
) -> Panel {
    let quiet = app.looks.quiet();
    let mut entries = app.fleet.as_ref().map(make).unwrap_or_default();
    if entries.is_empty() {
        let why = if app.fleet.is_some() {
            nothing
        } else {
            "not known yet"
        };
        entries.push(Entry::new(why.to_owned(), quiet));
    }
    Panel { title, entries }
}

/// What is held back, and the issues that wait.
pub(super) fn queue(app: &App) -> Panel {
    let looks = app.looks;
    let title = match &app.books {
        Some(books) => format!("Queue: {} offered, {} taken", books.offered, books.taken),
        None => "Queue".to_owned(),
    };
    from_log(app, title, "nothing waits", |fleet| {
        // The pause of a person stands at the top of the screen.
        let held = fleet.held.iter().filter(|(scope, _)| *scope != "fleet");
        let held = held.map(|(scope, held)| {
            let (scope, since) = (looks.plain(scope), since(app, held.since));
            let what = looks.plain(&held.problem.what);
            Entry::new(format!("{scope} held for {since}: {what}"), looks.warning())
        });
        let waiting = fleet
            .waiting
            .iter()
            .map(|(issue, why)| (issue.to_string(), why));
        let waiting = waiting.filter(|(issue, _)| app.shows(issue, ""));
        let waiting = waiting
            .map(|(issue, why)| Entry::new(format!("{issue} {}", waits(app, why)), Style::new()));
        held.chain(waiting).collect()
    })
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

/// A limit, and what is used of it.
struct Used {
    name: &'static str,
    /// In thousandths; none without a limit.
    parts: Option<u64>,
    text: String,
}

/// Day and fleet, each with a bar for every limit it has.
pub(super) fn budget(app: &App, room: usize) -> Panel {
    let mut used = Vec::new();
    if let Some(books) = &app.books {
        account("today", &books.day, &mut used);
        account("ever", &books.fleet, &mut used);
    }
    let barred = used.iter().filter(|used| used.parts.is_some());
    let longest = barred.map(|used| cells::width(&used.text)).max();
    let bar = room
        .saturating_sub(NAME + longest.unwrap_or(0) + 1)
        .min(BAR);
    let mut entries: Vec<Entry> = used.iter().map(|used| entry(app, used, bar)).collect();
    if entries.is_empty() {
        entries.push(Entry::new("not known yet".to_owned(), app.looks.quiet()));
    }
    let title = "Budget".to_owned();
    Panel { title, entries }
}

fn account(name: &'static str, account: &Account, used: &mut Vec<Used>) {
    let booked = account.standing.booked();
    let (tokens, cost) = (booked.tokens(), booked.cost);
    let limit = account.limit;
    let mut name = Some(name);
    if let Some(most) = limit.tokens {
        used.push(Used {
            name: name.take().unwrap_or_default(),
            parts: Some(parts(tokens, most)),
            text: format!("{} of {} tokens", cells::count(tokens), cells::count(most)),
        });
    }
    if let Some(most) = limit.cost {
        used.push(Used {
            name: name.take().unwrap_or_default(),
            parts: Some(parts(cost.0, most.0)),
            text: format!("{} of {}", dollars(cost), dollars(most)),
        });
    }
    if let Some(name) = name {
        let text = format!(
            "{} tokens, {}, no limit",
            cells::count(tokens),
            dollars(cost)
        );
        let parts = None;
        used.push(Used { name, parts, text });
    }
}

fn parts(used: u64, most: u64) -> u64 {
    let parts = u128::from(used) * u128::from(WHOLE) / u128::from(most.max(1));
    u64::try_from(parts).unwrap_or(u64::MAX).min(WHOLE)
}

fn entry(app: &App, used: &Used, width: usize) -> Entry {
    let looks = app.looks;
    let name = cells::fit(used.name, NAME, looks.mark());
    let Some(parts) = used.parts else {
        return Entry::new(format!("{name}{}", used.text), Style::new());
    };
    let style = match parts {
        WHOLE.. => looks.bad(),
        NEARLY.. => looks.warning(),
        _ => looks.good(),
    };
    let filled = usize::try_from(parts).unwrap_or(0) * width / usize::try_from(WHOLE).unwrap_or(1);
    let (full, empty) = looks.bar();
    let bar = full.to_string().repeat(filled) + &empty.to_string().repeat(width - filled);
    let gap = if width > 0 { " " } else { "" };
    Entry {
        word: Some((format!("{name}{bar}{gap}"), style)),
        text: used.text.clone(),
        style: Style::new(),
    }
}

fn dollars(cost: MicroUsd) -> String {
    format!("${}.{:02}", cost.0 / 1_000_000, cost.0 % 1_000_000 / 10_000)
}

/// Each provider by its newest calls.
pub(super) fn providers(app: &App) -> Panel {
    let looks = app.looks;
    let title = "Providers".to_owned();
    from_log(app, title, "no model was asked yet", |fleet| {
        let entry = |(name, provider): (&String, &Provider)| {
            let (word, style) = match provider.answers() {
                None => ("is asked", Style::new()),
                Some(true) => ("answers", looks.good()),
                Some(false) => ("FAILS", looks.bad()),
            };
            Entry {
                word: Some((format!("{} {word} ", looks.plain(name)), style)),
                text: newest(app, provider),
                style: Style::new(),
            }
        };
        fleet.providers.iter().map(entry).collect()
    })
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
pub(super) fn alerts(app: &App) -> Panel {
    let looks = app.looks;
    let open = app.fleet.as_ref().map_or(0, |fleet| fleet.alerts.len());
    from_log(app, format!("Alerts: {open}"), "none", |fleet| {
        let pressing = fleet.pressing().into_iter();
        let entry = pressing.map(|(key, alert)| {
            let (code, subject) = (key.code, looks.plain(&key.subject));
            let (since, what) = (since(app, alert.since), looks.plain(&alert.what));
            Entry {
                word: Some((
                    format!("{} ", alert.severity),
                    looks.of_severity(alert.severity),
                )),
                text: format!("{code} {subject}: {what} ({since})"),
                style: Style::new(),
            }
        });
        entry.collect()
    })
}
