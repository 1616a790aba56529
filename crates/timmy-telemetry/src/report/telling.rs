//! A report as a document: what is said under which heading.

use jiff::Timestamp;
use timmy_core::IssueName;

use super::Report;
use super::causes::Cause;
use super::document::Block;
use super::document::Column;
use super::document::ColumnKind;
use super::document::Document;
use super::document::Figure;
use super::document::Inline;
use super::document::Item;
use super::document::Links;
use super::document::Section;
use super::document::Table;
use super::document::Words;
use super::document::plain;
use super::drawings;
use super::models::ModelRow;
use super::needs::Need;
use super::needs::Pressure;
use super::standing::Pull;
use super::standing::Standing;
use super::window::Stretch;
use super::words::Zone;
use super::words::count;
use super::words::duration;
use super::words::energy;
use super::words::grouped;
use super::words::money;
use super::words::percent;
use super::words::rough;
use super::words::short;
use crate::chart::Tone;

/// What the document is called.
pub const TITLE: &str = "Morning report";
/// Issues that are named for one cause.
const NAMED: usize = 4;

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
    sections.extend(failures(report));
    sections.extend(models(report, zone));
    sections.push(hours(report, zone));
    sections.extend(facts(report));
    sections.extend(unseen(report));
    sections.extend(runs(report, zone));
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
    let mut figures = vec![
        figure(
            grouped(report.price.merged),
            "merged",
            tone(report.price.merged, Tone::Good),
        ),
        figure(grouped(ready), "ready for review", tone(ready, Tone::Good)),
        figure(grouped(failed), "without success", tone(failed, Tone::Bad)),
        figure(grouped(report.runs.len() as u64), "runs", Tone::Calm),
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
        .map(|(word, count)| format!("{count} {}", word.replace('_', " ")))
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
    let items = report.disagreements.iter().map(|one| Item {
        tag: None,
        about: vec![Inline::Issue(IssueName {
            repo: one.repo.clone(),
            number: one.number,
        })],
        what: plain(&one.what),
        todo: todo(&one.todo),
    });
    let items: Vec<Item> = items.collect();
    if !items.is_empty() {
        blocks.push(Block::Words(plain("Log and forge do not agree:")));
        blocks.push(Block::List(items));
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

fn failures(report: &Report) -> Option<Section> {
    if report.failures.is_empty() {
        return None;
    }
    let table = Table {
        caption: "Failures by their cause".to_owned(),
        columns: vec![
            column("runs", ColumnKind::Figures),
            column("fault", ColumnKind::Words),
            column("cause", ColumnKind::Long),
            column("issues", ColumnKind::Words),
            column("newest", ColumnKind::Words),
        ],
        rows: report.failures.iter().map(cause_row).collect(),
    };
    Some(section(
        "failures",
        "Failures by cause",
        vec![Block::Table(table)],
    ))
}

fn cause_row(cause: &Cause) -> Vec<Words> {
    let code = cause
        .code
        .map(|code| format!("{code} "))
        .unwrap_or_default();
    let mut issues: Vec<String> = cause
        .issues
        .iter()
        .take(NAMED)
        .map(|issue| format!("#{}", issue.number))
        .collect();
    if cause.issues.len() > NAMED {
        issues.push(format!("and {} more", cause.issues.len() - NAMED));
    }
    vec![
        plain(grouped(cause.count)),
        plain(cause.whose.word()),
        plain(format!("{code}{}", cause.what)),
        plain(issues.join(" ")),
        vec![Inline::Code(cause.newest.short().to_owned())],
    ]
}

fn models(report: &Report, zone: &Zone) -> Option<Section> {
    if report.models.is_empty() {
        return None;
    }
    let table = Table {
        caption: "What each model did".to_owned(),
        columns: vec![
            column("model", ColumnKind::Long),
            column("runs", ColumnKind::Figures),
            column("calls", ColumnKind::Figures),
            column("failed", ColumnKind::Figures),
            column("tokens", ColumnKind::Figures),
            column("cost", ColumnKind::Figures),
            column("checks passed", ColumnKind::Figures),
        ],
        rows: report.models.iter().map(model_row).collect(),
    };
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(drawings::tokens(report, zone));
    Some(section("models", "What the models did", blocks))
}

fn model_row(row: &ModelRow) -> Vec<Words> {
    let model = row.model.as_deref().unwrap_or("(no answer)");
    let replayed = match (row.replayed, row.runs) {
        (0, _) => String::new(),
        (replayed, runs) if replayed == runs => " (replayed)".to_owned(),
        (replayed, _) => format!(" ({replayed} replayed)"),
    };
    let checks = match row.checks {
        0 => "-".to_owned(),
        checks => format!("{} of {checks}", row.passed),
    };
    vec![
        plain(format!("{}/{model}{replayed}", row.provider)),
        plain(grouped(row.runs)),
        plain(grouped(row.calls)),
        plain(grouped(row.failed_calls)),
        plain(grouped(row.usage.tokens())),
        plain(money(row.usage.cost)),
        plain(checks),
    ]
}

fn hours(report: &Report, zone: &Zone) -> Section {
    let hours = &report.hours;
    let mut told = format!(
        "Attempts ran for {}, {} together, at most {} at once.",
        duration(hours.at_work_ms),
        duration(hours.attempts_ms),
        hours.most_at_once
    );
    if let Some(idle) = &hours.longest_idle {
        let (since, until) = span(zone, idle.since, idle.until);
        let lasted = duration(idle.lasted_ms());
        told = format!(
            "{told} Longest idle while work waited: {lasted}, {since} to {until} ({}).",
            short(&idle.waited)
        );
    }
    let mut blocks = vec![Block::Words(plain(told))];
    if !hours.pauses.is_empty() {
        let rows = hours.pauses.iter().map(|pause| {
            let code = pause
                .code
                .map(|code| format!("{code} "))
                .unwrap_or_default();
            let lasted = pause.lasted_ms().map_or("not over".to_owned(), duration);
            vec![
                plain(&pause.scope),
                plain(zone.day_and_clock(pause.since)),
                plain(lasted),
                plain(format!("{code}{}", pause.why)),
            ]
        });
        blocks.push(Block::Table(Table {
            caption: "What was held back".to_owned(),
            columns: vec![
                column("held back", ColumnKind::Words),
                column("since", ColumnKind::Words),
                column("for", ColumnKind::Words),
                column("why", ColumnKind::Long),
            ],
            rows: rows.collect(),
        }));
    }
    section("hours", "Hours", blocks)
}

/// Two moments; the second without its day where that is the same.
pub(super) fn span(zone: &Zone, since: Timestamp, until: Timestamp) -> (String, String) {
    let end = match zone.same_day(since, until) {
        true => zone.clock(until),
        false => zone.day_and_clock(until),
    };
    (zone.day_and_clock(since), end)
}

fn facts(report: &Report) -> Option<Section> {
    if report.facts.is_empty() {
        return None;
    }
    let items = report.facts.iter().map(|fact| Item {
        tag: None,
        about: Vec::new(),
        what: plain(format!("{} (n = {})", fact.what, fact.n)),
        todo: None,
    });
    Some(section(
        "facts",
        "Learnt",
        vec![Block::List(items.collect())],
    ))
}

fn unseen(report: &Report) -> Option<Section> {
    if report.unseen.is_empty() {
        return None;
    }
    let items = report.unseen.iter().map(|unseen| {
        let code = unseen
            .code
            .map(|code| format!(" ({code})"))
            .unwrap_or_default();
        Item {
            tag: None,
            about: Vec::new(),
            what: plain(format!("{}{code}; {}", unseen.what, unseen.so)),
            todo: None,
        }
    });
    Some(section(
        "unseen",
        "What could not be seen",
        vec![Block::List(items.collect())],
    ))
}

fn runs(report: &Report, zone: &Zone) -> Option<Section> {
    if report.runs.is_empty() {
        return None;
    }
    let rows = report.runs.iter().map(|line| {
        let run = &line.run;
        let outcome = run
            .outcome
            .as_ref()
            .map_or("no end yet".to_owned(), |outcome| {
                outcome.word().replace('_', " ")
            });
        let name = IssueName {
            repo: run.repo.clone(),
            number: run.issue,
        };
        let tokens = run.usage.tokens();
        vec![
            vec![Inline::Code(run.run.short().to_owned())],
            plain(zone.clock(run.started)),
            vec![Inline::Issue(name)],
            plain(short(&run.title)),
            plain(outcome),
            plain(run.provenance.word()),
            plain(rough(tokens)),
            plain(duration(run.duration_ms)),
        ]
    });
    let table = Table {
        caption: "Every run, oldest first".to_owned(),
        columns: vec![
            column("run", ColumnKind::Words),
            column("began", ColumnKind::Words),
            column("issue", ColumnKind::Words),
            column("title", ColumnKind::Long),
            column("outcome", ColumnKind::Words),
            column("model", ColumnKind::Words),
            column("tokens", ColumnKind::Figures),
            column("took", ColumnKind::Figures),
        ],
        rows: rows.collect(),
    };
    let usage = &report.usage;
    let told = format!(
        "{}, {} tokens in, {} out, {}",
        count(report.runs.len() as u64, "run", "runs"),
        grouped(usage.input_tokens),
        grouped(usage.output_tokens),
        money(usage.cost)
    );
    let asked = report
        .runs
        .iter()
        .filter(|line| line.run.provenance.word() == "replayed");
    let share = percent(asked.count() as u64, report.runs.len() as u64);
    let told = match share {
        0 => format!("{told}."),
        100 => format!("{told}; all replayed, no model was asked."),
        share => format!("{told}; {share} % replayed, no model was asked in them."),
    };
    Some(Section {
        folded: true,
        ..section(
            "runs",
            "Runs",
            vec![Block::Table(table), Block::Words(plain(told))],
        )
    })
}
