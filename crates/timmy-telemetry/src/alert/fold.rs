//! Alerts as the log tells of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::event::AlertKey;
use timmy_core::event::Severity;

/// The types of events that [`open`] folds, as in their JSON form.
pub const TYPES: [&str; 5] = [
    "alert_raised",
    "alert_escalated",
    "alert_told",
    "alert_cleared",
    "warned",
];

/// The command that takes news failed.
pub(super) const COMMAND_FAILED: Code = Code::new(1080);

/// The life of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Life {
    /// How pressing it is.
    pub severity: Severity,
    /// What was found, as a sentence.
    pub what: String,
    /// Since when it is open.
    pub since: Timestamp,
    /// Since when it is as pressing as this.
    pub severity_since: Timestamp,
    /// The most pressing severity that was told in this life.
    pub told: Option<Severity>,
    /// When its cause was gone; none while it is there.
    pub cleared: Option<Timestamp>,
}

/// Every alert that is open, or whose end was not told yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenAlerts {
    pub(super) lives: BTreeMap<AlertKey, Life>,
    /// Whether it was said that the command fails, since it last took something.
    pub(super) warned: bool,
    /// The place of the newest event that was folded.
    pub(super) seq: i64,
}

/// Folds events, in the order of the log; those of other types change nothing.
#[must_use]
pub fn open(events: &[Event]) -> OpenAlerts {
    let mut alerts = OpenAlerts::default();
    for event in events {
        alerts.apply(event);
    }
    alerts
}

impl OpenAlerts {
    /// The alerts whose cause is there, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&AlertKey, &Life)> {
        self.lives.iter().filter(|(_, life)| life.cleared.is_none())
    }

    /// The place in the log up to which this is folded.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Goes on with the next event.
    pub fn apply(&mut self, event: &Event) {
        self.seq = self.seq.max(event.seq);
        match &event.kind {
            EventKind::AlertRaised {
                key,
                severity,
                what,
            } => self.raise(key, *severity, what, event.at),
            EventKind::AlertEscalated {
                key,
                severity,
                what,
            } => self.escalate(key, *severity, what, event.at),
            EventKind::AlertTold { key, severity } => self.told(key, *severity),
            EventKind::AlertCleared { key } => self.clear(key, event.at),
            EventKind::Warned { problem } => self.warned |= problem.code == COMMAND_FAILED,
            _ => {}
        }
    }

    fn raise(&mut self, key: &AlertKey, severity: Severity, what: &str, at: Timestamp) {
        let before = self.lives.get(key);
        if before.is_some_and(|life| life.cleared.is_none()) {
            return;
        }
        let life = Life {
            severity,
            what: what.to_owned(),
            since: before.map_or(at, |life| life.since),
            severity_since: at,
            told: before.and_then(|life| life.told),
            cleared: None,
        };
        self.lives.insert(key.clone(), life);
    }

    fn escalate(&mut self, key: &AlertKey, severity: Severity, what: &str, at: Timestamp) {
        let life = self.lives.get_mut(key);
        let worse = |life: &&mut Life| life.cleared.is_none() && severity > life.severity;
        if let Some(life) = life.filter(worse) {
            (life.severity, life.severity_since) = (severity, at);
            what.clone_into(&mut life.what);
        }
    }

    fn told(&mut self, key: &AlertKey, severity: Option<Severity>) {
        self.warned = false;
        let Some(life) = self.lives.get_mut(key) else {
            return;
        };
        match severity {
            Some(_) => life.told = life.told.max(severity),
            None if life.cleared.is_some() => drop(self.lives.remove(key)),
            None => {}
        }
    }

    fn clear(&mut self, key: &AlertKey, at: Timestamp) {
        let Some(life) = self.lives.get_mut(key) else {
            return;
        };
        if life.told.is_none() {
            // Nobody heard of it, so nobody has to hear of its end.
            self.lives.remove(key);
        } else if life.cleared.is_none() {
            life.cleared = Some(at);
        }
    }
}
