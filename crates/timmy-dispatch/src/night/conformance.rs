//! Dispatch, reconciliation and retry as the Symphony specification has them in section 17.4.
//! `docs/symphony.md` says which test holds which point.

use jiff::Timestamp;
use timmy_core::EventKind;
use timmy_core::event::Outcome;
use timmy_forge::IssueState;

use super::tests::brief;
use super::tests::ended;
use super::tests::key;
use super::tests::listed;
use super::tests::settings;
use super::tests::started;
use super::*;
use crate::selection::SelectionSettings;

const SECOND: Duration = Duration::from_secs(1);

/// A night in which these issues were listed at one second, and what was decided then.
fn night_of(settings: Settings, briefs: Vec<Brief>) -> (Night, Vec<Action>) {
    let mut night = Night::new(settings);
    night.handle(Duration::ZERO, &Input::Tick);
    let actions = night.handle(SECOND, &listed(briefs));
    (night, actions)
}

fn one_slot() -> Settings {
    Settings {
        slots: 1,
        ..settings()
    }
}

fn labelled(number: u64, labels: &[&str]) -> Brief {
    Brief {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..brief(number)
    }
}

fn cancelled(actions: &[Action]) -> Vec<(u64, &Outcome)> {
    let found = actions.iter().filter_map(|action| match action {
        Action::Cancel { key, outcome } => Some((key.number, outcome)),
        _ => None,
    });
    found.collect()
}

/// The attempt, the delay in milliseconds and the reason of every retry that was recorded.
fn retries(actions: &[Action]) -> Vec<(u32, u64, &str)> {
    let found = actions.iter().filter_map(|action| match action {
        Action::Record(EventKind::RetryScheduled {
            attempt,
            delay_ms,
            reason,
            ..
        }) => Some((*attempt, *delay_ms, reason.as_str())),
        _ => None,
    });
    found.collect()
}

#[test]
fn dispatch_is_by_priority_then_by_age() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let aged = |number, second, labels: &[&str]| Brief {
        created: at(second),
        ..labelled(number, labels)
    };
    let all = Settings {
        slots: 9,
        per_repository: 9,
        ..settings()
    };
    let issues = vec![
        aged(1, 50, &["P2"]),
        aged(2, 40, &["P1"]),
        aged(3, 30, &["P1"]),
        aged(4, 30, &["P1"]),
        aged(5, 90, &["P0"]),
    ];
    let (_, actions) = night_of(all, issues);
    assert_eq!(vec![5, 3, 4, 2, 1], started(&actions));
}

#[test]
fn an_issue_that_the_forges_rules_forbid_is_not_started() {
    let taken = Brief {
        assignees: vec!["bob".to_owned()],
        ..brief(1)
    };
    let epic = Brief {
        title: "[EPIC] everything".to_owned(),
        ..brief(2)
    };
    let issues = vec![taken, epic, labelled(3, &["hold"]), brief(4)];
    let (_, actions) = night_of(settings(), issues);
    assert_eq!(vec![4], started(&actions));
}

#[test]
fn required_labels_are_compared_without_case_and_a_blank_one_matches_nothing() {
    let requiring = |labels: &[&str]| Settings {
        slots: 9,
        per_repository: 9,
        selection: SelectionSettings {
            require_labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..SelectionSettings::default()
        },
        ..settings()
    };
    let issues = || {
        vec![
            labelled(1, &["Agent", "BUG"]),
            labelled(2, &["agent"]),
            labelled(3, &[" agent ", "bug", "x"]),
            brief(4),
        ]
    };
    let (_, actions) = night_of(requiring(&[" AGENT ", "Bug"]), issues());
    assert_eq!(vec![1, 3], started(&actions));
    let (_, actions) = night_of(requiring(&[" "]), issues());
    assert_eq!(Vec::<u64>::new(), started(&actions));
}

#[test]
fn a_running_issue_that_changes_and_stays_active_runs_on_and_is_known_anew() {
    let (mut night, _) = night_of(one_slot(), vec![brief(1), brief(2)]);
    night.handle(SECOND, &Input::Began { key: key(1) });
    let changed = labelled(1, &["P3"]);
    let actions = night.handle(2 * SECOND, &listed(vec![changed, brief(2)]));
    assert!(cancelled(&actions).is_empty());
    assert_eq!(ClaimState::Running, night.state().claim_state(&key(1)));
    // What it became counts from now on: the other comes first.
    let outcome = Outcome::Cancelled {
        reason: String::new(),
    };
    let actions = night.handle(3 * SECOND, &ended(1, outcome, 0));
    assert_eq!(vec![2], started(&actions));
}

#[test]
fn a_running_issue_that_may_not_be_worked_on_any_more_is_stopped() {
    for change in [
        labelled(1, &["hold"]),
        Brief {
            assignees: vec!["bob".to_owned()],
            ..brief(1)
        },
    ] {
        let (mut night, _) = night_of(settings(), vec![brief(1)]);
        let actions = night.handle(2 * SECOND, &listed(vec![change]));
        let stopped = cancelled(&actions);
        assert!(
            matches!(stopped.as_slice(), [(1, Outcome::Cancelled { .. })]),
            "{actions:?}"
        );
    }
}

#[test]
fn a_running_issue_that_is_closed_or_gone_is_stopped() {
    let closed = Brief {
        state: IssueState::Closed,
        ..brief(1)
    };
    for issues in [vec![closed], Vec::new()] {
        let (mut night, _) = night_of(settings(), vec![brief(1)]);
        night.handle(SECOND, &Input::Began { key: key(1) });
        let actions = night.handle(2 * SECOND, &listed(issues));
        let stopped = cancelled(&actions);
        assert!(
            matches!(stopped.as_slice(), [(1, Outcome::Cancelled { .. })]),
            "{actions:?}"
        );
        // Its slot is free when its end was recorded, not before.
        assert_eq!(1, night.state().running());
        let outcome = Outcome::Cancelled {
            reason: String::new(),
        };
        night.handle(3 * SECOND, &ended(1, outcome, 0));
        assert_eq!(0, night.state().running());
    }
}

#[test]
fn with_nothing_running_a_list_stops_nothing() {
    let (mut night, actions) = night_of(settings(), Vec::new());
    assert!(
        actions
            .iter()
            .all(|action| matches!(action, Action::Attend { .. })),
        "{actions:?}"
    );
    assert_eq!(Vec::<Action>::new(), night.handle(2 * SECOND, &Input::Tick));
}

#[test]
fn a_list_that_fails_leaves_running_attempts_alone() {
    let (mut night, _) = night_of(settings(), vec![brief(1)]);
    night.handle(SECOND, &Input::Began { key: key(1) });
    let failed = Input::ListFailed {
        repo: super::tests::repo(),
        problem: timmy_core::Problem::new(
            timmy_core::Code::new(501),
            timmy_core::ExitStatus::Unavailable,
            "away",
        ),
        lasts: None,
    };
    let actions = night.handle(2 * SECOND, &failed);
    assert!(cancelled(&actions).is_empty() && started(&actions).is_empty());
    assert_eq!(ClaimState::Running, night.state().claim_state(&key(1)));
}

#[test]
fn after_a_result_the_issue_is_looked_at_again_within_a_second() {
    let (mut night, _) = night_of(settings(), vec![brief(1)]);
    let actions = night.handle(2 * SECOND, &ended(1, Outcome::PullRequest { number: 7 }, 0));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    let ClaimState::RetryQueued { attempt, .. } = night.state().claim_state(&key(1)) else {
        panic!("{:?}", night.state().claim_state(&key(1)));
    };
    assert_eq!(1, attempt);
    let actions = night.handle(2 * SECOND + Duration::from_millis(999), &Input::Tick);
    assert_eq!(Vec::<u64>::new(), started(&actions));
    assert_eq!(vec![1], started(&night.handle(3 * SECOND, &Input::Tick)));
}

#[test]
fn after_a_failure_the_wait_doubles_from_ten_seconds_up_to_the_limit() {
    let patient = Settings {
        longest_backoff: Duration::from_secs(45),
        selection: SelectionSettings {
            attempts: 9,
            ..SelectionSettings::default()
        },
        ..settings()
    };
    let (mut night, _) = night_of(patient, vec![brief(1)]);
    let mut at = SECOND;
    for (failures, seconds) in [(1, 10), (2, 20), (3, 40), (4, 45), (5, 45)] {
        let actions = night.handle(at, &ended(1, Outcome::CheckFailed, failures));
        let reason = "the last attempt ended: check failed";
        assert_eq!(
            vec![(failures + 1, seconds * 1_000, reason)],
            retries(&actions)
        );
        let early = at + Duration::from_millis(seconds * 1_000 - 1);
        assert_eq!(
            Vec::<u64>::new(),
            started(&night.handle(early, &Input::Tick))
        );
        at += Duration::from_secs(seconds);
        assert_eq!(vec![1], started(&night.handle(at, &Input::Tick)));
    }
}

#[test]
fn a_retry_has_its_attempt_its_time_its_issue_and_its_reason() {
    let (mut night, _) = night_of(settings(), vec![brief(1)]);
    night.handle(5 * SECOND, &ended(1, Outcome::NoChange, 1));
    let row = Row {
        issue: key(1),
        attempt: Some(2),
        at_s: 15,
        reason: "the last attempt ended: no change".to_owned(),
    };
    assert_eq!(vec![row], night.state().snapshot().retries);
}

#[test]
fn an_attempt_that_went_silent_is_stopped_and_tried_again() {
    let impatient = Settings {
        stall: Duration::from_secs(60),
        ..settings()
    };
    let (mut night, _) = night_of(impatient.clone(), vec![brief(1)]);
    night.handle(SECOND, &Input::Began { key: key(1) });
    let heard = Input::Heard {
        key: key(1),
        patience: Duration::from_secs(60),
    };
    night.handle(50 * SECOND, &heard);
    assert!(cancelled(&night.handle(100 * SECOND, &Input::Tick)).is_empty());
    let actions = night.handle(111 * SECOND, &Input::Tick);
    let stalled = Outcome::Stalled { seconds: 61 };
    assert_eq!(vec![(1, &stalled)], cancelled(&actions));
    let actions = night.handle(112 * SECOND, &ended(1, stalled, 1));
    assert_eq!(1, retries(&actions).len(), "{actions:?}");
    // Zero switches it off.
    let never = Settings {
        stall: Duration::ZERO,
        ..impatient
    };
    let (mut night, _) = night_of(never, vec![brief(1)]);
    night.handle(SECOND, &Input::Began { key: key(1) });
    assert!(cancelled(&night.handle(100_000 * SECOND, &Input::Tick)).is_empty());
}

#[test]
fn a_retry_that_finds_every_slot_taken_waits_and_says_so() {
    let (mut night, _) = night_of(one_slot(), vec![brief(1), brief(2)]);
    let actions = night.handle(2 * SECOND, &ended(1, Outcome::NoChange, 1));
    assert_eq!(vec![2], started(&actions));
    let actions = night.handle(30 * SECOND, &Input::Tick);
    assert_eq!(Vec::<u64>::new(), started(&actions));
    assert_eq!("every slot is taken", night.state().standing(&key(1)));
    // An issue that failed stands behind the others; this one is done with for a second.
    let outcome = Outcome::PullRequest { number: 7 };
    let actions = night.handle(31 * SECOND, &ended(2, outcome, 0));
    assert_eq!(vec![1], started(&actions));
}

#[test]
fn a_state_with_a_limit_of_its_own_keeps_to_it() {
    let limited = Settings {
        slots: 9,
        per_repository: 9,
        per_state: [("open".to_owned(), 1)].into(),
        ..settings()
    };
    let (night, actions) = night_of(limited, vec![brief(1), brief(2)]);
    assert_eq!(vec![1], started(&actions));
    let standing = night.state().standing(&key(2));
    assert_eq!("1 attempts run on open issues already", standing);
}

#[test]
fn a_snapshot_tells_what_runs_and_what_waits() {
    let (mut night, _) = night_of(one_slot(), vec![brief(1), brief(2), brief(3)]);
    night.handle(2 * SECOND, &ended(1, Outcome::NoChange, 1));
    let snapshot = night.state().snapshot();
    let issues = |rows: &[Row]| rows.iter().map(|row| row.issue.number).collect::<Vec<_>>();
    assert_eq!(
        (vec![2], vec![1]),
        (issues(&snapshot.running), issues(&snapshot.retries))
    );
    assert_eq!((1, 0), (snapshot.ready, snapshot.pauses.len()));
}
