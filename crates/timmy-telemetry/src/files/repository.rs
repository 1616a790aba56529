//! Whether a directory lies in a git repository that would take its files in.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

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
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let asked = command
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
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
