//! The forge and the model providers.

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::event::Severity;

use crate::finding::Finding;
use crate::finding::code;
use crate::health::Evidence;
use crate::health::HealthSettings;
use crate::health::evidence::ForgeSeen;
use crate::health::evidence::PauseSeen;
use crate::health::evidence::ProviderSeen;
use crate::health::words;

/// The scope of a pause, as the loop names it.
const MODELS: &str = "models";
const FORGE: &str = "forge";
/// Failed calls that are told, newest first.
const TOLD: usize = 3;

/// TIMMY-1006: the forge does not answer. A pause in the log is only told with it: it lasts until an
/// attempt was let through, which is long after the forge is back.
pub(super) fn forge(evidence: &Evidence, found: &mut Vec<Finding>) {
    let ForgeSeen::Fails { place, what } = &evidence.forge else {
        return;
    };
    let pause = pause_of(evidence, FORGE);
    let mut facts = vec![what.clone()];
    facts.extend(pause.map(told));
    found.push(Finding {
        code: code::FORGE_FAILS,
        severity: Severity::Critical,
        subject: format!("{}:{place}", evidence.host),
        what: format!("the forge at {place} does not answer"),
        evidence: facts,
        fix: "timmy doctor".to_owned(),
        since: pause.map(|pause| pause.at),
    });
}

fn pause_of<'a>(evidence: &'a Evidence, scope: &str) -> Option<&'a PauseSeen> {
    let mut pauses = evidence.night.pauses.iter();
    pauses.find(|pause| pause.scope == scope)
}

fn told(pause: &PauseSeen) -> String {
    let since = words::time(pause.at);
    format!("attempts are held back since {since}: {}", pause.what)
}

/// TIMMY-1007: calls of a provider fail one after another.
pub(super) fn providers(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    for provider in &evidence.providers {
        let told_for = Duration::from_secs(settings.provider_s);
        let mut failures = provider.failures.iter();
        let newest = failures.next();
        let enough = provider.failures.len() >= settings.provider_failures.max(1) as usize;
        let Some(newest) = newest.filter(|_| enough) else {
            continue;
        };
        if words::between(newest.at, now) > told_for {
            continue;
        }
        found.push(failing(evidence, provider));
    }
}

fn failing(evidence: &Evidence, provider: &ProviderSeen) -> Finding {
    let name = &provider.name;
    let pause = pause_of(evidence, MODELS);
    let oldest = provider.failures.last().map(|failure| failure.at);
    let mut facts = vec![match provider.answered {
        Some(answered) => format!("last answered {}", words::time(answered)),
        None => "no answer is known".to_owned(),
    }];
    let newest = provider.failures.iter().take(TOLD);
    facts.extend(newest.map(|failure| {
        format!(
            "{}: {} {}",
            words::time(failure.at),
            failure.code,
            failure.what
        )
    }));
    facts.extend(pause.map(told));
    Finding {
        code: code::PROVIDER_FAILS,
        severity: match pause {
            // Nothing else is left to ask.
            Some(_) => Severity::Critical,
            None => Severity::Warning,
        },
        subject: name.clone(),
        what: format!(
            "{} calls of provider {name} failed one after another",
            provider.failures.len()
        ),
        evidence: facts,
        fix: "timmy doctor".to_owned(),
        since: oldest,
    }
}
