use std::collections::BTreeSet;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::IssueState;

use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn repo() -> RepoName {
    "operator/project".parse().unwrap()
}

pub(super) fn key(number: u64) -> IssueName {
    IssueName {
        repo: repo(),
        number,
    }
}

pub(super) fn brief(number: u64) -> Brief {
    Brief {
        number,
        title: format!("Issue {number}"),
        labels: Vec::new(),
        assignees: Vec::new(),
        state: IssueState::Open,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        score: None,
        files: BTreeSet::new(),
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        repositories: vec![repo()],
        ..Settings::default()
    }
}

pub(super) fn listed(briefs: Vec<Brief>) -> Input {
    Input::Listed {
        repo: repo(),
        listing: Listing {
            extent: Extent::Everything,
            issues: briefs,
            pulls_changed: false,
            base: None,
            terms: None,
        },
    }
}

pub(super) fn ended(number: u64, outcome: Outcome, failed_attempts: u32) -> Input {
    Input::Ended {
        key: key(number),
        ended: Ended {
            outcome,
            failed_attempts,
            fingerprint: None,
            lasts: None,
        },
    }
}

pub(super) fn started(actions: &[Action]) -> Vec<u64> {
    let number = |action: &Action| match action {
        Action::Start { key, .. } => Some(key.number),
        _ => None,
    };
    actions.iter().filter_map(number).collect()
}

pub(super) fn failed(code: u16, exit: ExitStatus) -> Outcome {
    Outcome::Failed {
        problem: Problem::new(Code::new(code), exit, "it failed"),
    }
}

fn cancelled() -> Outcome {
    Outcome::Cancelled {
        reason: String::new(),
    }
}

fn said(actions: &[Action]) -> Vec<&EventKind> {
    let mut events = Vec::new();
    for action in actions {
        if let Action::Record(kind) = action {
            events.push(kind);
        }
    }
    events
}

#[test]
fn a_night_begins_with_a_list_and_starts_what_fits() {
    let mut night = Night::new(settings());
    let first = night.handle(Duration::ZERO, &Input::Tick);
    let list = Action::List {
        repo: repo(),
        extent: Extent::Everything,
    };
    assert_eq!(vec![list], first);
    assert_eq!(Vec::<Action>::new(), night.handle(SECOND, &Input::Tick));
    let actions = night.handle(SECOND, &listed(vec![brief(1), brief(2), brief(3)]));
    assert_eq!(vec![1, 2], started(&actions));
    assert_eq!("every slot is taken", night.state().standing(&key(3)));
}

#[test]
fn the_order_is_tier_then_score_then_age() {
    let mut urgent = brief(9);
    urgent.labels = vec!["P0".to_owned()];
    let mut scored = brief(8);
    scored.score = Some(5);
    let mut night = Night::new(Settings {
        slots: 4,
        per_repository: 4,
        ..settings()
    });
    let actions = night.handle(SECOND, &listed(vec![brief(2), brief(1), scored, urgent]));
    assert_eq!(vec![9, 8, 1, 2], started(&actions));
}

#[test]
fn issues_that_name_the_same_file_are_kept_apart() {
    let naming = |number, text| Brief {
        files: overlap::mentions(text),
        ..brief(number)
    };
    let mut night = Night::new(settings());
    let issues = vec![
        naming(1, "src/lib.rs"),
        naming(2, "lib.rs"),
        naming(3, "src/main.rs"),
    ];
    let actions = night.handle(SECOND, &listed(issues));
    assert_eq!(vec![1, 3], started(&actions));
    let actions = night.handle(SECOND, &ended(3, Outcome::ClaimLost, 0));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    let standing = night.state().standing(&key(2));
    assert_eq!("it names lib.rs, which #1 works on", standing);
    let actions = night.handle(SECOND, &ended(1, Outcome::ClaimLost, 0));
    assert_eq!(vec![2], started(&actions));
}

#[test]
fn a_spent_quota_stops_everybody_until_its_time_and_then_lets_one_through() {
    let mut night = Night::new(settings());
    night.handle(SECOND, &listed(vec![brief(1), brief(2), brief(3)]));
    let quota = |number, lasts| Input::Ended {
        key: key(number),
        ended: Ended {
            outcome: failed(603, ExitStatus::Later),
            failed_attempts: 0,
            fingerprint: None,
            lasts,
        },
    };
    let hour = Duration::from_secs(3_600);
    let actions = night.handle(2 * SECOND, &quota(1, Some(hour)));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    assert_eq!(1, said(&actions).len(), "{actions:?}");
    let actions = night.handle(3 * SECOND, &quota(2, Some(hour)));
    assert_eq!(0, said(&actions).len(), "{actions:?}");
    let actions = night.handle(hour, &Input::Tick);
    assert_eq!(Vec::<u64>::new(), started(&actions));
    let over = hour + 4 * SECOND;
    assert_eq!(vec![1], started(&night.handle(over, &Input::Tick)));
    let actions = night.handle(over, &ended(1, Outcome::PullRequest { number: 7 }, 0));
    let resumed = EventKind::DispatchResumed {
        scope: "models".to_owned(),
    };
    assert_eq!(vec![&resumed], said(&actions));
    assert_eq!(vec![2, 3], started(&actions));
}

#[test]
fn a_poison_issue_waits_longer_each_time_and_is_then_left_alone() {
    let mut night = Night::new(Settings {
        slots: 1,
        ..settings()
    });
    night.handle(SECOND, &listed(vec![brief(1), brief(2)]));
    let mut at = SECOND;
    for (attempt, wait) in [(1, 10), (2, 20)] {
        let actions = night.handle(at, &ended(1, Outcome::NoChange, attempt));
        let reason = "the last attempt ended: no change".to_owned();
        let retry = EventKind::RetryScheduled {
            repo: repo(),
            issue: 1,
            attempt: attempt + 1,
            delay_ms: wait * 1_000,
            reason,
        };
        assert_eq!(vec![&retry], said(&actions));
        at += Duration::from_secs(wait);
        // The others have their turn first, although they are younger.
        let later = night.handle(at, &Input::Tick);
        assert_eq!(vec![2], [started(&actions), started(&later)].concat());
        let answered = Outcome::PullRequest { number: 9 };
        let actions = night.handle(at, &ended(2, answered, 0));
        assert_eq!(vec![1], started(&actions));
    }
    night.handle(at, &ended(1, Outcome::NoChange, 3));
    let standing = night.state().standing(&key(1));
    assert_eq!("3 attempts failed from the same beginnings", standing);
    let changed = Brief {
        title: "Issue 1, said better".to_owned(),
        ..brief(1)
    };
    let actions = night.handle(at, &listed(vec![changed, brief(2)]));
    assert_eq!(vec![1], started(&actions));
}

#[test]
fn a_base_that_moves_all_the_time_does_not_end_a_quarantine_at_once() {
    let mut night = Night::new(Settings {
        slots: 1,
        ..settings()
    });
    let moved = |base: char, issues| Input::Listed {
        repo: repo(),
        listing: Listing {
            extent: Extent::Everything,
            issues,
            pulls_changed: false,
            base: base.to_string().repeat(40).parse().ok(),
            terms: None,
        },
    };
    night.handle(SECOND, &moved('a', vec![brief(1)]));
    night.handle(SECOND, &ended(1, Outcome::NoChange, 3));
    let soon = SECOND + Duration::from_secs(60);
    let actions = night.handle(soon, &moved('b', vec![brief(1)]));
    assert_eq!(Vec::<u64>::new(), started(&actions));
    let late = soon + Duration::from_secs(3_600);
    assert_eq!(
        vec![1],
        started(&night.handle(late, &moved('c', vec![brief(1)])))
    );
}

#[test]
fn a_loop_that_drains_waits_for_nothing_but_its_runs() {
    let mut night = Night::new(settings());
    night.handle(SECOND, &listed(vec![brief(1)]));
    night.handle(SECOND, &Input::Stop(Stop::Drain));
    let hour = Duration::from_secs(3_600);
    night.handle(
        SECOND,
        &Input::Heard {
            key: key(1),
            patience: hour,
        },
    );
    let wake = night.state().next_wake();
    assert!(wake > Some(hour), "{wake:?}");
}

#[test]
fn a_loop_that_is_told_to_stop_finishes_what_runs() {
    let mut night = Night::new(settings());
    night.handle(SECOND, &listed(vec![brief(1), brief(2), brief(3)]));
    assert_eq!(
        Vec::<Action>::new(),
        night.handle(SECOND, &Input::Stop(Stop::Drain))
    );
    night.handle(SECOND, &ended(1, Outcome::NoChange, 1));
    let actions = night.handle(SECOND, &Input::Stop(Stop::Now));
    assert!(
        matches!(actions.as_slice(), [Action::Cancel { .. }]),
        "{actions:?}"
    );
    let actions = night.handle(SECOND, &ended(2, cancelled(), 0));
    assert!(
        matches!(actions.as_slice(), [Action::Finish { .. }]),
        "{actions:?}"
    );
}

#[test]
fn a_loop_that_ends_waits_for_what_runs_and_not_for_what_is_due() {
    let late = SECOND * 100;
    let over = Settings {
        until: Until::Time(SECOND * 50),
        ..settings()
    };
    for (settings, input) in [(settings(), Input::Stop(Stop::Drain)), (over, Input::Tick)] {
        let mut night = Night::new(settings);
        night.handle(SECOND, &Input::Tick);
        night.handle(SECOND, &listed(vec![brief(1)]));
        assert_eq!(Vec::<Action>::new(), night.handle(late, &input));
        let next = night.state().next_wake();
        assert!(next > Some(late), "it spins: {next:?}");
    }
}

#[test]
fn feedback_that_is_found_while_its_issue_is_looked_at_is_answered() {
    let mut night = Night::new(settings());
    assert_eq!(
        vec![1],
        started(&night.handle(SECOND, &listed(vec![brief(1)])))
    );
    let attended = Attended {
        open: 1,
        answers: vec![(1, 2)],
        queued: false,
    };
    let repo = repo();
    night.handle(SECOND, &Input::Attended { repo, attended });
    let declined = Declined {
        reason: "pull request #2 is open".to_owned(),
        recheck: Recheck::IssueChanges,
    };
    let key = key(1);
    let input = Input::Declined { key, declined };
    let actions = night.handle(SECOND, &input);
    assert!(
        actions.iter().any(|action| matches!(
            action,
            Action::Start {
                purpose: Purpose::Answer { pull: 2 },
                ..
            }
        )),
        "{actions:?}"
    );
}

#[test]
fn a_repository_that_spent_its_day_holds_nobody_else_up() {
    let other: RepoName = "operator/other".parse().unwrap();
    let mut night = Night::new(Settings {
        repositories: vec![repo(), other.clone()],
        slots: 1,
        ..settings()
    });
    night.handle(SECOND, &listed(vec![brief(1), brief(2)]));
    let elsewhere = match listed(vec![brief(7)]) {
        Input::Listed { listing, .. } => Input::Listed {
            repo: other,
            listing,
        },
        input => input,
    };
    night.handle(SECOND, &elsewhere);
    let problem = Problem::new(Code::new(210), ExitStatus::Later, "spent");
    let spent = Input::Ended {
        key: key(1),
        ended: Ended {
            outcome: Outcome::Failed {
                problem: problem.at("budget.per_repository"),
            },
            failed_attempts: 0,
            fingerprint: None,
            lasts: Some(Duration::from_secs(3_600)),
        },
    };
    assert_eq!(vec![7], started(&night.handle(2 * SECOND, &spent)));
    let standing = night.state().standing(&key(2));
    assert_eq!("operator/project (its budget) is paused: spent", standing);
    let next_day = Duration::from_secs(3_603);
    let actions = night.handle(next_day, &Input::Tick);
    let scope = "operator/project (its budget)".to_owned();
    assert!(said(&actions).contains(&&EventKind::DispatchResumed { scope }));
}
