//! `timmy pause`, `timmy resume` and `timmy stop`: what a person asks of every host of the log.
//!
//! They only write down what is asked. Loops and sprints on all hosts read it within a second.

use serde_json::json;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::text;
use timmy_store::EventLog;
use timmy_store::StandingPause;

use super::Ended;
use super::events::find_run;
use super::told;
use crate::cli::PauseArguments;
use crate::cli::StopArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// The longest reason that is kept, in bytes.
pub(super) const REASON_BYTES: usize = 200;
/// The longest name of a person that is kept, in bytes.
const NAME_BYTES: usize = 100;
/// Unfinished runs that are stopped together, at most.
const RUNS_LOOKED_AT: u32 = 1_000;
/// A run that is to stop has ended already.
const ENDED: Code = Code::new(1070);
/// Where Linux says what a machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is written down now.
    Now,
    /// It already stood in the log; nothing was added.
    Before,
}

pub(super) async fn pause(host: &Host, arguments: &PauseArguments) -> Ended {
    let log = host.log().await?;
    let (asked, pause) = ask_pause(&log, &arguments.reason.join(" ")).await?;
    let mut stopped = Vec::new();
    if arguments.stop_running {
        for started in log.unfinished(RUNS_LOOKED_AT).await.map_err(told)? {
            match ask_stop(&log, &started.run).await {
                Ok(Asked::Now) => stopped.push(started.run),
                Ok(Asked::Before) => {}
                // It ended meanwhile, which is what was wanted.
                Err(problem) if problem.code == ENDED => {}
                Err(problem) => return Err(problem),
            }
        }
    }
    if host.form == Form::Json {
        let changed = asked == Asked::Now;
        let value = json!({ "paused": pause, "changed": changed, "stopped": stopped });
        output::json(&value)?;
        return Ok(ExitStatus::Success);
    }
    match asked {
        Asked::Now => output::line("the fleet is paused: nothing new begins on any host")?,
        Asked::Before => output::line(&already(&pause))?,
    }
    for run in &stopped {
        output::line(&format!("run {} is asked to stop", run.short()))?;
    }
    if !arguments.stop_running {
        output::talk("what runs is finished; `timmy resume` lets the fleet go on");
    }
    Ok(ExitStatus::Success)
}

pub(super) async fn resume(host: &Host) -> Ended {
    let log = host.log().await?;
    let paused = log.standing_pause().await.map_err(told)?;
    let asked = ask_resume(&log).await?;
    if host.form == Form::Json {
        let changed = asked == Asked::Now;
        output::json(&json!({ "paused": null, "changed": changed }))?;
        return Ok(ExitStatus::Success);
    }
    output::line(match (asked, paused) {
        (Asked::Before, _) => "the fleet is not paused; nothing is changed",
        (Asked::Now, Some(_)) => "the fleet goes on",
        (Asked::Now, None) => "the fleet was not paused; issues whose runs were stopped go on",
    })?;
    Ok(ExitStatus::Success)
}

pub(super) async fn stop(host: &Host, arguments: &StopArguments) -> Ended {
    let log = host.log().await?;
    let run = find_run(&log, &arguments.run).await?;
    let asked = ask_stop(&log, &run).await?;
    let changed = asked == Asked::Now;
    match (host.form, asked) {
        (Form::Json, _) => output::json(&json!({ "run": run, "changed": changed }))?,
        (Form::Human, Asked::Now) => {
            output::line(&format!("run {} is asked to stop", run.short()))?;
        }
        (Form::Human, Asked::Before) => {
            output::line(&format!("run {} was asked to stop already", run.short()))?;
        }
    }
    Ok(ExitStatus::Success)
}

/// Writes down that nothing new is to begin, unless that stands in the log. Gives the pause in force.
pub(super) async fn ask_pause(
    log: &EventLog,
    reason: &str,
) -> Result<(Asked, StandingPause), Problem> {
    if let Some(pause) = log.standing_pause().await.map_err(told)? {
        return Ok((Asked::Before, pause));
    }
    let reason = text::clean_line(reason);
    let reason = text::bound(&reason, REASON_BYTES).into_owned();
    let by = person();
    let kind = EventKind::PauseAsked {
        reason: reason.clone(),
        by: by.clone(),
    };
    let at = log.append(None, kind).await?.at;
    Ok((Asked::Now, StandingPause { at, by, reason }))
}

/// Writes down that the fleet is to go on, where anything waits for that.
pub(super) async fn ask_resume(log: &EventLog) -> Result<Asked, Problem> {
    let paused = log.standing_pause().await.map_err(told)?.is_some();
    let waits = paused || !log.standing_stops().await.map_err(told)?.is_empty();
    if !waits {
        return Ok(Asked::Before);
    }
    log.append(None, EventKind::ResumeAsked).await?;
    Ok(Asked::Now)
}

/// Writes down that a run is to stop.
pub(super) async fn ask_stop(log: &EventLog, run: &RunId) -> Result<Asked, Problem> {
    let summary = log.summary(run).await.map_err(told)?;
    if let Some(outcome) = summary.and_then(|summary| summary.outcome) {
        let word = outcome.word().replace('_', " ");
        let what = format!("run {} has ended already: {word}", run.short());
        return Err(Problem::new(ENDED, ExitStatus::NotFound, what)
            .fix("`timmy watch --once` shows what runs"));
    }
    if log.was_asked_to_stop(run).await.map_err(told)? {
        return Ok(Asked::Before);
    }
    let target = run.clone();
    log.append(None, EventKind::StopAsked { target }).await?;
    Ok(Asked::Now)
}

/// A pause in a sentence.
pub(super) fn sentence(pause: &StandingPause) -> String {
    let since = pause.at.strftime("%Y-%m-%d %H:%M UTC");
    let by = match pause.by.as_str() {
        "" => String::new(),
        by => format!(" by {by}"),
    };
    let reason = match pause.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!("PAUSED{by} since {since}{reason}")
}

fn already(pause: &StandingPause) -> String {
    format!(
        "it is paused already, nothing is changed\n{}",
        sentence(pause)
    )
}

/// Who is at the keyboard, as far as the system says.
fn person() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let login = named("USER").or_else(|| named("LOGNAME"));
    let machine = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let machine = text::clean_line(&machine);
    let name = match (login.as_deref(), machine.trim()) {
        (Some(login), "") => login.to_owned(),
        (Some(login), machine) => format!("{login}@{machine}"),
        (None, machine) => machine.to_owned(),
    };
    let name = text::clean_line(&name);
    text::bound(&name, NAME_BYTES).into_owned()
}
