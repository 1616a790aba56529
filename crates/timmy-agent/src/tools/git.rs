//! The git tools of an agent. Those that work inside its clone run in the sandbox; those that would
//! speak to another repository are proposals, because an agent holds no credential and no network.

use async_trait::async_trait;
use serde::Serialize;
use timmy_git::GitError;
use timmy_git::tools;
use timmy_git::tools::SandboxRunner;

use super::Answer;
use super::Entry;
use super::Tool;
use super::Workbench;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::of::<Status>(),
        Entry::of::<Diff>(),
        Entry::of::<Log>(),
        Entry::of::<Branch>(),
        Entry::of::<Add>(),
        Entry::of::<Commit>(),
        Entry::of::<Blame>(),
        Entry::of::<Stash>(),
        Entry::of::<Clone>(),
        Entry::of::<Pull>(),
        Entry::of::<Push>(),
    ]
}

/// One type a tool, from its name, its arguments, what the model is told, and what it does.
macro_rules! git_tools {
    ($($tool:ident, $name:literal, $arguments:ident, $description:literal,
        |$bench:ident, $given:ident| $answer:expr;)*) => {$(
        struct $tool;

        #[async_trait]
        impl Tool for $tool {
            type Arguments = tools::$arguments;
            const NAME: &'static str = $name;
            const DESCRIPTION: &'static str = $description;

            async fn run($bench: &Workbench, $given: Self::Arguments) -> Answer {
                $answer
            }
        }
    )*};
}

/// Where git runs for an agent: in its clone, inside the sandbox.
fn runner(bench: &Workbench) -> SandboxRunner<'_> {
    SandboxRunner::new(bench.sandbox.as_ref(), &bench.policy, &bench.redactor)
}

fn found<T: Serialize>(bench: &Workbench, result: Result<T, GitError>) -> Answer {
    match result {
        Ok(found) => bench.json(&found),
        Err(error) => Answer::error(error.to_string()),
    }
}

// Inside the agent's clone.
git_tools! {
    Status, "git_status", StatusArguments,
        "Shows the branch and which files are staged, modified, untracked or renamed.",
        |bench, given| found(bench, tools::status(&runner(bench), &given).await);
    Diff, "git_diff", DiffArguments, "Shows changes that are not committed.",
        |bench, given| found(bench, tools::diff(&runner(bench), &given).await);
    Log, "git_log", LogArguments, "Lists the newest commits.",
        |bench, given| found(bench, tools::log(&runner(bench), &given).await);
    Branch, "git_branch", BranchArguments, "Lists, creates or switches branches.",
        |bench, given| found(bench, tools::branch(&runner(bench), &given).await);
    Add, "git_add", AddArguments, "Stages files.",
        |bench, given| found(bench, tools::add(&runner(bench), &given).await);
    Commit, "git_commit", CommitArguments, "Commits what is staged.",
        |bench, given| found(bench, tools::commit(&runner(bench), &given).await);
    Blame, "git_blame", BlameArguments, "Shows who last changed each line of a file.",
        |bench, given| found(bench, tools::blame(&runner(bench), &given).await);
    Stash, "git_stash", StashArguments, "Puts changes aside, or takes them back.",
        |bench, given| found(bench, tools::stash(&runner(bench), &given).await);
}

// Out of the workspace: what policy answers.
git_tools! {
    Push, "git_push", PushArguments,
        "Asks for the work to be published. That happens at the end in any case.",
        |_bench, _given| Answer::ok("Noted. The work tree is published for you when the work is \
            finished and the check has run on it; there is nothing to push from here.");
    Pull, "git_pull", PullArguments,
        "Asks for newer commits of the base branch. A run works from one commit.",
        |_bench, _given| Answer::error("Not done: a run works from one commit, and the check and \
            the pull request are about that commit. There is no network here.");
    Clone, "git_clone", CloneArguments, "Asks for another repository. There is no network.",
        |_bench, _given| Answer::error("Not done: there is no network here. Everything the work \
            needs is in the workspace; say in your summary what is missing.");
}
