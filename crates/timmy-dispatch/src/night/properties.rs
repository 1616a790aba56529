//! Loops over several repositories, and whatever happens in any order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;

use super::tests::*;
use super::*;

/// What a test does to a night.
#[derive(Debug, Clone)]
enum Deed {
    Pass(u64),
    List(Vec<u64>),
    Fail,
    Begin(usize),
    End(usize, Outcome),
    Decline(usize, Recheck),
    Wake,
    Ask(Wanted),
    Attend(bool),
}

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Pause,
    Resume,
    Stop(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let outcomes = prop_oneof![
        Just(Outcome::NoChange),
        Just(Outcome::PullRequest { number: 99 }),
        Just(Outcome::ClaimLost),
        Just(failed(603, ExitStatus::Later)),
        Just(failed(501, ExitStatus::Unavailable)),
        Just(failed(605, ExitStatus::Data)),
    ];
    let rechecks = prop_oneof![
        Just(Recheck::After(Duration::from_secs(5))),
        Just(Recheck::IssueEdited),
        Just(Recheck::IssueChanges),
        Just(Recheck::RepositoryChanges),
    ];
    let deed = prop_oneof![
        (0_u64..400).prop_map(Deed::Pass),
        prop::collection::vec(1_u64..9, 0..8).prop_map(Deed::List),
        Just(Deed::Fail),
        (0_usize..4).prop_map(Deed::Begin),
        (0_usize..4, outcomes).prop_map(|(at, outcome)| Deed::End(at, outcome)),
        (0_usize..4, rechecks).prop_map(|(at, recheck)| Deed::Decline(at, recheck)),
        Just(Deed::Wake),
        Just(Deed::Ask(Wanted::Pause)),
        Just(Deed::Ask(Wanted::Resume)),
        (0_usize..4).prop_map(|at| Deed::Ask(Wanted::Stop(at))),
        any::<bool>().prop_map(Deed::Attend),
    ];
    prop::collection::vec(deed, 1..80)
}

/// The input of a deed; none when it does not fit what runs or is asked.
fn input(deed: &Deed, running: &BTreeMap<u64, u32>, listing: bool) -> Option<Input> {
    let nth = |at: &usize| running.keys().nth(*at).copied();
    Some(match deed {
        Deed::Pass(_) => Input::Tick,
        Deed::List(numbers) if listing => {
            let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
            listed(numbers.into_iter().map(brief).collect())
        }
        Deed::Fail if listing => Input::ListFailed {
            repo: repo(),
            problem: Problem::new(Code::new(501), ExitStatus::Unavailable, "away"),
            lasts: None,
        },
        Deed::List(_) | Deed::Fail => return None,
        Deed::Begin(at) => Input::Began { key: key(nth(at)?) },
        Deed::End(at, outcome) => {
            let number = nth(at)?;
            ended(number, outcome.clone(), running[&number])
        }
        Deed::Decline(at, recheck) => Input::Declined {
            key: key(nth(at)?),
            declined: Declined {
                reason: "a rule".to_owned(),
                recheck: *recheck,
            },
        },
        Deed::Wake => Input::Woken { repo: repo() },
        Deed::Ask(Wanted::Pause) => Input::Asked(Asked::Pause {
            reason: String::new(),
        }),
        Deed::Ask(Wanted::Resume) => Input::Asked(Asked::Resume),
        Deed::Ask(Wanted::Stop(at)) => Input::Asked(Asked::Stop { key: key(nth(at)?) }),
        Deed::Attend(queued) => Input::Attended {
            repo: repo(),
            attended: Attended {
                open: 1,
                answers: vec![(3, 99)],
                queued: *queued,
            },
        },
    })
}

fn other_repo() -> RepoName {
    "operator/other".parse().unwrap()
}

/// A loop over two repositories that ends when nothing is left, and whose first list has failed.
fn half_blind() -> Night {
    let settings = Settings {
        repositories: vec![repo(), other_repo()],
        until: Until::Idle,
        ..settings()
    };
    let mut night = Night::new(settings);
    night.handle(Duration::ZERO, &Input::Tick);
    let failed = Input::ListFailed {
        repo: other_repo(),
        problem: Problem::new(Code::new(501), ExitStatus::NotFound, "it is not there"),
        lasts: Some(100 * SECOND),
    };
    let actions = night.handle(SECOND, &failed);
    assert!(!ends(&actions), "{actions:?}");
    night
}

fn ends(actions: &[Action]) -> bool {
    let end = |action: &Action| matches!(action, Action::Finish { .. });
    actions.iter().any(end)
}

#[test]
fn a_repository_that_is_held_back_ends_no_loop_over_others() {
    let mut night = half_blind();
    let actions = night.handle(2 * SECOND, &listed(vec![brief(1)]));
    assert_eq!(vec![1], started(&actions));
    night.handle(3 * SECOND, &Input::Began { key: key(1) });
    night.handle(
        3 * SECOND,
        &Input::Attended {
            repo: repo(),
            attended: Attended::default(),
        },
    );
    // Its retry is waited for, whatever is wrong with the other repository.
    let actions = night.handle(4 * SECOND, &ended(1, Outcome::NoChange, 1));
    assert!(!ends(&actions), "{actions:?}");
    let actions = night.handle(15 * SECOND, &Input::Tick);
    assert_eq!(vec![1], started(&actions));
}

#[test]
fn a_loop_that_ends_says_what_was_held_back() {
    let mut night = half_blind();
    night.handle(2 * SECOND, &listed(Vec::new()));
    let attended = Input::Attended {
        repo: repo(),
        attended: Attended::default(),
    };
    let actions = night.handle(3 * SECOND, &attended);
    let reason = "what is left is held back (operator/other: it is not there)".to_owned();
    assert!(actions.contains(&Action::Finish { reason }), "{actions:?}");
}

#[test]
fn a_repository_that_is_not_wanted_any_more_holds_nothing_back() {
    let mut night = half_blind();
    let fewer = Settings {
        until: Until::Idle,
        ..settings()
    };
    let actions = night.handle(2 * SECOND, &Input::Configured(Box::new(fewer)));
    let resumed = Action::Record(EventKind::DispatchResumed {
        scope: other_repo().to_string(),
    });
    assert!(actions.contains(&resumed), "{actions:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // Whatever happens: no issue runs twice at once, no more run than there is room for, the same is
    // not asked twice while an answer is on its way, and nothing begins while a person's pause lasts.
    #[test]
    fn no_issue_runs_twice_and_no_slot_leaks(deeds in deeds()) {
        let mut night = Night::new(settings());
        let mut running: BTreeMap<u64, u32> = BTreeMap::new();
        let mut attempts: BTreeMap<u64, u32> = BTreeMap::new();
        let (mut at, mut listing, mut paused) = (Duration::ZERO, false, false);
        for deed in deeds {
            if let Deed::Pass(seconds) = deed {
                at += Duration::from_secs(seconds);
            }
            let Some(input) = input(&deed, &running, listing) else { continue };
            match &input {
                Input::Ended { key, .. } | Input::Declined { key, .. } => {
                    running.remove(&key.number);
                }
                Input::Listed { .. } | Input::ListFailed { .. } => listing = false,
                _ => {}
            }
            match &deed {
                Deed::Ask(Wanted::Pause) => paused = true,
                Deed::Ask(Wanted::Resume) => paused = false,
                _ => {}
            }
            for action in night.handle(at, &input) {
                let begins = matches!(action, Action::Start { .. } | Action::MergeTurn { .. });
                prop_assert!(!(begins && paused), "{action:?} during a pause");
                match action {
                    Action::Start { key, .. } => {
                        let attempt = attempts.entry(key.number).or_default();
                        *attempt += 1;
                        prop_assert_eq!(None, running.insert(key.number, *attempt));
                    }
                    Action::List { .. } => {
                        prop_assert!(!listing);
                        listing = true;
                    }
                    Action::Cancel { key, .. } => prop_assert!(running.contains_key(&key.number)),
                    Action::Record(_) | Action::Attend { .. } | Action::MergeTurn { .. } => {}
                    Action::Finish { .. } => prop_assert!(false, "it runs for ever"),
                }
            }
            // What could start was started: going through everything again finds nothing.
            let mut again = Vec::new();
            start(night.state(), &mut again);
            prop_assert_eq!(Vec::<Action>::new(), again);
            prop_assert_eq!(running.len(), night.state().running());
            prop_assert!(running.len() <= 2);
            for issue in night.state().issues() {
                prop_assert!(!night.state().standing(issue).is_empty());
            }
        }
    }
}
