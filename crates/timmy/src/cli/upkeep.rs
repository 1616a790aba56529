//! Models and logins that are to stay as they should be.

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub(crate) struct WatchdogArguments {
    /// Put back what drifted: first the plan is shown, then it is done.
    #[arg(long)]
    pub(crate) fix: bool,
    /// With --fix: only show the plan.
    #[arg(long, requires = "fix")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Show how every login stands.
    Status,
    /// Exchange the tokens of logins that run out soon.
    Refresh {
        /// Only this login, as `timmy auth status` names it.
        name: Option<String>,
    },
}
