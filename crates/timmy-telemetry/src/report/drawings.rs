//! Which charts a report has.

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::IssueName;
use timmy_core::event::Outcome;
use timmy_store::runs::RunSummary;

use super::Report;
use super::causes::Whose;
use super::document::Block;
use super::document::Chart;
use super::hours::end_of;
use super::words::Zone;
use super::words::duration;
use super::words::short;
use crate::chart::Tone;
use crate::chart::columns::Columns;
use crate::chart::shares;
use crate::chart::shares::Share;
use crate::chart::steps::Steps;
use crate::chart::timeline::Band;
use crate::chart::timeline::Bar;
use crate::chart::timeline::Timeline;
use crate::slots::Begun;
use crate::slots::Slots;

/// What the tones of runs stand for.
const TONES: [(Tone, &str); 6] = [
    (Tone::Good, "pull request"),
    (Tone::Warn, "draft, its check failed"),
    (Tone::Bad, "came to nothing"),
    (Tone::Outside, "a platform or settings failed"),
    (Tone::Calm, "nobody's fault"),
    (Tone::Open, "no end yet"),
];

/// What a run is drawn like.
fn tone(run: &RunSummary) -> Tone {
    let Some(outcome) = &run.outcome else {
        return Tone::Open;
    };
    if matches!(outcome, Outcome::Draft { .. }) {
        return Tone::Warn;
    }
    match Whose::of(outcome) {
        None => Tone::Good,
        Some(Whose::Agent) => Tone::Bad,
        Some(Whose::Platform(_) | Whose::Repository) => Tone::Outside,
        Some(Whose::Nobody) => Tone::Calm,
    }
}

/// From the first run to the end of the last.
fn span(report: &Report) -> Option<(Timestamp, Timestamp)> {
    let begins = report.runs.iter().map(|line| line.run.started);
    let ends = report.runs.iter().map(|line| end_of(&line.run));
    begins.min().zip(ends.max())
}

fn chart(drawing: crate::chart::Drawing, bars: Vec<(String, u64)>) -> Block {
    Block::Chart(Box::new(Chart { drawing, bars }))
}

/// How many runs ended how.
pub(super) fn outcomes(report: &Report) -> Option<Block> {
    let mut shares = Vec::new();
    for (tone_of, words) in TONES {
        let runs = report.runs.iter().filter(|line| tone(&line.run) == tone_of);
        let count = runs.count() as u64;
        if count > 0 {
            shares.push(Share {
                label: words.to_owned(),
                count,
                tone: tone_of,
            });
        }
    }
    let bars = shares
        .iter()
        .map(|share| (share.label.clone(), share.count));
    let bars: Vec<_> = bars.collect();
    let drawing = shares::draw("outcomes", "How the runs ended", &shares);
    (!shares.is_empty()).then(|| chart(drawing, bars))
}

/// What ran in which slot.
pub(super) fn timeline(report: &Report, zone: &Zone) -> Option<Block> {
    let span = span(report)?;
    let bands = report.hours.pauses.iter().filter_map(|pause| {
        let until = pause.until.unwrap_or(span.1).min(span.1);
        let since = pause.since.max(span.0);
        (since < until).then(|| Band {
            since,
            until,
            hint: short(&format!("{} held back: {}", pause.scope, pause.why)),
        })
    });
    let timeline = Timeline {
        bars: bars(report, zone),
        bands: bands.collect(),
        span,
        legend: TONES.to_vec(),
    };
    Some(chart(timeline.draw(zone), Vec::new()))
}

/// Every run in its slot, as the live views showed it.
fn bars(report: &Report, zone: &Zone) -> Vec<Bar> {
    let mut moments: Vec<(Timestamp, bool, usize)> = Vec::new();
    for (place, line) in report.runs.iter().enumerate() {
        moments.push((line.run.started, true, place));
        let shortest = line.run.started + SignedDuration::from_millis(1);
        moments.push((end_of(&line.run).max(shortest), false, place));
    }
    // What ends makes room for what begins at the same moment.
    moments.sort_unstable();
    let mut slots = Slots::default();
    let mut bars = Vec::new();
    for (at, begins, place) in moments {
        let run = &report.runs[place].run;
        if !begins {
            slots.end(&run.run);
            continue;
        }
        let issue = IssueName {
            repo: run.repo.clone(),
            number: run.issue,
        };
        slots.begin(Begun {
            run: run.run.clone(),
            issue,
            at,
            // Runs without an end keep their place as long as they were heard of.
            heard: run.last_event,
        });
        let ended = run.outcome.as_ref().map_or("no end yet", Outcome::word);
        bars.push(Bar {
            lane: slots.of(&run.run).unwrap_or(1),
            since: run.started,
            until: end_of(run),
            tone: tone(run),
            label: format!("#{}", run.issue),
            hint: format!(
                "{}#{} {}: {}, {} after {}",
                run.repo,
                run.issue,
                short(&run.title),
                ended.replace('_', " "),
                zone.clock(run.started),
                duration(run.duration_ms)
            ),
        });
    }
    bars
}

/// How many pull requests there were by when.
pub(super) fn merged(report: &Report, zone: &Zone) -> Option<Block> {
    if report.opened.len() + report.merged.len() < 2 {
        return None;
    }
    let moments = report.opened.iter().chain(&report.merged);
    let (begin, end) = span(report)?;
    let last = moments.max().map_or(end, |last| end.max(*last));
    let steps = Steps {
        name: "merged",
        title: "Pull requests merged and opened".to_owned(),
        first: ("merged", report.merged.clone()),
        second: ("opened", report.opened.clone()),
        span: (begin, last),
    };
    Some(chart(steps.draw(zone), Vec::new()))
}

/// The tokens of each stretch of time.
pub(super) fn tokens(report: &Report, zone: &Zone) -> Option<Block> {
    const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
    let (begin, end) = span(report)?;
    if report.minutes.len() < 2 || end.duration_since(begin) < SHORTEST {
        return None;
    }
    let amounts = report
        .minutes
        .iter()
        .map(|(at, usage)| (*at, usage.tokens()));
    let columns = Columns {
        name: "tokens",
        title: "Tokens over time".to_owned(),
        unit: "tokens",
        amounts: amounts.collect(),
        span: (begin, end),
    };
    Some(chart(columns.draw(zone), Vec::new()))
}
