//! `timmy telemetry`: what is sampled, and how everything stands.

mod analyze;
mod ticker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::text;
use timmy_forge::Forge;
use timmy_store::Store;
use timmy_telemetry::collect::Collector;
use timmy_telemetry::collect::Subject;
use timmy_telemetry::collect::Tick;
use timmy_telemetry::files;
use timmy_telemetry::files::Files;
use timmy_telemetry::files::LastState;
use timmy_telemetry::probe::tmux;
use timmy_telemetry::probe::tmux::Socket;
use timmy_telemetry::rows::Row;
use timmy_telemetry::rows::Sample;
use timmy_telemetry::snapshot;
use timmy_telemetry::snapshot::Retention;
use timmy_telemetry::snapshot::Snapshot;

use super::Ended;
use super::export;
use super::told;
use crate::cli::TelemetryCommand;
use crate::connection::Connection;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) use ticker::Ticker;

const SECONDS_A_DAY: u64 = 86_400;
/// Different words of one series that a line of the summary tells apart.
const WORDS: usize = 4;

pub(super) async fn run(host: &Host, command: &TelemetryCommand) -> Ended {
    match command {
        TelemetryCommand::Collect => Box::pin(collect(host)).await,
        TelemetryCommand::Show => show(host),
        TelemetryCommand::Snapshot => take_snapshot(host).await,
        TelemetryCommand::Analyze(arguments) => analyze::run(host, arguments),
        TelemetryCommand::Export => export::once(host).await,
        TelemetryCommand::Serve { listen } => export::serve(host, *listen).await,
    }
}

/// A collector for this host.
pub(super) fn collector(
    host: &Host,
    store: &Store,
    redactor: Redactor,
) -> Result<Collector, Problem> {
    let config = &host.loaded.config;
    Collector::new(Subject {
        root: host.root.clone(),
        settings: config.telemetry.clone(),
        store: store.clone(),
        clock: Arc::clone(&host.clock),
        repositories: config.forge.repositories.clone(),
        providers: config.provider.clone(),
        redactor,
    })
    .map_err(told)
}

async fn collect(host: &Host) -> Ended {
    let store = host.store().await?;
    let collector = collector(host, &store, host.every_secret())?;
    // The forge is only reached when its figures are old.
    let connection: Option<Connection> = match collector.wants_of_forge().map_err(told)?.as_slice()
    {
        [] => None,
        _ => match host.connect(&store).await {
            Ok(connection) => Some(connection),
            Err(problem) => {
                output::talk(&format!("the forge is left out: {}", problem.what));
                None
            }
        },
    };
    let forge: Option<Arc<dyn Forge>> = connection.as_ref().map(Connection::forge);
    let tick = collector.tick(forge.as_deref()).await.map_err(told)?;
    match host.form {
        Form::Json => output::json(&tick)?,
        Form::Human => print(&tick)?,
    }
    Ok(ExitStatus::Success)
}

/// One line a series.
fn print(tick: &Tick) -> Result<(), Problem> {
    let mut series: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
    for row in &tick.rows {
        series.entry(&row.series).or_default().push(row);
    }
    let rows = series.iter().map(|(name, rows)| {
        let of = match rows.as_slice() {
            [only] => only.of.to_string(),
            many => many.len().to_string(),
        };
        vec![(*name).to_owned(), of, samples(rows)]
    });
    output::line(&output::table(&["series", "of", "sample"], rows.collect()))?;
    let changes = output::count(tick.changes.len(), "change", "changes");
    output::line(&format!("\n{} rows, {changes}", tick.rows.len()))?;
    for unseen in &tick.unseen {
        output::talk(&format!("not seen: {}: {}", unseen.what, unseen.why));
    }
    tell_begun_anew(tick.begun_anew);
    Ok(())
}

/// The one figure, the range of several, or how often each word is there.
fn samples(rows: &[&Row<'_>]) -> String {
    let mut figures = Vec::new();
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        match &row.sample {
            Sample::Value(value) => figures.push(*value),
            Sample::State(state) => *words.entry(state).or_default() += 1,
        }
    }
    let of_series = rows.first().map_or("", |row| &row.series);
    let figure = |value: f64| figure(of_series, value);
    match (figures.as_slice(), words.len()) {
        ([], 1) => words.into_keys().collect(),
        ([], _) => {
            let told = words.iter().take(WORDS);
            let told: Vec<String> = told
                .map(|(word, count)| format!("{count} {word}"))
                .collect();
            let more = if words.len() > WORDS {
                ", \u{2026}"
            } else {
                ""
            };
            told.join(", ") + more
        }
        ([only], _) => figure(*only),
        (many, _) => {
            let least = many.iter().copied().fold(f64::INFINITY, f64::min);
            let most = many.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{} to {}", figure(least), figure(most))
        }
    }
}

/// A figure in the unit its series has at its end.
fn figure(series: &str, value: f64) -> String {
    const GIBIBYTE: f64 = 1_073_741_824.0;
    if series.ends_with("_bytes") {
        return format!("{:.1} GiB", value / GIBIBYTE);
    }
    if series.ends_with("_s") {
        return format!("{value:.0} s");
    }
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    format!("{value:.2}")
}

fn show(host: &Host) -> Ended {
    let files = Files::open(&host.root.join(files::DIRECTORY)).map_err(told)?;
    let state = files.last_state().map_err(told)?;
    if host.form == Form::Json {
        output::json(&state)?;
        return Ok(ExitStatus::Success);
    }
    let Some(at) = state.at else {
        tell_begun_anew(state.begun_anew);
        output::line("nothing was collected yet; `timmy telemetry collect` does")?;
        return Ok(ExitStatus::Success);
    };
    print_state(&state, at)?;
    Ok(ExitStatus::Success)
}

fn print_state(state: &LastState, at: Timestamp) -> Result<(), Problem> {
    output::line(&format!(
        "{} at {}\n",
        text::clean_line(&state.host),
        at.strftime("%Y-%m-%d %H:%M:%S UTC")
    ))?;
    let states = state.states.iter();
    let rows = states.map(|((series, of), standing)| {
        let since = standing.since.strftime("%Y-%m-%d %H:%M UTC").to_string();
        vec![series.clone(), of.clone(), standing.state.clone(), since]
    });
    output::line(&output::table(
        &["series", "of", "state", "since"],
        rows.collect(),
    ))?;
    if !state.forge.is_empty() {
        let rows = state.forge.iter().map(|(repo, counted)| {
            vec![
                repo.to_string(),
                counted.open_issues.to_string(),
                counted.open_pulls.to_string(),
                counted.commits.to_string(),
                counted.asked.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            ]
        });
        let header = [
            "repository",
            "open issues",
            "open pull requests",
            "commits",
            "asked",
        ];
        output::line(&format!("\n{}", output::table(&header, rows.collect())))?;
    }
    tell_begun_anew(state.begun_anew);
    Ok(())
}

fn tell_begun_anew(times: u64) {
    if times > 0 {
        let times = output::count(
            usize::try_from(times).unwrap_or(usize::MAX),
            "time",
            "times",
        );
        output::talk(&format!(
            "the last state could not be read {times}; the bad file is kept beside it"
        ));
    }
}

async fn take_snapshot(host: &Host) -> Ended {
    let settings = &host.loaded.config.telemetry;
    let files = Files::open(&host.root.join(files::DIRECTORY)).map_err(told)?;
    let named = &settings.snapshot_sockets;
    let mut found = tmux::sockets(&host.root, named).await;
    let ours = |socket: &Socket| socket.own || named.contains(&socket.path);
    found.sockets.retain(ours);
    let retention = Retention {
        most: usize::try_from(settings.snapshots_keep).unwrap_or(usize::MAX),
        keep: Duration::from_secs(u64::from(settings.keep_days) * SECONDS_A_DAY),
    };
    let now = host.clock.now();
    let taken = snapshot::take(&files, &found, &host.every_secret(), retention, now).await;
    let taken = taken.map_err(told)?;
    match host.form {
        Form::Json => output::json(&taken)?,
        Form::Human => tell_snapshot(&taken)?,
    }
    Ok(ExitStatus::Success)
}

fn tell_snapshot(taken: &Snapshot) -> Result<(), Problem> {
    for unseen in &taken.unseen {
        output::talk(&format!("not captured: {}: {}", unseen.what, unseen.why));
    }
    let Some(directory) = &taken.directory else {
        return output::line("no pane of timmy's is open; `timmy panes` opens some");
    };
    let panes = output::count(taken.panes.len(), "pane", "panes");
    output::line(&format!("{panes} in {}", directory.display()))
}
