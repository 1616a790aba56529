//! Everything that can happen, as one typed enum.

mod beginning;
mod fleet;
mod kind;
mod outcome;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::ids::RunId;
use crate::problem::Problem;

pub use beginning::EnergySource;
pub use beginning::Feedback;
pub use beginning::Fingerprint;
pub use fleet::AlertKey;
pub use fleet::Severity;
pub use kind::EventKind;
pub use kind::PassedOver;
pub use outcome::Outcome;

/// The version written with every event. Raised when the meaning of a field changes; readers keep
/// every older version readable.
pub const SCHEMA_VERSION: u16 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the log, from 1, without gaps that mean anything.
    pub seq: i64,
    /// The [`SCHEMA_VERSION`] it was written with.
    pub schema: u16,
    /// When it was appended.
    pub at: Timestamp,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Where events are sent: the log, or a test's list.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Appends an event. When this returns, the event is durable to the degree the sink promises.
    ///
    /// # Errors
    /// When the event could not be kept. Callers stop: work that cannot be recorded is not done.
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        let event = Event {
            seq: 7,
            schema: SCHEMA_VERSION,
            at: Timestamp::UNIX_EPOCH,
            run: None,
            kind: EventKind::RunEnded {
                outcome: Outcome::Stopped {
                    code: Code::new(701),
                },
                duration_ms: 12,
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        insta::assert_snapshot!(text, @r#"{"seq":7,"schema":1,"at":"1970-01-01T00:00:00Z","type":"run_ended","outcome":{"outcome":"stopped","code":"TIMMY-0701"},"duration_ms":12}"#);
        assert_eq!(event, serde_json::from_str(&text).unwrap());
    }
}
