//! The real git program against the smart HTTP of the embedded forge.

use futures_util::future::join_all;
use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::forge_server::ForgeServer;
use crate::forge_server::git;

const CLAIM: &str = "refs/timmy/claims/1";

async fn empty_commit(clone: &crate::forge_server::Clone, message: &str) -> String {
    let tree = clone
        .run(&["hash-object", "-t", "tree", "-w", "/dev/null"])
        .await;
    clone.run(&["commit-tree", "-m", message, &tree]).await
}

#[tokio::test]
async fn a_clone_a_push_and_another_clone_agree() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    // Larger than what git sends in one piece (http.postBuffer, 1 MiB), and not compressible.
    let mut noise = vec![0_u8; 3 << 20];
    let mut state = 1_u32;
    for byte in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    std::fs::write(clone.path.join("noise"), &noise).unwrap();
    let head = clone.push_more("main", "note", "one\n").await;
    let other = server.clone_project("two").await;
    assert_eq!(head, other.run(&["rev-parse", "HEAD"]).await);
    assert_eq!(noise, std::fs::read(other.path.join("noise")).unwrap());
    other.run(&["fsck", "--strict"]).await;
}

#[tokio::test]
async fn a_fetch_with_many_haves_comes_compressed_and_is_understood() {
    let server = ForgeServer::start().await;
    let one = server.clone_project("one").await;
    let two = server.clone_project("two").await;
    for number in 0..40 {
        let message = format!("local {number}");
        two.run(&["commit", "-q", "--allow-empty", "-m", &message])
            .await;
    }
    let head = one.push_more("main", "note", "one\n").await;
    two.run(&["fetch", "-q", "origin"]).await;
    assert_eq!(head, two.run(&["rev-parse", "origin/main"]).await);
}

#[tokio::test]
async fn a_lease_lets_exactly_one_of_many_take_a_claim() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let mut commits = Vec::new();
    for number in 0..6 {
        commits.push(empty_commit(&clone, &format!("claim {number}")).await);
    }
    let lease = format!("--force-with-lease={CLAIM}:");
    let pushes = commits.iter().map(|commit| {
        let (clone, lease) = (&clone, &lease);
        async move {
            let refspec = format!("{commit}:{CLAIM}");
            clone
                .git(&["push", "--porcelain", lease, "origin", &refspec])
                .await
        }
    });
    let ends = join_all(pushes).await;
    assert_eq!(1, ends.iter().filter(|end| end.ok).count(), "{ends:?}");
    let winner = ends.iter().position(|end| end.ok).unwrap();
    let listed = clone.run(&["ls-remote", "origin", CLAIM]).await;
    assert_eq!(format!("{}\t{CLAIM}", commits[winner]), listed);
}

#[tokio::test]
async fn an_atomic_push_moves_claim_and_branch_or_neither() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let first = empty_commit(&clone, "first").await;
    let second = empty_commit(&clone, "second").await;
    clone
        .run(&["push", "-q", "origin", &format!("{first}:{CLAIM}")])
        .await;
    let publish = |expected: String, branch: &'static str| {
        let (clone, second) = (&clone, &second);
        async move {
            let lease = format!("--force-with-lease={CLAIM}:{expected}");
            let absent = format!("--force-with-lease={branch}:");
            let claim = format!("{second}:{CLAIM}");
            let work = format!("HEAD:{branch}");
            let arguments = ["push", "--atomic", &lease, &absent, "origin", &claim, &work];
            clone.git(&arguments).await
        }
    };
    let stale = publish(second.clone(), "refs/heads/timmy/1-1").await;
    assert!(!stale.ok && stale.said.contains("stale info"), "{stale:?}");
    let fresh = publish(first.clone(), "refs/heads/timmy/1-2").await;
    assert!(fresh.ok, "{fresh:?}");
    let heads = clone.run(&["ls-remote", "--heads", "origin"]).await;
    assert!(
        heads.contains("timmy/1-2") && !heads.contains("timmy/1-1"),
        "{heads}"
    );
    let refs = server.get("/repos/bot/project/git/refs/timmy/claims").await;
    assert_eq!(second, refs.json()[0]["object"]["sha"]);
}

#[tokio::test]
async fn the_refs_of_pull_requests_are_the_forges_own() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let refused = clone
        .git(&["push", "origin", "HEAD:refs/pull/7/head"])
        .await;
    assert!(
        !refused.ok && refused.said.contains("hidden ref"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn broken_objects_are_refused() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    std::fs::write(
        clone.path.join(".gitmodules"),
        "[submodule \"-x\"]\n\turl = -u./x\n",
    )
    .unwrap();
    clone.run(&["add", "-A"]).await;
    clone.run(&["commit", "-q", "-m", "hostile"]).await;
    let refused = clone.git(&["push", "origin", "HEAD:main"]).await;
    assert!(!refused.ok, "{refused:?}");
}

#[tokio::test]
async fn hooks_in_the_repository_do_not_run() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let repositories = server.directory.path().join("home/forge/repositories");
    let bare = std::fs::read_dir(repositories)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let hooks = bare.path().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "pre-receive",
        "update",
        "post-receive",
        "reference-transaction",
    ] {
        let file = hooks.join(hook);
        std::fs::write(&file, "#!/bin/sh\nexit 1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
    }
    clone.push_more("main", "note", "one\n").await;
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let url = format!("{}/bot/project.git", server.url());
    let nobody = git(server.directory.path(), "", &["ls-remote", &url]).await;
    assert!(
        !nobody.ok && nobody.said.contains("could not read Username"),
        "{nobody:?}"
    );
    let wrong = git(
        server.directory.path(),
        &"0".repeat(40),
        &["ls-remote", &url],
    )
    .await;
    assert!(!wrong.ok, "{wrong:?}");
    let stranger = git(server.directory.path(), &server.alice, &["ls-remote", &url]).await;
    assert!(
        !stranger.ok && stranger.said.contains("not found"),
        "{stranger:?}"
    );

    let invite = json!({"permission": "read"});
    let path = "/repos/bot/project/collaborators/alice";
    server.ask(Method::PUT, path, &server.bot, invite).await;
    let reader = git(
        &clone.path,
        &server.alice,
        &["push", &url, "HEAD:refs/heads/x"],
    )
    .await;
    assert!(!reader.ok && reader.said.contains("403"), "{reader:?}");

    let read_only = [timmy_forge::embedded::Scope::ReadRepository];
    let token = server
        .forge
        .create_token("bot", "reader", &read_only)
        .await
        .unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&token);
    assert!(git(&clone.path, token, &["ls-remote", &url]).await.ok);
    let scoped = git(&clone.path, token, &["push", &url, "HEAD:refs/heads/x"]).await;
    assert!(!scoped.ok && scoped.said.contains("403"), "{scoped:?}");

    server
        .patch("/repos/bot/project", json!({"archived": true}))
        .await;
    let archived = clone.git(&["push", "origin", "HEAD:refs/heads/x"]).await;
    assert!(
        !archived.ok && archived.said.contains("403"),
        "{archived:?}"
    );
    assert_eq!(
        Value::Bool(true),
        server.get("/repos/bot/project").await.json()["archived"]
    );
}
