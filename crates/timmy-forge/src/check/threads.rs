//! What happens on one issue: comments, labels, dependencies.

use super::Bench;
use crate::error::ForgeError;
use crate::forge::Forge;
use crate::marker::mark;
use crate::types::IssueState;
use crate::types::NewIssue;

const ISSUE: u64 = 1;
const BLOCKED: u64 = 4;
const BLOCKER: u64 = 5;
const LONG_TEXT: usize = 1 << 20;

pub(super) async fn check(bench: &mut Bench) {
    comments(bench).await;
    labels(bench).await;
    dependencies(bench).await;
    long_text(bench).await;
}

async fn comments(bench: &mut Bench) {
    let marked = |text: &str| format!("{text}\n\n{}", mark("check/comment"));
    let first = bench
        .client
        .comment(&bench.repo, ISSUE, &marked("One"))
        .await;
    let Some(first) = bench.sheet.done("a comment is written", first) else {
        return;
    };
    let user = bench.client.user().to_owned();
    bench
        .sheet
        .equal("its author is us", user, Ok::<_, ForgeError>(first.author));
    let second = bench
        .client
        .comment(&bench.repo, ISSUE, &marked("Two"))
        .await;
    let id = second.map(|comment| comment.id == first.id);
    bench
        .sheet
        .equal("a marked comment is written once", true, id);
    let plain = bench.client.comment(&bench.repo, ISSUE, "Three").await;
    if let Some(plain) = bench
        .sheet
        .done("a comment without a mark is written", plain)
    {
        let edited = bench
            .client
            .edit_comment(&bench.repo, plain.id, "Four")
            .await;
        bench.sheet.equal(
            "a comment is edited",
            "Four".to_owned(),
            edited.map(|comment| comment.body),
        );
    }
    let texts = bench
        .client
        .comments(&bench.repo, ISSUE)
        .await
        .map(|comments| {
            let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
            comments
                .iter()
                .map(|comment| first_line(&comment.body))
                .collect::<Vec<_>>()
        });
    let expected = vec!["Two".to_owned(), "Four".to_owned()];
    bench.sheet.equal("comments, oldest first", expected, texts);
    let missing = bench.client.comment(&bench.repo, 9999, "Nobody").await;
    bench
        .sheet
        .refused("a comment on an issue that does not exist", &[501], missing);
}

async fn long_text(bench: &mut Bench) {
    let new = NewIssue {
        title: "Long".to_owned(),
        body: "x".repeat(LONG_TEXT),
        labels: Vec::new(),
    };
    let opened = bench.client.create_issue(&bench.repo, &new).await;
    let Some(opened) = bench
        .sheet
        .done("an issue with 1 MiB of text is opened", opened)
    else {
        return;
    };
    let read = bench.client.issue(&bench.repo, opened.number).await;
    let seen = read.map(|issue| (issue.body_bytes, issue.warning().is_some()));
    let expected = (LONG_TEXT as u64, true);
    bench
        .sheet
        .equal("it is read in part (bytes, warned)", expected, seen);
    let closed = bench.client.close_issue(&bench.repo, opened.number).await;
    bench.sheet.done("it is closed", closed);
}

async fn labels(bench: &mut Bench) {
    let added = bench
        .client
        .add_labels(&bench.repo, ISSUE, &["todo", "night shift"])
        .await;
    bench.sheet.done("labels are put on an issue", added);
    let again = bench.client.add_labels(&bench.repo, ISSUE, &["todo"]).await;
    bench.sheet.done("a label is put on again", again);
    let unknown = bench
        .client
        .add_labels(&bench.repo, ISSUE, &["no-such-label"])
        .await;
    bench
        .sheet
        .refused("a label that does not exist is put on", &[517], unknown);
    for name in ["a label is taken off", "a label is taken off again"] {
        let taken = bench
            .client
            .remove_label(&bench.repo, ISSUE, "night shift")
            .await;
        bench.sheet.done(name, taken);
    }
    let labels = bench
        .client
        .issue(&bench.repo, ISSUE)
        .await
        .map(|issue| issue.labels);
    bench
        .sheet
        .equal("the labels that are left", vec!["todo".to_owned()], labels);
}

async fn dependencies(bench: &mut Bench) {
    let added = bench
        .client
        .add_blocker(&bench.repo, BLOCKED, BLOCKER)
        .await;
    if bench
        .sheet
        .done("an issue is made to wait for another", added)
        .is_none()
    {
        return;
    }
    let again = bench
        .client
        .add_blocker(&bench.repo, BLOCKED, BLOCKER)
        .await;
    // Told as 500 by some and as 409 or 422 by others; what counts is that it is there.
    bench.sheet.usual(
        "the same dependency again",
        "done or refused",
        match again {
            Ok(()) | Err(ForgeError::Conflict(_) | ForgeError::Validation(_)) => {
                Ok("done or refused")
            }
            Err(error) => Err(error),
        },
    );
    let blockers = blockers(bench).await;
    bench.sheet.equal(
        "what it waits for",
        vec![(BLOCKER, IssueState::Open)],
        blockers,
    );
    let refused = bench.client.close_issue(&bench.repo, BLOCKED).await;
    bench
        .sheet
        .refused("closing an issue that waits", &[508], refused);
    let closed = bench.client.close_issue(&bench.repo, BLOCKER).await;
    bench.sheet.done("closing what it waits for", closed);
    let blockers = self::blockers(bench).await;
    bench.sheet.equal(
        "closed blockers are listed",
        vec![(BLOCKER, IssueState::Closed)],
        blockers,
    );
    let closed = bench.client.close_issue(&bench.repo, BLOCKED).await;
    let state = closed.map(|issue| issue.state);
    bench
        .sheet
        .equal("then it closes", IssueState::Closed, state);
    let removed = bench
        .client
        .remove_blocker(&bench.repo, BLOCKED, BLOCKER)
        .await;
    bench.sheet.done("the dependency is removed", removed);
    let left = self::blockers(bench).await;
    bench.sheet.equal("then there is none", vec![], left);
}

async fn blockers(bench: &Bench) -> Result<Vec<(u64, IssueState)>, ForgeError> {
    let blockers = bench.client.blockers(&bench.repo, BLOCKED).await?;
    Ok(blockers
        .iter()
        .map(|issue| (issue.number, issue.state))
        .collect())
}
