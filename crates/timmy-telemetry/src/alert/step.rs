//! What follows from a look: events, and news.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::event::AlertKey;
use timmy_core::event::Severity;

use super::AlertSettings;
use super::Life;
use super::OpenAlerts;
use crate::finding::Finding;
use crate::health::Verdict;
use crate::health::words;

/// What a person is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// Which alert.
    #[serde(flatten)]
    pub key: AlertKey,
    /// What became of it.
    pub turn: Turn,
    /// How pressing it is, or was.
    pub severity: Severity,
    /// What was found, as a sentence.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// What it was concluded from, when the look that brings the news found it too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The command that mends it, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It is there.
    Raised,
    /// It is more pressing than what was told.
    Escalated,
    /// It is over.
    Ended,
}

impl News {
    /// The event that says that this was told.
    #[must_use]
    pub fn told(&self) -> EventKind {
        let severity = match self.turn {
            Turn::Raised | Turn::Escalated => Some(self.severity),
            Turn::Ended => None,
        };
        EventKind::AlertTold {
            key: self.key.clone(),
            severity,
        }
    }
}

/// The events that follow from a look. Appended and folded, the same look gives none.
#[must_use]
pub fn step(
    alerts: &OpenAlerts,
    verdict: &Verdict,
    now: Timestamp,
    settings: &AlertSettings,
) -> Vec<EventKind> {
    let found = by_key(verdict);
    let mut events = Vec::new();
    for (key, finding) in &found {
        let life = alerts.lives.get(key);
        match life.filter(|life| life.cleared.is_none()) {
            Some(life) => events.extend(escalated(key, life, finding, now, settings)),
            None => events.push(EventKind::AlertRaised {
                key: key.clone(),
                severity: finding.severity,
                what: finding.what.clone(),
            }),
        }
    }
    let open = alerts.iter().map(|(key, _)| key);
    let gone = open.filter(|key| !found.contains_key(*key) && verdict.sees(key));
    events.extend(gone.map(|key| EventKind::AlertCleared { key: key.clone() }));
    events
}

fn by_key(verdict: &Verdict) -> BTreeMap<AlertKey, &Finding> {
    let mut found: BTreeMap<AlertKey, &Finding> = BTreeMap::new();
    for finding in &verdict.findings {
        let known = found.entry(finding.key()).or_insert(finding);
        if finding.severity > known.severity {
            *known = finding;
        }
    }
    found
}

fn escalated(
    key: &AlertKey,
    life: &Life,
    finding: &Finding,
    now: Timestamp,
    settings: &AlertSettings,
) -> Option<EventKind> {
    let key = key.clone();
    if finding.severity > life.severity {
        return Some(EventKind::AlertEscalated {
            key,
            severity: finding.severity,
            what: finding.what.clone(),
        });
    }
    let after = Duration::from_secs(settings.escalate_after_s);
    let age = words::between(life.severity_since, now);
    let old = !after.is_zero() && age >= after && life.severity == Severity::Warning;
    old.then(|| EventKind::AlertEscalated {
        key,
        severity: Severity::Critical,
        what: format!("still there after {}: {}", words::span(age), finding.what),
    })
}

/// What has to be told now.
#[must_use]
pub fn news(
    alerts: &OpenAlerts,
    verdict: &Verdict,
    now: Timestamp,
    settings: &AlertSettings,
) -> Vec<News> {
    let found = by_key(verdict);
    let quiet = Duration::from_secs(settings.quiet_s);
    let mut news = Vec::new();
    for (key, life) in &alerts.lives {
        let turn = match (life.cleared, life.told) {
            (None, None) => Turn::Raised,
            (None, Some(told)) if told < life.severity => Turn::Escalated,
            (Some(cleared), Some(_)) if words::between(cleared, now) >= quiet => Turn::Ended,
            (None | Some(_), _) => continue,
        };
        let finding = found.get(key);
        news.push(News {
            key: key.clone(),
            turn,
            severity: life.severity,
            what: life.what.clone(),
            since: life.since,
            evidence: finding
                .map(|finding| finding.evidence.clone())
                .unwrap_or_default(),
            fix: finding.map(|finding| finding.fix.clone()),
        });
    }
    news
}
