//! What a pull request changes: files, diff, patch, commits.

use std::collections::HashMap;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::Pull;

use super::access::Visit;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::branches;
use super::error::EmbeddedError;
use super::git::Bare;

/// Nothing of the repository's own making runs while git compares.
const DIFF: [&str; 5] = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M"];

/// Where two commits part; empty when they have nothing in common.
pub(super) async fn merge_base(bare: &Bare, one: &str, two: &str) -> Result<String, EmbeddedError> {
    let output = bare.run(["merge-base", one, two]).await?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `GET /repos/{owner}/{name}/pulls/{number}.diff`
pub(super) async fn diff(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let bare = visit.bare().await?;
    let arguments = DIFF.iter().chain(&["--full-index"]).copied();
    let arguments = arguments.chain([start(pull)?, pull.head.as_str(), "--"]);
    let diff = bare.succeed(arguments).await?;
    Ok(answer::text(StatusCode::OK, diff))
}

/// `GET /repos/{owner}/{name}/pulls/{number}.patch`
pub(super) async fn patch(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let bare = visit.bare().await?;
    let range = format!("{}..{}", start(pull)?, pull.head);
    let arguments = [
        "format-patch",
        "--stdout",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
    ];
    let patch = bare
        .succeed(arguments.iter().chain(&[range.as_str(), "--"]))
        .await?;
    Ok(answer::text(StatusCode::OK, patch))
}

/// `GET /repos/{owner}/{name}/pulls/{number}/commits`, newest first.
pub(super) async fn commits(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let bare = visit.bare().await?;
    let range = format!("{}..{}", start(pull)?, pull.head);
    let commits = branches::log(&bare, &[&range]).await?;
    let shapes: Vec<Value> = commits
        .iter()
        .map(|commit| branches::commit_shape(visit, commit))
        .collect();
    Ok(visit.call.page_of(&shapes))
}

/// `GET /repos/{owner}/{name}/pulls/{number}/files`
pub(super) async fn files(visit: &Visit<'_>, pull: &Pull) -> Answer {
    let bare = visit.bare().await?;
    let ends = [start(pull)?, pull.head.as_str(), "--"];
    let arguments = |form| DIFF.into_iter().chain(["-z", form]).chain(ends);
    let names = bare.succeed(arguments("--name-status")).await?;
    let counts = bare.succeed(arguments("--numstat")).await?;
    let counts = parse_counts(&String::from_utf8_lossy(&counts));
    let names = String::from_utf8_lossy(&names).into_owned();
    let shapes: Vec<Value> = parse_names(&names)
        .into_iter()
        .map(|file| {
            let (added, deleted) = counts.get(file.name).copied().unwrap_or_default();
            let mut shape = json!({
                "filename": file.name,
                "status": file.status,
                "additions": added,
                "deletions": deleted,
                "changes": added + deleted,
            });
            if let Some(before) = file.before {
                shape["previous_filename"] = json!(before);
            }
            shape
        })
        .collect();
    Ok(visit.call.page_of(&shapes))
}

fn start(pull: &Pull) -> Result<&str, Refusal> {
    match pull.merge_base.as_str() {
        "" => Err(Refusal::unprocessable(
            "the branches have nothing in common",
        )),
        commit => Ok(commit),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct File<'a> {
    status: &'static str,
    name: &'a str,
    before: Option<&'a str>,
}

/// `git diff --name-status -z`: a letter, a path, and for renames another path.
fn parse_names(printed: &str) -> Vec<File<'_>> {
    let mut fields = printed.split('\0').filter(|field| !field.is_empty());
    let mut files = Vec::new();
    while let (Some(letter), Some(path)) = (fields.next(), fields.next()) {
        let renamed = letter
            .starts_with(['R', 'C'])
            .then(|| fields.next())
            .flatten();
        files.push(File {
            status: match letter.as_bytes().first() {
                Some(b'A') => "added",
                Some(b'D') => "deleted",
                Some(b'R') => "renamed",
                Some(b'C') => "copied",
                _ => "changed",
            },
            name: renamed.unwrap_or(path),
            before: renamed.map(|_| path),
        });
    }
    files
}

/// `git diff --numstat -z`: `added TAB deleted TAB path`, or for renames an empty path and then the
/// two paths. `-` stands for a binary file.
fn parse_counts(printed: &str) -> HashMap<String, (u64, u64)> {
    let mut fields = printed.split('\0');
    let mut counts = HashMap::new();
    while let Some(field) = fields.next() {
        let mut parts = field.splitn(3, '\t');
        let (Some(added), Some(deleted), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let count = (added.parse().unwrap_or(0), deleted.parse().unwrap_or(0));
        let path = match path {
            "" => fields.nth(1).unwrap_or_default(),
            path => path,
        };
        counts.insert(path.to_owned(), count);
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn renames_have_two_names() {
        let names = "A\0new\0R090\0old\0moved\0D\0gone\0";
        let file = |status, name, before| File {
            status,
            name,
            before,
        };
        assert_eq!(
            vec![
                file("added", "new", None),
                file("renamed", "moved", Some("old")),
                file("deleted", "gone", None),
            ],
            parse_names(names)
        );
        let counts = parse_counts("3\t0\tnew\x001\t2\t\0old\0moved\0-\t-\tpicture\0");
        assert_eq!(Some(&(3, 0)), counts.get("new"));
        assert_eq!(Some(&(1, 2)), counts.get("moved"));
        assert_eq!(Some(&(0, 0)), counts.get("picture"));
    }

    proptest! {
        #[test]
        fn no_output_breaks_the_parsers(printed in "[AMDR0-9\t\0a-z/-]{0,80}") {
            parse_names(&printed);
            parse_counts(&printed);
        }
    }
}
