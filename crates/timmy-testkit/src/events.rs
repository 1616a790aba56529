//! An event sink that keeps everything in memory for the test to look at.

use std::sync::Mutex;
use std::sync::PoisonError;

use async_trait::async_trait;
use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::SCHEMA_VERSION;

/// Keeps events in a list.
#[derive(Debug, Default)]
pub struct EventList {
    events: Mutex<Vec<Event>>,
}

impl EventList {
    /// Everything appended so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Just what happened, in order.
    #[must_use]
    pub fn kinds(&self) -> Vec<EventKind> {
        self.events().into_iter().map(|event| event.kind).collect()
    }
}

#[async_trait]
impl EventSink for EventList {
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Event {
            seq: i64::try_from(events.len()).unwrap_or(i64::MAX) + 1,
            schema: SCHEMA_VERSION,
            at: Timestamp::UNIX_EPOCH,
            run: run.cloned(),
            kind,
        };
        events.push(event.clone());
        Ok(event)
    }
}
