//! Results without evidence, and results that stop coming.

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::event::Severity;

use crate::finding::Finding;
use crate::finding::code;
use crate::health::Evidence;
use crate::health::HealthSettings;
use crate::health::evidence::ResultSeen;
use crate::health::exact;
use crate::health::exact::Rate;
use crate::health::words;

/// Tries below which a rate says nothing: of late, and before.
const LEAST_RECENT: u32 = 5;
const LEAST_BEFORE: u32 = 10;
/// How unlikely so few successes must be if nothing had changed. At 20 runs a day a false alarm comes
/// once in many weeks.
const SIGNIFICANT: f64 = 0.001;
/// The recent rate is at most this part of the earlier one: what is unlikely but small wakes nobody.
const COLLAPSED: f64 = 0.5;

/// TIMMY-1004: a pull request of a run that has no receipt for what it pushed.
pub(super) fn without_receipts(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let told_for = Duration::from_secs(settings.receipts_s);
    for result in &evidence.results {
        let Some(missing) = missing_receipt(result) else {
            continue;
        };
        if words::between(result.at, now) > told_for {
            continue;
        }
        let (repo, pull) = (&result.repo, result.pull);
        found.push(Finding {
            code: code::NO_RECEIPT,
            severity: Severity::Critical,
            subject: format!("{repo}#{pull}"),
            what: format!("pull request {repo}#{pull} has no receipt for its commit"),
            evidence: vec![
                format!("opened {} by run {}", words::time(result.at), result.run),
                missing,
            ],
            fix: format!("timmy verify {repo}#{pull}"),
            since: Some(result.at),
        });
    }
}

/// What is missing; none when the evidence is there.
fn missing_receipt(result: &ResultSeen) -> Option<String> {
    let of_commit = |commit: &_| result.pushed.as_ref().is_none_or(|pushed| pushed == commit);
    let mut checks = result.checks.iter();
    let enough = checks.any(|(commit, passed)| of_commit(commit) && (*passed || result.is_draft));
    if enough {
        return None;
    }
    let pushed = result.pushed.as_ref();
    let pushed = pushed.map_or("what was pushed".to_owned(), |commit| {
        commit.short().to_owned()
    });
    let other = result.checks.last().map(|(commit, passed)| {
        let word = if *passed { "passed" } else { "failed" };
        format!("; the last check {word} on {}", commit.short())
    });
    Some(format!(
        "no passing check of {pushed} in the log{}",
        other.unwrap_or_else(|| "; there was none at all".to_owned())
    ))
}

/// TIMMY-1005: far fewer runs succeed than before.
pub(super) fn collapsed(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let recent = Duration::from_secs(settings.recent_s);
    let before = recent.saturating_add(Duration::from_secs(settings.baseline_s));
    let rate = |from: Duration, to: Duration| {
        let mut rate = Rate {
            succeeded: 0,
            tried: 0,
        };
        for tried in &evidence.tried {
            let age = words::between(tried.at, now);
            if age >= from && age < to {
                rate.tried += 1;
                rate.succeeded += u32::from(tried.succeeded);
            }
        }
        rate
    };
    let (late, early) = (rate(Duration::ZERO, recent), rate(recent, before));
    if late.tried < LEAST_RECENT || early.tried < LEAST_BEFORE {
        return;
    }
    let chance = exact::chance_of_so_few(late, early);
    if chance >= SIGNIFICANT || late.share() > early.share() * COLLAPSED {
        return;
    }
    let told = |rate: Rate| {
        let percent = 100.0 * rate.share();
        format!(
            "{} of {} runs succeeded ({percent:.0} %)",
            rate.succeeded, rate.tried
        )
    };
    let seen = evidence.tried.iter().map(|tried| tried.at).max();
    found.push(Finding {
        code: code::SUCCESS_COLLAPSED,
        severity: Severity::Warning,
        subject: "agents".to_owned(),
        what: format!("far fewer runs succeed than before: {}", told(late)),
        evidence: vec![
            format!("in the last {}: {}", words::span(recent), told(late)),
            format!(
                "in the {} before: {}",
                words::span(before - recent),
                told(early)
            ),
            format!(
                "by chance alone that comes with probability {chance:.1e} (Fisher's exact test)"
            ),
            "runs that failed by a platform's fault are not counted".to_owned(),
        ],
        fix: "timmy report --since 24".to_owned(),
        since: seen,
    });
}
