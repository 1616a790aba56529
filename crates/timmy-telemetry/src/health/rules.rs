//! One rule for each kind of finding.

mod machine;
mod platforms;
mod results;
mod runs;

use jiff::Timestamp;

use super::Evidence;
use super::HealthSettings;
use crate::finding::Finding;

pub use runs::should_be_working;
pub(super) use runs::something_runs;

/// Concludes findings from evidence: the most pressing first, then by code and subject.
#[must_use]
pub fn find(evidence: &Evidence, settings: &HealthSettings, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    runs::dead(evidence, now, &mut found);
    runs::silent(evidence, settings, now, &mut found);
    runs::stuck_claims(evidence, now, &mut found);
    runs::idle(evidence, settings, now, &mut found);
    results::without_receipts(evidence, settings, now, &mut found);
    results::collapsed(evidence, settings, now, &mut found);
    platforms::forge(evidence, &mut found);
    platforms::providers(evidence, settings, now, &mut found);
    machine::disks(evidence, settings, now, &mut found);
    machine::timers(evidence, now, &mut found);
    machine::drifts(evidence, &mut found);
    machine::logins(evidence, now, &mut found);
    machine::collector(evidence, now, &mut found);
    found.sort_by(|one, other| {
        let by_pressure = other.severity.cmp(&one.severity);
        by_pressure.then_with(|| one.key().cmp(&other.key()))
    });
    found.dedup_by_key(|finding| finding.key());
    found
}
