//! Each rule by itself: where it begins, and what it must not take for a fault.

mod machine;

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::AlertKey;
use timmy_core::event::Severity;

use super::*;
use crate::finding::Finding;
use crate::finding::LoginState;
use crate::finding::code;
use crate::run_lock::Lease;
use machine::login;
use machine::timer;

const TTL: Duration = Duration::from_secs(600);
const GIBIBYTE: u64 = 1 << 30;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

fn repo() -> RepoName {
    "me/project".parse().unwrap()
}

fn commit(digit: char) -> ObjectName {
    digit.to_string().repeat(40).parse().unwrap()
}

/// A night at work: a loop is on, a run works under its claim, and the disk has room.
fn evidence() -> Evidence {
    let run = run(Lease::Held, 5);
    let mut evidence = Evidence::none("night");
    evidence.limits = Limits {
        stall: Duration::from_secs(900),
        command: Duration::from_secs(1_260),
        check: Duration::from_secs(1_860),
        keep_free: 2 * GIBIBYTE,
        timer_grace: Duration::from_secs(300),
    };
    evidence
        .claims
        .insert(repo(), Ok(vec![claim(&run.run, 60)]));
    evidence.night = NightSeen {
        on_since: Some(ago(20_000)),
        repositories: vec![repo()],
        last_run: Some(run.heard),
        pauses: Vec::new(),
        asked: None,
        lives_here: true,
    };
    evidence.runs = vec![run];
    evidence.forge = ForgeSeen::Answers {
        place: "http://forge".to_owned(),
    };
    evidence.disks = vec![disk(40 * GIBIBYTE, Vec::new())];
    evidence
}

fn run(lease: Lease, silent: u64) -> RunSeen {
    RunSeen {
        run: RunId::generate(),
        repo: repo(),
        issue: 7,
        lease,
        heard: ago(silent),
        doing: Doing::Other,
        ttl: TTL,
    }
}

fn claim(run: &RunId, unrenewed: u64) -> ClaimSeen {
    ClaimSeen {
        issue: 7,
        reference: "refs/timmy/claims/7".to_owned(),
        run: run.clone(),
        machine: "m".to_owned(),
        ttl: TTL,
        unrenewed: Duration::from_secs(unrenewed),
    }
}

fn disk(free: u64, past: Vec<(Timestamp, f64)>) -> DiskSeen {
    DiskSeen {
        mount: "/".to_owned(),
        holds_root: true,
        free,
        total: 100 * GIBIBYTE,
        past,
    }
}

fn found(evidence: &Evidence) -> Vec<Finding> {
    find(evidence, &HealthSettings::default(), now())
}

fn codes(evidence: &Evidence) -> Vec<Code> {
    found(evidence).iter().map(|finding| finding.code).collect()
}

/// The evidence changed in one way gives exactly this finding.
fn only(expected: Code, evidence: &Evidence) -> Finding {
    let mut found = found(evidence);
    assert_eq!(1, found.len(), "{found:#?}");
    let finding = found.remove(0);
    assert_eq!(expected, finding.code);
    assert!(!finding.evidence.is_empty() && !finding.fix.is_empty());
    finding
}

#[test]
fn a_night_at_work_has_no_finding() {
    assert_eq!(Vec::<Finding>::new(), found(&evidence()));
    assert_eq!(Vec::<Finding>::new(), found(&Evidence::none("night")));
}

#[test]
fn a_dead_worker_is_told_once_with_its_claim() {
    let mut evidence = evidence();
    evidence.runs = vec![run(Lease::Free, 5_000)];
    let dead = evidence.runs[0].run.clone();
    evidence
        .claims
        .insert(repo(), Ok(vec![claim(&dead, 5_000)]));
    // Nothing runs and there is work, but a run that has to be closed first explains that.
    let finding = only(code::DEAD_WORKER, &evidence);
    assert_eq!(dead.as_str(), finding.subject);
    insta::assert_snapshot!(finding.evidence[3], @"refs/timmy/claims/7 was not renewed for 1 h 23 min");
}

#[test]
fn a_run_of_another_machine_is_dead_when_its_claim_has_lapsed_and_a_quarter() {
    let mut evidence = evidence();
    for (silent, unrenewed, dead) in [(751, 751, true), (751, 749, false), (749, 751, false)] {
        evidence.runs = vec![run(Lease::Elsewhere, silent)];
        let own = claim(&evidence.runs[0].run, unrenewed);
        evidence.claims.insert(repo(), Ok(vec![own]));
        assert_eq!(
            dead,
            codes(&evidence) == [code::DEAD_WORKER],
            "{silent} {unrenewed}"
        );
        assert_eq!(dead, !codes(&evidence).is_empty());
    }
    evidence.runs = vec![run(Lease::Elsewhere, 50_000)];
    evidence.claims.insert(repo(), Ok(Vec::new()));
    only(code::DEAD_WORKER, &evidence);
    evidence.claims.insert(repo(), Err("it is dark".to_owned()));
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
    let key = AlertKey {
        code: code::DEAD_WORKER,
        subject: evidence.runs[0].run.to_string(),
    };
    assert!(!judge(&evidence, &HealthSettings::default(), now()).sees(&key));
}

#[test]
fn a_step_with_a_limit_of_its_own_may_be_silent_for_longer() {
    let mut evidence = evidence();
    let cases = [
        (Doing::Other, 900),
        (Doing::Command, 1_260),
        (Doing::Check, 1_860),
    ];
    for (doing, patience) in cases {
        evidence.runs[0].doing = doing;
        evidence.runs[0].heard = ago(patience);
        assert_eq!(Vec::<Code>::new(), codes(&evidence), "{doing:?}");
        evidence.runs[0].heard = ago(patience + 1);
        only(code::SILENT_RUN, &evidence);
    }
    evidence.limits.stall = Duration::ZERO;
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
}

#[test]
fn a_claim_without_a_run_is_stuck_after_its_time_to_live() {
    let mut evidence = evidence();
    let gone = RunId::generate();
    let mut both = evidence.claims[&repo()].clone().unwrap();
    both.push(ClaimSeen {
        issue: 8,
        ..claim(&gone, 600)
    });
    evidence.claims.insert(repo(), Ok(both.clone()));
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
    both[1].unrenewed = Duration::from_secs(601);
    evidence.claims.insert(repo(), Ok(both));
    let finding = only(code::STUCK_CLAIM, &evidence);
    assert_eq!("me/project#8", finding.subject);
    assert_eq!("timmy sprint --repo me/project --issue 8", finding.fix);
}

#[test]
fn nothing_runs_although_something_could() {
    let mut idle = evidence();
    idle.runs.clear();
    idle.claims.insert(repo(), Ok(Vec::new()));
    idle.night.last_run = Some(ago(1_801));
    let work = Work {
        issue: 9,
        title: "The sum is wrong".to_owned(),
    };
    let settings = HealthSettings::default();
    assert!(should_be_working(&idle, &settings, now()));
    idle.work.insert(repo(), Ok(None));
    assert_eq!(Vec::<Code>::new(), codes(&idle));
    idle.work.insert(repo(), Ok(Some(work)));
    let finding = only(code::IDLE_WITH_WORK, &idle);
    assert_eq!(Severity::Critical, finding.severity);
    let explained: [fn(&mut Evidence); 6] = [
        |evidence| evidence.night.repositories = vec!["me/another".parse().unwrap()],
        |evidence| evidence.night.on_since = None,
        |evidence| evidence.night.last_run = Some(ago(1_800)),
        |evidence| evidence.night.on_since = Some(ago(60)),
        |evidence| evidence.night.asked = Some((ago(900), "lunch".to_owned())),
        |evidence| {
            evidence.night.pauses = vec![PauseSeen {
                scope: "budget".to_owned(),
                at: ago(900),
                what: "the day is spent".to_owned(),
            }];
        },
    ];
    for explain in explained {
        let mut evidence = idle.clone();
        explain(&mut evidence);
        assert_eq!(Vec::<Code>::new(), codes(&evidence));
    }
}

fn result(pushed: char, checks: &[(char, bool)]) -> ResultSeen {
    ResultSeen {
        run: RunId::generate(),
        repo: repo(),
        pull: 12,
        at: ago(60),
        is_draft: false,
        pushed: Some(commit(pushed)),
        checks: checks
            .iter()
            .map(|(of, passed)| (commit(*of), *passed))
            .collect(),
    }
}

#[test]
fn a_result_needs_a_passing_check_of_exactly_its_commit() {
    let mut evidence = evidence();
    for good in [
        result('a', &[('a', true)]),
        result('b', &[('a', false), ('b', true)]),
    ] {
        evidence.results = vec![good];
        assert_eq!(Vec::<Code>::new(), codes(&evidence));
    }
    for bad in [
        result('a', &[]),
        result('a', &[('a', false)]),
        result('a', &[('b', true)]),
    ] {
        evidence.results = vec![bad];
        let finding = only(code::NO_RECEIPT, &evidence);
        assert_eq!("timmy verify me/project#12", finding.fix);
    }
    evidence.results[0] = result('a', &[('a', false)]);
    evidence.results[0].is_draft = true;
    assert_eq!(Vec::<Code>::new(), codes(&evidence));
}

fn tried(ago_hours: u64, succeeded: u32, of: u32) -> Vec<Tried> {
    let one = |number| Tried {
        at: ago(ago_hours * 3_600),
        succeeded: number < succeeded,
    };
    (0..of).map(one).collect()
}

#[test]
fn success_collapses_only_when_chance_is_no_explanation() {
    let mut evidence = evidence();
    let cases = [
        ((0, 8), (40, 50), true),
        ((2, 12), (45, 50), true),
        // Too few to say anything.
        ((0, 4), (50, 50), false),
        ((0, 8), (9, 9), false),
        // Unlikely, but not a collapse.
        ((60, 100), (98, 100), false),
        // A bad day, as they come.
        ((3, 8), (40, 50), false),
        // It was never better.
        ((0, 30), (1, 50), false),
    ];
    for ((good, all), (good_before, all_before), collapsed) in cases {
        evidence.tried = tried(3, good, all);
        evidence.tried.extend(tried(50, good_before, all_before));
        let expected: &[Code] = if collapsed {
            &[code::SUCCESS_COLLAPSED]
        } else {
            &[]
        };
        assert_eq!(
            expected,
            codes(&evidence),
            "{good}/{all} {good_before}/{all_before}"
        );
    }
    evidence.tried = tried(3, 0, 8);
    evidence.tried.extend(tried(50, 40, 50));
    let finding = only(code::SUCCESS_COLLAPSED, &evidence);
    insta::assert_snapshot!(finding.evidence.join("\n"), @r"
    in the last 1 d 0 h: 0 of 8 runs succeeded (0 %)
    in the 7 d 0 h before: 40 of 50 runs succeeded (80 %)
    by chance alone that comes with probability 2.3e-5 (Fisher's exact test)
    runs that failed by a platform's fault are not counted
    ");
}

#[test]
fn a_forge_that_is_away_is_one_finding_and_not_several() {
    let mut evidence = evidence();
    evidence.forge = ForgeSeen::Fails {
        place: "http://forge".to_owned(),
        what: "no answer within 3 s".to_owned(),
    };
    evidence.claims.clear();
    evidence.runs.clear();
    evidence.night.last_run = Some(ago(9_000));
    let finding = only(code::FORGE_FAILS, &evidence);
    assert_eq!("night:http://forge", finding.subject);
    let stuck = AlertKey {
        code: code::STUCK_CLAIM,
        subject: "me/project#8".to_owned(),
    };
    assert!(!judge(&evidence, &HealthSettings::default(), now()).sees(&stuck));
}

fn provider(failures: &[u64]) -> ProviderSeen {
    let failure = |seconds: &u64| FailureSeen {
        at: ago(*seconds),
        code: Code::new(602),
        what: "the server is overloaded".to_owned(),
    };
    ProviderSeen {
        name: "local".to_owned(),
        failures: failures.iter().map(failure).collect(),
        answered: Some(ago(9_000)),
    }
}

#[test]
fn a_provider_fails_after_three_calls_and_for_an_hour() {
    let mut evidence = evidence();
    for (failures, fails) in [
        (vec![10, 20], false),
        (vec![10, 20, 30], true),
        (vec![3_600, 3_700, 9_000], true),
        (vec![3_601, 3_700, 3_800], false),
        (vec![], false),
    ] {
        evidence.providers = vec![provider(&failures)];
        let expected: &[Code] = if fails { &[code::PROVIDER_FAILS] } else { &[] };
        assert_eq!(expected, codes(&evidence), "{failures:?}");
    }
    evidence.providers = vec![provider(&[10, 20, 30])];
    assert_eq!(Severity::Warning, found(&evidence)[0].severity);
    evidence.night.pauses = vec![PauseSeen {
        scope: "models".to_owned(),
        at: ago(9),
        what: "TIMMY-0619 no provider can answer".to_owned(),
    }];
    assert_eq!(
        Severity::Critical,
        only(code::PROVIDER_FAILS, &evidence).severity
    );
}

#[test]
fn the_most_pressing_comes_first() {
    let mut evidence = evidence();
    evidence.disks = vec![disk(1, Vec::new())];
    evidence.timers = vec![timer(Some(3_000), Some(90_000))];
    evidence.logins = vec![login(
        LoginState::Ending {
            within: TTL * 1_000,
        },
        None,
    )];
    evidence.providers = vec![provider(&[10, 20, 30])];
    let expected = [
        code::DISK,
        code::PROVIDER_FAILS,
        code::LATE_TIMER,
        code::LOGIN,
    ];
    assert_eq!(expected.as_slice(), codes(&evidence));
}

#[test]
fn what_is_about_a_repository_is_only_over_where_the_repository_was_judged() {
    let key = |code, subject: &str| AlertKey {
        code,
        subject: subject.to_owned(),
    };
    let sees = |evidence: &Evidence, key: &AlertKey| {
        judge(evidence, &HealthSettings::default(), now()).sees(key)
    };
    let (claim, work) = (
        key(code::STUCK_CLAIM, "me/project#8"),
        key(code::IDLE_WITH_WORK, "me/project"),
    );
    let judged = |evidence: &Evidence| (sees(evidence, &claim), sees(evidence, &work));
    let mut evidence = evidence();
    assert_eq!((true, true), judged(&evidence));
    assert!(!sees(&evidence, &key(code::STUCK_CLAIM, "me/project-2#8")));
    assert!(!sees(&evidence, &key(code::IDLE_WITH_WORK, "me/another")));
    // Whether a run of another machine lives is not known here, so nothing was said about work.
    evidence.night.last_run = Some(ago(1_801));
    evidence.runs = vec![run(Lease::Elsewhere, 1_801)];
    assert_eq!((true, false), judged(&evidence));
    evidence.runs.clear();
    evidence.work.insert(repo(), Err("it is dark".to_owned()));
    assert_eq!((true, false), judged(&evidence));
    evidence.work.insert(repo(), Ok(None));
    assert_eq!((true, true), judged(&evidence));
    evidence.claims.insert(repo(), Err("it is dark".to_owned()));
    assert_eq!((false, true), judged(&evidence));
    // A host without a forge.
    evidence.claims.clear();
    evidence.work.clear();
    evidence.forge = ForgeSeen::NotConfigured;
    assert_eq!((false, false), judged(&evidence));
}
