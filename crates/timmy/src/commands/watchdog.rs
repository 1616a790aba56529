//! `timmy watchdog`: expected models against those that are configured and run.

use std::sync::Arc;

use serde_json::json;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_model::hermes::homes::Homes;
use timmy_telemetry::watchdog;
use timmy_telemetry::watchdog::Plan;
use timmy_telemetry::watchdog::Restored;
use timmy_telemetry::watchdog::Restorer;
use timmy_telemetry::watchdog::Seen;
use timmy_telemetry::watchdog::Standing;
use timmy_telemetry::watchdog::Step;
use timmy_telemetry::watchdog::Surroundings;

use super::Ended;
use super::told;
use crate::cli::WatchdogArguments;
use crate::host::Host;
use crate::host::make_directory;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, arguments: &WatchdogArguments) -> Ended {
    let config = &host.loaded.config;
    let homes = Homes::find(&config.hermes);
    let own_sockets = host.root.join("tmux");
    let around = Surroundings {
        homes: homes.as_ref(),
        providers: &config.provider,
        own_sockets: &own_sockets,
    };
    if arguments.fix {
        return fix(host, around, arguments.dry_run).await;
    }
    let bar = output::progress("looking");
    let seen = watchdog::examine(&config.watchdog, &around).await;
    bar.finish_and_clear();
    match host.form {
        Form::Json => output::json(&seen)?,
        Form::Human => print(&seen)?,
    }
    Ok(verdict(seen.iter().any(|seen| seen.drift().is_some())))
}

fn verdict(drifts: bool) -> ExitStatus {
    match drifts {
        true => ExitStatus::Failure,
        false => ExitStatus::Success,
    }
}

async fn fix(host: &Host, around: Surroundings<'_>, dry_run: bool) -> Ended {
    let log = host.log().await?;
    let directory = host.root.join("telemetry");
    make_directory(&directory)?;
    let settings = &host.loaded.config.watchdog;
    let clock = Arc::clone(&host.clock);
    let restorer = Restorer::begin(settings, around, &directory, log, clock).map_err(told)?;
    let (seen, plans) = restorer.plan().await.map_err(told)?;
    if host.form == Form::Human {
        print(&seen)?;
        show(&plans)?;
    }
    let done = match dry_run {
        true => Vec::new(),
        false => restorer.restore(&plans).await,
    };
    match host.form {
        Form::Json => output::json(&json!({ "seen": seen, "plans": plans, "done": done }))?,
        Form::Human => tell(&done)?,
    }
    let restored = done.iter().filter(|done| done.is_ok()).count();
    Ok(verdict(restored < plans.len()))
}

fn print(seen: &[Seen]) -> Result<(), Problem> {
    if seen.is_empty() {
        output::talk("nothing is expected; [[watchdog.expect]] in timmy.toml says what is");
        return Ok(());
    }
    let row = |seen: &Seen| {
        let (mark, found) = match &seen.standing {
            Standing::AsExpected { evidence } => (output::verdict(true), evidence.clone()),
            Standing::Drifting(drift) => {
                let found = drift.found.as_deref().unwrap_or("nothing");
                (
                    output::verdict(false),
                    format!("{found}: {}", drift.evidence),
                )
            }
            Standing::NotPresent { reason } => ("-".to_owned(), format!("not present: {reason}")),
            Standing::NotAsked { reason } => ("?".to_owned(), format!("not known: {reason}")),
        };
        vec![seen.subject.clone(), seen.expected.clone(), mark, found]
    };
    let rows = seen.iter().map(row).collect();
    output::line(&output::table(&["what", "expected", "", "found"], rows))
}

fn show(plans: &[Plan]) -> Result<(), Problem> {
    for plan in plans {
        let subject = &plan.drift.subject;
        let text = match &plan.step {
            Err(problem) => {
                output::talk(&problem.to_string());
                continue;
            }
            Ok(Step::Edit(edit)) => format!("plan for {subject}:\n{}", edit.diff.trim_end()),
            Ok(Step::Load { address, model, .. }) => {
                format!("plan for {subject}: {address} loads {model}")
            }
            Ok(Step::Respawn { pane, command, .. }) if command.is_empty() => {
                format!("plan for {subject}: pane {pane} is started again")
            }
            Ok(Step::Respawn { pane, command, .. }) => {
                format!("plan for {subject}: pane {pane} is started again with {command:?}")
            }
        };
        output::line(&text)?;
    }
    Ok(())
}

fn tell(done: &[Result<Restored, Problem>]) -> Result<(), Problem> {
    for done in done {
        match done {
            Err(problem) => output::talk(&problem.to_string()),
            Ok(restored) => {
                let Restored {
                    subject, from, to, ..
                } = restored;
                output::line(&format!("{subject} put back from {from} to {to}"))?;
                if let Some(backup) = &restored.backup {
                    output::line(&format!("  the file as it was: {backup}"))?;
                }
            }
        }
    }
    Ok(())
}
