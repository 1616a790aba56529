//! Tokens and cost, in integers: nothing here is ever rounded away.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde::Deserialize;
use serde::Serialize;

/// An amount in millionths of a US dollar.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// The amount a number of tokens costs at a price given per million tokens, rounded up.
    #[must_use]
    pub fn for_tokens(tokens: u64, price_per_million: Self) -> Self {
        let exact = u128::from(tokens) * u128::from(price_per_million.0);
        Self(u64::try_from(exact.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

impl Add for MicroUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:04}", self.0 / 1_000_000, self.0 % 1_000_000 / 100)
    }
}

/// What was used, or may be used: tokens both ways and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent to the model.
    pub input_tokens: u64,
    /// Tokens the model produced, reasoning included.
    pub output_tokens: u64,
    /// What they cost.
    pub cost: MicroUsd,
}

impl Usage {
    /// Tokens both ways.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: self.cost + other.cost,
        }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_token_is_paid_in_full() {
        let price = MicroUsd(150_000);
        assert_eq!(MicroUsd(1), MicroUsd::for_tokens(1, price));
        assert_eq!(MicroUsd(150_000), MicroUsd::for_tokens(1_000_000, price));
        assert_eq!(MicroUsd(0), MicroUsd::for_tokens(0, price));
        assert_eq!(
            MicroUsd(u64::MAX),
            MicroUsd::for_tokens(u64::MAX, MicroUsd(u64::MAX))
        );
    }

    #[test]
    fn amounts_are_shown_with_four_decimals() {
        assert_eq!("$1.0203", MicroUsd(1_020_345).to_string());
    }
}
