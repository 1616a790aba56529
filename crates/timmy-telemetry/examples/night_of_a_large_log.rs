//! How long one night's report takes at the end of a long log.
//!
//! `night_of_a_large_log EVENTS…` makes a log with so many events for each number, the newest hundred
//! runs of which are the night, and prints one line of JSON for each: `read_ms` for what is read from
//! the log, `made_ms` for the report and its page, `all_ms` for the same of the whole log.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_telemetry::report::ForgeView;
use timmy_telemetry::report::Gathered;
use timmy_telemetry::report::Moment;
use timmy_telemetry::report::Report;
use timmy_telemetry::report::Window;
use timmy_telemetry::report::Zone;
use timmy_telemetry::report::document::Links;
use timmy_telemetry::report::html;
use timmy_telemetry::report::telling;
use timmy_testkit::ManualClock;

/// Turns of one run: a settled call, a tool call and its result each.
const TURNS: u32 = 30;
const EVENTS_PER_RUN: u64 = TURNS as u64 * 3 + 3;
const NIGHT: u64 = 100;

type Outcomes<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcomes<()> {
    for size in std::env::args().skip(1) {
        let size: u64 = size.parse()?;
        let home = tempfile::tempdir()?;
        let store = Store::open(&home.path().join("timmy")).await?;
        let clock = Arc::new(ManualClock::default());
        let log = store.log(clock.clone());
        let runs = size.div_ceil(EVENTS_PER_RUN).max(NIGHT);
        let mut night = None;
        for run in 0..runs {
            let started = write(&log, &clock, run).await?;
            night = night.or((run + NIGHT == runs).then_some(started));
        }
        let (read, made) = measure(&log, night).await?;
        let (all, _) = measure(&log, None).await?;
        let figures =
            json!({"events": log.newest().await?, "read_ms": read, "made_ms": made, "all_ms": all});
        writeln!(std::io::stdout().lock(), "{figures}")?;
    }
    Ok(())
}

async fn measure(log: &EventLog, since: Option<Timestamp>) -> Outcomes<(u128, u128)> {
    let began = Instant::now();
    let window = Window::between(since.map(Moment::At), None, None)?;
    let gathered = Gathered::read(log, &window).await?;
    let read = began.elapsed().as_millis();
    let began = Instant::now();
    let report = Report::of(window, gathered, &ForgeView::default());
    let document = telling::tell(&report, &Zone(TimeZone::UTC), &Links::default());
    drop(html::write(&document, &Links::default()));
    Ok((read, began.elapsed().as_millis()))
}

/// Writes a run of ten minutes; gives back when it began.
async fn write(log: &EventLog, clock: &ManualClock, number: u64) -> Outcomes<Timestamp> {
    let run = RunId::generate();
    let usage = Usage {
        input_tokens: 8_000,
        output_tokens: 200,
        cost: MicroUsd(1_900),
    };
    let started = EventKind::RunStarted {
        repo: "operator/project".parse()?,
        issue: number % 500 + 1,
        title: "The sum of two numbers is wrong".to_owned(),
        provider: "local".to_owned(),
        provenance: Provenance::Live,
        sandbox: SandboxLevel::L3,
        fingerprint: None,
        answers: None,
    };
    let began = log.append(Some(&run), started).await?.at;
    for turn in 1..=TURNS {
        clock.advance(Duration::from_secs(20));
        let settled = EventKind::ModelCallSettled {
            call: turn,
            provider: "local".to_owned(),
            model: "small".to_owned(),
            usage,
            measured: true,
            duration_ms: 12_000,
        };
        log.append(Some(&run), settled).await?;
        let called = EventKind::ToolCalled {
            step: turn,
            tool: "write_file".to_owned(),
            arguments: json!({"path": format!("src/{turn}.rs"), "contents": "x".repeat(400)})
                .to_string(),
        };
        log.append(Some(&run), called).await?;
        let finished = EventKind::ToolFinished {
            step: turn,
            tool: "write_file".to_owned(),
            ok: true,
            duration_ms: 3,
            result: "written ".repeat(20),
        };
        log.append(Some(&run), finished).await?;
    }
    let finished = EventKind::AgentFinished {
        reason: "finished".to_owned(),
        summary: "Done.".to_owned(),
        steps: TURNS,
        usage,
    };
    log.append(Some(&run), finished).await?;
    let ended = EventKind::RunEnded {
        outcome: Outcome::NoChange,
        duration_ms: 600_000,
    };
    log.append(Some(&run), ended).await?;
    Ok(began)
}
