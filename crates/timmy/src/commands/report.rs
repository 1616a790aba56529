//! `timmy report`: what was done, and what needs a person.

use std::time::Duration;

use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_store::Store;
use timmy_store::runs::RunSummary;
use timmy_telemetry::report::Line;
use timmy_telemetry::report::PullStates;
use timmy_telemetry::report::Report;
use timmy_telemetry::report::runs_since;

use super::Ended;
use super::control;
use super::runs::outcome;
use super::told;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, since_hours: Option<u32>) -> Ended {
    let store = host.store().await?;
    let report = make(host, &store, since_hours).await?;
    let log = store.log(std::sync::Arc::clone(&host.clock));
    let pause = log.standing_pause().await.map_err(told)?;
    match host.form {
        Form::Human => {
            if let Some(pause) = &pause {
                output::line(&format!("The fleet is {}\n", control::sentence(pause)))?;
            }
            print(&report)?;
        }
        Form::Json => output::json(&report)?,
    }
    Ok(ExitStatus::Success)
}

/// Builds the report from the log and the forge's state.
pub(super) async fn make(
    host: &Host,
    store: &Store,
    since_hours: Option<u32>,
) -> Result<Report, Problem> {
    let log = store.log(std::sync::Arc::clone(&host.clock));
    let now = host.clock.now();
    let since =
        since_hours.and_then(|hours| now.checked_sub(Duration::from_hours(u64::from(hours))).ok());
    let runs = runs_since(&log, since).await.map_err(told)?;
    let states = pull_states(host, store, &runs).await;
    Ok(Report::of(since, runs, &states))
}

/// Where the pull requests stand. A forge that cannot be asked leaves their state unknown.
async fn pull_states(host: &Host, store: &Store, runs: &[RunSummary]) -> PullStates {
    let mut states = PullStates::new();
    let links: Vec<_> = runs
        .iter()
        .filter_map(|run| Some((run, run.pull_request.as_ref()?)))
        .collect();
    if links.is_empty() {
        return states;
    }
    let connection = match host.connect(store).await {
        Ok(connection) => connection,
        Err(problem) => {
            output::talk(&format!("the forge cannot be asked: {}", problem.what));
            return states;
        }
    };
    for (run, link) in links {
        match connection.forge().pull(&run.repo, link.number).await {
            Ok(pull) => {
                states.insert((run.repo.clone(), link.number), pull.state);
            }
            Err(error) => output::talk(&format!(
                "pull request #{} cannot be asked: {}",
                link.number,
                error.problem().what
            )),
        }
    }
    states
}

/// The report for a person.
pub(super) fn print(report: &Report) -> Result<(), Problem> {
    if report.runs.is_empty() {
        let when = match report.since {
            Some(since) => format!(" since {}", since.strftime("%Y-%m-%d %H:%M UTC")),
            None => " yet; `timmy sprint` makes one".to_owned(),
        };
        return output::line(&format!("no runs{when}"));
    }
    output::line("Needs a person")?;
    if report.needs_a_person.is_empty() {
        output::line("  nothing")?;
    }
    for need in &report.needs_a_person {
        output::line(&format!("  {need}"))?;
    }
    output::line("\nRuns")?;
    let header = [
        "run",
        "issue",
        "title",
        "outcome",
        "pull request",
        "check",
        "model",
        "took",
    ];
    let rows = report.runs.iter().map(row).collect();
    output::line(&output::table(&header, rows))?;
    let replayed = if report.replayed {
        "; replayed runs asked no model"
    } else {
        ""
    };
    output::line(&format!(
        "\n{}, {} tokens in, {} out, {}{replayed}",
        output::count(report.runs.len(), "run", "runs"),
        report.usage.input_tokens,
        report.usage.output_tokens,
        report.usage.cost,
    ))
}

fn row(line: &Line) -> Vec<String> {
    let run = &line.run;
    let pull = run.pull_request.as_ref().map(|pull| {
        let state = line.pull_state.map_or("unknown".to_owned(), |state| {
            format!("{state:?}").to_lowercase()
        });
        format!("#{} {state}", pull.number)
    });
    let check = run.receipt.as_ref().map(|receipt| {
        receipt
            .exit_code
            .map_or("no exit code".to_owned(), |code| format!("exit {code}"))
    });
    vec![
        run.run.short().to_owned(),
        format!("{}#{}", run.repo, run.issue),
        run.title.clone(),
        outcome(run),
        pull.unwrap_or_default(),
        check.unwrap_or_default(),
        run.provenance.word().to_owned(),
        output::duration(run.duration_ms),
    ]
}
