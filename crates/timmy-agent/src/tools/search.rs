//! `search`: a pattern in the files of the workspace.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use timmy_sandbox::Command;
use timmy_sandbox::End;

use super::Answer;
use super::Tool;
use super::Workbench;

/// Matches shown for one file.
const MATCHES_IN_A_FILE: &str = "--max-count=50";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// An extended regular expression, or a plain text when `plain` is set.
    pattern: String,
    /// A file or directory, relative to the workspace.
    #[serde(default)]
    path: Option<PathBuf>,
    /// Take the pattern literally.
    #[serde(default)]
    plain: bool,
}

pub(super) struct Search;

/// As for the other tools; that the sandbox shows little else is no reason to look there.
fn stays_inside(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[async_trait]
impl Tool for Search {
    type Arguments = Arguments;
    const NAME: &'static str = "search";
    const DESCRIPTION: &'static str = "Finds lines that match a pattern, as path:line:text.";

    async fn run(bench: &Workbench, arguments: Arguments) -> Answer {
        let kind = if arguments.plain { "-F" } else { "-E" };
        let path = arguments.path.unwrap_or_else(|| PathBuf::from("."));
        if !stays_inside(&path) {
            return Answer::error("`path` leaves the workspace.");
        }
        let mut command = Command::new(["grep", "-rnI", "--exclude-dir=.git", MATCHES_IN_A_FILE]);
        command
            .argv
            .extend([kind, "-e", &arguments.pattern, "--"].map(Into::into));
        command.argv.push(path.into());
        let finished = match bench.sandbox.run(&bench.policy, &command).await {
            Ok(finished) => finished,
            Err(error) => return Answer::error(format!("The search could not be run: {error}")),
        };
        let output = finished.text(&bench.redactor);
        match finished.end {
            End::Exited(0) => Answer::ok(output),
            End::Exited(1) if output.is_empty() => Answer::ok("[no line matches]"),
            _ => super::command::describe(bench, &finished),
        }
    }
}
