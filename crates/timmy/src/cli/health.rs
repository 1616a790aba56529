//! Arguments of `timmy health`.

use clap::ValueEnum;
use timmy_core::event::Severity;

#[derive(Debug, clap::Args)]
pub(crate) struct HealthArguments {
    /// Only what is at least as pressing as this counts.
    #[arg(long, value_enum, default_value_t = Threshold::Notice)]
    pub(crate) severity: Threshold,
    /// Also raise, escalate and end alerts, and give the news to alerts.command. For a timer; a loop
    /// does so by itself.
    #[arg(long)]
    pub(crate) alert: bool,
}

/// A severity as it is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Threshold {
    /// Worth knowing in the morning.
    Notice,
    /// Work suffers, or will.
    Warning,
    /// No work is done, or something is about to be lost.
    Critical,
}

impl From<Threshold> for Severity {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Notice => Self::Notice,
            Threshold::Warning => Self::Warning,
            Threshold::Critical => Self::Critical,
        }
    }
}
