//! The project's own scripts around an attempt.
//!
//! They come from the repository, so they run where everything of the repository runs: in the
//! sandbox, in the workspace, as the agent's user, without network and without a secret. The shell
//! is no login shell: `/etc/profile` would take the operator's tools out of `PATH`.

use std::time::Duration;

use timmy_core::Redactor;
use timmy_core::text;
use timmy_sandbox::Command;
use timmy_sandbox::End;
use timmy_sandbox::Limit;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;

use super::error::WorkflowError;
use super::settings::HooksSection;

/// The end of a hook's output that is told, in bytes.
const OUTPUT_BYTES: usize = 1 << 10;

/// A point in an attempt at which a script of the project runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The workspace was made. A failure ends the attempt.
    AfterCreate,
    /// The agent is about to begin. A failure ends the attempt.
    BeforeRun,
    /// The agent's part is over, however it ended. A failure is recorded.
    AfterRun,
    /// The workspace is about to be removed. A failure is recorded.
    BeforeRemove,
}

impl Hook {
    /// Its key below `hooks`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AfterCreate => "after_create",
            Self::BeforeRun => "before_run",
            Self::AfterRun => "after_run",
            Self::BeforeRemove => "before_remove",
        }
    }

    /// The script that the project has for it.
    #[must_use]
    pub fn script(self, hooks: &HooksSection) -> Option<&str> {
        match self {
            Self::AfterCreate => hooks.after_create.as_deref(),
            Self::BeforeRun => hooks.before_run.as_deref(),
            Self::AfterRun => hooks.after_run.as_deref(),
            Self::BeforeRemove => hooks.before_remove.as_deref(),
        }
    }
}

/// Runs a script in the workspace of a policy. It may take `timeout`, and no longer than the
/// policy lets any command take.
///
/// # Errors
/// [`WorkflowError::HookFailed`] and [`WorkflowError::HookTimedOut`] when it did not end with
/// success, [`WorkflowError::Sandbox`] when it could not be run at all. What a failure means is
/// the caller's to know.
pub async fn run(
    sandbox: &dyn Sandbox,
    policy: &Policy,
    hook: Hook,
    script: &str,
    timeout: Duration,
    redactor: &Redactor,
) -> Result<(), WorkflowError> {
    let mut policy = policy.clone();
    policy.limits.wall = policy.limits.wall.min(timeout);
    let command = Command::new(["sh", "-c", script]);
    tracing::info!(hook = hook.name(), "a hook runs");
    let finished = sandbox.run(&policy, &command).await?;
    let how = match finished.end {
        End::Exited(0) => return Ok(()),
        End::OverLimit(Limit::Time) => {
            return Err(WorkflowError::HookTimedOut {
                hook: hook.name(),
                milliseconds: u64::try_from(policy.limits.wall.as_millis()).unwrap_or(u64::MAX),
            });
        }
        End::Exited(code) => format!("exited with {code}"),
        End::Signalled(signal) => format!("was ended by signal {signal}"),
        End::OverLimit(limit) => format!("passed a limit of the sandbox: {limit:?}"),
    };
    let output = finished.text(redactor);
    Err(WorkflowError::HookFailed {
        hook: hook.name(),
        how,
        output: text::tail(output.trim(), OUTPUT_BYTES).into_owned(),
    })
}
