//! `timmy runs` and `timmy show`.

use timmy_core::Event;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_store::runs::RunSummary;

use super::Ended;
use super::events::find_run;
use super::telling::tell;
use super::told;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) async fn list(host: &Host, limit: u32) -> Ended {
    let log = host.log().await?;
    let since = jiff::Timestamp::UNIX_EPOCH;
    let summaries = log.runs_since(since, limit).await.map_err(told)?;
    if host.form == Form::Json {
        output::json(&summaries)?;
        return Ok(ExitStatus::Success);
    }
    if summaries.is_empty() {
        output::talk("no runs yet; `timmy sprint` makes one");
        return Ok(ExitStatus::Success);
    }
    let rows = summaries.iter().map(row).collect();
    let header = [
        "run",
        "started (UTC)",
        "issue",
        "outcome",
        "pull request",
        "check",
        "model",
        "took",
    ];
    output::line(&output::table(&header, rows))?;
    Ok(ExitStatus::Success)
}

fn row(run: &RunSummary) -> Vec<String> {
    let exit_code = run.receipt.as_ref().map(|receipt| receipt.exit_code);
    vec![
        run.run.short().to_owned(),
        run.started.strftime("%Y-%m-%d %H:%M").to_string(),
        format!("{}#{}", run.repo, run.issue),
        outcome(run),
        run.pull_request
            .as_ref()
            .map(|pull| format!("#{}", pull.number))
            .unwrap_or_default(),
        match exit_code {
            None => String::new(),
            Some(None) => "no exit code".to_owned(),
            Some(Some(code)) => format!("exit {code}"),
        },
        format!("{} ({})", run.provider, run.provenance.word()),
        output::duration(run.duration_ms),
    ]
}

/// The outcome in words. A run without an end is working, or its process was killed.
pub(super) fn outcome(run: &RunSummary) -> String {
    match &run.outcome {
        None => "no end yet".to_owned(),
        Some(outcome) => outcome.word().replace('_', " "),
    }
}

pub(super) async fn show(host: &Host, named: &str) -> Ended {
    let log = host.log().await?;
    let run = find_run(&log, named).await?;
    let events = log.run(&run).await.map_err(told)?;
    let Some(summary) = RunSummary::fold(&events) else {
        return Ok(ExitStatus::NotFound);
    };
    if host.form == Form::Json {
        output::json(&serde_json::json!({ "run": summary, "events": events }))?;
        return Ok(ExitStatus::Success);
    }
    output::line(&format!(
        "run {} on {}#{}",
        summary.run, summary.repo, summary.issue
    ))?;
    output::line(&format!("  {}", summary.title))?;
    let calls = usize::try_from(summary.model_calls).unwrap_or(usize::MAX);
    output::line(&format!(
        "  {} in {}, {}, {} + {} tokens, {}, sandbox {}, model {} ({})",
        outcome(&summary),
        output::duration(summary.duration_ms),
        output::count(calls, "model call", "model calls"),
        summary.usage.input_tokens,
        summary.usage.output_tokens,
        summary.usage.cost,
        summary.sandbox.word(),
        summary.provider,
        summary.provenance.word(),
    ))?;
    for event in &events {
        show_event(event)?;
    }
    Ok(ExitStatus::Success)
}

/// An event as a sentence with its time; nothing when it only matters to machines.
pub(super) fn show_event(event: &Event) -> Result<(), Problem> {
    let at = event.at.strftime("%H:%M:%S");
    for (index, line) in tell(&event.kind).lines().enumerate() {
        let lead = if index == 0 {
            format!("{at} ")
        } else {
            " ".repeat(11)
        };
        output::line(&format!("{lead}{line}"))?;
    }
    Ok(())
}
