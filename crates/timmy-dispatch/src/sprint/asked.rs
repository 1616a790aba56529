//! What people ask of the fleet, as far as a single attempt has to know.

use timmy_core::RunId;
use timmy_core::event::Outcome;
use tokio::sync::watch;

use super::desk::Desk;
use crate::error::SprintError;
use crate::night;
use crate::shell::LOOK;

impl Desk {
    /// Says no while a person's pause lasts.
    ///
    /// # Errors
    /// [`SprintError::Paused`], or that the log cannot be read.
    pub async fn refuse_while_paused(&self) -> Result<(), SprintError> {
        match self.events().standing_pause().await? {
            None => Ok(()),
            Some(pause) => Err(SprintError::Paused(night::paused(&pause.reason))),
        }
    }

    /// Waits until a person asks that a run be stopped, says so, and waits for ever.
    pub(super) async fn stop_when_asked(
        &self,
        run: &RunId,
        stop: watch::Sender<Option<Outcome>>,
    ) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            // A database that is away is asked again.
            if let Ok(true) = self.events().was_asked_to_stop(run).await {
                stop.send_replace(Some(stopped()));
                return std::future::pending().await;
            }
        }
    }
}

/// How a run ends that a person stopped.
pub(super) fn stopped() -> Outcome {
    Outcome::Cancelled {
        reason: night::STOPPED.to_owned(),
    }
}
