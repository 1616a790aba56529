//! Pushing, always atomic and never without a lease.

use std::ffi::OsString;

use timmy_core::ObjectName;

use crate::bare::BareRepository;
use crate::bare::words;
use crate::classify;
use crate::error::GitError;
use crate::names::RefName;
use crate::program::Invocation;
use crate::program::Output;
use crate::remote::Remote;

/// One ref of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRef {
    /// The commit it shall point at; `None` deletes it.
    pub source: Option<ObjectName>,
    /// The ref.
    pub target: RefName,
    /// What it must be until then.
    pub expect: Expect,
}

/// The lease: what a ref must be for the push to touch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It points here.
    At(ObjectName),
}

/// What became of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushResult {
    /// The ref.
    pub target: RefName,
    /// What became of it.
    pub status: PushStatus,
}

/// What the server made of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushStatus {
    /// It is new.
    Created,
    /// It was moved.
    Updated,
    /// It was there already. Says nothing about who put it there.
    UpToDate,
    /// It is gone.
    Deleted,
    /// It was not what the lease said. Somebody else was first, or this very push was: libcurl
    /// repeats a request whose answer was lost on a kept connection. Only reading the ref tells.
    Stale,
    /// It was refused.
    Rejected {
        /// The server's reason, cleaned.
        reason: String,
    },
}

impl PushStatus {
    /// Whether the ref is now as the push wanted it.
    #[must_use]
    pub fn done(&self) -> bool {
        match self {
            Self::Created | Self::Updated | Self::UpToDate | Self::Deleted => true,
            Self::Stale | Self::Rejected { .. } => false,
        }
    }
}

/// Reasons that mean "the ref is not what was expected". The first comes from this side; the others
/// from receive-pack up to git 2.46, from 2.47 on, and from a lock held by another push. Of an
/// atomic push a server may only say that all of it failed.
const STALE_REASONS: [&str; 8] = [
    "stale info",
    "atomic transaction failed",
    "transaction failed to start",
    "failed to update ref",
    "incorrect old value provided",
    "reference already exists",
    "cannot lock ref",
    "fetch first",
];

/// The server said nothing about the ref: the push may have been done.
const NO_REPORT: &str = "remote failed to report status";

impl BareRepository {
    /// Pushes all refs or none. A refused ref is a result, not an error.
    ///
    /// # Errors
    /// [`GitError::UnknownOutcome`] when it may have been done: the caller reads the refs again.
    /// [`GitError::Unauthorized`], [`GitError::Forbidden`], [`GitError::NotFound`] and
    /// [`GitError::Network`] when it was certainly not done.
    pub async fn push(
        &self,
        remote: &Remote,
        refs: &[PushRef],
    ) -> Result<Vec<PushResult>, GitError> {
        let invocation = Invocation::new(push_arguments(remote, refs)).remote(remote);
        let output = match self.run(invocation).await {
            Err(GitError::Stalled { command, seconds }) => {
                return Err(GitError::UnknownOutcome {
                    url: remote.url.to_string(),
                    detail: format!("git {command} made no progress for {seconds} s"),
                });
            }
            other => other?,
        };
        let results = parse_push(&String::from_utf8_lossy(&output.stdout));
        judge(results, refs, &output, remote)
    }
}

fn push_arguments(remote: &Remote, refs: &[PushRef]) -> Vec<OsString> {
    let mut arguments = words(&[
        "push",
        "--porcelain",
        "--progress",
        "--atomic",
        "--no-verify",
        "--no-follow-tags",
        "--no-signed",
        "--recurse-submodules=no",
    ]);
    for one in refs {
        let expected = match &one.expect {
            Expect::Absent => "",
            Expect::At(object) => object.as_str(),
        };
        arguments.push(format!("--force-with-lease={}:{expected}", one.target).into());
    }
    arguments.extend(words(&["--end-of-options", remote.url.as_str()]));
    for one in refs {
        let source = one.source.as_ref().map_or("", ObjectName::as_str);
        arguments.push(format!("{source}:{}", one.target).into());
    }
    arguments
}

fn judge(
    results: Vec<PushResult>,
    refs: &[PushRef],
    output: &Output,
    remote: &Remote,
) -> Result<Vec<PushResult>, GitError> {
    let told = |one: &PushRef| results.iter().any(|result| result.target == one.target);
    let all_told = refs.iter().all(told);
    let unreported = results.iter().any(|result| {
        matches!(&result.status, PushStatus::Rejected { reason } if reason.contains(NO_REPORT))
    });
    let all_done = results.iter().all(|result| result.status.done());
    if all_told && !unreported && all_done == output.success() {
        return Ok(results);
    }
    if output.success() || unreported || !results.is_empty() {
        return Err(GitError::UnknownOutcome {
            url: remote.url.to_string(),
            detail: output.stderr.clone(),
        });
    }
    Err(classify::push_failure(output, remote))
}

/// Reads `git push --porcelain`: `flag TAB from:to TAB summary (reason)`, one line a ref.
fn parse_push(text: &str) -> Vec<PushResult> {
    text.lines().filter_map(parse_push_line).collect()
}

fn parse_push_line(line: &str) -> Option<PushResult> {
    let mut fields = line.splitn(3, '\t');
    let (flag, refs, summary) = (fields.next()?, fields.next()?, fields.next()?);
    let target = refs.split_once(':')?.1.parse().ok()?;
    let status = match flag {
        "*" => PushStatus::Created,
        " " | "+" => PushStatus::Updated,
        "=" => PushStatus::UpToDate,
        "-" => PushStatus::Deleted,
        "!" => refusal(summary),
        _ => return None,
    };
    Some(PushResult { target, status })
}

fn refusal(summary: &str) -> PushStatus {
    let reason = summary
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(summary);
    if STALE_REASONS.iter().any(|stale| reason.contains(stale)) {
        return PushStatus::Stale;
    }
    PushStatus::Rejected {
        reason: timmy_core::text::clean_line(reason),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_flag_is_read() {
        let text = "To http://forge/o/r.git\n\
            *\t111:refs/heads/new\t[new branch]\n\
            +\t222:refs/heads/moved\t1..2 (forced update)\n \t3:refs/heads/forward\t3..4\n\
            =\t5:refs/heads/same\t[up to date]\n\
            -\t:refs/heads/gone\t[deleted]\n\
            !\t6:refs/heads/late\t[rejected] (stale info)\n\
            !\t7:refs/heads/raced\t[remote rejected] (failed to update ref)\n\
            !\t8:refs/heads/no\t[remote rejected] (deny updating a hidden ref)\n\
            Done\n";
        let rejected = |reason: &str| PushStatus::Rejected {
            reason: reason.to_owned(),
        };
        let expected = [
            ("new", PushStatus::Created),
            ("moved", PushStatus::Updated),
            ("forward", PushStatus::Updated),
            ("same", PushStatus::UpToDate),
            ("gone", PushStatus::Deleted),
            ("late", PushStatus::Stale),
            ("raced", PushStatus::Stale),
            ("no", rejected("deny updating a hidden ref")),
        ]
        .map(|(branch, status)| PushResult {
            target: format!("refs/heads/{branch}").parse().unwrap(),
            status,
        });
        assert_eq!(expected.to_vec(), parse_push(text));
    }

    proptest! {
        #[test]
        fn any_report_is_read_without_panic(text in any::<String>()) {
            let _ = parse_push(&text);
        }

        #[test]
        fn a_refusal_is_never_success(
            branch in "[a-z]{1,9}", kind in "\\[[a-z ]{1,12}\\]", reason in "[^\\t\\n\\r]{0,30}"
        ) {
            let line = format!("!\tabc:refs/heads/{branch}\t{kind} ({reason})");
            let read = parse_push_line(&line);
            prop_assert!(read.is_some_and(|result| !result.status.done()));
        }
    }
}
