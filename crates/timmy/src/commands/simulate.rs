//! `timmy simulate`: nights in memory, with this host's rules, and what must always hold in them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::money::MicroUsd;
use timmy_dispatch::night::Until;
use timmy_dispatch::simulation::Keep;
use timmy_dispatch::simulation::Plan;
use timmy_dispatch::simulation::Played;
use timmy_dispatch::simulation::Tally;
use timmy_dispatch::simulation::play;

use super::Ended;
use crate::cli::SimulateArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// Of a night that broke a rule, so many lines are shown.
const TAIL: usize = 40;
/// Nights that are played unless said otherwise.
const NIGHTS: u64 = 20;
/// More nights that broke a rule than these are only counted.
const SHOWN: usize = 5;

/// What came of all nights.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Nights that were played.
    seeds: u64,
    /// Rules that were broken, in all of them.
    violations: u64,
    /// Time on this machine, on average.
    seconds_per_night: f64,
    /// What happened, in all of them.
    tally: Tally,
    /// The nights that broke a rule: seed, what was broken, how it came to that.
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    #[serde(flatten)]
    played: Played,
    trace: Vec<String>,
}

pub(super) fn run(host: &Host, arguments: &SimulateArguments) -> Ended {
    let plan = plan(host, arguments);
    if arguments.trace {
        return trace(host, &plan, arguments.seed.unwrap_or_default());
    }
    let summary = play_all(host, &plan, arguments);
    match host.form {
        Form::Human => tell(&plan, &summary)?,
        Form::Json => output::json(&summary)?,
    }
    match summary.failed.first() {
        None => Ok(ExitStatus::Success),
        Some(failed) => Err(broken(&summary, failed.played.seed)),
    }
}

/// The operator's rules, on a simulated fleet.
fn plan(host: &Host, arguments: &SimulateArguments) -> Plan {
    // A host without a configuration plays with what timmy does unless told otherwise.
    let config = host.config().cloned().unwrap_or_default();
    let (selection, login) = (config.selection.clone(), config.forge.user.clone());
    let mut settings = config
        .night
        .core(selection, login, Vec::new(), Until::Forever);
    if let Some(slots) = arguments.slots {
        (settings.slots, settings.per_repository) = (slots, slots);
    }
    let mut plan = Plan::new(settings);
    plan.issues = arguments.issues;
    plan.length = Duration::from_secs(arguments.hours * 3_600);
    plan.hosts = arguments.hosts;
    plan.weather = arguments.faults;
    plan.on_failed_check = config.publish.on_failed_check;
    plan.claim_ttl = Duration::from_secs(config.claim.ttl_s);
    if let Some(cost) = config.budget.per_day.cost {
        plan.budget = cost;
    }
    plan
}

fn play_all(host: &Host, plan: &Plan, arguments: &SimulateArguments) -> Summary {
    let first = arguments.seed.unwrap_or(1);
    let nights = arguments.seeds.unwrap_or(match arguments.seed {
        Some(_) => 1,
        None => NIGHTS,
    });
    let mut summary = Summary::default();
    let began = host.clock.monotonic();
    for seed in (first..).take(usize::try_from(nights).unwrap_or(usize::MAX)) {
        let played = play(plan, seed, Keep::Nothing);
        summary.seeds += 1;
        summary.violations += u64::try_from(played.violations.len()).unwrap_or(u64::MAX);
        summary.tally.add(&played.tally);
        if !played.violations.is_empty() && summary.failed.len() < SHOWN {
            // The same night again, this time with what led to it.
            let trace = play(plan, seed, Keep::UntilViolation(TAIL)).trace;
            summary.failed.push(Failed { played, trace });
        }
    }
    let nights = u32::try_from(summary.seeds).unwrap_or(u32::MAX).max(1);
    let time = host.clock.monotonic().saturating_sub(began);
    summary.seconds_per_night = time.as_secs_f64() / f64::from(nights);
    summary
}

fn trace(host: &Host, plan: &Plan, seed: u64) -> Ended {
    let mut played = play(plan, seed, Keep::Everything);
    let lines = std::mem::take(&mut played.trace);
    match host.form {
        Form::Human => lines.iter().try_for_each(|line| output::line(line))?,
        Form::Json => output::json(&Failed {
            played: played.clone(),
            trace: lines,
        })?,
    }
    match played.violations.is_empty() {
        true => Ok(ExitStatus::Success),
        false => Ok(ExitStatus::Failure),
    }
}

fn broken(summary: &Summary, seed: u64) -> Problem {
    let count = usize::try_from(summary.violations).unwrap_or(usize::MAX);
    let rules = output::count(count, "rule was broken", "rules were broken");
    let what = format!("{rules} in {} nights", summary.seeds);
    Problem::new(Code::new(970), ExitStatus::Failure, what)
        .at(format!("the night of seed {seed}"))
        .fix(format!(
            "replay it with the same options and `--seed {seed} --trace`, and report it as a defect"
        ))
}

fn tell(plan: &Plan, summary: &Summary) -> Result<(), Problem> {
    let tally = &summary.tally;
    let nights = usize::try_from(summary.seeds).unwrap_or(usize::MAX);
    output::line(&format!(
        "{} of {} h, {} issues, {}, {} slots each, {} faults: {:.2} s each",
        output::count(nights, "night", "nights"),
        plan.length.as_secs() / 3_600,
        plan.issues,
        output::count(usize::try_from(plan.hosts).unwrap_or(1), "host", "hosts"),
        plan.settings.slots,
        plan.weather,
        summary.seconds_per_night,
    ))?;
    let mean = |count: u64| format!("{:.1}", per_night(count, summary.seeds));
    let row = |what: &str, count: u64| vec![what.to_owned(), mean(count)];
    let mut rows = vec![row("attempts", tally.attempts)];
    rows.extend(words(&tally.outcomes, &mean));
    rows.push(row("pull requests", tally.pull_requests));
    rows.push(row("merged by people", tally.merged));
    rows.push(row("closed by people", tally.refused));
    rows.push(row("calls to models", tally.model_calls));
    let cost = MicroUsd(tally.cost.0 / summary.seeds.max(1));
    rows.push(vec!["cost".to_owned(), cost.to_string()]);
    rows.push(row("calls to the forge", tally.forge_calls));
    rows.push(row("  that went wrong", tally.faults));
    rows.push(row("killed processes", tally.crashes));
    rows.push(row("claims taken over", tally.takeovers));
    rows.push(row("claims lost", tally.claims_lost));
    output::line(&output::table(&["on average", "a night"], rows))?;
    let rows = words(&tally.issues, &mean);
    output::line(&output::table(&["issues in the end", "a night"], rows))?;
    for failed in &summary.failed {
        output::line(&format!("seed {} broke a rule:", failed.played.seed))?;
        for violation in &failed.played.violations {
            let issue = violation
                .issue
                .map_or(String::new(), |issue| format!(" #{issue}"));
            let sentence = violation.invariant.sentence();
            output::line(&format!("  {sentence}:{issue} {}", violation.detail))?;
        }
        for line in &failed.trace {
            output::line(&format!("    {line}"))?;
        }
    }
    let verdict = output::verdict(summary.violations == 0);
    output::line(&format!("every rule held in every night: {verdict}"))
}

fn words(counts: &BTreeMap<&'static str, u64>, mean: &impl Fn(u64) -> String) -> Vec<Vec<String>> {
    let row =
        |(word, count): (&&str, &u64)| vec![format!("  {}", word.replace('_', " ")), mean(*count)];
    counts.iter().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "an average for people")]
fn per_night(count: u64, nights: u64) -> f64 {
    count as f64 / nights.max(1) as f64
}
