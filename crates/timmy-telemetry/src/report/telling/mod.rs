//! A report as a document: what is said under which heading.

mod lookup;

use timmy_core::IssueName;

use crate::chart::Tone;
use crate::report::Report;
use crate::report::document::Block;
use crate::report::document::Column;
use crate::report::document::ColumnKind;
use crate::report::document::Document;
use crate::report::document::Figure;
use crate::report::document::Inline;
use crate::report::document::Item;
use crate::report::document::Links;
use crate::report::document::Section;
use crate::report::document::Table;
use crate::report::document::Words;
use crate::report::document::plain;
use crate::report::drawings;
use crate::report::needs::Need;
use crate::report::needs::Pressure;
use crate::report::standing::Pull;
use crate::report::standing::Standing;
use crate::report::window::Stretch;
use crate::report::words::Zone;
use crate::report::words::count;
use crate::report::words::duration;
use crate::report::words::energy;
use crate::report::words::grouped;
use crate::report::words::money;
use crate::report::words::rough;

/// What the document is called.
pub const TITLE: &str = "Morning report";

/// Makes a document of a report.
#[must_use]
pub fn tell(report: &Report, zone: &Zone, links: &Links) -> Document {
    let nothing = report.runs.is_empty() && report.pulls.is_empty();
    let mut sections = vec![needs(report, links)];
    if !nothing {
        sections.push(night(report, zone));
        sections.push(pulls(report));
        sections.push(price(report));
    }
    sections.extend(lookup::failures(report));
    sections.extend(lookup::models(report, zone));
    sections.push(lookup::hours(report, zone));
    sections.extend(lookup::facts(report));
    sections.extend(lookup::unseen(report));
    sections.extend(lookup::runs(report, zone));
    Document {
        title: TITLE.to_owned(),
        stretch: stretch(report, zone),
        key: report.window.key(),
        figures: figures(report),
        sections,
    }
}

fn stretch(report: &Report, zone: &Zone) -> String {
    let window = &report.window;
    match (window.of, window.since, window.until) {
        (Stretch::Night, Some(since), _) => format!("the night since {}", zone.full(since)),
        (_, None, None) => "everything in the log".to_owned(),
        (_, Some(since), None) => format!("since {}", zone.full(since)),
        (_, None, Some(until)) => format!("until {}", zone.full(until)),
        (_, Some(since), Some(until)) => {
            format!("{} to {}", zone.full(since), zone.full(until))
        }
    }
}

fn figures(report: &Report) -> Vec<Figure> {
    let figure = |value: String, label: &str, tone: Tone| Figure {
        value,
        label: label.to_owned(),
        tone,
    };
    let failed: u64 = report.failures.iter().map(|cause| cause.count).sum();
    let ready = report.standing(Standing::Ready);
    let tone = |number: u64, tone: Tone| if number > 0 { tone } else { Tone::Calm };
    let runs = report.runs.len() as u64;
    let word = if runs == 1 { "run" } else { "runs" };
    let mut figures = vec![
        figure(
            grouped(report.price.merged),
            "merged",
            tone(report.price.merged, Tone::Good),
        ),
        figure(grouped(ready), "ready for review", tone(ready, Tone::Good)),
        figure(grouped(failed), "without success", tone(failed, Tone::Bad)),
        figure(grouped(runs), word, Tone::Calm),
        figure(rough(report.usage.tokens()), "tokens", Tone::Calm),
    ];
    if report.usage.cost.0 > 0 {
        figures.push(figure(money(report.usage.cost), "spent", Tone::Calm));
    }
    figures
}

fn section(id: &'static str, heading: &str, blocks: Vec<Block>) -> Section {
    Section {
        id,
        heading: heading.to_owned(),
        blocks,
        folded: false,
    }
}

fn needs(report: &Report, links: &Links) -> Section {
    let items = report
        .needs_a_person
        .iter()
        .map(|need| need_item(need, links));
    let items: Vec<Item> = items.collect();
    let block = match (items.is_empty(), report.runs.is_empty()) {
        (true, true) => Block::Words(plain("Nothing: there were no runs.")),
        (true, false) => Block::Words(plain("Nothing.")),
        (false, _) => Block::List(items),
    };
    section("needs", "Needs a person", vec![block])
}

fn need_item(need: &Need, links: &Links) -> Item {
    let tone = match need.pressure {
        Pressure::Standstill | Pressure::Stuck => Tone::Bad,
        Pressure::Decision => Tone::Good,
        Pressure::Failed | Pressure::Disagreement => Tone::Warn,
        Pressure::Later => Tone::Calm,
    };
    let todo = match &need.pull {
        Some(pull) if links.base.is_some() => Some(Inline::OpenPull(pull.clone())),
        _ => todo(&need.todo),
    };
    Item {
        tag: Some((need.pressure.words().to_owned(), tone)),
        about: vec![named(&need.about)],
        what: plain(&need.what),
        todo,
    }
}

/// A command as such, a sentence as a sentence.
fn todo(text: &str) -> Option<Inline> {
    let command = text.starts_with("timmy ") && !text.contains('`');
    match text {
        "" => None,
        text if command => Some(Inline::Code(text.to_owned())),
        text => Some(Inline::Text(text.to_owned())),
    }
}

/// An issue by its name, or something else.
fn named(about: &str) -> Inline {
    match about.parse::<IssueName>() {
        Ok(issue) => Inline::Issue(issue),
        Err(_) => Inline::Text(about.to_owned()),
    }
}

fn night(report: &Report, zone: &Zone) -> Section {
    let outcomes = report.outcomes.iter();
    let told: Vec<String> = outcomes
        .map(|(word, count)| format!("{count} \u{d7} {}", word.replace('_', " ")))
        .collect();
    let mut text = count(report.runs.len() as u64, "run", "runs");
    if !told.is_empty() {
        text = format!("{text}: {}", told.join(", "));
    }
    if report.replayed {
        text.push_str("; replayed runs asked no model");
    }
    let mut blocks = vec![Block::Words(plain(format!("{text}.")))];
    blocks.extend(drawings::outcomes(report));
    blocks.extend(drawings::timeline(report, zone));
    blocks.extend(drawings::merged(report, zone));
    section("night", "What happened", blocks)
}

fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

fn pulls(report: &Report) -> Section {
    let standing = |standing: &Standing| {
        let number = report.standing(*standing);
        (number > 0).then(|| format!("{number} {}", standing.words()))
    };
    let told: Vec<String> = Standing::ALL.iter().filter_map(standing).collect();
    if told.is_empty() {
        let none = Block::Words(plain("None was opened, and none was open before."));
        return section("pulls", "Pull requests", vec![none]);
    }
    let mut blocks = vec![Block::Words(plain(format!("{}.", told.join(", "))))];
    blocks.push(Block::Table(Table {
        caption: "Pull requests, as the forge has them now".to_owned(),
        columns: vec![
            column("pull request", ColumnKind::Words),
            column("stands", ColumnKind::Words),
            column("issue", ColumnKind::Words),
            column("title", ColumnKind::Long),
            column("check", ColumnKind::Words),
        ],
        rows: report.pulls.iter().map(pull_row).collect(),
    }));
    if !report.disagreements.is_empty() {
        let number = report.disagreements.len() as u64;
        let what = count(number, "thing", "things");
        let told = format!("Log and forge do not agree about {what}; see what needs a person.");
        blocks.push(Block::Words(plain(told)));
    }
    section("pulls", "Pull requests", blocks)
}

fn pull_row(pull: &Pull) -> Vec<Words> {
    let name = IssueName {
        repo: pull.repo.clone(),
        number: pull.number,
    };
    let why = pull
        .why
        .as_ref()
        .map(|why| format!(" ({why})"))
        .unwrap_or_default();
    let before = if pull.from_before {
        ", from before"
    } else {
        ""
    };
    let check = match pull.check_passed {
        Some(true) => "pass",
        Some(false) => "FAIL",
        None => "",
    };
    vec![
        vec![Inline::Pull(name)],
        plain(format!("{}{why}{before}", pull.standing.words())),
        plain(
            pull.issue
                .map(|issue| format!("#{issue}"))
                .unwrap_or_default(),
        ),
        plain(&pull.title),
        plain(check),
    ]
}

fn price(report: &Report) -> Section {
    let price = &report.price;
    let row = |what: &str, all: String, each: Option<String>| {
        let each = each.unwrap_or_else(|| "-".to_owned());
        vec![plain(what), plain(all), plain(each)]
    };
    let energy_row = |what: &str, all: Option<u64>, each: Option<u64>| {
        all.map(|all| row(what, energy(all), each.map(energy)))
    };
    let mut rows = vec![
        row("cost", money(price.usage.cost), price.cost_each.map(money)),
        row(
            "tokens",
            grouped(price.usage.tokens()),
            price.tokens_each.map(grouped),
        ),
        row(
            "wall time of runs",
            duration(price.wall_ms),
            price.wall_ms_each.map(duration),
        ),
    ];
    rows.extend(energy_row(
        "energy, counted",
        price.counted_mj,
        price.counted_mj_each,
    ));
    rows.extend(energy_row(
        "energy, declared",
        price.declared_mj,
        price.declared_mj_each,
    ));
    let told = match price.merged {
        0 => "Nothing was merged, so nothing is shared out.".to_owned(),
        merged => format!(
            "{} merged; runs that came to nothing are part of the price.",
            count(merged, "pull request was", "pull requests were")
        ),
    };
    let table = Table {
        caption: "What was used, and for each merged pull request".to_owned(),
        columns: vec![
            column("", ColumnKind::Words),
            column("in all", ColumnKind::Figures),
            column("per merged pull request", ColumnKind::Figures),
        ],
        rows,
    };
    section(
        "price",
        "Price",
        vec![Block::Words(plain(told)), Block::Table(table)],
    )
}
