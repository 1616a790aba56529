//! `git_status`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::tools::runner::GitCall;
use crate::tools::runner::GitOutput;
use crate::tools::runner::GitRunner;

/// What `git_status` is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
}

/// The state of a working tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The branch that is checked out; `None` when a commit is, without a branch.
    pub branch: Option<String>,
    /// Whether that branch has no commit yet.
    pub unborn: bool,
    /// Whether anything differs from the last commit.
    pub dirty: bool,
    /// Paths with staged changes.
    pub staged: Vec<String>,
    /// Paths with changes that are not staged.
    pub modified: Vec<String>,
    /// Paths that git does not know.
    pub untracked: Vec<String>,
    /// Staged renames.
    pub renamed: Vec<Renamed>,
    /// Paths with conflicts.
    pub conflicted: Vec<String>,
}

/// A path that has another name now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// The old path.
    pub from: String,
    /// The new path.
    pub to: String,
}

/// Tells the state of a working tree.
///
/// # Errors
/// [`GitError::Failed`] when there is no repository.
pub async fn status(
    runner: &dyn GitRunner,
    arguments: &StatusArguments,
) -> Result<Status, GitError> {
    let options = [
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=all",
        "--find-renames",
        "--ignore-submodules=none",
        "-z",
    ];
    let output = runner.git(GitCall::new(&arguments.repo, &options)).await?;
    parse(&output.whole()?)
}

/// Reads porcelain version 2 with NUL (git-status, "Porcelain Format Version 2").
fn parse(bytes: &[u8]) -> Result<Status, GitError> {
    let mut status = Status::default();
    let mut records = bytes.split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        if record.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(record);
        let read = match record[0] {
            b'#' => {
                status.read_header(&text);
                Some(())
            }
            b'1' => status.read_change(&text, 8),
            b'2' => status.read_rename(&text, records.next()),
            b'u' => path_of(&text, 10).map(|path| status.conflicted.push(path)),
            b'?' => path_of(&text, 1).map(|path| status.untracked.push(path)),
            _ => None,
        };
        read.ok_or_else(|| GitOutput::unreadable("status", record))?;
    }
    status.dirty = !(status.staged.is_empty()
        && status.modified.is_empty()
        && status.untracked.is_empty()
        && status.conflicted.is_empty());
    Ok(status)
}

/// The path after so many space-separated fields. It may hold spaces itself.
fn path_of(record: &str, fields: usize) -> Option<String> {
    let path = record.splitn(fields + 1, ' ').nth(fields)?;
    (!path.is_empty()).then(|| path.to_owned())
}

impl Status {
    fn read_header(&mut self, header: &str) {
        if let Some(head) = header.strip_prefix("# branch.head ") {
            self.branch = (head != "(detached)").then(|| head.to_owned());
        }
        self.unborn |= header == "# branch.oid (initial)";
    }

    fn read_change(&mut self, record: &str, fields: usize) -> Option<()> {
        let path = path_of(record, fields)?;
        let mut letters = record.chars().skip(2);
        let (staged, unstaged) = (letters.next()?, letters.next()?);
        if staged != '.' {
            self.staged.push(path.clone());
        }
        if unstaged != '.' {
            self.modified.push(path);
        }
        Some(())
    }

    fn read_rename(&mut self, record: &str, from: Option<&[u8]>) -> Option<()> {
        self.read_change(record, 9)?;
        let from = String::from_utf8_lossy(from?).into_owned();
        let to = path_of(record, 9)?;
        self.renamed.push(Renamed { from, to });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_status_is_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_path_is_read_exactly(path in "[^\0]{1,30}") {
            let text = format!("# branch.head main\0? {path}\0");
            let status = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(vec![path], status.untracked);
        }
    }
}
