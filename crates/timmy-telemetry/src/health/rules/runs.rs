//! Runs that died, fell silent or do not begin, and claims that nobody renews.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::RunId;
use timmy_core::event::Severity;

use crate::finding::Finding;
use crate::finding::code;
use crate::health::Evidence;
use crate::health::HealthSettings;
use crate::health::evidence::ClaimSeen;
use crate::health::evidence::Doing;
use crate::health::evidence::ForgeSeen;
use crate::health::evidence::NightSeen;
use crate::health::evidence::RunSeen;
use crate::health::words;
use crate::run_lock::Lease;

/// TIMMY-1009: a run without an end whose process is certainly gone.
pub(super) fn dead(evidence: &Evidence, now: Timestamp, found: &mut Vec<Finding>) {
    for run in &evidence.runs {
        let Some(known) = how_dead(evidence, run, now) else {
            continue;
        };
        let mut facts = vec![
            format!("{}#{}, without an end in the log", run.repo, run.issue),
            known,
            format!("last heard of {}", words::time(run.heard)),
        ];
        if let Some(claim) = claim_of(evidence, run) {
            let unrenewed = words::span(claim.unrenewed);
            facts.push(format!(
                "{} was not renewed for {unrenewed}",
                claim.reference
            ));
        }
        found.push(Finding {
            code: code::DEAD_WORKER,
            severity: Severity::Warning,
            subject: run.run.to_string(),
            what: format!(
                "the process of run {} on {}#{} is gone",
                run.run.short(),
                run.repo,
                run.issue
            ),
            evidence: facts,
            fix: format!("timmy sprint --repo {}", run.repo),
            since: Some(run.heard),
        });
    }
}

/// How it is known that a run is dead; none when it lives, or nobody can tell.
fn how_dead(evidence: &Evidence, run: &RunSeen, now: Timestamp) -> Option<String> {
    match run.lease {
        Lease::Held | Lease::Unknown => None,
        Lease::Free => Some("its lock on this machine is free".to_owned()),
        Lease::Elsewhere => {
            let lapse = run.ttl + run.ttl / 4;
            let silence = words::between(run.heard, now);
            let claims = evidence.claims.get(&run.repo)?.as_ref().ok()?;
            let own = claims.iter().find(|claim| claim.run == run.run);
            let renewed = own.is_some_and(|claim| claim.unrenewed <= lapse);
            (silence > lapse && !renewed).then(|| {
                format!(
                    "not on this machine, silent for {}, and its claim lapses after {}",
                    words::span(silence),
                    words::span(lapse)
                )
            })
        }
    }
}

fn claim_of<'a>(evidence: &'a Evidence, run: &RunSeen) -> Option<&'a ClaimSeen> {
    let claims = evidence.claims.get(&run.repo)?.as_ref().ok()?;
    claims.iter().find(|claim| claim.run == run.run)
}

/// TIMMY-1002: a run whose process lives and says nothing.
pub(super) fn silent(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let stall = settings.silent_s.map(Duration::from_secs);
    let stall = stall.unwrap_or(evidence.limits.stall);
    if stall.is_zero() {
        return;
    }
    for run in evidence.runs.iter().filter(|run| run.lease == Lease::Held) {
        let (patience, doing) = match run.doing {
            Doing::Command => (stall.max(evidence.limits.command), "a tool was called"),
            Doing::Check => (stall.max(evidence.limits.check), "the check began"),
            Doing::Other => (stall, "its newest event"),
        };
        let silence = words::between(run.heard, now);
        if silence <= patience {
            continue;
        }
        found.push(Finding {
            code: code::SILENT_RUN,
            severity: Severity::Warning,
            subject: run.run.to_string(),
            what: format!(
                "run {} on {}#{} has said nothing for {}",
                run.run.short(),
                run.repo,
                run.issue,
                words::span(silence)
            ),
            evidence: vec![
                format!("{doing} at {}", words::time(run.heard)),
                "its lock on this machine is held: the process lives".to_owned(),
                format!("{} would be usual", words::span(patience)),
            ],
            fix: format!("timmy stop {}", run.run.short()),
            since: Some(run.heard),
        });
    }
}

/// TIMMY-1001: a claim that is not renewed, and whose run is not told to be dead.
pub(super) fn stuck_claims(evidence: &Evidence, now: Timestamp, found: &mut Vec<Finding>) {
    // A dead run is a finding of its own, and so will one of another machine be when it lapses.
    let told: BTreeSet<&RunId> = evidence
        .runs
        .iter()
        .filter(|run| run.lease != Lease::Held)
        .map(|run| &run.run)
        .collect();
    for (repo, claims) in &evidence.claims {
        let claims = claims.iter().flatten();
        for claim in claims.filter(|claim| claim.unrenewed > claim.ttl) {
            if told.contains(&claim.run) {
                continue;
            }
            let mut runs = evidence.runs.iter();
            let lives = runs.any(|run| run.run == claim.run);
            let (holder, fix) = if lives {
                let fix = format!("timmy stop {}", claim.run.short());
                ("its process lives", fix)
            } else {
                let fix = format!("timmy sprint --repo {repo} --issue {}", claim.issue);
                ("no such run is open in the log", fix)
            };
            found.push(Finding {
                code: code::STUCK_CLAIM,
                severity: Severity::Warning,
                subject: format!("{repo}#{}", claim.issue),
                what: format!(
                    "the claim on {repo}#{} is not renewed, and keeps others from it",
                    claim.issue
                ),
                evidence: vec![
                    format!("{}, held by run {}: {holder}", claim.reference, claim.run),
                    format!(
                        "not renewed for {}; it lives {} without",
                        words::span(claim.unrenewed),
                        words::span(claim.ttl)
                    ),
                    format!("made on machine {}", claim.machine),
                ],
                fix,
                since: now.checked_sub(claim.unrenewed).ok(),
            });
        }
    }
}

/// Whether something should be running and is not, so that somebody has to ask what a sprint would take.
#[must_use]
pub fn should_be_working(evidence: &Evidence, settings: &HealthSettings, now: Timestamp) -> bool {
    idle_since(evidence, settings, now).is_some()
}

/// Whether it is certain that nothing has to be told of waiting work. A run of another machine may live
/// or not, so it does not count.
pub(in crate::health) fn something_runs(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
) -> bool {
    let held = evidence.runs.iter().any(|run| run.lease == Lease::Held);
    held || quiet_since(evidence, settings, now).is_none()
}

/// Since when a loop is on that lets nothing run, for long enough to be told.
fn idle_since(evidence: &Evidence, settings: &HealthSettings, now: Timestamp) -> Option<Timestamp> {
    let nothing_runs = evidence.runs.iter().all(|run| run.lease == Lease::Free);
    let since = quiet_since(evidence, settings, now);
    since.filter(|_| nothing_runs)
}

/// The same, whatever runs without an end there are.
fn quiet_since(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
) -> Option<Timestamp> {
    let NightSeen {
        on_since,
        repositories: _,
        last_run,
        pauses,
        asked,
        lives_here: _,
    } = &evidence.night;
    let on_since = (*on_since)?;
    if !pauses.is_empty() || asked.is_some() {
        return None;
    }
    let since = last_run.map_or(on_since, |last| last.max(on_since));
    let idle = Duration::from_secs(settings.idle_s);
    (words::between(since, now) > idle).then_some(since)
}

/// TIMMY-1003: an issue could be worked on, a loop is on, and nothing runs.
pub(super) fn idle(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let Some(since) = idle_since(evidence, settings, now) else {
        return;
    };
    if matches!(evidence.forge, ForgeSeen::Fails { .. }) {
        return;
    }
    let asked_for = &evidence.night.repositories;
    let of_loop = evidence.work.iter();
    for (repo, work) in of_loop.filter(|(repo, _)| asked_for.contains(repo)) {
        let Ok(Some(work)) = work else {
            continue;
        };
        found.push(Finding {
            code: code::IDLE_WITH_WORK,
            severity: Severity::Critical,
            subject: repo.to_string(),
            what: format!(
                "nothing has run for {}, although {repo}#{} could be worked on",
                words::span(words::between(since, now)),
                work.issue
            ),
            evidence: vec![
                format!("a loop is on: {}", on_words(&evidence.night)),
                format!("no run since {}, and no pause", words::time(since)),
                format!("a sprint would take #{}: {}", work.issue, work.title),
            ],
            fix: format!("timmy loop --repo {repo}"),
            since: Some(since),
        });
    }
}

fn on_words(night: &NightSeen) -> String {
    let since = night.on_since.map(words::time).unwrap_or_default();
    let process = if night.lives_here {
        "a process of timmy lives on this machine"
    } else {
        "no process of timmy lives on this machine"
    };
    format!("it started {since} and has not ended; {process}")
}
