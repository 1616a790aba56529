//! `git_blame`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::tools::runner::GitCall;
use crate::tools::runner::GitOutput;
use crate::tools::runner::GitRunner;

/// What `git_blame` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlameArguments {
    /// The repository, relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    #[schemars(with = "String")]
    pub repo: RepoPath,
    /// A file of the repository.
    #[schemars(with = "String")]
    pub path: RepoPath,
}

/// A file, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blamed {
    /// Its lines.
    pub lines: Vec<BlameLine>,
}

/// Who wrote a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlameLine {
    /// Its number, from 1.
    pub line: u64,
    /// The commit it came with; all zeros when it is not committed.
    pub sha: String,
    /// The author's name.
    pub author: String,
    /// When it was written, in ISO 8601, UTC.
    pub date: String,
    /// The line, lossily decoded.
    pub text: String,
}

/// Tells who wrote each line of a file.
///
/// # Errors
/// [`GitError::Failed`] when there is no such file in the last commit.
pub async fn blame(runner: &dyn GitRunner, arguments: &BlameArguments) -> Result<Blamed, GitError> {
    let options = ["blame", "--line-porcelain", "--"];
    let call = GitCall::new(&arguments.repo, &options).and([arguments.path.as_str()]);
    let output = runner.git(call).await?.whole()?;
    let lines = parse(&output)?;
    Ok(Blamed { lines })
}

/// Reads the line porcelain: a header line, `key value` lines, then TAB and the line itself.
/// Carriage returns belong to the text.
fn parse(bytes: &[u8]) -> Result<Vec<BlameLine>, GitError> {
    let mut lines = Vec::new();
    let mut current: Option<BlameLine> = None;
    let text = String::from_utf8_lossy(bytes);
    for record in text.split_terminator('\n') {
        current = match (current, record.strip_prefix('\t')) {
            (Some(mut line), Some(text)) => {
                text.clone_into(&mut line.text);
                lines.push(line);
                None
            }
            (Some(mut line), None) => {
                read_fact(&mut line, record);
                Some(line)
            }
            (None, _) => {
                let line = read_head(record);
                Some(line.ok_or_else(|| GitOutput::unreadable("blame", record.as_bytes()))?)
            }
        };
    }
    Ok(lines)
}

/// `commit original-line final-line [group]`.
fn read_head(record: &str) -> Option<BlameLine> {
    let mut words = record.split(' ');
    let sha = words.next()?.to_owned();
    let line = words.nth(1)?.parse().ok()?;
    Some(BlameLine {
        line,
        sha,
        ..BlameLine::default()
    })
}

fn read_fact(line: &mut BlameLine, record: &str) {
    if let Some(author) = record.strip_prefix("author ") {
        author.clone_into(&mut line.author);
    }
    let seconds = record
        .strip_prefix("author-time ")
        .and_then(|text| text.parse().ok());
    if let Some(time) = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        line.date = time.to_string();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_blame_is_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_line_can_hold_anything(content in "[^\n]{0,30}") {
            let sha = "c".repeat(40);
            let text = format!("{sha} 1 1 1\nauthor A\nauthor-time 0\nsummary \tx\n\t{content}\n");
            let lines = parse(text.as_bytes()).unwrap();
            let expected = BlameLine {
                line: 1,
                sha,
                author: "A".to_owned(),
                date: "1970-01-01T00:00:00Z".to_owned(),
                text: content,
            };
            prop_assert_eq!(vec![expected], lines);
        }
    }
}
