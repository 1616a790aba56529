//! What an attempt begins from, and what it is given.

use serde::Deserialize;
use serde::Serialize;

use crate::ids::ObjectName;

/// What an attempt begins from. An attempt with the same fingerprint would be the same attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of the title, text and comments of people, in hexadecimal.
    pub text: String,
    /// The commit it starts from.
    pub base: ObjectName,
    /// Provider and model, in the order in which they are asked.
    pub model: String,
    /// SHA-256 of rules and instructions of the prompt, in hexadecimal.
    pub prompt: String,
}

impl Fingerprint {
    /// The names of the parts in which two differ.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("text", self.text != other.text),
            ("base", self.base != other.base),
            ("model", self.model != other.model),
            ("prompt", self.prompt != other.prompt),
        ];
        let differs = |(name, differs): (&'static str, bool)| differs.then_some(name);
        parts.into_iter().filter_map(differs).collect()
    }
}

/// Something that was said about an own pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// What it is, with its id: `comment 12`, `review 7`, `status ci/test`.
    pub id: String,
    /// The login of who said it, or the status's context.
    pub author: String,
    /// What was said, cleaned, redacted and bounded.
    pub text: String,
}

/// Where a figure about energy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergySource {
    /// The processor's own counters, for the whole machine while the run worked.
    Counted,
    /// The power that the configuration says a provider takes, times the time of its calls.
    Declared,
}
