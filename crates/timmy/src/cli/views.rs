//! Views of the night, and how it is started by others.

use std::path::PathBuf;

/// Panes at once, at most: more do not fit on a screen.
const MOST_PANES: i64 = 32;

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArguments {
    /// Show the events of whichever run is in this slot, and go on to the next one when it ends.
    /// Otherwise one line for each running attempt.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) slot: Option<u32>,
    /// Show how things stand now, and end.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Panes of a loop.
#[derive(Debug, clap::Args)]
pub(crate) struct LoopPanes {
    /// Open a tmux session with so many panes, each of which shows one running attempt.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_PANES))]
    pub(crate) tmux: Option<u32>,
    /// Leave the tmux session open when the loop ends.
    #[arg(long, requires = "tmux")]
    pub(crate) keep_panes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PanesArguments {
    /// How many.
    #[arg(default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=MOST_PANES))]
    pub(crate) number: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UnitsArguments {
    /// Only the timer that fires `timmy sprint`, instead of the loop.
    #[arg(long)]
    pub(crate) timer: bool,
    /// Only the timer that fires `timmy telemetry collect`, for those who do not run the loop.
    #[arg(long, conflicts_with = "timer")]
    pub(crate) collect: bool,
    /// The loop as a service, which is the default.
    #[arg(long = "loop", conflicts_with_all = ["timer", "collect"])]
    pub(crate) night: bool,
    /// Write the files into this directory instead of printing them.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) write: Option<PathBuf>,
}
