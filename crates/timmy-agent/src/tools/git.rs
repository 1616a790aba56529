//! The git tools of an agent. Those that work inside its clone run in the sandbox; those that would
//! speak to another repository are proposals, because an agent holds no credential and no network.

use async_trait::async_trait;
use timmy_git::tools;

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

/// A tool that runs git in the agent's clone, inside the sandbox.
macro_rules! local_tools {
    ($($tool:ident, $name:literal, $arguments:ident, $function:ident, $description:literal;)*) => {$(
        struct $tool;

        #[async_trait]
        impl Tool for $tool {
            type Arguments = tools::$arguments;
            const NAME: &'static str = $name;
            const DESCRIPTION: &'static str = $description;

            async fn run(bench: &Workbench, arguments: Self::Arguments) -> Answer {
                let runner = tools::SandboxRunner::new(bench.sandbox.as_ref(), &bench.policy, &bench.redactor);
                match tools::$function(&runner, &arguments).await {
                    Ok(found) => bench.json(&found),
                    Err(error) => Answer::error(error.to_string()),
                }
            }
        }
    )*};
}

local_tools! {
    Status, "git_status", StatusArguments, status,
        "Shows the branch and which files are staged, modified, untracked or renamed.";
    Diff, "git_diff", DiffArguments, diff, "Shows changes that are not committed.";
    Log, "git_log", LogArguments, log, "Lists the newest commits.";
    Branch, "git_branch", BranchArguments, branch, "Lists, creates or switches branches.";
    Add, "git_add", AddArguments, add, "Stages files.";
    Commit, "git_commit", CommitArguments, commit, "Commits what is staged.";
    Blame, "git_blame", BlameArguments, blame, "Shows who last changed each line of a file.";
    Stash, "git_stash", StashArguments, stash, "Puts changes aside, or takes them back.";
}

/// A tool that would leave the workspace: what policy answers to it.
macro_rules! proposed_tools {
    ($($tool:ident, $name:literal, $arguments:ident, $answer:expr, $description:literal;)*) => {$(
        struct $tool;

        #[async_trait]
        impl Tool for $tool {
            type Arguments = tools::$arguments;
            const NAME: &'static str = $name;
            const DESCRIPTION: &'static str = $description;

            async fn run(_: &Workbench, _: Self::Arguments) -> Answer {
                $answer
            }
        }
    )*};
}

proposed_tools! {
    Push, "git_push", PushArguments,
        Answer::ok("Noted. The work tree is published for you when the work is finished and the \
            check has run on it; there is nothing to push from here."),
        "Asks for the work to be published. That happens at the end in any case.";
    Pull, "git_pull", PullArguments,
        Answer::error("Not done: a run works from one commit, and the check and the pull request \
            are about that commit. There is no network here."),
        "Asks for newer commits of the base branch. A run works from one commit.";
    Clone, "git_clone", CloneArguments,
        Answer::error("Not done: there is no network here. Everything the work needs is in the \
            workspace; say in your summary what is missing."),
        "Asks for another repository. There is no network.";
}
