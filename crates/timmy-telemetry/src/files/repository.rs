//! Whether a directory lies in a git repository that would take its files in.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use crate::program;
use crate::program::Terms;

/// How long git may take; nothing of what it says is heard.
const TERMS: Terms<'_> = Terms {
    input: &[],
    patience: Duration::from_secs(2),
    output: 0,
    complaint: 0,
};

/// The work tree that a directory lies in and is not ignored by. None when there is no such. What
/// cannot be found out counts as not ignored.
pub(super) fn that_takes_in(directory: &Path) -> Option<PathBuf> {
    let directory = directory.canonicalize();
    let directory = directory.ok()?;
    let mut above = directory.ancestors();
    let repository = above.find(|place| place.join(".git").exists())?;
    (!is_ignored(repository, &directory)).then(|| repository.to_owned())
}

/// Asks git, with nobody's settings and nothing of the repository's that would be run.
fn is_ignored(repository: &Path, directory: &Path) -> bool {
    let mut command = program::command("git");
    command
        .args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .arg("-C")
        .arg(repository)
        .args(["check-ignore", "--quiet", "--"])
        .arg(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_OPTIONAL_LOCKS", "0");
    ended_well(command)
}

/// Runs git within its time, for callers that are no tasks.
fn ended_well(command: Command) -> bool {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let ended = runtime.map(|runtime| runtime.block_on(program::run(command, TERMS)));
        ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.status.success()))
    };
    // In a thread of its own: a task may not wait for another runtime.
    std::thread::spawn(run).join().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_that_hangs_is_not_waited_for() {
        let mut hung = program::command("sh");
        hung.args(["-c", "sleep 600 & sleep 600"]);
        assert!(!ended_well(hung));
    }
}
