//! What an operator decides about findings.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// `[health]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// Seconds without an event after which a run whose process lives counts as silent. Without it
    /// `night.stall_s` is taken; 0 switches that off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_s: Option<u64>,
    /// Seconds for which nothing may run while a loop is on and an issue could be worked on.
    pub idle_s: u64,
    /// Seconds for which a result without a receipt is told.
    pub receipts_s: u64,
    /// Seconds of the past whose success rate is compared with what was before.
    pub recent_s: u64,
    /// Seconds before those that it is compared with.
    pub baseline_s: u64,
    /// Calls of a provider that fail one after another before it counts as failing.
    pub provider_failures: u32,
    /// Seconds after which a failed call says nothing any more.
    pub provider_s: u64,
    /// Bytes that stay free on the disk of the private root. Without it the larger one of
    /// `workspace.keep_free_bytes` and `sandbox.limits.free_bytes` is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_free_bytes: Option<u64>,
    /// Seconds ahead for which a disk must not fill up.
    pub disk_ahead_s: u64,
    /// Seconds for which the forge may take to answer the question whether it is there.
    pub probe_s: u64,
}

impl Default for HealthSettings {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        const DAY: u64 = 24 * HOUR;
        Self {
            silent_s: None,
            idle_s: HOUR / 2,
            receipts_s: DAY,
            recent_s: DAY,
            baseline_s: 7 * DAY,
            provider_failures: 3,
            provider_s: HOUR,
            keep_free_bytes: None,
            disk_ahead_s: DAY,
            probe_s: 3,
        }
    }
}

impl HealthSettings {
    /// The time that the newest runs are looked at for.
    #[must_use]
    pub fn past(&self) -> Duration {
        let compared = self.recent_s.saturating_add(self.baseline_s);
        Duration::from_secs(compared.max(self.receipts_s))
    }
}
