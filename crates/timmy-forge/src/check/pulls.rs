//! Pull requests, from opening to merging.

use timmy_core::ObjectName;
use timmy_git::Expect;
use timmy_git::GitError;

use super::Bench;
use super::MAIN;
use super::reviews;
use crate::error::ForgeError;
use crate::forge::Forge;
use crate::types::IssueFilter;
use crate::types::IssueState;
use crate::types::MergeRequest;
use crate::types::MergeStyle;
use crate::types::NewPull;
use crate::types::PullFilter;
use crate::types::PullRequest;
use crate::types::PullState;
use crate::types::PullUpdate;
use crate::types::StateFilter;
use crate::types::Status;
use crate::types::StatusState;

const WORK: &str = "timmy/2-1";
const RIVAL: &str = "timmy/3-1";

/// The branches that the pull requests come from.
struct Branches {
    work: ObjectName,
    later_work: ObjectName,
}

pub(super) async fn check(bench: &mut Bench) {
    let branches = push_branches(bench).await;
    let Some(branches) = bench.sheet.done("two branches are pushed", branches) else {
        return;
    };
    refusals(bench).await;
    let Some(pull) = open(bench, &branches).await else {
        return;
    };
    statuses(bench, &branches.work).await;
    draft(bench, &pull, &branches.work).await;
    contents(bench, &pull).await;
    reviews::check(bench, pull.number, &branches.work).await;
    merging(bench, &pull, &branches).await;
    conflict(bench).await;
}

async fn push_branches(bench: &Bench) -> Result<Branches, GitError> {
    let base = bench.commit("One\nTwo\nThree\n", &[]).await?;
    let work = bench.commit("One\nTwo, better\nThree\n", &[&base]).await?;
    let later_work = bench.commit("One\nTwo, best\nThree\n", &[&work]).await?;
    let rival = bench.commit("One\nTwo, worse\nThree\n", &[&base]).await?;
    let work_ref = format!("refs/heads/{WORK}");
    let rival_ref = format!("refs/heads/{RIVAL}");
    bench
        .push(&[
            (&work_ref, Some(&work), Expect::Absent),
            (&rival_ref, Some(&rival), Expect::Absent),
        ])
        .await?;
    Ok(Branches { work, later_work })
}

fn new_pull(title: &str, head: &str) -> NewPull {
    NewPull {
        title: title.to_owned(),
        body: "From the check.".to_owned(),
        head: head.to_owned(),
        base: MAIN.to_owned(),
        draft: false,
    }
}

async fn refusals(bench: &mut Bench) {
    let same = bench
        .client
        .create_pull(&bench.repo, &new_pull("Same", MAIN))
        .await;
    bench
        .sheet
        .refused("a pull request from main to main", &[507], same);
    let missing = bench
        .client
        .create_pull(&bench.repo, &new_pull("None", "no-such-branch"))
        .await;
    bench
        .sheet
        .refused("one from a branch that does not exist", &[501], missing);
}

async fn open(bench: &mut Bench, branches: &Branches) -> Option<PullRequest> {
    let opened = bench
        .client
        .create_pull(&bench.repo, &new_pull("Better", WORK))
        .await;
    let opened = bench.sheet.done("a pull request is opened", opened)?;
    let pull = opened.pull;
    let new_head = pull.head == branches.work;
    let seen = (new_head, pull.state, pull.draft, opened.adopted);
    let expected = (true, PullState::Open, false, false);
    bench.sheet.equal(
        "it is (of the pushed head, state, draft, adopted)",
        expected,
        Ok::<_, ForgeError>(seen),
    );
    let again = bench
        .client
        .create_pull(&bench.repo, &new_pull("Better yet", WORK))
        .await;
    let seen = again.map(|again| (again.pull.number, again.pull.title, again.adopted));
    let expected = (pull.number, "Better yet".to_owned(), true);
    bench
        .sheet
        .equal("opened again it is adopted", expected, seen);

    let listed = bench
        .client
        .issues(&bench.repo, &IssueFilter::default())
        .await;
    let among = listed.map(|issues| issues.iter().any(|issue| issue.number == pull.number));
    bench.sheet.equal("it is among the issues", false, among);
    let issue = bench.client.issue(&bench.repo, pull.number).await;
    bench
        .sheet
        .refused("its number is no issue's", &[501], issue);
    let mine = pulls_from(bench, WORK, StateFilter::Open).await;
    bench
        .sheet
        .equal("pull requests of its branch", vec![pull.number], mine);
    let other = pulls_from(bench, "no-such-branch", StateFilter::All).await;
    bench
        .sheet
        .equal("pull requests of another branch", vec![], other);
    Some(pull)
}

async fn pulls_from(bench: &Bench, head: &str, state: StateFilter) -> Result<Vec<u64>, ForgeError> {
    let filter = PullFilter {
        state,
        head: Some(head.to_owned()),
    };
    let pulls = bench.client.pulls(&bench.repo, &filter).await?;
    Ok(pulls.iter().map(|pull| pull.number).collect())
}

async fn statuses(bench: &mut Bench, commit: &ObjectName) {
    let none = bench.client.statuses(&bench.repo, commit).await;
    bench.sheet.equal("a commit without a status", vec![], none);
    let status = |context: &str, state| Status {
        context: context.to_owned(),
        state,
        description: "of the check".to_owned(),
        target_url: String::new(),
    };
    for (context, state) in [
        ("timmy/check", StatusState::Pending),
        ("timmy/other", StatusState::Failure),
        ("timmy/check", StatusState::Success),
    ] {
        let set = bench
            .client
            .set_status(&bench.repo, commit, &status(context, state))
            .await;
        if set.is_err() {
            bench.sheet.done("a commit status is set", set);
            return;
        }
    }
    let read = bench
        .client
        .statuses(&bench.repo, commit)
        .await
        .map(|statuses| {
            let verdict = |status: &Status| (status.context.clone(), status.state);
            statuses.iter().map(verdict).collect::<Vec<_>>()
        });
    let expected = vec![
        ("timmy/check".to_owned(), StatusState::Success),
        ("timmy/other".to_owned(), StatusState::Failure),
    ];
    bench
        .sheet
        .equal("the newest status of each context", expected, read);
}

async fn draft(bench: &mut Bench, pull: &PullRequest, head: &ObjectName) {
    let marked = set_draft(bench, pull.number, true).await;
    let seen = marked.map(|pull| (pull.title, pull.draft));
    bench.sheet.equal(
        "it is marked as a draft",
        ("Better yet".to_owned(), true),
        seen,
    );
    let refused = bench
        .client
        .merge_pull(&bench.repo, pull.number, &merge(head))
        .await;
    bench.sheet.refused("a draft is merged", &[515], refused);
    let unmarked = set_draft(bench, pull.number, false).await;
    let seen = unmarked.map(|pull| (pull.title, pull.draft));
    bench.sheet.equal(
        "it is no draft any more",
        ("Better yet".to_owned(), false),
        seen,
    );
}

async fn set_draft(bench: &Bench, number: u64, draft: bool) -> Result<PullRequest, ForgeError> {
    let update = PullUpdate {
        draft: Some(draft),
        ..PullUpdate::default()
    };
    bench.client.update_pull(&bench.repo, number, &update).await
}

async fn contents(bench: &mut Bench, pull: &PullRequest) {
    let files = bench
        .client
        .pull_files(&bench.repo, pull.number)
        .await
        .map(|files| {
            let lines =
                |file: &crate::types::PullFile| (file.path.clone(), file.additions, file.deletions);
            files.iter().map(lines).collect::<Vec<_>>()
        });
    bench.sheet.equal(
        "the files it changes",
        vec![("notes.md".to_owned(), 1, 1)],
        files,
    );
    let diff = bench.client.pull_diff(&bench.repo, pull.number).await;
    let shown = diff.map(|diff| diff.contains("\n-Two\n+Two, better\n"));
    bench.sheet.equal("its patch shows the change", true, shown);
}

fn merge(head: &ObjectName) -> MergeRequest {
    MergeRequest {
        style: MergeStyle::Squash,
        head: head.clone(),
    }
}

async fn merging(bench: &mut Bench, pull: &PullRequest, branches: &Branches) {
    let work_ref = format!("refs/heads/{WORK}");
    let at = Expect::At(branches.work.clone());
    let pushed = bench
        .push(&[(&work_ref, Some(&branches.later_work), at)])
        .await;
    bench.sheet.done("its branch moves on", pushed);
    let checked = bench.client.checked_pull(&bench.repo, pull.number).await;
    let seen = checked.map(|pull| (pull.head == branches.later_work, pull.mergeable));
    bench.sheet.equal(
        "it is (of the new head, mergeable)",
        (true, Some(true)),
        seen,
    );
    let stale = bench
        .client
        .merge_pull(&bench.repo, pull.number, &merge(&branches.work))
        .await;
    bench.sheet.refused("the old head is merged", &[506], stale);
    for name in ["the new head is merged", "it is merged again"] {
        let request = merge(&branches.later_work);
        let merged = bench
            .client
            .merge_pull(&bench.repo, pull.number, &request)
            .await;
        bench
            .sheet
            .equal(name, PullState::Merged, merged.map(|pull| pull.state));
    }
    let tip = bench.client.branch(&bench.repo, MAIN).await;
    let merged = bench.client.pull(&bench.repo, pull.number).await;
    let seen = match (tip, merged) {
        (Ok(tip), Ok(merged)) => Ok(merged.merge_commit == Some(tip)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    bench.sheet.equal("main is the merge commit", true, seen);
}

async fn conflict(bench: &mut Bench) {
    let opened = bench
        .client
        .create_pull(&bench.repo, &new_pull("Worse", RIVAL))
        .await;
    let Some(opened) = bench.sheet.done("one that conflicts is opened", opened) else {
        return;
    };
    let number = opened.pull.number;
    let checked = bench.client.checked_pull(&bench.repo, number).await;
    bench.sheet.equal(
        "its mergeable",
        Some(false),
        checked.map(|pull| pull.mergeable),
    );
    let head = opened.pull.head;
    let refused = bench
        .client
        .merge_pull(&bench.repo, number, &merge(&head))
        .await;
    bench
        .sheet
        .refused("a conflict is merged", &[515, 506], refused);
    let update = PullUpdate {
        state: Some(IssueState::Closed),
        ..PullUpdate::default()
    };
    let closed = bench.client.update_pull(&bench.repo, number, &update).await;
    bench.sheet.equal(
        "it is closed",
        PullState::Closed,
        closed.map(|pull| pull.state),
    );
    let again = bench
        .client
        .create_pull(&bench.repo, &new_pull("Worse again", RIVAL))
        .await;
    let seen = again.map(|again| (again.pull.number > number, again.adopted));
    bench.sheet.equal(
        "opened after that it is (another, adopted)",
        (true, false),
        seen,
    );
    let adopted = bench
        .client
        .create_pull(&bench.repo, &new_pull("Worst", RIVAL))
        .await;
    let seen = adopted.map(|again| (again.pull.number > number, again.adopted));
    bench.sheet.equal(
        "the open one is adopted, not the closed",
        (true, true),
        seen,
    );
}
