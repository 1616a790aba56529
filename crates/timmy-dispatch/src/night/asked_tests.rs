use std::time::Duration;

use timmy_core::EventKind;
use timmy_core::event::Outcome;

use super::super::tests::*;
use super::super::*;
use super::*;

const FAR: Duration = Duration::from_secs(48 * 3_600);

fn pause() -> Input {
    Input::Asked(Asked::Pause {
        reason: "the power is cut".to_owned(),
    })
}

fn stop(number: u64) -> Input {
    Input::Asked(Asked::Stop { key: key(number) })
}

fn attended(queued: bool) -> Input {
    Input::Attended {
        repo: repo(),
        attended: Attended {
            open: 1,
            answers: vec![(7, 8)],
            queued,
        },
    }
}

fn is_merge_turn(action: &Action) -> bool {
    matches!(action, Action::MergeTurn { .. })
}

fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Record(EventKind::DispatchPaused { scope, problem }) => {
            Some(format!("{scope}: {}", problem.what))
        }
        Action::Record(EventKind::DispatchResumed { scope }) => Some(format!("{scope} goes on")),
        _ => None,
    };
    actions.iter().filter_map(word).collect()
}

/// A night whose first issue runs.
fn at_work() -> Night {
    let mut night = Night::new(settings());
    night.handle(Duration::ZERO, &Input::Tick);
    let actions = night.handle(SECOND, &listed(vec![brief(1)]));
    assert_eq!(vec![1], started(&actions));
    night.handle(SECOND, &Input::Began { key: key(1) });
    night
}

fn stopped_one() -> Night {
    let mut night = at_work();
    let reason = STOPPED.to_owned();
    let outcome = Outcome::Cancelled { reason };
    let actions = night.handle(2 * SECOND, &stop(1));
    let cancel = Action::Cancel {
        key: key(1),
        outcome: outcome.clone(),
    };
    assert!(actions.contains(&cancel), "{actions:?}");
    let actions = night.handle(3 * SECOND, &ended(1, outcome, 0));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    night
}

#[test]
fn a_pause_that_a_person_asked_for_is_told_once_and_never_ends_by_itself() {
    let mut night = Night::new(settings());
    let actions = night.handle(Duration::ZERO, &pause());
    let told = "fleet: a person paused the fleet: the power is cut";
    assert_eq!(vec![told.to_owned()], words(&actions));
    assert_eq!(Vec::<String>::new(), words(&night.handle(SECOND, &pause())));
    for (at, input) in [
        (SECOND, listed(vec![brief(1), brief(7)])),
        (SECOND, attended(true)),
        (FAR, Input::Tick),
        (FAR, listed(vec![brief(1), brief(2), brief(7)])),
        (FAR, attended(true)),
    ] {
        let actions = night.handle(at, &input);
        assert_eq!(Vec::<u64>::new(), started(&actions), "{input:?}");
        assert!(!actions.iter().any(is_merge_turn), "{input:?}");
    }
    let standing = night.state().standing(&key(1));
    assert!(standing.contains("the power is cut"), "{standing}");
    let actions = night.handle(FAR, &Input::Asked(Asked::Resume));
    assert_eq!(vec!["fleet goes on".to_owned()], words(&actions));
    assert_eq!(vec![7, 1], started(&actions));
    assert!(actions.iter().any(is_merge_turn), "{actions:?}");
}

#[test]
fn what_runs_is_finished_during_a_pause() {
    let mut night = at_work();
    let cancelled = |action: &Action| matches!(action, Action::Cancel { .. });
    let actions = night.handle(2 * SECOND, &pause());
    assert!(!actions.iter().any(cancelled), "{actions:?}");
    let actions = night.handle(3 * SECOND, &ended(1, Outcome::NoChange, 1));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    assert_eq!(Vec::<u64>::new(), started(&night.handle(FAR, &Input::Tick)));
}

#[test]
fn a_loop_that_ends_when_idle_does_not_wait_for_a_person() {
    let idle = Settings {
        until: Until::Idle,
        ..settings()
    };
    let mut night = Night::new(idle);
    let actions = night.handle(Duration::ZERO, &pause());
    let reason = "what is left is held back (fleet: a person paused the fleet: the power is cut)";
    let finish = Action::Finish {
        reason: reason.to_owned(),
    };
    assert!(actions.contains(&finish), "{actions:?}");
}

#[test]
fn an_issue_whose_run_a_person_stopped_waits_until_it_changes() {
    let mut night = stopped_one();
    for at in [4 * SECOND, FAR] {
        let same = listed(vec![brief(1)]);
        assert_eq!(Vec::<u64>::new(), started(&night.handle(at, &same)));
    }
    let standing = night.state().standing(&key(1));
    assert!(
        standing.starts_with("a person stopped its run"),
        "{standing}"
    );
    let edited = Brief {
        title: "Now it is clear".to_owned(),
        ..brief(1)
    };
    let actions = night.handle(FAR, &listed(vec![edited]));
    assert_eq!(vec![1], started(&actions));
}

#[test]
fn an_issue_whose_run_a_person_stopped_goes_on_with_the_fleet() {
    let mut night = stopped_one();
    let actions = night.handle(4 * SECOND, &Input::Asked(Asked::Resume));
    assert_eq!(vec![1], started(&actions));
}

#[test]
fn who_lets_the_fleet_go_on_before_a_stopped_run_has_ended_means_its_issue_too() {
    let mut night = at_work();
    night.handle(2 * SECOND, &pause());
    night.handle(2 * SECOND, &stop(1));
    night.handle(2 * SECOND, &Input::Asked(Asked::Resume));
    let reason = STOPPED.to_owned();
    let actions = night.handle(3 * SECOND, &ended(1, Outcome::Cancelled { reason }, 0));
    assert_eq!(vec![1], started(&actions));
}

#[test]
fn a_stop_that_comes_too_late_changes_nothing() {
    let mut night = at_work();
    night.handle(2 * SECOND, &stop(1));
    let outcome = Outcome::PullRequest { number: 9 };
    night.handle(3 * SECOND, &ended(1, outcome, 0));
    let standing = night.state().standing(&key(1));
    assert_eq!("to see whether more is to be done", standing);
    // Nobody runs there.
    assert_eq!(Vec::<Action>::new(), night.handle(3 * SECOND, &stop(2)));
}

#[test]
fn an_issue_that_the_log_says_was_stopped_waits_for_a_person() {
    let mut night = Night::new(settings());
    night.handle(Duration::ZERO, &Input::Tick);
    night.handle(SECOND, &listed(vec![brief(1)]));
    let declined = Declined {
        reason: "a person stopped run 12345678".to_owned(),
        recheck: Recheck::PersonAsks,
    };
    let input = Input::Declined {
        key: key(1),
        declined,
    };
    night.handle(2 * SECOND, &input);
    let actions = night.handle(FAR, &listed(vec![brief(1)]));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    let actions = night.handle(FAR, &Input::Asked(Asked::Resume));
    assert_eq!(vec![1], started(&actions));
}
