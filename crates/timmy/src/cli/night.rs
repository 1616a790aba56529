//! Arguments of the loop and of its simulation.

use std::path::PathBuf;
use std::time::Duration;

use timmy_core::RepoName;
use timmy_dispatch::simulation::Weather;

use super::LoopPanes;
use super::ModelArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct LoopArguments {
    /// A workflow file that says where issues come from and stands in for that of every repository.
    /// Without it the configured repositories are worked on, each by its own file; where none is
    /// configured, WORKFLOW.md in this directory is meant.
    #[arg(value_name = "WORKFLOW.md")]
    pub(crate) workflow: Option<PathBuf>,
    /// Only these repositories; otherwise all that are configured. Can be given several times.
    #[arg(long = "repo", value_name = "OWNER/NAME")]
    pub(crate) repositories: Vec<RepoName>,
    /// Attempts at once; otherwise night.slots of the configuration.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) slots: Option<u32>,
    /// End when nothing is left to do.
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Begin nothing new after so many hours, and end when what runs is finished.
    #[arg(long, conflicts_with = "until_idle", value_parser = hours)]
    pub(crate) hours: Option<Duration>,
    #[command(flatten)]
    pub(crate) panes: LoopPanes,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
}

/// Hours, also parts of one: `7.5`.
fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = text
        .parse()
        .map_err(|_| "give a number of hours, such as 7.5")?;
    if !(hours > 0.0 && hours <= 1_000.0) {
        return Err("more than 0 and at most 1000 hours".to_owned());
    }
    Ok(Duration::from_secs_f64(hours * 3_600.0))
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SimulateArguments {
    /// Issues that are open when the night begins.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(..=20_000))]
    pub(crate) issues: u64,
    /// How long hosts take up work, in hours of the night.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=72))]
    pub(crate) hours: u64,
    /// How many nights, each of another seed [default: 20, or 1 with --seed].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    /// The seed to begin with.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Machines that share the forge and nothing else.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) hosts: u32,
    /// Attempts at once on each host; otherwise as `night.slots` says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) slots: Option<u32>,
    /// How often things go wrong.
    #[arg(long, default_value_t = Weather::Rough, value_name = "calm|rough|hostile")]
    pub(crate) faults: Weather,
    /// Print everything that happens in the night of `--seed`.
    #[arg(long, requires = "seed")]
    pub(crate) trace: bool,
}
