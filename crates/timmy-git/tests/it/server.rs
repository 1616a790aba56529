//! Fetching and pushing over smart HTTP, with every way in which a server can fail.

use std::time::Duration;

use secrecy::SecretString;
use timmy_core::Coded;
use timmy_core::ObjectName;
use timmy_git::Credential;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushRef;
use timmy_git::PushStatus;
use timmy_git::RefName;
use timmy_git::RefPattern;
use timmy_git::Refspec;
use timmy_git::Remote;
use timmy_testkit::GitServer;
use timmy_testkit::PushFault;

use crate::sample::Sample;

const TOKEN: &str = "5f0c1e7a9b3d4826";
/// base64 of `bot:5f0c1e7a9b3d4826`.
const HEADER: &str = "Basic Ym90OjVmMGMxZTdhOWIzZDQ4MjY=";

/// libcurl repeats a request once when a kept connection ends without an answer.
const TRIES_OF_CURL: usize = 2;

fn main_branch() -> RefName {
    "refs/heads/main".parse().unwrap()
}

fn with_token(url: &str, token: &str) -> Remote {
    Remote {
        url: url.parse().unwrap(),
        credential: Some(Credential {
            user: "bot".to_owned(),
            token: SecretString::from(token),
        }),
    }
}

fn create(source: &ObjectName, target: &RefName) -> PushRef {
    PushRef {
        source: Some(source.clone()),
        target: target.clone(),
        expect: Expect::Absent,
    }
}

async fn push_one(sample: &Sample, remote: &Remote, one: PushRef) -> Result<PushStatus, GitError> {
    let mut results = sample.bare.push(remote, &[one]).await?;
    assert_eq!(1, results.len());
    Ok(results.remove(0).status)
}

#[tokio::test]
async fn a_lease_decides_who_moves_a_ref() {
    let (sample, base) = Sample::with_commit(&[("a", "a")]).await;
    let server = GitServer::guarded(HEADER).await.unwrap();
    let remote = with_token(&server.create("r.git").await.unwrap(), TOKEN);
    let main: RefName = "refs/timmy/claims/7".parse().unwrap();
    let push = async |one| push_one(&sample, &remote, one).await.unwrap();
    assert_eq!(PushStatus::Created, push(create(&base, &main)).await);
    let next = sample
        .bare
        .empty_commit("next", jiff::Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert_eq!(PushStatus::Stale, push(create(&next, &main)).await);
    let moved = PushRef {
        source: Some(next.clone()),
        target: main.clone(),
        expect: Expect::At(base.clone()),
    };
    assert_eq!(PushStatus::Updated, push(moved.clone()).await);
    assert_eq!(PushStatus::UpToDate, push(moved).await);
    let delete = |expected: &ObjectName| PushRef {
        source: None,
        target: main.clone(),
        expect: Expect::At(expected.clone()),
    };
    assert_eq!(PushStatus::Stale, push(delete(&base)).await);
    let exact = [RefPattern::Exact(main.clone())];
    let listed = sample.bare.list_remote(&remote, &exact).await.unwrap();
    assert_eq!(vec![(main.clone(), next.clone())], listed);
    assert_eq!(PushStatus::Deleted, push(delete(&next)).await);
    assert!(
        sample
            .bare
            .list_remote(&remote, &[])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_push_is_all_or_nothing() {
    let (sample, base) = Sample::with_commit(&[("a", "a")]).await;
    let server = GitServer::open().await.unwrap();
    let remote = Remote::open(server.create("r.git").await.unwrap().parse().unwrap());
    let taken: RefName = "refs/timmy/claims/1".parse().unwrap();
    let free: RefName = "refs/heads/free".parse().unwrap();
    sample
        .bare
        .push(&remote, &[create(&base, &taken)])
        .await
        .unwrap();
    let other = sample
        .bare
        .empty_commit("other", jiff::Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    let both = [create(&other, &taken), create(&other, &free)];
    let results = sample.bare.push(&remote, &both).await.unwrap();
    assert!(
        results.iter().all(|result| !result.status.done()),
        "{results:?}"
    );
    let listed = sample.bare.list_remote(&remote, &[]).await.unwrap();
    assert_eq!(vec![(taken, base)], listed);
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome() {
    let (sample, base) = Sample::with_commit(&[("a", "a")]).await;
    let server = GitServer::open().await.unwrap();
    let remote = Remote::open(server.create("r.git").await.unwrap().parse().unwrap());
    for (fault, branch, done) in [
        (PushFault::LoseAnswer, "refs/heads/done", 1),
        (PushFault::LoseRequest, "refs/heads/lost", 0),
    ] {
        let target: RefName = branch.parse().unwrap();
        server.break_pushes(fault, TRIES_OF_CURL);
        let outcome = push_one(&sample, &remote, create(&base, &target)).await;
        assert!(
            matches!(outcome, Err(GitError::UnknownOutcome { .. })),
            "{outcome:?}"
        );
        let pattern = [RefPattern::Exact(target)];
        let listed = sample.bare.list_remote(&remote, &pattern).await.unwrap();
        assert_eq!(done, listed.len());
    }
}

#[tokio::test]
async fn a_push_that_curl_repeats_looks_stale_although_it_won() {
    let (sample, base) = Sample::with_commit(&[("a", "a")]).await;
    let server = GitServer::open().await.unwrap();
    let remote = Remote::open(server.create("r.git").await.unwrap().parse().unwrap());
    server.break_pushes(PushFault::LoseAnswer, 1);
    let status = push_one(&sample, &remote, create(&base, &main_branch())).await;
    assert!(
        matches!(
            status,
            Ok(PushStatus::Stale) | Err(GitError::UnknownOutcome { .. })
        ),
        "{status:?}"
    );
    let listed = sample.bare.list_remote(&remote, &[]).await.unwrap();
    assert_eq!(vec![(main_branch(), base)], listed);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let (sample, base) = Sample::with_commit(&[("a", "a")]).await;
    let server = GitServer::guarded(HEADER).await.unwrap();
    let url = server.create("r.git").await.unwrap();
    let every = [Refspec::every_branch()];
    let wrong = with_token(&url, "0000000000000000");
    let missing = with_token(&format!("{}/missing.git", server.url()), TOKEN);
    let closed = Remote::open("http://127.0.0.1:1/r.git".parse().unwrap());
    let local = Remote::open("/nonexistent/r.git".parse().unwrap());
    for (remote, code) in [
        (&wrong, "TIMMY-0402"),
        (&missing, "TIMMY-0404"),
        (&closed, "TIMMY-0405"),
        (&local, "TIMMY-0404"),
    ] {
        let fetched = sample.bare.fetch(remote, &every).await.unwrap_err();
        assert_eq!(code, fetched.problem().code.to_string(), "{fetched:?}");
        let listed = sample.bare.list_remote(remote, &[]).await.unwrap_err();
        assert_eq!(code, listed.problem().code.to_string(), "{listed:?}");
        let pushed = push_one(&sample, remote, create(&base, &main_branch()))
            .await
            .unwrap_err();
        assert_eq!(code, pushed.problem().code.to_string(), "{pushed:?}");
    }
    let absent = Refspec::one(&"refs/heads/absent".parse().unwrap(), &main_branch());
    let fetched = sample.bare.fetch(&with_token(&url, TOKEN), &[absent]).await;
    assert!(
        matches!(fetched, Err(GitError::NotFound { .. })),
        "{fetched:?}"
    );
}

#[tokio::test]
async fn fetch_takes_branches_and_commits() {
    let (sample, base) = Sample::with_commit(&[("a", "a")]).await;
    let server = GitServer::open().await.unwrap();
    let remote = Remote::open(server.create("r.git").await.unwrap().parse().unwrap());
    sample
        .bare
        .push(&remote, &[create(&base, &main_branch())])
        .await
        .unwrap();
    let other = Sample::new().await;
    other
        .bare
        .fetch(&remote, &[Refspec::every_branch()])
        .await
        .unwrap();
    assert_eq!(
        Some(base.clone()),
        other.bare.resolve(&"main".parse().unwrap()).await.unwrap()
    );
    let kept: RefName = "refs/timmy/base/1".parse().unwrap();
    other
        .bare
        .fetch(&remote, &[Refspec::object(&base, &kept)])
        .await
        .unwrap();
    assert_eq!(
        Some(base),
        other.bare.resolve(&(&kept).into()).await.unwrap()
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sample = Sample::new().await;
    let impatient = sample.git.with_idle_limit(Duration::from_millis(300));
    let bare = timmy_git::BareRepository::open_or_init(&impatient, sample.bare.path())
        .await
        .unwrap();
    let remote = Remote::open(format!("http://{address}/r.git").parse().unwrap());
    let silent = bare.list_remote(&remote, &[]).await;
    assert!(
        matches!(silent, Err(GitError::Stalled { .. })),
        "{silent:?}"
    );
    let commit = bare
        .empty_commit("x", jiff::Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    let pushed = bare.push(&remote, &[create(&commit, &main_branch())]).await;
    assert!(
        matches!(pushed, Err(GitError::UnknownOutcome { .. })),
        "{pushed:?}"
    );
}
