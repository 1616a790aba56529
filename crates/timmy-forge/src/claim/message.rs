//! What a claim says about its holder: the message of its commit.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::RunId;

/// The version of the message. A reader that does not know it treats the claim as held.
pub(crate) const MESSAGE_VERSION: u32 = 1;
/// Longer messages are not timmy's.
pub(crate) const LONGEST_MESSAGE: usize = 4096;

const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a claim is being worked under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// A run works on the issue.
    Held,
    /// The run is over; the ref stays as a record and may be taken at once.
    Done,
}

/// The JSON in a claim's commit message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMessage {
    /// The version of the message; 1 so far.
    pub v: u32,
    /// The issue.
    pub issue: IssueNumber,
    /// Random for each start of a process.
    pub worker_id: String,
    /// Random for each private root.
    pub machine_id: String,
    /// The run.
    pub run_id: RunId,
    /// Counts up with every takeover.
    pub epoch: u64,
    /// Seconds without renewal after which others may take over (and a quarter of it more).
    pub ttl_s: u64,
    /// Whether it is being worked under.
    pub state: ClaimState,
    /// Makes every commit unique. Without it two pushes of equal claims are both told "up to date".
    pub nonce: String,
}

impl ClaimMessage {
    /// Reads a message; `None` when it is not one of timmy's, or of a version that this one does
    /// not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST_MESSAGE {
            return None;
        }
        let message: Self = serde_json::from_str(text.trim()).ok()?;
        let short = |id: &str| !id.is_empty() && id.len() <= 100 && id.is_ascii();
        let sound = message.v == MESSAGE_VERSION
            && message.epoch > 0
            && message.epoch < u64::MAX
            && short(&message.worker_id)
            && short(&message.machine_id)
            && short(&message.nonce);
        sound.then_some(message)
    }

    /// The claim's time to live, within sane bounds.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_s).clamp(SHORTEST_TTL, LONGEST_TTL)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages() -> impl Strategy<Value = ClaimMessage> {
        let id = "[a-z0-9-]{1,40}";
        (
            any::<u64>(),
            id,
            id,
            1..u64::MAX,
            any::<u64>(),
            id,
            any::<bool>(),
        )
            .prop_map(
                |(issue, worker_id, machine_id, epoch, ttl_s, nonce, held)| ClaimMessage {
                    v: MESSAGE_VERSION,
                    issue,
                    worker_id,
                    machine_id,
                    run_id: RunId::generate(),
                    epoch,
                    ttl_s,
                    state: if held {
                        ClaimState::Held
                    } else {
                        ClaimState::Done
                    },
                    nonce,
                },
            )
    }

    proptest! {
        #[test]
        fn a_message_is_read_back(message in messages()) {
            let text = serde_json::to_string(&message).unwrap();
            prop_assert_eq!(Some(message.clone()), ClaimMessage::parse(&format!("{text}\n")));
            prop_assert!(message.ttl() <= LONGEST_TTL);
        }

        #[test]
        fn a_damaged_message_is_no_message(message in messages(), cut in 1_usize..40) {
            let text = serde_json::to_string(&message).unwrap();
            prop_assert_eq!(None, ClaimMessage::parse(&text[..text.len() - cut]));
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = ClaimMessage::parse(&text);
        }
    }

    #[test]
    fn another_version_is_not_understood() {
        let text = r#"{"v":2,"issue":1,"worker_id":"w","machine_id":"m",
            "run_id":"01890000-0000-7000-8000-000000000000","epoch":1,"ttl_s":600,
            "state":"held","nonce":"n"}"#;
        assert_eq!(None, ClaimMessage::parse(text));
        assert!(ClaimMessage::parse(&text.replace("\"v\":2", "\"v\":1")).is_some());
    }
}
