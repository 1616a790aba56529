//! At most three facts that the window taught, each with its numbers.
//!
//! Every candidate has a threshold below which it says nothing, and candidates have a fixed order of
//! significance, so that the same log teaches the same facts. Shares of two groups are compared by
//! their Wilson score intervals at 95 % (E. B. Wilson, Probable inference, the law of succession, and
//! statistical inference, JASA 22, 1927): a difference counts when the intervals do not overlap.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_store::runs::RunSummary;

use super::causes;
use super::causes::check_failure;
use super::causes::normalised;
use super::hours::Hours;
use super::models::checks;
use super::reading::Gathered;
use super::words::count;
use super::words::duration;
use super::words::grouped;
use super::words::percent;
use super::words::short;

/// Facts in one report, at most.
const MOST: usize = 3;
/// Checks of a model from which on its share of passed ones is compared.
const CHECKS: u64 = 5;
/// Checks that failed in the same way, from which on that is worth saying.
const SAME_FAILURE: u64 = 3;
/// Failed runs from which on the files they wrote are compared.
const FAILED_RUNS: usize = 4;
/// Issues from which on their tokens are compared.
const ISSUES: usize = 3;
/// Runs from which on the time of their steps is compared.
const RUNS: usize = 3;
/// The share, in hundredths, from which on something took most of it.
const MOST_OF_IT: u64 = 50;
/// The share of the time, in hundredths, from which on being held back is worth saying.
const HELD_BACK: u64 = 25;

/// Something that was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Which candidate it is.
    pub kind: &'static str,
    /// The fact with its numbers, as a sentence.
    pub what: String,
    /// How many cases it was learnt from.
    pub n: u64,
}

/// The first facts that hold, in the order of their significance.
#[must_use]
pub(super) fn learnt(gathered: &Gathered, hours: &Hours) -> Vec<Fact> {
    let candidates = [
        same_failure(gathered),
        better_model(gathered),
        retries(gathered),
        same_file(gathered),
        dearest_issue(gathered),
        held_back(gathered, hours),
        slowest_step(gathered),
    ];
    candidates.into_iter().flatten().take(MOST).collect()
}

/// Checks that fail in the same way again and again, on more than one issue.
fn same_failure(gathered: &Gathered) -> Option<Fact> {
    let checked = gathered.runs.iter().filter(|run| run.receipt.is_some());
    let mut ways: BTreeMap<String, (u64, BTreeSet<IssueName>, String)> = BTreeMap::new();
    let mut n = 0;
    for run in checked {
        n += 1;
        let Some(false) = run.receipt.as_ref().map(timmy_core::Receipt::passed) else {
            continue;
        };
        let how = check_failure(run);
        let way = ways.entry(normalised(&how)).or_default();
        way.0 += 1;
        way.1.insert(issue_of(run));
        way.2 = how;
    }
    let (times, issues, how) = ways.into_values().rev().max_by_key(|(times, ..)| *times)?;
    if times < SAME_FAILURE || issues.len() < 2 {
        return None;
    }
    let what = format!(
        "{} of {} failed in the same way, on {}: {how}",
        grouped(times),
        count(n, "check", "checks"),
        count(issues.len() as u64, "issue", "issues"),
    );
    fact("same_failure", what, n)
}

/// Of all pairs of models whose shares of passed checks differ by more than chance, the widest.
fn better_model(gathered: &Gathered) -> Option<Fact> {
    let checks = checks(gathered);
    let mut shares: Vec<_> = checks
        .into_iter()
        .filter(|(_, (ran, _))| *ran >= CHECKS)
        .collect();
    shares.sort_by(|(one, (ran, passed)), (other, (other_ran, other_passed))| {
        let cross = (passed * other_ran).cmp(&(other_passed * ran));
        cross.then_with(|| other.cmp(one))
    });
    let ((worse_name, worse), (better_name, better)) = (shares.first()?, shares.last()?);
    if !differ(*worse, *better) {
        return None;
    }
    let name = |(provider, model): &(&str, &str)| short(&format!("{provider}/{model}"));
    let what = format!(
        "the check passed after {} of {} runs of {}, and after {} of {} of {}",
        better.1,
        better.0,
        name(better_name),
        worse.1,
        worse.0,
        name(worse_name),
    );
    fact("better_model", what, better.0 + worse.0)
}

/// Whether trying again is worth it: first attempts at an issue against later ones.
fn retries(gathered: &Gathered) -> Option<Fact> {
    let mut tried: BTreeSet<IssueName> = BTreeSet::new();
    let (mut first, mut later) = ((0, 0), (0, 0));
    for run in gathered.runs.iter().filter(|run| run.answers.is_none()) {
        let Some(outcome) = &run.outcome else {
            continue;
        };
        let group = if tried.insert(issue_of(run)) {
            &mut first
        } else {
            &mut later
        };
        group.0 += 1;
        group.1 += u64::from(matches!(outcome, Outcome::PullRequest { .. }));
    }
    if later.0 < CHECKS || !differ(first, later) {
        return None;
    }
    let what = format!(
        "{} of {} first attempts led to a pull request, and {} of {} later ones",
        first.1, first.0, later.1, later.0
    );
    fact("retries", what, first.0 + later.0)
}

/// The file that most failed runs wrote.
fn same_file(gathered: &Gathered) -> Option<Fact> {
    let failed = causes::failed(&gathered.runs).count();
    let files = gathered.files.iter().rev();
    let (path, runs) = files.max_by_key(|(_, runs)| runs.len())?;
    let (times, n) = (runs.len() as u64, failed as u64);
    if failed < FAILED_RUNS || percent(times, n) < MOST_OF_IT || written_by_all(gathered, runs) {
        return None;
    }
    let what = format!(
        "{times} of {} wrote {path}",
        count(n, "failed run", "failed runs")
    );
    fact("same_file", what, n)
}

/// All on one issue say something about that issue only.
fn written_by_all(gathered: &Gathered, runs: &BTreeSet<RunId>) -> bool {
    let of = gathered.runs.iter().filter(|run| runs.contains(&run.run));
    let issues: BTreeSet<IssueName> = of.map(issue_of).collect();
    issues.len() < 2
}

/// The issue that took most of the tokens.
fn dearest_issue(gathered: &Gathered) -> Option<Fact> {
    let mut tokens: BTreeMap<IssueName, (u64, u64)> = BTreeMap::new();
    for run in &gathered.runs {
        let of_issue = tokens.entry(issue_of(run)).or_default();
        of_issue.0 += run.usage.tokens();
        of_issue.1 += 1;
    }
    let n = tokens.len();
    let all: u64 = tokens.values().map(|(tokens, _)| *tokens).sum();
    let (issue, (most, runs)) = tokens
        .into_iter()
        .rev()
        .max_by_key(|(_, (tokens, _))| *tokens)?;
    if n < ISSUES || percent(most, all) < MOST_OF_IT {
        return None;
    }
    let what = format!(
        "{issue} took {} % of all tokens ({} of {}) in {}",
        percent(most, all),
        grouped(most),
        grouped(all),
        count(runs, "run", "runs"),
    );
    fact("dearest_issue", what, n as u64)
}

/// The pause that lasted longest, against the time between the first run and the end of the last.
fn held_back(gathered: &Gathered, hours: &Hours) -> Option<Fact> {
    let begin = gathered.runs.first()?.started;
    let end = gathered.runs.iter().map(super::hours::end_of).max()?;
    let whole = u64::try_from(end.duration_since(begin).as_millis()).unwrap_or(0);
    let over = hours
        .pauses
        .iter()
        .filter_map(|pause| Some((pause, pause.lasted_ms()?)));
    let inside = over.filter(|(pause, _)| begin <= pause.since && pause.since <= end);
    let (pause, lasted) = inside.max_by_key(|(_, lasted)| *lasted)?;
    if gathered.runs.len() < RUNS || percent(lasted, whole) < HELD_BACK {
        return None;
    }
    let what = format!(
        "{} was held back for {}: {}",
        pause.scope,
        duration(lasted),
        pause.why
    );
    fact("held_back", what, hours.pauses.len() as u64)
}

/// The step that took most of the time of all runs.
fn slowest_step(gathered: &Gathered) -> Option<Fact> {
    let whole: u64 = gathered.runs.iter().map(|run| run.duration_ms).sum();
    let model: u64 = gathered.calls.values().map(|calls| calls.duration_ms).sum();
    let receipts = gathered.runs.iter().filter_map(|run| run.receipt.as_ref());
    let checks: u64 = receipts.map(|receipt| receipt.duration_ms).sum();
    let rest = whole.saturating_sub(model).saturating_sub(checks);
    let steps = [
        ("waiting for models", model),
        ("running checks", checks),
        ("tools, git and the forge", rest),
    ];
    let (step, took) = steps.into_iter().rev().max_by_key(|(_, took)| *took)?;
    if gathered.runs.len() < RUNS || percent(took, whole) < MOST_OF_IT {
        return None;
    }
    let what = format!(
        "{step} took {} % of the time of all runs ({} of {})",
        percent(took, whole).min(100),
        duration(took),
        duration(whole),
    );
    fact("slowest_step", what, gathered.runs.len() as u64)
}

fn issue_of(run: &RunSummary) -> IssueName {
    IssueName {
        repo: run.repo.clone(),
        number: run.issue,
    }
}

fn fact(kind: &'static str, what: String, n: u64) -> Option<Fact> {
    Some(Fact { kind, what, n })
}

/// Whether two shares, each given as cases and successes, differ by more than chance.
fn differ(one: (u64, u64), other: (u64, u64)) -> bool {
    if one.0 == 0 || other.0 == 0 {
        return false;
    }
    let (one, other) = (wilson(one), wilson(other));
    one.1 < other.0 || other.1 < one.0
}

/// The Wilson score interval of a share at 95 %.
fn wilson((cases, successes): (u64, u64)) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let exact = |number: u64| u32::try_from(number).map_or(f64::from(u32::MAX), f64::from);
    let (n, share) = (exact(cases), exact(successes) / exact(cases));
    let (square, scale) = (Z * Z, 1.0 + Z * Z / n);
    let middle = (share + square / (2.0 * n)) / scale;
    let spread = (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt() * Z / scale;
    (middle - spread, middle + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_to_be_more_than_chance() {
        assert!(differ((5, 5), (5, 0)));
        assert!(differ((40, 36), (40, 20)));
        assert!(!differ((5, 4), (5, 2)));
        assert!(!differ((40, 22), (40, 20)));
        assert!(!differ((0, 0), (40, 20)));
        // The interval of 8 in 10, as tables give it.
        let (low, high) = wilson((10, 8));
        assert!((low - 0.490).abs() < 0.001 && (high - 0.943).abs() < 0.001);
    }
}
