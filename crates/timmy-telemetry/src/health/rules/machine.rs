//! This machine: disks, timers, models, logins, and the collector itself.

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::event::Severity;

use crate::finding::Drift;
use crate::finding::Finding;
use crate::finding::Login;
use crate::finding::LoginState;
use crate::finding::Timer;
use crate::finding::TimerSource;
use crate::finding::code;
use crate::health::Evidence;
use crate::health::HealthSettings;
use crate::health::evidence::DiskSeen;
use crate::health::slope;
use crate::health::words;

/// Disks without a part in timmy's own work keep this part of all bytes free.
const PART_OF_OTHERS: u64 = 100;
/// How far apart the samples must be from the first to the last: less may be one build.
const LEAST_PAST: Duration = Duration::from_secs(2 * 60 * 60);
/// Looks that a collector may miss.
const MISSED_LOOKS: u32 = 3;
/// The end of a login within this time is a warning, and a notice before.
const NEAR_END: Duration = Duration::from_secs(24 * 60 * 60);

/// TIMMY-1008: a disk is full, or will be.
pub(super) fn disks(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let own = settings
        .keep_free_bytes
        .unwrap_or(evidence.limits.keep_free);
    for disk in &evidence.disks {
        let keep = if disk.holds_root {
            own
        } else {
            own.min(disk.total / PART_OF_OTHERS)
        };
        let subject = format!("{}:{}", evidence.host, disk.mount);
        if disk.free < keep {
            found.push(full(disk, subject, keep));
        } else {
            let ahead = Duration::from_secs(settings.disk_ahead_s);
            found.extend(filling(disk, subject, keep, now, ahead));
        }
    }
}

fn room(disk: &DiskSeen) -> String {
    format!(
        "{} of {} are free",
        words::bytes(disk.free),
        words::bytes(disk.total)
    )
}

fn full(disk: &DiskSeen, subject: String, keep: u64) -> Finding {
    Finding {
        code: code::DISK,
        severity: Severity::Critical,
        subject,
        what: format!("too little of the disk at {} is free", disk.mount),
        evidence: vec![
            room(disk),
            format!("{} are to stay free", words::bytes(keep)),
        ],
        fix: "timmy workspace reap".to_owned(),
        since: None,
    }
}

fn filling(
    disk: &DiskSeen,
    subject: String,
    keep: u64,
    now: Timestamp,
    ahead: Duration,
) -> Option<Finding> {
    let (first, last) = (disk.past.first()?.0, disk.past.last()?.0);
    if words::between(first, last) < LEAST_PAST {
        return None;
    }
    let loss = slope::loss_per_second(&disk.past)?;
    #[expect(clippy::cast_precision_loss, reason = "a forecast is no more exact")]
    let seconds = (disk.free - keep) as f64 / loss;
    let left = Duration::try_from_secs_f64(seconds).ok()?;
    if left > ahead {
        return None;
    }
    Some(Finding {
        code: code::DISK,
        severity: Severity::Warning,
        subject,
        what: format!(
            "the disk at {} will be full in {}",
            disk.mount,
            words::span(left)
        ),
        evidence: vec![
            room(disk),
            format!(
                "it loses {:.1} MiB an hour: the median of all slopes between {} samples since {}",
                loss * 3_600.0 / f64::from(1 << 20),
                disk.past.len(),
                words::time(first)
            ),
            format!(
                "{} are to stay free, which is reached {}",
                words::bytes(keep),
                now.checked_add(left).map(words::time).unwrap_or_default()
            ),
        ],
        fix: "timmy workspace reap".to_owned(),
        since: None,
    })
}

/// TIMMY-1010: a timer did not fire.
pub(super) fn timers(evidence: &Evidence, now: Timestamp, found: &mut Vec<Finding>) {
    let grace = evidence.limits.timer_grace;
    for timer in &evidence.timers {
        let late = timer
            .late(now)
            .and_then(|late| Duration::try_from(late).ok());
        let Some(late) = late.filter(|late| *late > grace) else {
            continue;
        };
        found.push(Finding {
            code: code::LATE_TIMER,
            severity: Severity::Warning,
            subject: format!("{}:{}:{}", evidence.host, timer.source.word(), timer.name),
            what: format!(
                "the {} timer {} is {} late",
                timer.source.word(),
                timer.name,
                words::span(late)
            ),
            evidence: timer_facts(timer),
            fix: timer_fix(timer),
            since: timer.due,
        });
    }
}

fn timer_facts(timer: &Timer) -> Vec<String> {
    let schedule = timer.schedule.as_ref();
    let due = timer.due.map(words::time);
    let last = timer.last.map(words::time);
    let facts = [
        schedule.map(|schedule| format!("schedule: {schedule}")),
        due.map(|due| format!("due {due}")),
        last.map(|last| format!("last fired {last}")),
    ];
    facts.into_iter().flatten().collect()
}

/// Its own tool shows it; what to do about it only a person knows.
fn timer_fix(timer: &Timer) -> String {
    match timer.source {
        TimerSource::Cron => "systemctl status cron".to_owned(),
        TimerSource::Systemd => "systemctl list-timers --all".to_owned(),
        TimerSource::Hermes => "hermes cron list".to_owned(),
    }
}

/// TIMMY-1011: another model than the expected one.
pub(super) fn drifts(evidence: &Evidence, found: &mut Vec<Finding>) {
    for drift in &evidence.drifts {
        found.push(drifted(drift, &evidence.host));
    }
}

fn drifted(drift: &Drift, host: &str) -> Finding {
    let there = drift.found.as_deref().unwrap_or("nothing");
    let mut facts = vec![
        format!("expected: {}", drift.expected),
        format!("found: {there}"),
        drift.evidence.clone(),
    ];
    let fix = match &drift.fixable {
        Ok(()) => "timmy watchdog --fix",
        Err(reason) => {
            facts.push(format!("not put back by timmy: {reason}"));
            "timmy watchdog"
        }
    };
    Finding {
        code: code::MODEL_DRIFT,
        severity: Severity::Warning,
        subject: format!("{host}:{}", drift.subject),
        what: format!("{} is at {there}, not at {}", drift.subject, drift.expected),
        evidence: facts,
        fix: fix.to_owned(),
        since: None,
    }
}

/// TIMMY-1012: a login has ended, or will.
pub(super) fn logins(evidence: &Evidence, now: Timestamp, found: &mut Vec<Finding>) {
    for login in &evidence.logins {
        found.extend(login_finding(login, &evidence.host, now));
    }
}

fn login_finding(login: &Login, host: &str, now: Timestamp) -> Option<Finding> {
    let name = &login.name;
    let (severity, what, fix) = match &login.state {
        LoginState::Good => return None,
        LoginState::Stale => {
            // Soon is the refresher's business; only what is over is a finding.
            login.key_expires.filter(|expires| *expires <= now)?;
            let what = format!("the key of login {name} has expired and was not refreshed");
            (Severity::Warning, what, "timmy auth refresh")
        }
        LoginState::Ending { within } => {
            let severity = if *within <= NEAR_END {
                Severity::Warning
            } else {
                Severity::Notice
            };
            let what = format!("login {name} ends in {}", words::span(*within));
            (severity, what, "timmy auth status")
        }
        LoginState::Dead { reason } => {
            let what = format!("login {name} has ended, a person has to log in again: {reason}");
            (Severity::Critical, what, "timmy auth status")
        }
    };
    let key = login.key_expires.map(words::time);
    let ends = login.login_ends.map(words::time);
    let facts = [
        Some(format!("kept in {}", login.place)),
        key.map(|key| format!("its key expires {key}")),
        ends.map(|ends| format!("the login ends {ends}")),
    ];
    Some(Finding {
        code: code::LOGIN,
        severity,
        subject: format!("{host}:{name}"),
        what,
        evidence: facts.into_iter().flatten().collect(),
        fix: fix.to_owned(),
        since: login.key_expires.filter(|expires| *expires <= now),
    })
}

/// TIMMY-1013: a loop is on, and its collector does not write.
pub(super) fn collector(evidence: &Evidence, now: Timestamp, found: &mut Vec<Finding>) {
    let (Some(collector), Some(on_since)) = (evidence.collector, evidence.night.on_since) else {
        return;
    };
    let since = collector.wrote.max(on_since);
    let silence = words::between(since, now);
    let patience = collector.every.saturating_mul(MISSED_LOOKS);
    if !evidence.night.lives_here || silence <= patience {
        return;
    }
    found.push(Finding {
        code: code::NO_TELEMETRY,
        severity: Severity::Notice,
        subject: format!("{}:telemetry", evidence.host),
        what: format!("nothing was collected for {}", words::span(silence)),
        evidence: vec![
            format!(
                "metrics.jsonl was last written {}",
                words::time(collector.wrote)
            ),
            format!("a loop is on since {}", words::time(on_since)),
            format!("it is to collect every {}", words::span(collector.every)),
        ],
        fix: "timmy telemetry collect".to_owned(),
        since: Some(collector.wrote),
    });
}
