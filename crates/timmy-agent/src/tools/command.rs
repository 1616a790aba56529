//! `run_command`: a shell command in the sandbox.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use timmy_sandbox::Command;
use timmy_sandbox::End;
use timmy_sandbox::Finished;
use timmy_sandbox::Limit;

use super::Answer;
use super::Tool;
use super::Workbench;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The command line, for `sh -c`.
    command: String,
    /// Where to run it, relative to the workspace.
    #[serde(default)]
    directory: Option<PathBuf>,
    /// Seconds after which it is ended, when the ordinary limit is too short. Policy has a maximum.
    #[serde(default)]
    timeout_s: Option<u64>,
}

pub(super) struct RunCommand;

#[async_trait]
impl Tool for RunCommand {
    type Arguments = Arguments;
    const NAME: &'static str = "run_command";
    const DESCRIPTION: &'static str = "Runs a shell command in the workspace. No network. Each \
        call starts a new shell; background processes end with it.";

    async fn run(bench: &Workbench, arguments: Arguments) -> Answer {
        let mut policy = bench.policy.clone();
        if let Some(seconds) = arguments.timeout_s {
            let asked = Duration::from_secs(seconds.max(1));
            policy.limits.wall = asked.min(bench.longest_command);
        }
        let mut command = Command::shell(&arguments.command);
        command.directory = arguments.directory.unwrap_or_default();
        match bench.sandbox.run(&policy, &command).await {
            Ok(finished) => describe(bench, &finished),
            Err(error) => Answer::error(format!("The command could not be run: {error}")),
        }
    }
}

/// How a command ended, then what it printed.
pub(super) fn describe(bench: &Workbench, finished: &Finished) -> Answer {
    let ended = match finished.end {
        End::Exited(code) => format!("exit code {code}"),
        End::Signalled(signal) => format!("ended by signal {signal}"),
        End::OverLimit(limit) => format!("stopped: {}", over(limit)),
    };
    let output = finished.text(&bench.redactor);
    let cut = if finished.truncated {
        "\n[the middle of the output was left out]"
    } else {
        ""
    };
    let text = format!("{ended}\n{}{cut}", output.trim_end());
    Answer {
        text,
        ok: finished.success(),
        finished: None,
    }
}

fn over(limit: Limit) -> &'static str {
    match limit {
        Limit::Time => "it took too long",
        Limit::Memory => "it used too much memory",
        Limit::Output => "it printed too much",
        Limit::WorkspaceBytes => "the workspace grew too large",
        Limit::WorkspaceInodes => "the workspace got too many files",
        Limit::FreeSpace => "the disk is nearly full",
    }
}
