//! `git_log`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::names::Revision;
use crate::tools::runner::GitCall;
use crate::tools::runner::GitOutput;
use crate::tools::runner::GitRunner;

const DEFAULT_COUNT: u32 = 20;
const MOST_COMMITS: u32 = 500;
const FIELDS: usize = 5;

fn default_count() -> u32 {
    DEFAULT_COUNT
}

/// What `git_log` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// The most commits to show, at most 500.
    #[serde(default = "default_count")]
    pub max_count: u32,
    /// A branch or commit. Default: what is checked out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub branch: Option<Revision>,
}

impl Default for LogArguments {
    fn default() -> Self {
        Self {
            repo: RepoPath::top(),
            max_count: DEFAULT_COUNT,
            branch: None,
        }
    }
}

/// A history, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// The commits.
    pub commits: Vec<LogEntry>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// The commit's name.
    pub sha: String,
    /// The name, shortened as git does.
    pub short_sha: String,
    /// The author's name.
    pub author: String,
    /// When it was written, in ISO 8601.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
    /// How many paths it changed; for a merge, against its first parent.
    pub files_changed: usize,
}

/// Tells a history. A branch without commits has an empty one.
///
/// # Errors
/// [`GitError::NotFound`] when there is no such branch or commit.
pub async fn log(runner: &dyn GitRunner, arguments: &LogArguments) -> Result<Log, GitError> {
    let head = arguments.branch.clone().unwrap_or(Revision::Head);
    let commit = format!("{head}^{{commit}}");
    let verify = [
        "rev-parse",
        "--quiet",
        "--verify",
        "--end-of-options",
        &commit,
    ];
    let found = runner.git(GitCall::new(&arguments.repo, &verify)).await?;
    if found.code != Some(0) {
        return no_such_commit(runner, arguments, &found, &head).await;
    }
    let count = format!("--max-count={}", arguments.max_count.min(MOST_COMMITS));
    let options = [
        "log",
        "-z",
        &count,
        "--no-show-signature",
        "--format=tformat:%H%x00%h%x00%an%x00%aI%x00%s",
        "--end-of-options",
        &commit,
        "--",
    ];
    let listed = runner.git(GitCall::new(&arguments.repo, &options)).await?;
    let mut commits = parse(&listed.whole()?)?;
    count_files(runner, arguments, &mut commits).await?;
    Ok(Log { commits })
}

/// Without a branch asked for it is an unborn one; without a repository it is a failure.
async fn no_such_commit(
    runner: &dyn GitRunner,
    arguments: &LogArguments,
    found: &GitOutput,
    head: &Revision,
) -> Result<Log, GitError> {
    let inside = ["rev-parse", "--git-dir"];
    let repository = runner.git(GitCall::new(&arguments.repo, &inside)).await?;
    if repository.code != Some(0) {
        return Err(repository.failure());
    }
    if arguments.branch.is_none() && found.code == Some(1) {
        let commits = Vec::new();
        return Ok(Log { commits });
    }
    Err(GitError::NotFound {
        what: head.to_string(),
    })
}

/// Every record is five fields, each ended by NUL.
fn parse(bytes: &[u8]) -> Result<Vec<LogEntry>, GitError> {
    let text = String::from_utf8_lossy(bytes);
    let fields: Vec<&str> = text.split('\0').collect();
    let records = fields.chunks_exact(FIELDS);
    if records.remainder() != [""] {
        return Err(GitOutput::unreadable("log", bytes));
    }
    let entry = |record: &[&str]| LogEntry {
        sha: record[0].to_owned(),
        short_sha: record[1].to_owned(),
        author: record[2].to_owned(),
        date: record[3].to_owned(),
        subject: record[4].to_owned(),
        files_changed: 0,
    };
    Ok(records.map(entry).collect())
}

async fn count_files(
    runner: &dyn GitRunner,
    arguments: &LogArguments,
    commits: &mut [LogEntry],
) -> Result<(), GitError> {
    let input: String = commits
        .iter()
        .map(|commit| format!("{}\n", commit.sha))
        .collect();
    let options = [
        "diff-tree",
        "--stdin",
        "-r",
        "-z",
        "--raw",
        "--root",
        "-m",
        "--first-parent",
        "--find-renames",
    ];
    let call = GitCall::new(&arguments.repo, &options).input(input);
    let counted = parse_counts(&runner.git(call).await?.whole()?)?;
    for commit in commits {
        let count = counted.iter().find(|(sha, _)| *sha == commit.sha);
        commit.files_changed = count.map_or(0, |(_, files)| *files);
    }
    Ok(())
}

/// A commit's name, then for each path `:modes objects status` and one or two paths.
fn parse_counts(bytes: &[u8]) -> Result<Vec<(String, usize)>, GitError> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut fields = bytes.split(|byte| *byte == 0);
    while let Some(field) = fields.next() {
        let text = String::from_utf8_lossy(field);
        let facts = text.trim();
        if facts.is_empty() {
            continue;
        }
        if !facts.starts_with(':') {
            counts.push((facts.to_owned(), 0));
            continue;
        }
        let status = facts.rsplit(' ').next().unwrap_or_default();
        let paths = if status.starts_with(['R', 'C']) { 2 } else { 1 };
        let Some((_, files)) = counts.last_mut() else {
            return Err(GitOutput::unreadable("diff-tree", field));
        };
        *files += 1;
        fields.nth(paths - 1);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_log_is_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
            let _ = parse_counts(&bytes);
        }

        #[test]
        fn a_subject_can_hold_anything(author in "[^\0]{0,12}", subject in "[^\0]{0,30}") {
            let text = format!("aaa\0a\0{author}\02026-01-01\0{subject}\0");
            let commits = parse(&[text.as_bytes(), text.as_bytes()].concat()).unwrap();
            prop_assert_eq!(2, commits.len());
            prop_assert_eq!(&subject, &commits[1].subject);
            prop_assert_eq!(&author, &commits[0].author);
        }
    }
}
