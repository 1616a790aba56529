//! `timmy telemetry analyze`: what the telemetry files hold.

use std::collections::BTreeMap;

use jiff::Timestamp;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_telemetry::analysis;
use timmy_telemetry::analysis::Analysis;
use timmy_telemetry::analysis::StateSeries;
use timmy_telemetry::analysis::ValueSeries;
use timmy_telemetry::files;

use super::figure;
use crate::cli::AnalyzeArguments;
use crate::commands::Ended;
use crate::host::Host;
use crate::host::incomplete;
use crate::output;
use crate::output::Form;

/// Rows of a table; all are in the JSON form.
const ROWS: usize = 40;

pub(super) fn run(host: &Host, arguments: &AnalyzeArguments) -> Ended {
    let now = host.clock.now();
    let since = arguments
        .since
        .map_or(Timestamp::MIN, |one| one.seen_from(now));
    let until = arguments.until.map_or(now, |one| one.seen_from(now));
    if since > until {
        let reason = "the time that is asked for ends before it begins".to_owned();
        return Err(incomplete("--since", reason));
    }
    let analysis = analysis::read(&host.root.join(files::DIRECTORY), since, until);
    match host.form {
        Form::Json => output::json(&analysis)?,
        Form::Human => print(&analysis)?,
    }
    Ok(ExitStatus::Success)
}

fn print(analysis: &Analysis) -> Result<(), Problem> {
    if analysis.lines.total == 0 && analysis.files.is_empty() {
        return output::line("nothing was collected yet; `timmy telemetry collect` does");
    }
    output::line(&summary(analysis))?;
    print_faults(analysis)?;
    for file in &analysis.files {
        if let Some(problem) = &file.problem {
            output::talk(&format!("not read: {}: {problem}", file.name));
        }
    }
    let values = analysis.values.iter().map(of_values);
    let header = [
        "series", "of", "host", "samples", "least", "mean", "most", "last",
    ];
    print_table(&header, values.collect())?;
    let states = analysis.states.iter().map(of_states);
    let header = [
        "series",
        "of",
        "host",
        "samples",
        "changes",
        "last",
        "time in states",
    ];
    print_table(&header, states.collect())
}

fn summary(analysis: &Analysis) -> String {
    let lines = &analysis.lines;
    let files = output::count(analysis.files.len(), "file", "files");
    let mut told = format!(
        "{} lines in {files}: {} samples, {} changes",
        lines.total, lines.samples, lines.changes
    );
    for (count, what) in [(lines.outside, "from another time"), (lines.blank, "blank")] {
        if count > 0 {
            told.push_str(&format!(", {count} {what}"));
        }
    }
    told
}

fn print_faults(analysis: &Analysis) -> Result<(), Problem> {
    for faulty in &analysis.lines.faults {
        if faulty.count == 0 {
            continue;
        }
        output::line(&format!("{} {}:", faulty.count, faulty.fault.word()))?;
        for example in &faulty.examples {
            output::line(&format!(
                "  {}:{}: {}",
                example.file, example.line, example.text
            ))?;
        }
    }
    Ok(())
}

fn print_table(header: &[&str], mut rows: Vec<Vec<String>>) -> Result<(), Problem> {
    if rows.is_empty() {
        return Ok(());
    }
    let left_out = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    output::line(&format!("\n{}", output::table(header, rows)))?;
    if left_out > 0 {
        output::line(&format!("and {left_out} more; --json has them all"))?;
    }
    Ok(())
}

fn of_values(one: &ValueSeries) -> Vec<String> {
    let figure = |value| figure(&one.series, value);
    vec![
        one.series.clone(),
        one.of.clone(),
        one.host.clone(),
        one.count.to_string(),
        figure(one.min),
        figure(one.mean),
        figure(one.max),
        figure(one.last),
    ]
}

fn of_states(one: &StateSeries) -> Vec<String> {
    let mut longest: BTreeMap<std::cmp::Reverse<i64>, Vec<&str>> = BTreeMap::new();
    for state in &one.states {
        let time = std::cmp::Reverse(state.time_ms);
        longest.entry(time).or_default().push(&state.state);
    }
    let mut times: Vec<String> = Vec::new();
    for (std::cmp::Reverse(time), states) in longest {
        let time = output::duration(u64::try_from(time).unwrap_or(0));
        times.extend(states.iter().map(|state| format!("{state} {time}")));
    }
    times.truncate(3);
    vec![
        one.series.clone(),
        one.of.clone(),
        one.host.clone(),
        one.count.to_string(),
        one.changes.to_string(),
        one.last.clone().unwrap_or_default(),
        times.join(", "),
    ]
}
