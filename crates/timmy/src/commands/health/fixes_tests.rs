//! What findings tell people to type.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_telemetry::finding::Drift;
use timmy_telemetry::finding::Finding;
use timmy_telemetry::finding::Login;
use timmy_telemetry::finding::LoginState;
use timmy_telemetry::finding::Timer;
use timmy_telemetry::finding::TimerSource;
use timmy_telemetry::health::ClaimSeen;
use timmy_telemetry::health::CollectorSeen;
use timmy_telemetry::health::DiskSeen;
use timmy_telemetry::health::Doing;
use timmy_telemetry::health::Evidence;
use timmy_telemetry::health::FailureSeen;
use timmy_telemetry::health::ForgeSeen;
use timmy_telemetry::health::HealthSettings;
use timmy_telemetry::health::ProviderSeen;
use timmy_telemetry::health::ResultSeen;
use timmy_telemetry::health::RunSeen;
use timmy_telemetry::health::Tried;
use timmy_telemetry::health::Work;
use timmy_telemetry::health::find;
use timmy_telemetry::run_lock::Lease;

use crate::cli::Cli;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn ago(hours: u64) -> Timestamp {
    now()
        .checked_sub(Duration::from_secs(hours * 3_600))
        .unwrap()
}

fn repo() -> RepoName {
    "me/project".parse().unwrap()
}

fn run(lease: Lease) -> RunSeen {
    RunSeen {
        run: RunId::generate(),
        repo: repo(),
        issue: 7,
        lease,
        heard: ago(9),
        doing: Doing::Other,
        ttl: Duration::from_secs(600),
    }
}

fn claim(run: &RunId, issue: u64) -> ClaimSeen {
    ClaimSeen {
        issue,
        reference: format!("refs/timmy/claims/{issue}"),
        run: run.clone(),
        machine: "m".to_owned(),
        ttl: Duration::from_secs(600),
        unrenewed: Duration::from_secs(9_000),
    }
}

fn login(name: &str, state: LoginState) -> Login {
    Login {
        name: name.to_owned(),
        place: "auth.json".to_owned(),
        state,
        key_expires: Some(ago(1)),
        login_ends: None,
    }
}

fn timer(source: TimerSource) -> Timer {
    Timer {
        source,
        name: "backup".to_owned(),
        schedule: None,
        due: Some(ago(1)),
        last: Some(ago(25)),
        next: None,
    }
}

fn drift(subject: &str, fixable: Result<(), String>) -> Drift {
    Drift {
        subject: subject.to_owned(),
        expected: "this".to_owned(),
        found: None,
        evidence: "config.yaml".to_owned(),
        fixable,
    }
}

/// What is wrong with runs and results.
fn at_work() -> Evidence {
    let (dead, silent) = (run(Lease::Free), run(Lease::Held));
    let mut evidence = Evidence::none("night");
    evidence.limits.stall = Duration::from_secs(900);
    let claims = vec![claim(&RunId::generate(), 8), claim(&silent.run, 7)];
    evidence.claims.insert(repo(), Ok(claims));
    evidence.runs = vec![dead, silent];
    evidence.results = vec![ResultSeen {
        run: RunId::generate(),
        repo: repo(),
        pull: 12,
        at: ago(1),
        is_draft: false,
        pushed: None,
        checks: Vec::new(),
    }];
    let tried = |hours, succeeded| Tried {
        at: ago(hours),
        succeeded,
    };
    evidence.tried = [vec![tried(1, false); 20], vec![tried(50, true); 20]].concat();
    evidence
}

/// What is wrong with the rest, while nothing runs.
fn at_rest() -> Evidence {
    let mut evidence = Evidence::none("night");
    evidence.limits.keep_free = 10;
    evidence.night.on_since = Some(ago(20));
    evidence.night.repositories = vec![repo()];
    evidence.night.lives_here = true;
    let work = Work {
        issue: 9,
        title: "The sum is wrong".to_owned(),
    };
    evidence.work.insert(repo(), Ok(Some(work)));
    let failure = FailureSeen {
        at: now(),
        code: Code::new(602),
        what: "overloaded".to_owned(),
    };
    evidence.providers = vec![ProviderSeen {
        name: "local".to_owned(),
        failures: vec![failure; 3],
        answered: None,
    }];
    evidence.disks = vec![DiskSeen {
        mount: "/".to_owned(),
        holds_root: true,
        free: 1,
        total: 100,
        past: Vec::new(),
    }];
    let sources = [TimerSource::Cron, TimerSource::Systemd, TimerSource::Hermes];
    evidence.timers = sources.map(timer).to_vec();
    evidence.drifts = vec![drift("one", Ok(())), drift("two", Err("no".to_owned()))];
    let dead = LoginState::Dead {
        reason: "gone".to_owned(),
    };
    let ending = LoginState::Ending {
        within: Duration::from_secs(60),
    };
    evidence.logins = vec![
        login("one", dead),
        login("two", ending),
        login("three", LoginState::Stale),
    ];
    evidence.collector = Some(CollectorSeen {
        wrote: ago(2),
        every: Duration::from_secs(60),
    });
    evidence
}

#[test]
fn every_fix_is_a_command_that_exists() {
    let mut away = Evidence::none("night");
    away.forge = ForgeSeen::Fails {
        place: "http://forge".to_owned(),
        what: "no answer".to_owned(),
    };
    let findings: Vec<Finding> = [at_work(), at_rest(), away]
        .iter()
        .flat_map(|evidence| find(evidence, &HealthSettings::default(), now()))
        .collect();
    let codes: BTreeSet<u16> = findings
        .iter()
        .map(|finding| finding.code.number())
        .collect();
    assert_eq!((1001..=1013).collect::<BTreeSet<u16>>(), codes);
    for finding in findings {
        let words: Vec<&str> = finding.fix.split_whitespace().collect();
        if words.first() == Some(&"timmy") {
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{}: {:?}", finding.fix, parsed.err());
        }
    }
}
