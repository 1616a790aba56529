//! Measures one look of the collector: `tick PANES RUNS EVENTS` opens so many real tmux panes and
//! runs with so many events each, and prints what looks cost in CPU, children included.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use timmy_core::Clock;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Redactor;
use timmy_core::RunId;
use timmy_core::SystemClock;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_telemetry::collect::Collector;
use timmy_telemetry::collect::Subject;
use timmy_telemetry::run_lock;
use timmy_telemetry::settings::TelemetrySettings;

/// Looks that are measured, after the first one.
const LOOKS: u32 = 10;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u32>());
    let mut number = |usual| numbers.next().unwrap_or(Ok(usual));
    let (panes, runs, events) = (number(50)?, number(50)?, number(200)?);
    let place = tempfile::tempdir()?;
    let root = place.path().join("home");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(&root).await?;
    let log = store.log(Arc::clone(&clock));
    let mut locks = Vec::new();
    let mut names = Vec::new();
    for issue in 1..=runs {
        let run = RunId::generate();
        begin(&log, &run, issue, events).await?;
        std::fs::create_dir_all(run_lock::directory(&root, &run))?;
        let lock = std::fs::File::create(run_lock::directory(&root, &run).join(run_lock::LOCK))?;
        lock.try_lock()?;
        locks.push(lock);
        names.push(run);
    }
    let server = open(&root, panes)?;
    let collector = Collector::new(Subject {
        root,
        settings: TelemetrySettings::default(),
        store,
        clock,
        repositories: Vec::new(),
        providers: Vec::new(),
        redactor: Redactor::default(),
    })?;
    let before = cpu_ms()?;
    let rows = collector.tick(None).await?.rows.len();
    let first = cpu_ms()? - before;
    let mut spent = 0.0;
    for step in 1..=LOOKS {
        for run in &names {
            log.append(Some(run), called(events + step)).await?;
        }
        let before = cpu_ms()?;
        collector.tick(None).await?;
        spent += cpu_ms()? - before;
    }
    drop(server);
    let each = spent / f64::from(LOOKS);
    let told = serde_json::json!({"panes": panes, "runs": runs, "rows": rows,
        "first_cpu_ms": first, "cpu_ms": each});
    use std::io::Write;
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

async fn begin(log: &EventLog, run: &RunId, issue: u32, events: u32) -> Result<(), Failure> {
    let started = serde_json::json!({"type": "run_started", "repo": "a/b", "issue": issue,
        "title": "t", "provider": "p", "provenance": "live", "sandbox": "L3"});
    let kind: EventKind = serde_json::from_value(started)?;
    log.append(Some(run), kind)
        .await
        .map_err(|problem| problem.to_string())?;
    for step in 1..=events {
        log.append(Some(run), called(step))
            .await
            .map_err(|problem| problem.to_string())?;
    }
    Ok(())
}

fn called(step: u32) -> EventKind {
    EventKind::ToolCalled {
        step,
        tool: "run_command".to_owned(),
        arguments: "x".repeat(500),
    }
}

/// A tmux server that ends when this is dropped.
struct Server(std::path::PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let ended = Command::new("tmux")
            .arg("-S")
            .arg(&self.0)
            .arg("kill-server")
            .status();
        drop(ended);
    }
}

fn open(root: &Path, panes: u32) -> Result<Server, Failure> {
    let socket = root.join("tmux/timmy");
    std::fs::create_dir_all(root.join("tmux"))?;
    let server = Server(socket);
    for pane in 0..panes {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-S"]).arg(&server.0);
        match pane {
            0 => command.args(["new-session", "-d", "-s", "timmy", "exec sleep 1000"]),
            _ => command.args(["new-window", "-d", "exec sleep 1000"]),
        };
        command.status()?;
    }
    Ok(server)
}

/// Processor time of this process and of those it started, in milliseconds.
fn cpu_ms() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: Result<Vec<u32>, _> = fields.split(' ').skip(11).take(4).map(str::parse).collect();
    // A tick is 10 ms (USER_HZ, proc(5)).
    Ok(ticks?.into_iter().map(f64::from).sum::<f64>() * 10.0)
}
