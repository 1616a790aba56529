//! Hears what people ask of the fleet, from the log that its hosts share.

use std::time::Duration;

use timmy_core::EventKind;
use timmy_store::EventLog;
use timmy_store::StoreError;

use super::Handle;
use crate::night::Asked;

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// Events of one look. What is left comes with the next.
const AT_ONCE: u32 = 1_000;
/// What people ask of the fleet.
const TYPES: [&str; 3] = ["stop_asked", "pause_asked", "resume_asked"];

/// A place in the log up to which people were heard.
pub(super) struct Ear {
    log: EventLog,
    after: i64,
}

impl Ear {
    /// Listens from now on, and says what pause is in force.
    pub(super) async fn open(log: &EventLog) -> Result<(Self, Option<Asked>), StoreError> {
        // What comes between the two is heard again.
        let after = log.newest().await?;
        let pause = log.standing_pause().await?;
        let ear = Self {
            log: log.clone(),
            after,
        };
        let pause = pause.map(|pause| Asked::Pause {
            reason: pause.reason,
        });
        Ok((ear, pause))
    }

    /// Tells the loop what people ask, for ever. A database that is away is asked again.
    pub(super) async fn listen(mut self, handle: Handle) {
        loop {
            tokio::time::sleep(LOOK).await;
            let Ok(events) = self.log.of_types(&TYPES, self.after, AT_ONCE).await else {
                continue;
            };
            for event in events {
                self.after = event.seq;
                handle.asked(event.kind);
            }
        }
    }
}

/// What an event asks, where it is one of those that do.
pub(super) fn of_fleet(kind: EventKind) -> Option<Asked> {
    match kind {
        EventKind::PauseAsked { reason, .. } => Some(Asked::Pause { reason }),
        EventKind::ResumeAsked => Some(Asked::Resume),
        _ => None,
    }
}
