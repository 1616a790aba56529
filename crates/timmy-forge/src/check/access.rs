//! Who may do what, and the life of the scratch repository.

use std::sync::Arc;

use secrecy::SecretString;
use timmy_core::Clock;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushStatus;

use super::Bench;
use super::MAIN;
use super::Subject;
use super::client;
use crate::error::ForgeError;
use crate::forge::Forge;
use crate::types::NewIssue;
use crate::types::NewRepository;

pub(super) async fn check(bench: &mut Bench, subject: &Subject, clock: &Arc<dyn Clock>) {
    let server = bench.client.server().await;
    let named = server.map(|server| !server.version.is_empty());
    bench
        .sheet
        .equal("the server names its version", true, named);

    let unknown = SecretString::from("0".repeat(40));
    let stranger = async {
        let stranger = client(subject, &unknown, clock)?;
        stranger.repository(&bench.repo).await
    };
    let refused = stranger.await;
    bench
        .sheet
        .refused("a token that does not exist", &[502], refused);

    let missing = bench.client.repository(&bench.repo).await;
    bench
        .sheet
        .refused("a repository that does not exist", &[501], missing);

    if let Some(token) = &subject.read_only {
        let refused = write_with(bench, subject, token, clock).await;
        let scope = match &refused {
            Err(ForgeError::Forbidden { scope, .. }) => scope.clone(),
            Ok(_) | Err(_) => None,
        };
        bench
            .sheet
            .refused("a write with a token that may read", &[503], refused);
        let named = Ok::<_, ForgeError>(scope.is_some_and(|scope| scope.starts_with("write:")));
        bench
            .sheet
            .equal("the refusal names the scope", true, named);
    }
}

async fn write_with(
    bench: &Bench,
    subject: &Subject,
    token: &SecretString,
    clock: &Arc<dyn Clock>,
) -> Result<(), ForgeError> {
    let reader = client(subject, token, clock)?;
    reader
        .create_repository(&new_repository(bench))
        .await
        .map(drop)
}

fn new_repository(bench: &Bench) -> NewRepository {
    NewRepository {
        name: bench.repo.name().to_owned(),
        private: true,
        with_first_commit: false,
        default_branch: MAIN.to_owned(),
    }
}

pub(super) async fn make_repository(bench: &mut Bench) -> Option<()> {
    let new = new_repository(bench);
    let made = bench.client.create_repository(&new).await;
    let made = bench.sheet.done("a repository is made", made)?;
    let seen = Ok::<_, ForgeError>((made.empty, made.can_push, made.archived));
    bench.sheet.equal(
        "it is (empty, writable, archived)",
        (true, true, false),
        seen,
    );
    let again = bench.client.create_repository(&new).await;
    bench.sheet.refused("the same name again", &[506], again);
    let missing = bench.client.issue(&bench.repo, 9999).await;
    bench
        .sheet
        .refused("an issue that does not exist", &[501], missing);
    let branch = bench.client.branch(&bench.repo, MAIN).await;
    bench
        .sheet
        .refused("a branch of an empty repository", &[501, 505], branch);
    Some(())
}

/// The last group: after it the repository takes no writes.
pub(super) async fn archive(bench: &mut Bench) {
    let archived = bench.client.archive_repository(&bench.repo).await;
    if bench
        .sheet
        .done("the repository is archived", archived)
        .is_none()
    {
        return;
    }
    let repository = bench.client.repository(&bench.repo).await;
    bench.sheet.equal(
        "it says so",
        true,
        repository.map(|repository| repository.archived),
    );
    let new = NewIssue {
        title: "Too late".to_owned(),
        ..NewIssue::default()
    };
    let refused = bench.client.create_issue(&bench.repo, &new).await;
    bench
        .sheet
        .refused("an issue in an archived repository", &[504], refused);
    let refused = bench.client.comment(&bench.repo, 1, "Too late").await;
    bench
        .sheet
        .refused("a comment in an archived repository", &[504], refused);
    let moved = push_late(bench).await;
    bench.sheet.equal(
        "a push to an archived repository moves anything",
        false,
        moved,
    );
    let read = bench.client.issue(&bench.repo, 1).await;
    bench
        .sheet
        .equal("reading goes on", 1, read.map(|issue| issue.number));
}

async fn push_late(bench: &Bench) -> Result<bool, GitError> {
    let late = bench.bare.empty_commit("too late", bench.now).await?;
    let pushed = bench
        .push(&[("refs/timmy/claims/9", Some(&late), Expect::Absent)])
        .await;
    match pushed {
        Ok(results) => Ok(results.iter().any(PushStatus::done)),
        Err(GitError::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
