//! Each promise of the protocol by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::ClaimError;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Identity;
use timmy_forge::claim::KeptClaim;
use timmy_forge::claim::LapseReason;
use timmy_forge::claim::Lapsed;
use timmy_forge::claim::Published;
use timmy_forge::claim::RefSpace;
use timmy_git::Expect;
use timmy_git::RefName;
use timmy_testkit::PushFault;

use crate::claim::stage::Stage;
use crate::claim::stage::bare;
use crate::claim::stage::win;

/// libcurl repeats a request once when a kept connection ends without an answer.
const TRIES_OF_CURL: usize = 2;

fn branch() -> RefName {
    "refs/heads/timmy/7-1".parse().unwrap()
}

async fn work(stage: &Stage, host: &str) -> ObjectName {
    let bare = bare(&stage.root.path().join(host)).await;
    bare.empty_commit(&format!("work of {host}"), Timestamp::UNIX_EPOCH)
        .await
        .unwrap()
}

async fn acquire(claims: &Claims, issue: u64) -> Acquired {
    claims.acquire(issue, &RunId::generate()).await.unwrap()
}

async fn lapsed(claims: &Claims, issue: u64) -> Lapsed {
    match acquire(claims, issue).await {
        Acquired::Lapsed(lapsed) => lapsed,
        other => panic!("not lapsed: {other:?}"),
    }
}

/// One host dies and another takes its claim over.
async fn take_over(stage: &Stage, heir: &Claims) -> timmy_forge::claim::Claim {
    assert!(matches!(acquire(heir, 7).await, Acquired::Held(_)));
    stage.pass(750);
    let lapsed = lapsed(heir, 7).await;
    assert_eq!(LapseReason::NotRenewed, lapsed.reason);
    match heir.takeover(&lapsed, &RunId::generate()).await.unwrap() {
        Acquired::Won(claim) => claim,
        other => panic!("not won: {other:?}"),
    }
}

#[tokio::test]
async fn a_claim_excludes_others_until_it_is_released() {
    let stage = Stage::new().await;
    let (one, other) = (stage.host("one").await, stage.host("other").await);
    let claim = win(&one, 7).await;
    assert_eq!("refs/timmy/claims/7", claim.reference.as_str());
    let Acquired::Held(holder) = acquire(&other, 7).await else {
        panic!("two hosts hold issue 7");
    };
    let message = holder.message.unwrap();
    let said = (
        message.issue,
        message.epoch,
        message.worker_id.as_str(),
        message.ttl_s,
    );
    assert_eq!((7, 1, "worker-one", 600), said);
    assert_eq!(750, holder.lapses_in.as_secs());
    win(&other, 8).await;
    let issues: Vec<u64> = one
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|(issue, _)| issue)
        .collect();
    assert_eq!(vec![7, 8], issues);
    one.release(claim).await.unwrap();
    assert_eq!(None, other.observe(7).await.unwrap());
    win(&other, 7).await;
}

#[tokio::test]
async fn a_renewed_claim_never_lapses() {
    let stage = Stage::new().await;
    let (one, other) = (stage.host("one").await, stage.host("other").await);
    let mut claim = win(&one, 7).await;
    for _ in 0..10 {
        assert!(matches!(acquire(&other, 7).await, Acquired::Held(_)));
        stage.pass(300);
        one.renew(&mut claim).await.unwrap();
    }
}

#[tokio::test]
async fn a_dispossessed_host_learns_of_it_and_cannot_publish() {
    let stage = Stage::new().await;
    let (one, heir) = (stage.host("one").await, stage.host("heir").await);
    let mut claim = win(&one, 7).await;
    let taken = take_over(&stage, &heir).await;
    assert_eq!(2, taken.epoch);
    let fenced = one.renew(&mut claim).await.unwrap_err();
    assert!(
        matches!(fenced, ClaimError::Fenced { issue: 7, .. }),
        "{fenced}"
    );
    let commit = work(&stage, "one").await;
    let published = one
        .publish(&mut claim, &branch(), &commit, Expect::Absent)
        .await;
    assert!(published.unwrap_err().ends_the_run());
    assert_eq!(None, stage.on_forge(&branch()).await);
}

/// The same when the dispossessed host's clock did not move at all: the lease stops it.
#[tokio::test]
async fn fencing_does_not_depend_on_the_holders_clock() {
    let stage = Stage::new().await;
    let heir = stage.host("heir").await;
    let asleep = Stage {
        clock: Arc::default(),
        root: tempfile::tempdir().unwrap(),
        remote: stage.remote.clone(),
        server: timmy_testkit::GitServer::open().await.unwrap(),
    };
    let one = asleep.host("one").await;
    let mut claim = win(&one, 7).await;
    let taken = take_over(&stage, &heir).await;
    let commit = work(&asleep, "one").await;
    let published = one
        .publish(&mut claim, &branch(), &commit, Expect::Absent)
        .await;
    assert!(
        matches!(published, Err(ClaimError::Lost { issue: 7, .. })),
        "{published:?}"
    );
    assert_eq!(None, stage.on_forge(&branch()).await);
    let renewed = one.renew(&mut claim).await;
    assert!(
        matches!(renewed, Err(ClaimError::Lost { .. })),
        "{renewed:?}"
    );
    let released = one.release(claim).await;
    assert!(
        matches!(released, Err(ClaimError::Lost { .. })),
        "{released:?}"
    );
    assert!(stage.on_forge(&taken.reference).await.is_some());
}

#[tokio::test]
async fn publishing_moves_branch_and_claim_together() {
    let stage = Stage::new().await;
    let one = stage.host("one").await;
    let mut claim = win(&one, 7).await;
    let before = stage.on_forge(&claim.reference).await;
    let commit = work(&stage, "one").await;
    let published = one
        .publish(&mut claim, &branch(), &commit, Expect::Absent)
        .await;
    assert_eq!(Published::Done, published.unwrap());
    assert_eq!(Some(commit.clone()), stage.on_forge(&branch()).await);
    assert_ne!(before, stage.on_forge(&claim.reference).await);
    one.renew(&mut claim).await.unwrap();
}

#[tokio::test]
async fn a_branch_that_somebody_moved_is_left_alone() {
    let stage = Stage::new().await;
    let one = stage.host("one").await;
    let mut claim = win(&one, 7).await;
    let theirs = work(&stage, "one").await;
    one.publish(&mut claim, &branch(), &theirs, Expect::Absent)
        .await
        .unwrap();
    let bare = bare(&stage.root.path().join("one")).await;
    let commit = bare
        .empty_commit("ours", Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    let claimed = stage.on_forge(&claim.reference).await;
    let moved = one
        .publish(&mut claim, &branch(), &commit, Expect::Absent)
        .await
        .unwrap();
    let expected = Published::BranchMoved {
        actual: Some(theirs.clone()),
    };
    assert_eq!(expected, moved);
    assert_eq!(claimed, stage.on_forge(&claim.reference).await);
    let done = one
        .publish(&mut claim, &branch(), &commit, Expect::At(theirs))
        .await
        .unwrap();
    assert_eq!(Published::Done, done);
}

#[tokio::test]
async fn lost_answers_are_found_again() {
    let stage = Stage::new().await;
    let one = stage.host("one").await;
    for requests in 1..=TRIES_OF_CURL {
        let issue = 7 + requests as u64;
        let lose = || stage.server.break_pushes(PushFault::LoseAnswer, requests);
        lose();
        let mut claim = win(&one, issue).await;
        stage.server.mend();
        lose();
        one.renew(&mut claim).await.unwrap();
        stage.server.mend();
        lose();
        let branch: RefName = format!("refs/heads/timmy/{issue}-1").parse().unwrap();
        let commit = work(&stage, "one").await;
        let published = one
            .publish(&mut claim, &branch, &commit, Expect::Absent)
            .await;
        assert_eq!(Published::Done, published.unwrap());
        stage.server.mend();
        lose();
        one.release(claim).await.unwrap();
        stage.server.mend();
        assert_eq!(None, one.observe(issue).await.unwrap());
    }
}

#[tokio::test]
async fn a_lost_request_can_be_repeated() {
    let stage = Stage::new().await;
    let one = stage.host("one").await;
    let lose = || {
        stage
            .server
            .break_pushes(PushFault::LoseRequest, TRIES_OF_CURL)
    };
    lose();
    let acquired = one.acquire(7, &RunId::generate()).await;
    assert!(
        matches!(acquired, Err(ClaimError::Unreachable { .. })),
        "{acquired:?}"
    );
    stage.server.mend();
    let mut claim = win(&one, 7).await;
    lose();
    let renewed = one.renew(&mut claim).await;
    assert!(
        matches!(renewed, Err(ClaimError::Unreachable { .. })),
        "{renewed:?}"
    );
    stage.server.mend();
    one.renew(&mut claim).await.unwrap();
}

#[tokio::test]
async fn an_own_claim_without_a_run_is_taken_again() {
    let stage = Stage::new().await;
    let one = stage.host("one").await;
    let claim = win(&one, 7).await;
    assert!(matches!(acquire(&one, 7).await, Acquired::Held(_)));
    drop(claim);
    let lapsed = lapsed(&one, 7).await;
    assert_eq!(LapseReason::Own, lapsed.reason);
    let again = one.takeover(&lapsed, &RunId::generate()).await.unwrap();
    assert!(matches!(again, Acquired::Won(claim) if claim.epoch == 2));
}

#[tokio::test]
async fn a_claim_of_another_part_of_the_process_is_held() {
    let stage = Stage::new().await;
    let identity = Identity::new("worker-one", "machine-one");
    let ttl = Duration::from_secs(600);
    let one = stage.part_of(&identity, "one", ttl).await;
    let other = stage.part_of(&identity, "other", ttl).await;
    let claim = win(&one, 7).await;
    drop(one);
    assert!(matches!(acquire(&other, 7).await, Acquired::Held(_)));
    drop(claim);
    assert_eq!(LapseReason::Own, lapsed(&other, 7).await.reason);
}

#[tokio::test]
async fn of_two_heirs_one_inherits() {
    let stage = Stage::new().await;
    let (one, two) = (stage.host("one").await, stage.host("two").await);
    win(&stage.host("dead").await, 7).await;
    for heir in [&one, &two] {
        assert!(matches!(acquire(heir, 7).await, Acquired::Held(_)));
    }
    stage.pass(751);
    let (first, second) = (lapsed(&one, 7).await, lapsed(&two, 7).await);
    let run = RunId::generate();
    let (first, second) = tokio::join!(one.takeover(&first, &run), two.takeover(&second, &run));
    let won = [first.unwrap(), second.unwrap()]
        .iter()
        .filter(|acquired| matches!(acquired, Acquired::Won(_)))
        .count();
    assert_eq!(1, won);
}

#[tokio::test]
async fn a_server_that_hides_refs_gets_branches() {
    let stage = Stage::new().await;
    let mut one = stage.host("one").await;
    assert_eq!(RefSpace::Hidden, one.probe().await.unwrap());
    let config = stage.server.path("repo.git").join("config");
    let hidden = std::fs::read_to_string(&config).unwrap() + "[receive]\n\thideRefs = refs/timmy\n";
    std::fs::write(&config, hidden).unwrap();
    let refused = one.acquire(7, &RunId::generate()).await;
    assert!(
        matches!(refused, Err(ClaimError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(RefSpace::Branches, one.probe().await.unwrap());
    let claim = win(&one, 7).await;
    assert_eq!("refs/heads/timmy-claims/7", claim.reference.as_str());
    assert_eq!(1, one.list().await.unwrap().len());
}

#[tokio::test]
async fn something_else_under_the_name_is_respected_until_it_lapses() {
    let stage = Stage::new().await;
    let one = stage.host("one").await;
    let bare = bare(&stage.root.path().join("stranger")).await;
    let odd = bare
        .empty_commit("not JSON", Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    let push = timmy_git::PushRef {
        source: Some(odd),
        target: "refs/timmy/claims/7".parse().unwrap(),
        expect: Expect::Absent,
    };
    bare.push(&stage.remote, &[push]).await.unwrap();
    assert!(matches!(acquire(&one, 7).await, Acquired::Held(holder) if holder.message.is_none()));
    stage.pass(750);
    assert_eq!(LapseReason::NotRenewed, lapsed(&one, 7).await.reason);
}

#[tokio::test]
async fn a_kept_claim_publishes_and_is_released() {
    let stage = Stage::new().await;
    let one = Arc::new(stage.host("one").await);
    let claim = win(&one, 7).await;
    let kept = KeptClaim::start(Arc::clone(&one), claim);
    let commit = work(&stage, "one").await;
    let published = kept
        .publish(&branch(), &commit, Expect::Absent)
        .await
        .unwrap();
    assert_eq!(Published::Done, published);
    kept.release().await.unwrap();
    assert!(one.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_kept_claim_tells_of_its_loss() {
    let stage = Stage::new().await;
    let one = stage.host_with("one", Duration::from_secs(2)).await;
    let claim = win(&one, 7).await;
    let taken = stage.on_forge(&claim.reference).await.unwrap();
    let thief = bare(&stage.root.path().join("thief")).await;
    let push = timmy_git::PushRef {
        source: None,
        target: claim.reference.clone(),
        expect: Expect::At(taken),
    };
    thief.push(&stage.remote, &[push]).await.unwrap();
    let kept = KeptClaim::start(Arc::new(one), claim);
    let error = kept.lost().await;
    assert!(
        matches!(&*error, ClaimError::Lost { issue: 7, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_kept_claim_is_not_waited_for_longer_than_it_may_be_acted_under() {
    let stage = Stage::new().await;
    let one = stage.host_with("one", Duration::from_millis(500)).await;
    let claim = win(&one, 7).await;
    stage.server.break_pushes(PushFault::KeepSilent, 1);
    let kept = KeptClaim::start(Arc::new(one), claim);
    let error = kept.lost().await;
    assert!(
        matches!(&*error, ClaimError::Fenced { issue: 7, .. }),
        "{error}"
    );
    let late = kept.release().await.unwrap_err();
    assert!(matches!(late, ClaimError::Lost { .. }), "{late}");
}

#[tokio::test]
async fn a_publication_that_nobody_answers_ends_with_the_claim() {
    let stage = Stage::new().await;
    let one = stage.host_with("one", Duration::from_secs(2)).await;
    let claim = win(&one, 7).await;
    let commit = work(&stage, "one").await;
    stage.server.break_pushes(PushFault::KeepSilent, 1);
    let kept = KeptClaim::start(Arc::new(one), claim);
    let published = kept.publish(&branch(), &commit, Expect::Absent).await;
    let error = published.unwrap_err();
    assert!(matches!(error, ClaimError::Fenced { .. }), "{error}");
    assert_eq!(None, stage.on_forge(&branch()).await);
}

#[tokio::test]
async fn a_publication_is_tried_again_while_the_claim_holds() {
    let stage = Stage::new().await;
    let one = Arc::new(stage.host_with("one", Duration::from_secs(10)).await);
    let claim = win(&one, 7).await;
    let commit = work(&stage, "one").await;
    let kept = KeptClaim::start(Arc::clone(&one), claim);
    stage
        .server
        .break_pushes(PushFault::LoseRequest, TRIES_OF_CURL);
    let published = kept.publish(&branch(), &commit, Expect::Absent).await;
    assert_eq!(Published::Done, published.unwrap());
    assert_eq!(Some(commit), stage.on_forge(&branch()).await);
    kept.release().await.unwrap();
}

#[tokio::test]
async fn a_survey_tells_how_long_claims_were_not_renewed() {
    let stage = Stage::new().await;
    let (one, other) = (stage.host("one").await, stage.host("other").await);
    let mut first = win(&one, 7).await;
    win(&other, 8).await;
    stage.pass(300);
    one.renew(&mut first).await.unwrap();
    stage.pass(200);
    let told = async |claims: &Claims| {
        let surveyed = claims.survey(10).await.unwrap();
        let told = surveyed.iter().map(|claim| {
            let seconds = claim.unrenewed_for.as_secs();
            (claim.reference.as_str().to_owned(), claim.is_own, seconds)
        });
        told.collect::<Vec<_>>()
    };
    let named = |issue, is_own, seconds| (format!("refs/timmy/claims/{issue}"), is_own, seconds);
    // What another machine's clock says counts for nothing.
    assert_eq!(
        vec![named(7, true, 200), named(8, false, 0)],
        told(&one).await
    );
    stage.pass(100);
    assert_eq!(
        vec![named(7, true, 300), named(8, false, 100)],
        told(&one).await
    );
    assert_eq!(1, one.survey(1).await.unwrap().len());
}
