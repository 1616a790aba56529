//! `timmy workspace`.

use clap::Subcommand;
use timmy_core::IssueNumber;

use super::RepoArguments;

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Make a workspace: a clone with a branch of its own, a data directory, ports.
    Init(NewWorkspaceArguments),
    /// List the workspaces of this host.
    List,
    /// Print the variables for whoever works in one, for `eval`.
    Env {
        /// Its name.
        name: String,
    },
    /// Back to the newest commit of the base branch, in a new clone.
    Reset {
        /// Its name.
        name: String,
        /// Also when something in it is nowhere else: it is kept in a bundle.
        #[arg(long)]
        force: bool,
    },
    /// Make a new branch on the newest commit of the base branch, and check it out.
    Branch {
        /// The workspace's name.
        name: String,
        /// The branch.
        branch: String,
        /// The issue that the work is for.
        #[arg(long, value_name = "N")]
        issue: Option<IssueNumber>,
    },
    /// Remove a workspace in which nothing is left that is nowhere else.
    Destroy {
        /// Its name.
        name: String,
        /// With everything that is in it.
        #[arg(long)]
        force: bool,
    },
    /// Make a workspace if there is none, run the repository's own set-up in it, then its check.
    Bootstrap(NewWorkspaceArguments),
    /// Tell where the work in one stands, with a prompt to go on.
    Resume {
        /// Its name.
        name: String,
        /// Print the prompt alone.
        #[arg(long)]
        prompt: bool,
    },
    /// Run the check of the newest base commit, and keep its build caches for later runs.
    Warm(RepoArguments),
    /// Remove what runs left behind, each thing on two facts.
    Reap {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewWorkspaceArguments {
    /// Its name: up to 40 of a-z, 0-9, '.', '_' and '-'.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) repo: RepoArguments,
    /// The issue that the work is for.
    #[arg(long, value_name = "N")]
    pub(crate) issue: Option<IssueNumber>,
}
