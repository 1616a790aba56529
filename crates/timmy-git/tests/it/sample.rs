//! A private root with a repository in it, and an ordinary git to make histories with.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use timmy_core::ObjectName;
use timmy_git::BareRepository;
use timmy_git::Git;

/// A temporary private root: git's home, a bare repository, and room for more.
pub(crate) struct Sample {
    pub(crate) root: TempDir,
    pub(crate) git: Git,
    pub(crate) bare: BareRepository,
}

impl Sample {
    pub(crate) async fn new() -> Self {
        let root = TempDir::new().unwrap();
        let git = Git::new(&root.path().join("git")).unwrap();
        let bare = BareRepository::open_or_init(&git, &root.path().join("host.git"))
            .await
            .unwrap();
        Self { root, git, bare }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A bare repository that holds one commit with these files.
    pub(crate) async fn with_commit(files: &[(&str, &str)]) -> (Self, ObjectName) {
        let sample = Self::new().await;
        let source = sample.path("source");
        std::fs::create_dir(&source).unwrap();
        plain(&source, &["init", "-q", "-b", "main"]);
        for (path, contents) in files {
            write(&source.join(path), contents);
        }
        plain(&source, &["add", "-A"]);
        plain(&source, &["commit", "-q", "-m", "base"]);
        let url = sample.bare.path().to_str().unwrap().to_owned();
        plain(&source, &["push", "-q", &url, "main"]);
        let base = plain(&source, &["rev-parse", "HEAD"]).parse().unwrap();
        (sample, base)
    }
}

pub(crate) fn write(path: &Path, contents: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, contents).unwrap();
}

/// An ordinary git, as a person or an agent would run it.
pub(crate) fn plain(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ann O'Nym")
        .env("GIT_AUTHOR_EMAIL", "ann@example.invalid")
        .env("GIT_COMMITTER_NAME", "Ann O'Nym")
        .env("GIT_COMMITTER_EMAIL", "ann@example.invalid")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}
