//! Whether work is being done, not merely whether processes run.
//!
//! Somebody gathers [`Evidence`]; [`judge`] concludes from it alone, so the same evidence always gives
//! the same findings, in the same order. docs/health.md has every rule with its figures.
//!
//! # Rules
//! - No model takes part, and nothing is asked of one.
//! - What cannot be looked at gives no finding, and is not taken for gone either: [`Verdict::sees`].
//! - What is not there (tmux, cron, a GPU, telemetry itself) is no finding.
//! - Every finding names the command that mends it, and what it was concluded from with times.

mod evidence;
mod exact;
pub mod gather;
mod rules;
mod settings;
mod slope;
#[cfg(test)]
mod tests;
mod verdict;
pub(crate) mod words;

pub use evidence::ClaimSeen;
pub use evidence::CollectorSeen;
pub use evidence::DiskSeen;
pub use evidence::Doing;
pub use evidence::Evidence;
pub use evidence::FailureSeen;
pub use evidence::ForgeSeen;
pub use evidence::Limits;
pub use evidence::Look;
pub use evidence::NightSeen;
pub use evidence::PauseSeen;
pub use evidence::ProviderSeen;
pub use evidence::ResultSeen;
pub use evidence::RunSeen;
pub use evidence::Tried;
pub use evidence::Work;
pub use rules::find;
pub use rules::should_be_working;
pub use settings::HealthSettings;
pub use verdict::Unseen;
pub use verdict::Verdict;
pub use verdict::judge;
