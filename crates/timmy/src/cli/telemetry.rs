//! What the fleet really did.

/// Telemetry: samples, changes, snapshots.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TelemetryCommand {
    /// Look at everything once, and append what is seen to the telemetry files.
    Collect,
    /// Show the newest state of everything, as the last look found it.
    Show,
    /// Capture what stands in timmy's tmux panes.
    Snapshot,
}
