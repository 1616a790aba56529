use proptest::prelude::*;
use timmy_core::receipt::SandboxLevel;

use super::*;

fn object(digit: char) -> ObjectName {
    digit.to_string().repeat(40).parse().unwrap()
}

fn receipt(exit_code: i32) -> Receipt {
    Receipt {
        command: "make test".to_owned(),
        exit_code: Some(exit_code),
        tree: object('b'),
        commit: object('c'),
        duration_ms: 1,
        output_tail: String::new(),
        sandbox: SandboxLevel::L2,
        output_sha256: "0".repeat(64),
    }
}

fn collected(commit: Option<ObjectName>) -> EventKind {
    EventKind::WorkCollected {
        commit,
        title: None,
        description: None,
        comment: None,
    }
}

/// What performing a step records when nothing goes wrong.
fn recorded(step: &Step, exit_code: i32) -> EventKind {
    match step {
        Step::Work => collected(Some(object('c'))),
        Step::Check { .. } => EventKind::CheckFinished {
            receipt: receipt(exit_code),
        },
        Step::Push { commit } => EventKind::BranchPushed {
            branch: "timmy/1-1".to_owned(),
            commit: commit.clone(),
        },
        Step::Offer => EventKind::PullRequestOpened {
            number: 9,
            url: String::new(),
            draft: exit_code != 0,
            adopted: false,
        },
        Step::Tell { .. } => EventKind::IssueCommented { issue: 1 },
        Step::End(outcome) => EventKind::RunEnded {
            outcome: outcome.clone(),
            duration_ms: 1,
        },
        Step::Nothing => unreachable!(),
    }
}

/// The steps from here to the end.
fn play(attempt: &mut Attempt, rule: FailedCheck, exit_code: i32) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let step = attempt.next(rule);
        if step == Step::Nothing {
            return steps;
        }
        attempt.apply(&recorded(&step, exit_code));
        steps.push(step);
    }
}

#[test]
fn a_good_run_ends_with_a_pull_request() {
    let mut attempt = Attempt::default();
    let commit = object('c');
    let expected = vec![
        Step::Work,
        Step::Check {
            commit: commit.clone(),
        },
        Step::Push { commit },
        Step::Offer,
        Step::Tell { number: 9 },
        Step::End(Outcome::PullRequest { number: 9 }),
    ];
    assert_eq!(expected, play(&mut attempt, FailedCheck::Draft, 0));
    assert_eq!(Phase::Succeeded, attempt.phase());
}

#[test]
fn a_failed_check_becomes_a_draft_or_nothing() {
    let last = |rule| play(&mut Attempt::default(), rule, 1).pop();
    assert_eq!(
        Some(Step::End(Outcome::Draft { number: 9 })),
        last(FailedCheck::Draft)
    );
    assert_eq!(
        Some(Step::End(Outcome::CheckFailed)),
        last(FailedCheck::Nothing)
    );
}

#[test]
fn an_agent_that_changed_nothing_publishes_nothing() {
    let mut attempt = Attempt::default();
    attempt.apply(&collected(None));
    assert_eq!(
        Step::End(Outcome::NoChange),
        attempt.next(FailedCheck::Draft)
    );
}

#[test]
fn a_refused_change_is_neither_checked_nor_pushed() {
    let mut attempt = Attempt::default();
    attempt.apply(&collected(Some(object('c'))));
    attempt.apply(&EventKind::PublicationBlocked {
        reasons: vec!["a secret".to_owned()],
    });
    assert_eq!(
        Step::End(Outcome::Blocked),
        attempt.next(FailedCheck::Draft)
    );
}

#[test]
fn the_phases_follow_the_events() {
    let mut attempt = Attempt::default();
    let mut phases = vec![attempt.phase()];
    let ready = EventKind::WorkspaceReady {
        base_branch: "main".to_owned(),
        base: object('a'),
        work_branch: Some("timmy/1-1".to_owned()),
    };
    let prompt = EventKind::PromptBuilt {
        sha256: String::new(),
        bytes: 1,
    };
    let stalled = EventKind::RunEnded {
        outcome: Outcome::Stalled { seconds: 300 },
        duration_ms: 1,
    };
    for kind in [ready, prompt, collected(None), stalled] {
        attempt.apply(&kind);
        phases.push(attempt.phase());
    }
    let expected = [
        Phase::PreparingWorkspace,
        Phase::BuildingPrompt,
        Phase::StreamingTurn,
        Phase::Finishing,
        Phase::Stalled,
    ];
    assert_eq!(expected.as_slice(), phases);
}

proptest! {
    // Killed after any number of recorded steps, carried on by another process that may be killed
    // too: each step is recorded at most once, and only the agent's work is ever lost.
    #[test]
    fn death_repeats_no_recorded_step(deaths in prop::collection::vec(0_usize..6, 0..4), exit_code in 0..2) {
        let rule = FailedCheck::Draft;
        let mut attempt = Attempt::default();
        let mut steps: Vec<Step> = Vec::new();
        let mut dead = false;
        let mut deaths = deaths.into_iter();
        let mut left = deaths.next();
        loop {
            if left == Some(0) {
                dead = true;
                left = deaths.next();
            }
            let step = if dead { attempt.next_after_death(rule) } else { attempt.next(rule) };
            if step == Step::Nothing {
                break;
            }
            attempt.apply(&recorded(&step, exit_code));
            prop_assert!(!steps.contains(&step), "{step:?} again after {steps:?}");
            steps.push(step);
            left = left.map(|left| left.saturating_sub(1));
        }
        let offers = steps.iter().filter(|step| **step == Step::Offer).count();
        let abandoned = steps.contains(&Step::End(Outcome::Abandoned));
        prop_assert_eq!(usize::from(!abandoned), offers);
        prop_assert!(matches!(steps.last(), Some(Step::End(_))));
    }
}
