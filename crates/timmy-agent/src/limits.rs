//! Steps and time.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::error::AgentError;

/// How far one run may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Model turns.
    pub steps: u32,
    /// Wall time in seconds, from the first turn.
    pub seconds: u64,
    /// The most tokens one reply may have.
    pub reply_tokens: u32,
    /// The most bytes of one tool result that the model is shown.
    pub result_bytes: usize,
    /// The most seconds one command may take when the model asks for more than the ordinary limit of
    /// the sandbox: a cold build does.
    pub command_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 60,
            seconds: 3_600,
            reply_tokens: 4_096,
            result_bytes: 16 << 10,
            command_seconds: 1_800,
        }
    }
}

impl Limits {
    /// Checked before a turn is paid for.
    ///
    /// # Errors
    /// When the next turn would be one too many.
    pub(crate) fn allow_step(&self, steps_taken: u32) -> Result<(), AgentError> {
        if steps_taken >= self.steps {
            return Err(AgentError::StepLimit(self.steps));
        }
        Ok(())
    }

    /// Checked before each model call and each tool.
    ///
    /// # Errors
    /// When the time is over.
    pub(crate) fn allow_time(&self, elapsed: Duration) -> Result<(), AgentError> {
        let most = Duration::from_secs(self.seconds);
        if elapsed >= most {
            return Err(AgentError::TimeLimit(most));
        }
        Ok(())
    }
}
