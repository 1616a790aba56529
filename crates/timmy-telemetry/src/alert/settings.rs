//! What an operator decides about alerts.

use serde::Deserialize;
use serde::Serialize;

/// `[alerts]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// The program that news is given to as JSON on its standard input, and its arguments. Without it
    /// alerts are kept in the log and told to nobody.
    pub command: Vec<String>,
    /// Seconds after which the program is stopped.
    pub timeout_s: u64,
    /// Seconds after which a warning that is still there becomes critical; 0 for never.
    pub escalate_after_s: u64,
    /// Seconds that a finding has to be gone before its end is told. One that comes back before that
    /// is not told again.
    pub quiet_s: u64,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            timeout_s: 20,
            escalate_after_s: 4 * 60 * 60,
            quiet_s: 600,
        }
    }
}
