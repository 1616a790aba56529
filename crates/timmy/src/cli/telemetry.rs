//! What the fleet really did.

use std::net::SocketAddr;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::Timestamp;

/// Telemetry: samples, changes, snapshots.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TelemetryCommand {
    /// Look at everything once, and append what is seen to the telemetry files.
    Collect,
    /// Show the newest state of everything, as the last look found it.
    Show,
    /// Capture what stands in timmy's tmux panes.
    Snapshot,
    /// Say what the telemetry files hold, and what of them cannot be used.
    Analyze(AnalyzeArguments),
    /// Send traces and figures to the configured OpenTelemetry collector, once.
    Export,
    /// Answer Prometheus at /metrics until interrupted.
    Serve {
        /// The address; otherwise export.prometheus of the configuration.
        #[arg(long, value_name = "IP:PORT")]
        listen: Option<SocketAddr>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AnalyzeArguments {
    /// From when on: so many hours ago, or a time such as 2026-01-31T22:00:00Z. Otherwise from the
    /// beginning.
    #[arg(long, value_name = "HOURS|TIME")]
    pub(crate) since: Option<Moment>,
    /// Until when, in the same words. Otherwise until now.
    #[arg(long, value_name = "HOURS|TIME")]
    pub(crate) until: Option<Moment>,
}

/// A time that somebody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long ago.
    Ago(SignedDuration),
    /// This one.
    At(Timestamp),
}

impl Moment {
    /// The time, as seen from now.
    pub(crate) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const LONGEST: f64 = 1e6;
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        match text.parse::<f64>() {
            Ok(hours) if (0.0..=LONGEST).contains(&hours) => {
                Ok(Self::Ago(SignedDuration::from_secs_f64(hours * 3_600.0)))
            }
            _ => Err("give a number of hours, or a time such as 2026-01-31T22:00:00Z"),
        }
    }
}
