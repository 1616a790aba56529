//! How many tokens a request may have, before anybody counted them.
//!
//! No tokenizer is asked: see docs/decisions/004-token-estimates.md. The bytes of a request are
//! divided by the fewest bytes a token of this model was seen to have.

use crate::chat::Arguments;
use crate::chat::ChatRequest;
use crate::chat::Message;

/// Bytes per token before anything is known. English and code have 3.5 to 4.5.
const START: f64 = 3.0;
/// Nothing is believed outside of these: counts that leave out a cached prefix look like many bytes
/// per token, prompts that the server adds to look like few.
const FEWEST: f64 = 1.0;
const MOST: f64 = 5.0;
/// An estimate is raised by this, since the next request may be denser than the last.
const MARGIN: f64 = 1.1;
/// How fast a dense request is forgotten.
const EASE: f64 = 0.1;
/// What a template wraps around a message or a tool, in bytes.
const WRAPPING: usize = 48;

/// What was learned about a model's tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    bytes_per_token: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            bytes_per_token: START,
        }
    }
}

impl Calibration {
    /// The most tokens that so many bytes are likely to have.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "requests are far below 2^53 bytes"
    )]
    pub(crate) fn tokens(self, bytes: u64) -> u64 {
        (bytes as f64 / self.bytes_per_token * MARGIN).ceil() as u64
    }

    /// Learns from a count of the server. A denser request counts at once, a looser one slowly.
    #[expect(
        clippy::cast_precision_loss,
        reason = "requests are far below 2^53 bytes"
    )]
    pub(crate) fn learn(&mut self, bytes: u64, tokens: u64) {
        if tokens == 0 {
            return;
        }
        let seen = (bytes as f64 / tokens as f64).clamp(FEWEST, MOST);
        let difference = seen - self.bytes_per_token;
        let weight = if difference < 0.0 { 1.0 } else { EASE };
        self.bytes_per_token += difference * weight;
    }
}

/// The bytes of a request that become tokens.
pub(crate) fn bytes(request: &ChatRequest) -> u64 {
    let messages: usize = request.messages.iter().map(message_bytes).sum();
    let tools = request.tools.iter().map(|tool| {
        let parameters = tool.parameters.to_string();
        tool.name.len() + tool.description.len() + parameters.len() + WRAPPING
    });
    u64::try_from(messages + tools.sum::<usize>()).unwrap_or(u64::MAX)
}

fn message_bytes(message: &Message) -> usize {
    let beside = match message {
        Message::System(_) | Message::User(_) => 0,
        Message::Tool { call_id, name, .. } => call_id.len() + name.len(),
        Message::Assistant {
            calls, reasoning, ..
        } => {
            let calls = calls.iter().map(|call| {
                let arguments = match &call.arguments {
                    Arguments::Invalid { text, .. } => text.len(),
                    object @ Arguments::Object(_) => object.as_text().len(),
                };
                call.id.len() + call.name.len() + arguments + WRAPPING
            });
            calls.sum::<usize>() + reasoning.as_ref().map_or(0, String::len)
        }
    };
    message.text().len() + beside + WRAPPING
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dense_request_counts_at_once_and_is_forgotten_slowly() {
        let mut calibration = Calibration::default();
        assert_eq!(1_100, calibration.tokens(3_000));
        calibration.learn(3_000, 2_000);
        assert_eq!(2_200, calibration.tokens(3_000));
        calibration.learn(3_000, 1_000);
        assert_eq!(2_250, calibration.tokens(3_375));
    }

    proptest! {
        #[test]
        fn what_was_counted_last_is_never_underestimated(
            seen in proptest::collection::vec((1_u64..1_000_000, 1_u64..1_000_000), 1..20)
        ) {
            let mut calibration = Calibration::default();
            for (bytes, tokens) in seen {
                calibration.learn(bytes, tokens);
                prop_assert!(calibration.tokens(bytes) >= tokens.min(bytes) || bytes / tokens > 4);
            }
        }
    }
}
