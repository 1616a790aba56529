//! Pushing: branches, claim refs, leases and atomicity.

use timmy_core::ObjectName;
use timmy_git::Credential;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushStatus;
use timmy_git::RefPattern;
use timmy_git::Remote;

use super::Bench;
use super::MAIN;
use crate::error::ForgeError;
use crate::forge::Forge;

const MAIN_REF: &str = "refs/heads/main";
const CLAIM: &str = "refs/timmy/claims/1";
const BRANCH: &str = "refs/heads/timmy/1-1";
const LOST_BRANCH: &str = "refs/heads/timmy/1-2";

pub(super) async fn first_push(bench: &mut Bench) {
    let pushed = push_main(bench).await;
    let Some((head, status)) = bench.sheet.done("the first commit is pushed", pushed) else {
        return;
    };
    let created = Ok::<_, GitError>(status);
    bench
        .sheet
        .equal("the branch is new", vec![PushStatus::Created], created);
    let seen = settled_repository(bench).await;
    let expected = (false, MAIN.to_owned());
    bench
        .sheet
        .equal("it is in the end (empty, default branch)", expected, seen);
    let tip = bench.client.branch(&bench.repo, MAIN).await;
    let tip = tip.map(|tip| tip.short().to_owned());
    bench
        .sheet
        .equal("the forge sees the commit", head.short().to_owned(), tip);
}

/// Servers notice a first push in the background (a Forgejo 7 within a second), and answer 404 for
/// every branch until then.
async fn settled_repository(bench: &Bench) -> Result<(bool, String), ForgeError> {
    let mut waits = bench.client.settling_waits();
    loop {
        let repository = bench.client.repository(&bench.repo).await?;
        let Some(wait) = waits.next().filter(|_| repository.empty) else {
            return Ok((repository.empty, repository.default_branch));
        };
        tokio::time::sleep(wait).await;
    }
}

async fn push_main(bench: &Bench) -> Result<(ObjectName, Vec<PushStatus>), GitError> {
    let head = bench.commit("One\nTwo\nThree\n", &[]).await?;
    let status = bench
        .push(&[(MAIN_REF, Some(&head), Expect::Absent)])
        .await?;
    Ok((head, status))
}

pub(super) async fn check(bench: &mut Bench) {
    wrong_token(bench).await;
    let commits = claim_commits(bench).await;
    let Some((first, second)) = bench.sheet.done("two claims are written", commits) else {
        return;
    };
    claim(bench, &first, &second).await;
    publish(bench, &first, &second).await;
    let removed = bench
        .push(&[(CLAIM, None, at(&first)), (BRANCH, None, at(&first))])
        .await;
    let expected = vec![PushStatus::Deleted, PushStatus::Deleted];
    bench
        .sheet
        .equal("a leased delete removes them", expected, removed);
    let listed = claims(bench).await;
    bench.sheet.equal("no claim is left", vec![], listed);
}

async fn claim_commits(bench: &Bench) -> Result<(ObjectName, ObjectName), GitError> {
    let first = bench.bare.empty_commit("claim one", bench.now).await?;
    let second = bench.bare.empty_commit("claim two", bench.now).await?;
    Ok((first, second))
}

fn at(commit: &ObjectName) -> Expect {
    Expect::At(commit.clone())
}

/// Leaves the claim with `second`.
async fn claim(bench: &mut Bench, first: &ObjectName, second: &ObjectName) {
    let created = bench.push(&[(CLAIM, Some(first), Expect::Absent)]).await;
    bench.sheet.equal(
        "a claim ref is accepted",
        vec![PushStatus::Created],
        created,
    );
    let taken = bench.push(&[(CLAIM, Some(second), Expect::Absent)]).await;
    bench
        .sheet
        .equal("a second claim is stale", vec![PushStatus::Stale], taken);
    let listed = claims(bench).await;
    bench.sheet.equal(
        "the claim is listed",
        vec![first.short().to_owned()],
        listed,
    );
    let takeover = bench.push(&[(CLAIM, Some(second), at(first))]).await;
    bench.sheet.equal(
        "a leased takeover moves it",
        vec![PushStatus::Updated],
        takeover,
    );
    let renewal = bench.push(&[(CLAIM, Some(first), at(first))]).await;
    bench
        .sheet
        .equal("the old holder is stale", vec![PushStatus::Stale], renewal);
}

/// Moves the claim to `first`, with a branch, and then fails to publish on a stale lease.
async fn publish(bench: &mut Bench, first: &ObjectName, second: &ObjectName) {
    let published = bench
        .push(&[
            (CLAIM, Some(first), at(second)),
            (BRANCH, Some(first), Expect::Absent),
        ])
        .await;
    let expected = vec![PushStatus::Updated, PushStatus::Created];
    bench
        .sheet
        .equal("claim and branch move in one push", expected, published);
    let fenced = bench
        .push(&[
            (CLAIM, Some(second), at(second)),
            (LOST_BRANCH, Some(second), Expect::Absent),
        ])
        .await;
    let nothing = fenced.map(|results| results.iter().any(PushStatus::done));
    bench
        .sheet
        .equal("a stale claim publishes anything", false, nothing);
    let branch = bench.client.branch(&bench.repo, "timmy/1-1").await;
    let branch = branch.map(|tip| tip.short().to_owned());
    bench.sheet.equal(
        "the published branch is there",
        first.short().to_owned(),
        branch,
    );
    let lost = bench.client.branch(&bench.repo, "timmy/1-2").await;
    bench
        .sheet
        .refused("the fenced branch is not", &[501], lost);
}

async fn claims(bench: &Bench) -> Result<Vec<String>, GitError> {
    let below = RefPattern::Below("refs/timmy/claims".parse()?);
    let found = bench.bare.list_remote(&bench.remote, &[below]).await?;
    Ok(found
        .iter()
        .map(|(_, commit)| commit.short().to_owned())
        .collect())
}

async fn wrong_token(bench: &mut Bench) {
    let remote = Remote {
        url: bench.remote.url.clone(),
        credential: Some(Credential {
            user: bench.client.user().to_owned(),
            token: "0".repeat(40).into(),
        }),
    };
    let refused = bench.bare.list_remote(&remote, &[]).await;
    let refused = matches!(refused, Err(GitError::Unauthorized { .. }));
    let refused = Ok::<_, GitError>(refused);
    bench
        .sheet
        .equal("git with a wrong token is refused", true, refused);
}
