//! Random nights: findings come and go, hosts are killed, and two of them write one log.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::event::AlertKey;
use timmy_core::event::SCHEMA_VERSION;
use timmy_core::event::Severity;

use super::*;
use crate::finding::Finding;
use crate::finding::code;
use crate::health::Unseen;
use crate::health::Verdict;

const SETTINGS: AlertSettings = AlertSettings {
    command: Vec::new(),
    timeout_s: 20,
    escalate_after_s: 3_600,
    quiet_s: 600,
};

fn finding(subject: &str, severity: Severity) -> Finding {
    Finding {
        code: code::PROVIDER_FAILS,
        severity,
        subject: subject.to_owned(),
        what: format!("{subject} fails"),
        evidence: vec!["seen".to_owned()],
        fix: "timmy doctor".to_owned(),
        since: None,
    }
}

fn verdict(findings: &[(u8, Severity)], hidden: bool) -> Verdict {
    let unseen = Unseen {
        code: code::PROVIDER_FAILS,
        about: String::new(),
        why: "it is dark".to_owned(),
    };
    let found = findings.iter();
    Verdict {
        host: "night".to_owned(),
        findings: found
            .map(|(name, severity)| finding(&name.to_string(), *severity))
            .collect(),
        unseen: hidden.then_some(unseen).into_iter().collect(),
        judged: BTreeMap::new(),
    }
}

/// A log, and what was really told.
#[derive(Default)]
struct Night {
    log: Vec<Event>,
    now: Timestamp,
    told: Vec<News>,
}

impl Night {
    fn append(&mut self, kind: EventKind) {
        self.log.push(Event {
            seq: i64::try_from(self.log.len()).unwrap() + 1,
            schema: SCHEMA_VERSION,
            at: self.now,
            run: None,
            kind,
        });
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
    }

    /// A turn that is killed after so many steps: appended events and messages.
    fn turn(&mut self, verdict: &Verdict, mut steps: usize) {
        let mut go_on = || {
            let alive = steps > 0;
            steps = steps.saturating_sub(1);
            alive
        };
        for kind in step(&open(&self.log), verdict, self.now, &SETTINGS) {
            if !go_on() {
                return;
            }
            self.append(kind);
        }
        for news in news(&open(&self.log), verdict, self.now, &SETTINGS) {
            if !go_on() {
                return;
            }
            self.told.push(news.clone());
            if !go_on() {
                return;
            }
            self.append(news.told());
        }
    }

    /// Two hosts look at the same log at once; neither sees what the other appends.
    fn clash(&mut self, one: &Verdict, other: &Verdict) {
        let alerts = open(&self.log);
        let first = step(&alerts, one, self.now, &SETTINGS);
        let second = step(&alerts, other, self.now, &SETTINGS);
        for kind in first.into_iter().chain(second) {
            self.append(kind);
        }
    }

    /// Severities as they were told in the log, split at every end; by alert.
    fn told_by_life(&self) -> BTreeMap<AlertKey, Vec<Vec<Severity>>> {
        let mut lives: BTreeMap<AlertKey, Vec<Vec<Severity>>> = BTreeMap::new();
        for event in &self.log {
            if let EventKind::AlertTold { key, severity } = &event.kind {
                let lives = lives.entry(key.clone()).or_insert_with(|| vec![Vec::new()]);
                match severity {
                    Some(severity) => lives.last_mut().unwrap().push(*severity),
                    None => lives.push(Vec::new()),
                }
            }
        }
        lives
    }

    /// Raises and clears of each alert.
    fn turns(&self) -> BTreeMap<AlertKey, Vec<bool>> {
        let mut turns: BTreeMap<AlertKey, Vec<bool>> = BTreeMap::new();
        for event in &self.log {
            match &event.kind {
                EventKind::AlertRaised { key, .. } => {
                    turns.entry(key.clone()).or_default().push(true)
                }
                EventKind::AlertCleared { key } => {
                    turns.entry(key.clone()).or_default().push(false)
                }
                _ => {}
            }
        }
        turns
    }
}

type Found = Vec<(u8, Severity)>;

fn severities() -> impl Strategy<Value = Severity> {
    prop_oneof![
        Just(Severity::Notice),
        Just(Severity::Warning),
        Just(Severity::Critical)
    ]
}

fn found() -> impl Strategy<Value = Found> {
    proptest::collection::vec((0..4_u8, severities()), 0..4)
}

/// Seconds that pass, what is found, whether the look was hidden, and after how many steps it is killed.
fn looks() -> impl Strategy<Value = Vec<(u64, Found, bool, usize)>> {
    let seconds = prop_oneof![Just(60_u64), 0..5_000_u64];
    let steps = prop_oneof![3 => Just(usize::MAX), 1 => 0..8_usize];
    proptest::collection::vec(
        (seconds, found(), proptest::bool::weighted(0.1), steps),
        1..25,
    )
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_told_twice(looks in looks()) {
        let mut night = Night::default();
        for (seconds, found, hidden, steps) in looks {
            night.pass(seconds);
            night.turn(&verdict(&found, hidden), steps);
        }
        for (key, turns) in night.turns() {
            let alternating = turns.iter().enumerate().all(|(place, raised)| *raised == (place % 2 == 0));
            prop_assert!(alternating, "{key}: {turns:?}");
        }
        for (key, lives) in night.told_by_life() {
            for life in lives {
                prop_assert!(life.is_sorted_by(|one, next| one < next), "{key}: {life:?}");
            }
        }
        // Every message but those before a kill is in the log.
        let in_log = night.log.iter().filter(|event| matches!(event.kind, EventKind::AlertTold { .. }));
        prop_assert!(in_log.count() <= night.told.len());
    }

    #[test]
    fn when_nothing_is_found_everything_ends(looks in looks()) {
        let mut night = Night::default();
        for (seconds, found, hidden, steps) in looks {
            night.pass(seconds);
            night.turn(&verdict(&found, hidden), steps);
        }
        night.turn(&verdict(&[], false), usize::MAX);
        prop_assert_eq!(0, open(&night.log).iter().count());
        night.pass(SETTINGS.quiet_s);
        night.turn(&verdict(&[], false), usize::MAX);
        prop_assert_eq!(&BTreeMap::new(), &open(&night.log).lives);
        let length = night.log.len();
        night.turn(&verdict(&[], false), usize::MAX);
        prop_assert_eq!(length, night.log.len());
    }

    #[test]
    fn a_look_that_is_repeated_says_nothing_new(looks in looks(), last in found()) {
        let mut night = Night::default();
        for (seconds, found, hidden, steps) in looks {
            night.pass(seconds);
            night.turn(&verdict(&found, hidden), steps);
        }
        night.turn(&verdict(&last, false), usize::MAX);
        let length = night.log.len();
        night.turn(&verdict(&last, false), usize::MAX);
        prop_assert_eq!(length, night.log.len());
    }

    #[test]
    fn the_log_can_be_taken_up_at_any_place(looks in looks(), cut in any::<prop::sample::Index>()) {
        let mut night = Night::default();
        for (seconds, found, hidden, steps) in looks {
            night.pass(seconds);
            night.turn(&verdict(&found, hidden), steps);
        }
        let cut = cut.index(night.log.len() + 1);
        let mut alerts = open(&night.log[..cut]);
        night.log[cut..].iter().for_each(|event| alerts.apply(event));
        prop_assert_eq!(open(&night.log), alerts);
    }

    #[test]
    fn two_hosts_that_clash_do_not_double(looks in looks(), others in looks()) {
        let mut night = Night::default();
        for ((seconds, found, hidden, steps), (_, other, dark, _)) in looks.into_iter().zip(others) {
            night.pass(seconds);
            night.clash(&verdict(&found, hidden), &verdict(&other, dark));
            night.turn(&verdict(&found, hidden), steps);
        }
        for (key, lives) in night.told_by_life() {
            for life in lives {
                prop_assert!(life.is_sorted_by(|one, next| one < next), "{key}: {life:?}");
            }
        }
        night.turn(&verdict(&[], false), usize::MAX);
        prop_assert_eq!(0, open(&night.log).iter().count());
    }
}

fn told(night: &Night) -> Vec<(Turn, Severity)> {
    night
        .told
        .iter()
        .map(|news| (news.turn, news.severity))
        .collect()
}

#[test]
fn a_finding_that_flaps_is_told_once_and_ends_once() {
    let mut night = Night::default();
    let there = verdict(&[(1, Severity::Warning)], false);
    let gone = verdict(&[], false);
    for _ in 0..20 {
        night.turn(&there, usize::MAX);
        night.pass(60);
        night.turn(&gone, usize::MAX);
        night.pass(60);
    }
    assert_eq!(vec![(Turn::Raised, Severity::Warning)], told(&night));
    night.pass(600);
    night.turn(&gone, usize::MAX);
    let ended = vec![
        (Turn::Raised, Severity::Warning),
        (Turn::Ended, Severity::Warning),
    ];
    assert_eq!(ended, told(&night));
}

#[test]
fn a_warning_that_stays_becomes_critical_and_a_notice_does_not() {
    let mut night = Night::default();
    let there = verdict(&[(1, Severity::Warning), (2, Severity::Notice)], false);
    for _ in 0..10 {
        night.turn(&there, usize::MAX);
        night.pass(1_800);
    }
    let expected = vec![
        (Turn::Raised, Severity::Warning),
        (Turn::Raised, Severity::Notice),
        (Turn::Escalated, Severity::Critical),
    ];
    assert_eq!(expected, told(&night));
    assert_eq!("still there after 1 h 0 min: 1 fails", night.told[2].what);
    night.turn(&verdict(&[(2, Severity::Critical)], false), usize::MAX);
    assert_eq!((Turn::Escalated, Severity::Critical), told(&night)[3]);
}

#[test]
fn what_cannot_be_seen_is_not_over() {
    let mut night = Night::default();
    night.turn(&verdict(&[(1, Severity::Warning)], false), usize::MAX);
    night.turn(&verdict(&[], true), usize::MAX);
    assert_eq!(1, open(&night.log).iter().count());
    // Nor is what another machine found on itself.
    let key = AlertKey {
        code: code::DISK,
        subject: "other:/".to_owned(),
    };
    night.append(EventKind::AlertRaised {
        key: key.clone(),
        severity: Severity::Critical,
        what: "full".to_owned(),
    });
    night.turn(&verdict(&[], false), usize::MAX);
    let open_now = open(&night.log);
    let left: Vec<&AlertKey> = open_now.iter().map(|(key, _)| key).collect();
    assert_eq!(vec![&key], left);
}
