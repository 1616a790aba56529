//! What a run has done: recorded in the log, and folded at once.

use std::sync::Arc;

use async_trait::async_trait;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_store::EventLog;

use super::desk::Desk;
use crate::attempt::Attempt;

/// Hears of every event of a run after it was recorded.
pub type Observer = Arc<dyn Fn(&EventKind) + Send + Sync>;

/// The diary of one run.
pub(super) struct Diary<'a> {
    pub(super) desk: &'a Desk,
    pub(super) run: &'a RunId,
    /// What was recorded so far.
    pub(super) attempt: Attempt,
    observer: Observer,
}

impl<'a> Diary<'a> {
    /// The diary of a run, from what is recorded of it.
    pub(super) fn new(
        desk: &'a Desk,
        run: &'a RunId,
        attempt: Attempt,
        observer: Observer,
    ) -> Self {
        Self {
            desk,
            run,
            attempt,
            observer,
        }
    }

    /// Records what happened. What cannot be recorded did not happen.
    pub(super) async fn record(&mut self, kind: EventKind) -> Result<(), Problem> {
        self.desk.record(self.run, kind.clone()).await?;
        (self.observer)(&kind);
        self.attempt.apply(&kind);
        Ok(())
    }

    /// The log, for parts that record on their own.
    pub(super) fn sink(&self) -> Arc<dyn EventSink> {
        Arc::new(Observed {
            log: self.desk.events(),
            observer: Arc::clone(&self.observer),
        })
    }

    /// Takes note of what such a part recorded.
    pub(super) async fn catch_up(&mut self) -> Result<(), timmy_store::StoreError> {
        let history = self.desk.events().run(self.run).await?;
        self.attempt = Attempt::fold(&history);
        Ok(())
    }
}

/// The log, with somebody who hears of every event.
struct Observed {
    log: EventLog,
    observer: Observer,
}

#[async_trait]
impl EventSink for Observed {
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem> {
        let event = self.log.append(run, kind).await?;
        (self.observer)(&event.kind);
        Ok(event)
    }
}
