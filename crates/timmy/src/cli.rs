//! The command line.

mod control;
mod health;
mod night;
mod report;
mod telemetry;
mod upkeep;
mod views;
mod workspace;

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use clap::Subcommand;
use clap_complete::Shell;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_sandbox::Unsandboxed;
use url::Url;

pub(crate) use control::PauseArguments;
pub(crate) use control::StopArguments;
pub(crate) use control::TopArguments;
pub(crate) use health::HealthArguments;
pub(crate) use night::LoopArguments;
pub(crate) use night::SimulateArguments;
pub(crate) use report::ReportArguments;
pub(crate) use report::ReportFormat;
pub(crate) use telemetry::AnalyzeArguments;
pub(crate) use telemetry::TelemetryCommand;
pub(crate) use upkeep::AuthCommand;
pub(crate) use upkeep::WatchdogArguments;
pub(crate) use views::LoopPanes;
pub(crate) use views::PanesArguments;
pub(crate) use views::UnitsArguments;
pub(crate) use views::WatchArguments;
pub(crate) use workspace::NewWorkspaceArguments;
pub(crate) use workspace::WorkspaceCommand;

/// Issues in, tested pull requests out, on machines of your own.
#[derive(Debug, Parser)]
#[command(name = "timmy", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The configuration file. Otherwise $TIMMY_HOME/timmy.toml, or timmy/timmy.toml in the
    /// configuration directory of your system.
    #[arg(long, global = true, env = "TIMMY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print data as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, with evidence; 1 done as asked, without success; \
2 wrong command line; 65 unusable input; 66 no such thing; 69 a server, a program or room on a disk is missing; \
70 a defect or a broken machine; 75 try again later; 77 credentials refused; 78 refused before anything \
ran. `timmy explain TIMMY-NNNN` explains an error.";

/// Kinds of providers that `init` can write.
const PROVIDERS: [&str; 10] = [
    "ollama",
    "llama-server",
    "vllm",
    "openai",
    "hermes-gateway",
    "hermes-import",
    "hermes-cli",
    "ollama-v1",
    "nous",
    "generic",
];

/// The address of a server.
fn address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(url),
        _ => Err("an address begins with http:// or https://".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask a few questions, write the configuration, check it.
    Init(InitArguments),
    /// Check everything a sprint needs, and say how to mend what is missing.
    Doctor,
    /// Take one issue and turn it into one pull request.
    Sprint(SprintArguments),
    /// Work through the night: sprints on every configured repository until it is told to stop.
    Loop(LoopArguments),
    /// Explain an error code, or why an issue is or is not worked on.
    Explain {
        /// TIMMY-NNNN, owner/name#N, or #N.
        subject: String,
    },
    /// Print the self-contained prompt for an issue, for another agent or a person.
    Prompt {
        /// owner/name#N or #N.
        issue: IssueReference,
    },
    /// List runs, newest first.
    Runs {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one run, step by step.
    Show {
        /// The run's id, or the end of it.
        run: String,
    },
    /// Say what was done, and what needs a person.
    Report(ReportArguments),
    /// Say whether work is being done, and what is in its way. Exit code 0 when nothing is, 1 when
    /// something is.
    Health(HealthArguments),
    /// List the open issues, and which one would come next.
    Issues(RepoArguments),
    /// List, read and merge pull requests.
    Pr {
        #[command(subcommand)]
        command: PullCommand,
    },
    /// Run the check of a pull request again, and compare it with its receipt.
    Verify {
        /// owner/name#N or #N.
        pull: IssueReference,
    },
    /// Print the event log.
    Events(EventArguments),
    /// The embedded forge, and the conformance of others.
    Forge {
        #[command(subcommand)]
        command: ForgeCommand,
    },
    /// Let the agent work on a directory, without a forge.
    Work(WorkArguments),
    /// Show the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Show the whole job once, on an embedded forge with a small project in it.
    Demo(DemoArguments),
    /// Show what may be spent, what is, and what a merged pull request cost.
    Budget(BudgetArguments),
    /// Show which pull requests are merged together and why the others wait, or work them off.
    Queue(QueueArguments),
    /// Check a WORKFLOW.md on this machine, and show every value in force.
    Workflow {
        /// The file. Otherwise WORKFLOW.md in this directory.
        #[arg(value_name = "WORKFLOW.md")]
        path: Option<PathBuf>,
    },
    /// A clone, ports and a data directory for each of your agents; what lies on the disk.
    Workspace {
        #[command(subcommand)]
        command: WorkspaceCommand,
    },
    /// Play nights in memory, with everything that can go wrong, and check what must always hold.
    Simulate(SimulateArguments),
    /// What is sampled of this machine, its timers, its forge and its runs.
    Telemetry {
        #[command(subcommand)]
        command: TelemetryCommand,
    },
    /// Show what runs, as it happens.
    Watch(WatchArguments),
    /// Show runs, queue, budgets, providers and alerts live, and stop or pause from there.
    Top(TopArguments),
    /// Let no host begin anything new, until `timmy resume`. What runs is finished.
    Pause(PauseArguments),
    /// End a pause, and let issues whose runs were stopped be tried again.
    Resume,
    /// Stop one run, on whichever host it is. Its claim is given back.
    Stop(StopArguments),
    /// Open a tmux session with panes that show what runs.
    Panes(PanesArguments),
    /// Print systemd units that start the night, with the paths of this installation.
    Units(UnitsArguments),
    /// Compare the models that are configured and run with those that are expected.
    Watchdog(WatchdogArguments),
    /// Logins whose tokens expire: how they stand, and exchanging tokens in time.
    Auth {
        #[command(subcommand)]
        command: AuthCommand,
    },
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct InitArguments {
    /// Ask nothing; take what is given and defaults for the rest.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The kind of the forge.
    #[arg(long, value_parser = ["gitea", "forgejo", "embedded"])]
    pub(crate) kind: Option<String>,
    /// The forge's address.
    #[arg(long, value_parser = address)]
    pub(crate) url: Option<Url>,
    /// The login the token belongs to.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// A file that holds the token and nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A repository to work on. Can be given several times.
    #[arg(long = "repo", value_name = "OWNER/NAME")]
    pub(crate) repositories: Vec<RepoName>,
    /// The kind of the model provider.
    #[arg(long, value_parser = PROVIDERS)]
    pub(crate) provider: Option<String>,
    /// The provider's address.
    #[arg(long, value_parser = address)]
    pub(crate) provider_url: Option<Url>,
    /// The model to ask for.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Replace a configuration that exists. The old one is kept beside it.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RepoArguments {
    /// The repository; needed when several are configured.
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repo: Option<RepoName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct QueueArguments {
    #[command(flatten)]
    pub(crate) repo: RepoArguments,
    /// Check and merge those that are ready, once.
    #[arg(long)]
    pub(crate) run: bool,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct ModelArguments {
    /// A provider from the configuration, or replay:FILE.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Record the conversation into a file that replay:FILE can play back.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Run commands without any isolation. The configuration must allow it too.
    #[arg(long)]
    pub(crate) unsandboxed: bool,
}

impl ModelArguments {
    /// What the operator said about isolation on this run.
    pub(crate) fn unsandboxed(&self) -> Unsandboxed {
        if self.unsandboxed {
            Unsandboxed::Allowed
        } else {
            Unsandboxed::Forbidden
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SprintArguments {
    #[command(flatten)]
    pub(crate) repo: RepoArguments,
    /// Work on this issue, because you say so.
    #[arg(long, value_name = "N")]
    pub(crate) issue: Option<IssueNumber>,
    /// Only say which issue it would be, and why not the others.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WorkArguments {
    /// What to do.
    pub(crate) task: String,
    /// The directory. The agent may change everything in it.
    #[arg(long, default_value = ".")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArguments {
    /// A live provider from the configuration, instead of the recorded conversation.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Record the conversation into a file that replay:FILE can play back.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EventArguments {
    /// Go on printing as events are appended.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only events of this run: its id, or the end of it.
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Only events after this place in the log.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    pub(crate) after: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BudgetArguments {
    /// Only this repository, where that makes a difference.
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repo: Option<RepoName>,
    /// How many days back.
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// First make the totals again from the single bookings.
    #[arg(long)]
    pub(crate) recount: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PullCommand {
    /// List open pull requests.
    List(RepoArguments),
    /// Print the diff of one.
    Diff {
        /// owner/name#N or #N.
        pull: IssueReference,
    },
    /// Merge one, if its branch still holds what was checked.
    Merge {
        /// owner/name#N or #N.
        pull: IssueReference,
        /// How.
        #[arg(long, default_value = "squash")]
        style: Style,
    },
}

/// How a pull request is merged.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Style {
    /// With a merge commit.
    Merge,
    /// As one commit.
    Squash,
    /// Commit by commit on top of the base branch.
    Rebase,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ForgeCommand {
    /// Serve the embedded forge until interrupted.
    Serve {
        /// The port on 127.0.0.1; 0 takes a free one.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Make a repository on the embedded forge, empty or from a git repository on this machine.
    Create {
        /// owner/name.
        repo: RepoName,
        /// A git repository on this machine whose branches are taken over.
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
    },
    /// Open an issue on the configured forge.
    Issue {
        /// owner/name.
        repo: RepoName,
        /// Its title.
        title: String,
        /// Its text.
        #[arg(long, default_value = "")]
        body: String,
        /// A label, which is made when it does not exist. Can be given several times.
        #[arg(long = "label")]
        labels: Vec<String>,
    },
    /// Try every operation timmy needs on a server, in a repository made for that.
    Check(CheckArguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// The server's address.
    #[arg(value_parser = address)]
    pub(crate) url: Url,
    /// The login the token belongs to.
    #[arg(long)]
    pub(crate) user: String,
    /// A file that holds the token and nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// A file with a token of the same user that may only read, for the rows about scopes.
    #[arg(long, value_name = "FILE")]
    pub(crate) read_only_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting, its value and where it came from.
    Explain,
    /// The path of the configuration file.
    Path,
}

/// `owner/name#N`, or `#N` and `N` where only one repository is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssueReference {
    /// The repository, if it was named.
    pub(crate) repo: Option<RepoName>,
    /// The number.
    pub(crate) number: IssueNumber,
}

impl FromStr for IssueReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (repo, number) = text.rsplit_once('#').unwrap_or(("", text));
        let number = number
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("{text:?} is not owner/name#N or #N"))?;
        let repo = match repo {
            "" => None,
            repo => Some(repo.parse().map_err(|error| format!("{error}"))?),
        };
        Ok(Self { repo, number })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_has_a_scheme() {
        assert!(address("https://git.example.org/forge").is_ok());
        for bad in [
            "git.example.org",
            "127.0.0.1:3000",
            "localhost:3000",
            "ftp://a",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn issues_are_named_with_or_without_their_repository() {
        let plain = IssueReference {
            repo: None,
            number: 7,
        };
        assert_eq!(Ok(plain.clone()), "7".parse());
        assert_eq!(Ok(plain), "#7".parse());
        let full: IssueReference = "a/b#7".parse().unwrap();
        assert_eq!(Some("a/b".parse().unwrap()), full.repo);
        for bad in ["", "#", "a#7", "a/b#0", "a/b#-1", "a/b#x", "-o/b#1"] {
            assert!(bad.parse::<IssueReference>().is_err(), "{bad}");
        }
    }
}
