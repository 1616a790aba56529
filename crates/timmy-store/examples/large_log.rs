//! How the log behaves as it grows: what a loop reads when it starts, and what an append costs.
//!
//! `large_log EVENTS…` makes a database with so many events for each number, closes it, opens it
//! again and prints one line of JSON for each:
//!
//! - `open_ms`: opening the database;
//! - `read_ms`: everything a loop reads at its start (all runs of the day, the decisions of the loop);
//! - `reopened_ms`: both together;
//! - `cpu_ms`: the processor time of both, which says more on a busy machine;
//! - `runs_on_us`: the runs on one issue, median;
//! - `append_us`: one append, median.
//!
//! With `TIMMY_POSTGRES` set to the address of an empty database, that one is used and only one
//! number is allowed.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use sqlx::AnyConnection;
use sqlx::AssertSqlSafe;
use sqlx::Connection;
use timmy_core::Clock;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_core::SystemClock;
use timmy_store::Store;

/// Turns of one run: a reserved and a settled call, a tool call and its result each.
const TURNS: u64 = 20;
/// Events of one run.
const EVENTS_PER_RUN: u64 = TURNS * 4 + 9;
/// Rows in one statement.
const ROWS: usize = 500;
/// Repetitions of what is measured in microseconds.
const REPETITIONS: usize = 200;
/// Issues the runs are spread over.
const ISSUES: u64 = 10_000;
/// What a loop asks for beside the runs.
const DECISIONS: [&str; 7] = [
    "issue_quarantined",
    "quarantine_lifted",
    "retry_scheduled",
    "dispatch_paused",
    "dispatch_resumed",
    "pull_request_merged",
    "pull_request_refused",
];

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .map(|size| size.parse())
        .collect::<Result<_, _>>()?;
    let server = std::env::var("TIMMY_POSTGRES").ok();
    if sizes.is_empty() || (server.is_some() && sizes.len() > 1) {
        return Err("name how many events the log is to have".into());
    }
    for size in sizes {
        let directory = tempfile::tempdir()?;
        let place = Place {
            root: directory.path().join("home"),
            server: server.clone(),
        };
        let figures = measure(&place, size).await?;
        writeln!(std::io::stdout().lock(), "{figures}")?;
    }
    Ok(())
}

struct Place {
    root: std::path::PathBuf,
    server: Option<String>,
}

impl Place {
    async fn open(&self) -> Outcome<Store> {
        Ok(match &self.server {
            Some(address) => Store::connect(address.parse()?).await?,
            None => Store::open(&self.root).await?,
        })
    }

    fn address(&self) -> String {
        let file = |root: &Path| format!("sqlite://{}", root.join("timmy.db").display());
        self.server.clone().unwrap_or_else(|| file(&self.root))
    }
}

async fn measure(place: &Place, size: u64) -> Outcome<Value> {
    place.open().await?.close().await;
    let started = Instant::now();
    fill(&place.address(), size).await?;
    let made = started.elapsed();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let before = processor_ms()?;
    let started = Instant::now();
    let store = place.open().await?;
    let opened = started.elapsed();
    let log = store.log(Arc::clone(&clock));
    let day = clock.now() - Duration::from_hours(24);
    let runs = log.runs_since(day, u32::MAX).await?;
    let decisions = log.of_types(&DECISIONS, 0, u32::MAX).await?;
    let reopened = started.elapsed();
    let cpu = processor_ms()? - before;
    let mut of_issue = Vec::new();
    let mut appended = Vec::new();
    for repetition in 0..REPETITIONS {
        let repetition = u64::try_from(repetition)?;
        let issue = IssueName {
            repo: "operator/project".parse()?,
            number: repetition * 37 % ISSUES + 1,
        };
        let started = Instant::now();
        log.runs_on(&issue, 100).await?;
        of_issue.push(started.elapsed());
        let run = RunId::generate();
        let kind = EventKind::IssueCommented {
            issue: issue.number,
        };
        let started = Instant::now();
        log.append(Some(&run), kind).await?;
        appended.push(started.elapsed());
    }
    store.close().await;
    Ok(json!({
        "events": size,
        "runs": runs.len(),
        "decisions": decisions.len(),
        "made_ms": milliseconds(made),
        "open_ms": milliseconds(opened),
        "read_ms": milliseconds(reopened.saturating_sub(opened)),
        "reopened_ms": milliseconds(reopened),
        "cpu_ms": cpu,
        "runs_on_us": median(of_issue).as_micros(),
        "append_us": median(appended).as_micros(),
    }))
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

/// Processor time of this process so far, in the kernel's ticks of ten milliseconds (proc(5)).
fn processor_ms() -> Outcome<u64> {
    const USER_AND_SYSTEM: std::ops::Range<usize> = 11..13;
    const TICK_MS: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .skip(1)
        .collect();
    let mut ticks = 0;
    for field in fields.get(USER_AND_SYSTEM).unwrap_or_default() {
        ticks += field.parse::<u64>()?;
    }
    Ok(ticks * TICK_MS)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Writes events as whole runs would leave them, spread over the last day.
async fn fill(address: &str, size: u64) -> Outcome<()> {
    let mut connection = AnyConnection::connect(address).await?;
    let now = SystemClock::new().now().as_microsecond();
    let apart = 86_000_000_000 / i64::try_from(size.max(1))?;
    let mut transaction = connection.begin().await?;
    let mut rows = Vec::new();
    let mut seq = 0;
    for run in 0..size.div_ceil(EVENTS_PER_RUN) {
        let id = RunId::generate();
        for (kind, body) in events(run) {
            if seq == i64::try_from(size)? {
                break;
            }
            seq += 1;
            let at = now - 86_000_000_000 + seq * apart;
            let subject = match kind.as_str() {
                "run_started" => format!("'operator/project#{}'", run % ISSUES + 1),
                _ => "NULL".to_owned(),
            };
            rows.push(format!(
                "({seq}, 1, {at}, '{id}', '{kind}', '{body}', {subject})"
            ));
        }
        if rows.len() >= ROWS {
            insert(&mut transaction, &mut rows).await?;
        }
    }
    insert(&mut transaction, &mut rows).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

async fn insert(connection: &mut AnyConnection, rows: &mut Vec<String>) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "INSERT INTO events (seq, schema, at_us, run, type, body, subject) VALUES {}",
        rows.join(", ")
    );
    rows.clear();
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

/// The events of one run, with bodies of the size they have in practice.
fn events(run: u64) -> Vec<(String, String)> {
    let usage = json!({"input_tokens": 8_000, "output_tokens": 200, "cost": 1_900});
    let number = run + 1;
    let object = format!("{run:040x}");
    let mut events = vec![
        json!({"type": "run_started", "repo": "operator/project", "issue": run % ISSUES + 1,
            "title": "The sum of two numbers is wrong when one of them is negative",
            "provider": "local", "provenance": "live", "sandbox": "L3",
            "fingerprint": {"text": "a".repeat(64), "base": object, "model": "local small",
            "prompt": "b".repeat(64)}}),
        json!({"type": "claim_acquired", "reference": format!("refs/timmy/claims/{number}"),
            "epoch": 1, "ttl_s": 600}),
        json!({"type": "workspace_ready", "base_branch": "main", "base": object}),
    ];
    for turn in 1..=TURNS {
        events.extend([
            json!({"type": "model_call_reserved", "call": turn, "provider": "local",
                "reserved": usage}),
            json!({"type": "model_call_settled", "call": turn, "provider": "local",
                "model": "small", "usage": usage, "measured": true, "duration_ms": 2_300}),
            json!({"type": "tool_called", "step": turn, "tool": "run_command",
                "arguments": "cargo test ".repeat(20)}),
            json!({"type": "tool_finished", "step": turn, "tool": "run_command", "ok": true,
                "duration_ms": 800, "result": "test result: ok. ".repeat(40)}),
        ]);
    }
    events.extend([
        json!({"type": "agent_finished", "reason": "finished", "summary": "Done.",
            "steps": TURNS, "usage": usage}),
        json!({"type": "work_collected", "commit": object}),
        json!({"type": "branch_pushed", "branch": format!("timmy/{number}-1"), "commit": object}),
        json!({"type": "pull_request_opened", "number": number, "url": "http://127.0.0.1/1",
            "draft": false, "adopted": false}),
        json!({"type": "claim_released", "epoch": 1}),
        json!({"type": "run_ended", "outcome": {"outcome": "pull_request", "number": number},
            "duration_ms": 60_000}),
    ]);
    events.into_iter().map(named).collect()
}

fn named(body: Value) -> (String, String) {
    let kind = body["type"].as_str().unwrap_or_default().to_owned();
    (kind, body.to_string())
}
