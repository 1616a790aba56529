//! What is open, what changed since a moment, and in which second.

use jiff::SignedDuration;
use jiff::Timestamp;

use super::Bench;
use crate::error::ForgeError;
use crate::feed::Changes;
use crate::forge::Forge;
use crate::types::IssueFilter;
use crate::types::IssueState;
use crate::types::PullFilter;
use crate::types::PullState;
use crate::types::StateFilter;

const COMMENTED: u64 = 30;
const LABELLED: u64 = 31;
const CLOSED: u64 = 32;
const WAITING: u64 = 33;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

pub(super) async fn check(bench: &mut Bench) {
    let open = bench.client.changes(&bench.repo, None).await;
    let Some(open) = bench
        .sheet
        .done("issues and pull requests are listed together", open)
    else {
        return;
    };
    whole(bench, &open).await;
    let Some(newest) = open.newest else {
        return;
    };
    news(bench, newest).await;
    ended(bench).await;
    let later = newest.checked_add(HOUR).unwrap_or(newest);
    let nothing = bench.client.changes(&bench.repo, Some(later)).await;
    let expected = (0, 0, Some(later));
    bench.sheet.equal(
        "from an hour later on there is nothing",
        expected,
        nothing.map(|all| (all.issues.len(), all.pulls.len(), all.newest)),
    );
}

/// The list of both holds what the two lists hold.
async fn whole(bench: &mut Bench, open: &Changes) {
    let issues = bench
        .client
        .issues(&bench.repo, &IssueFilter::default())
        .await;
    let numbers: Vec<u64> = open.issues.iter().map(|issue| issue.number).collect();
    bench.sheet.equal(
        "its issues are the open ones",
        numbers,
        issues.map(|issues| issues.iter().map(|issue| issue.number).collect()),
    );
    let pulls = bench
        .client
        .pulls(&bench.repo, &PullFilter::default())
        .await;
    let numbers: Vec<u64> = open.pulls.iter().map(|pull| pull.number).collect();
    bench.sheet.equal(
        "its pull requests are the open ones",
        numbers,
        pulls.map(|pulls| pulls.iter().map(|pull| pull.number).collect()),
    );
    let seen = Ok::<_, ForgeError>((open.complete, open.newest.is_some()));
    bench
        .sheet
        .equal("it is (whole, of a time)", (true, true), seen);
}

/// Each kind of change is seen, with what it changed.
async fn news(bench: &mut Bench, since: Timestamp) {
    let (client, repo) = (&bench.client, &bench.repo);
    let commented = client.comment(repo, COMMENTED, "Changed").await.map(drop);
    let labelled = client.add_labels(repo, LABELLED, &["todo"]).await;
    let closed = client.close_issue(repo, CLOSED).await.map(drop);
    let waiting = client.add_blocker(repo, WAITING, COMMENTED).await;
    let written = commented.and(labelled).and(closed).and(waiting);
    if bench
        .sheet
        .done("four issues are changed", written)
        .is_none()
    {
        return;
    }
    let changes = bench.client.changes(&bench.repo, Some(since)).await;
    let seen = changes.map(|changes| {
        let find = |number| changes.issues.iter().find(|issue| issue.number == number);
        (
            find(COMMENTED).map(|issue| issue.comment_count),
            find(LABELLED).map(|issue| issue.labels.clone()),
            find(CLOSED).map(|issue| issue.state),
            find(WAITING).is_some(),
            changes.newest >= Some(since),
        )
    });
    let expected = (
        Some(1),
        Some(vec!["todo".to_owned()]),
        Some(IssueState::Closed),
        true,
        true,
    );
    bench.sheet.equal(
        "they are told (comments, labels, state, waiting, time)",
        expected,
        seen,
    );
}

/// What became of pull requests is told with their state.
async fn ended(bench: &mut Bench) {
    let filter = PullFilter {
        state: StateFilter::Closed,
        ..PullFilter::default()
    };
    let pulls = bench.client.pulls(&bench.repo, &filter).await;
    let Some(pulls) = bench.sheet.done("ended pull requests are listed", pulls) else {
        return;
    };
    let mut expected: Vec<(u64, PullState)> =
        pulls.iter().map(|pull| (pull.number, pull.state)).collect();
    expected.sort_unstable_by_key(|(number, _)| *number);
    let all = bench
        .client
        .changes(&bench.repo, Some(Timestamp::UNIX_EPOCH))
        .await;
    let seen = all.map(|all| {
        let ended = all
            .pulls
            .iter()
            .filter(|pull| pull.state != PullState::Open);
        let mut ended: Vec<_> = ended.map(|pull| (pull.number, pull.state)).collect();
        ended.sort_unstable_by_key(|(number, _)| *number);
        ended
    });
    bench.sheet.equal(
        "from the beginning on they are told as (merged, closed)",
        expected,
        seen,
    );
}
