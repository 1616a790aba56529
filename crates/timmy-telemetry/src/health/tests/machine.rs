//! Disks, timers, models, logins, and the collector.

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::event::Severity;

use super::GIBIBYTE;
use super::ago;
use super::codes;
use super::disk;
use super::evidence;
use super::found;
use super::now;
use super::only;
use crate::finding::Drift;
use crate::finding::Login;
use crate::finding::LoginState;
use crate::finding::Timer;
use crate::finding::TimerSource;
use crate::finding::code;
use crate::health::CollectorSeen;

/// Free bytes every five minutes until now, which lose so much an hour.
fn falling(samples: u64, gibibytes_an_hour: f64) -> Vec<(Timestamp, f64)> {
    let free = |place: u64| {
        let minutes = 5.0 * f64::from(u32::try_from(samples - place).unwrap());
        (40.0 + gibibytes_an_hour * minutes / 60.0) * f64::from(1 << 30)
    };
    (0..samples)
        .map(|place| (ago((samples - place) * 300), free(place)))
        .collect()
}

#[test]
fn a_disk_is_full_or_will_be() {
    let mut evidence = evidence();
    evidence.disks = vec![disk(2 * GIBIBYTE - 1, Vec::new())];
    let finding = only(code::DISK, &evidence);
    assert_eq!(
        ("night:/", Severity::Critical),
        (finding.subject.as_str(), finding.severity)
    );
    evidence.disks = vec![disk(40 * GIBIBYTE, falling(100, 2.0))];
    let finding = only(code::DISK, &evidence);
    assert_eq!(Severity::Warning, finding.severity);
    insta::assert_snapshot!(finding.evidence.join("\n"), @r"
    40.0 GiB of 100.0 GiB are free
    it loses 2048.0 MiB an hour: the median of all slopes between 100 samples since 2026-11-20 03:40:00 UTC
    2.0 GiB are to stay free, which is reached 2026-11-21 07:00:00 UTC
    ");
    for slow in [
        falling(100, 1.5),
        falling(11, 20.0),
        falling(100, -2.0),
        falling(20, 20.0),
    ] {
        evidence.disks = vec![disk(40 * GIBIBYTE, slow)];
        assert_eq!(Vec::<Code>::new(), codes(&evidence));
    }
    // Nothing of timmy's is there.
    evidence.disks[0] = disk(GIBIBYTE + 1, Vec::new());
    evidence.disks[0].holds_root = false;
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
    evidence.disks[0].free = GIBIBYTE / 2;
    only(code::DISK, &evidence);
}

pub(super) fn timer(due: Option<u64>, last: Option<u64>) -> Timer {
    Timer {
        source: TimerSource::Cron,
        name: "backup".to_owned(),
        schedule: Some("0 3 * * *".to_owned()),
        due: due.map(ago),
        last: last.map(ago),
        next: None,
    }
}

#[test]
fn a_timer_is_late_when_that_can_be_known() {
    let mut evidence = evidence();
    let fine = [
        timer(Some(300), Some(90_000)),
        timer(Some(400), Some(399)),
        timer(Some(9_000), None),
        timer(None, Some(9_000)),
    ];
    evidence.timers = fine.to_vec();
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
    evidence.timers = vec![timer(Some(301), Some(90_000))];
    assert_eq!(
        "night:cron:backup",
        only(code::LATE_TIMER, &evidence).subject
    );
}

#[test]
fn a_drift_says_whether_it_can_be_put_back() {
    let mut evidence = evidence();
    let drift = |fixable| Drift {
        subject: "hermes:default".to_owned(),
        expected: "qwen3".to_owned(),
        found: Some("llama4".to_owned()),
        evidence: "config.yaml".to_owned(),
        fixable,
    };
    evidence.drifts = vec![drift(Ok(()))];
    assert_eq!(
        "timmy watchdog --fix",
        only(code::MODEL_DRIFT, &evidence).fix
    );
    evidence.drifts = vec![drift(Err("a person is there".to_owned()))];
    assert_eq!("timmy watchdog", only(code::MODEL_DRIFT, &evidence).fix);
}

pub(super) fn login(state: LoginState, key_expires: Option<Timestamp>) -> Login {
    Login {
        name: "nous".to_owned(),
        place: "/home/me/.hermes/auth.json".to_owned(),
        state,
        key_expires,
        login_ends: None,
    }
}

#[test]
fn a_login_is_a_finding_when_a_person_or_the_refresher_has_to_act() {
    let mut evidence = evidence();
    let in_an_hour = now().checked_add(Duration::from_secs(3_600)).ok();
    let within = |hours: u64| LoginState::Ending {
        within: Duration::from_secs(hours * 3_600),
    };
    let dead = LoginState::Dead {
        reason: "invalid_grant".to_owned(),
    };
    let cases = [
        (login(LoginState::Good, in_an_hour), None),
        (login(LoginState::Stale, in_an_hour), None),
        (
            login(LoginState::Stale, Some(ago(1))),
            Some(Severity::Warning),
        ),
        (login(within(48), None), Some(Severity::Notice)),
        (login(within(24), None), Some(Severity::Warning)),
        (login(dead, None), Some(Severity::Critical)),
    ];
    for (login, severity) in cases {
        evidence.logins = vec![login.clone()];
        let found = found(&evidence);
        let told: Vec<Severity> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severity.into_iter().collect::<Vec<_>>(), told, "{login:?}");
    }
}

#[test]
fn a_collector_that_stops_is_missed_while_a_loop_is_on() {
    let mut evidence = evidence();
    let wrote = |seconds| {
        let every = Duration::from_secs(60);
        let wrote = ago(seconds);
        Some(CollectorSeen { wrote, every })
    };
    evidence.collector = wrote(180);
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
    evidence.collector = wrote(181);
    only(code::NO_TELEMETRY, &evidence);
    evidence.night.on_since = Some(ago(100));
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
    evidence.night.on_since = None;
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
}
