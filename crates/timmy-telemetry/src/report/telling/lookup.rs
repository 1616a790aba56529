//! The sections for looking things up: causes, models, hours, facts, what could not be seen, runs.

use jiff::Timestamp;
use timmy_core::IssueName;
use timmy_core::event::Outcome;
use timmy_core::receipt::Provenance;
use timmy_store::runs::RunSummary;

use super::column;
use super::section;
use crate::report::Line;
use crate::report::Report;
use crate::report::causes::Cause;
use crate::report::document::Block;
use crate::report::document::ColumnKind;
use crate::report::document::Inline;
use crate::report::document::Item;
use crate::report::document::Section;
use crate::report::document::Table;
use crate::report::document::Words;
use crate::report::document::plain;
use crate::report::drawings;
use crate::report::models::ModelRow;
use crate::report::words::Zone;
use crate::report::words::count;
use crate::report::words::duration;
use crate::report::words::grouped;
use crate::report::words::money;
use crate::report::words::percent;
use crate::report::words::rough;
use crate::report::words::short;

/// Issues that are named for one cause.
const NAMED: usize = 4;

pub(super) fn failures(report: &Report) -> Option<Section> {
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

pub(super) fn models(report: &Report, zone: &Zone) -> Option<Section> {
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

pub(super) fn hours(report: &Report, zone: &Zone) -> Section {
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
fn span(zone: &Zone, since: Timestamp, until: Timestamp) -> (String, String) {
    let end = match zone.same_day(since, until) {
        true => zone.clock(until),
        false => zone.day_and_clock(until),
    };
    (zone.day_and_clock(since), end)
}

pub(super) fn facts(report: &Report) -> Option<Section> {
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

pub(super) fn unseen(report: &Report) -> Option<Section> {
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

pub(super) fn runs(report: &Report, zone: &Zone) -> Option<Section> {
    let first = &report.runs.first()?.run.repo;
    let only_one = report.runs.iter().all(|line| line.run.repo == *first);
    let replayed = |line: &&Line| line.run.provenance == Provenance::Replayed;
    let replayed = report.runs.iter().filter(replayed).count();
    let share = percent(replayed as u64, report.runs.len() as u64);
    let row = |line: &Line| run_row(&line.run, zone, only_one, share < 100);
    let table = Table {
        caption: "Every run, oldest first".to_owned(),
        columns: vec![
            column("run", ColumnKind::Words),
            column("began", ColumnKind::Words),
            column("issue", ColumnKind::Words),
            column("title", ColumnKind::Long),
            column("outcome", ColumnKind::Words),
            column("tokens", ColumnKind::Figures),
            column("took", ColumnKind::Figures),
        ],
        rows: report.runs.iter().map(row).collect(),
    };
    let usage = &report.usage;
    let told = format!(
        "{}, {} tokens in, {} out, {}",
        count(report.runs.len() as u64, "run", "runs"),
        grouped(usage.input_tokens),
        grouped(usage.output_tokens),
        money(usage.cost)
    );
    let told = match share {
        _ if replayed == 0 => format!("{told}."),
        100 => format!("{told}; all replayed, no model was asked."),
        share => format!("{told}; {share} % replayed, no model was asked in them."),
    };
    let blocks = vec![Block::Table(table), Block::Words(plain(told))];
    Some(Section {
        folded: true,
        ..section("runs", "Runs", blocks)
    })
}

fn run_row(run: &RunSummary, zone: &Zone, only_one: bool, mixed: bool) -> Vec<Words> {
    let outcome = run.outcome.as_ref().map_or("no end yet", Outcome::word);
    let replayed = match run.provenance {
        Provenance::Replayed if mixed => ", replayed",
        Provenance::Replayed | Provenance::Live => "",
    };
    let name = IssueName {
        repo: run.repo.clone(),
        number: run.issue,
    };
    let issue = if only_one {
        Inline::Number(name)
    } else {
        Inline::Issue(name)
    };
    vec![
        vec![Inline::Code(run.run.short().to_owned())],
        plain(zone.clock(run.started)),
        vec![issue],
        plain(short(&run.title)),
        plain(format!("{}{replayed}", outcome.replace('_', " "))),
        plain(rough(run.usage.tokens())),
        plain(duration(run.duration_ms)),
    ]
}
