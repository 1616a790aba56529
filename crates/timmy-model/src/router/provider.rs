//! What a router is made of.

use std::sync::Arc;
use std::time::Duration;

use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;

use crate::chat::ChatModel;

/// A provider of the cascade.
pub struct Provider {
    /// What answers.
    pub model: Arc<dyn ChatModel>,
    /// Millionths of a dollar per million input tokens.
    pub price_input: MicroUsd,
    /// Millionths of a dollar per million output tokens.
    pub price_output: MicroUsd,
}

impl Provider {
    /// A provider that costs nothing.
    #[must_use]
    pub fn free(model: Arc<dyn ChatModel>) -> Self {
        Self {
            model,
            price_input: MicroUsd::default(),
            price_output: MicroUsd::default(),
        }
    }

    pub(crate) fn usage(&self, input_tokens: u64, output_tokens: u64) -> Usage {
        Usage {
            input_tokens,
            output_tokens,
            cost: MicroUsd::for_tokens(input_tokens, self.price_input)
                + MicroUsd::for_tokens(output_tokens, self.price_output),
        }
    }
}

/// How much trouble is taken with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often a passing fault is met with another try, in one call.
    pub retries: usize,
    /// How often an unusable reply is met with another try, in one call.
    pub malformed_retries: usize,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait in place. A server that asks for more is left alone instead.
    pub longest_wait: Duration,
    /// How long a provider is left alone after its tries are used up; doubled with every failed
    /// trial.
    pub cooldown: Duration,
    /// How long a provider whose quota is spent is left alone when it names no time.
    pub quota_cooldown: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            retries: 3,
            malformed_retries: 2,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            cooldown: Duration::from_secs(30),
            quota_cooldown: Duration::from_secs(3600),
        }
    }
}
