//! Taking work out of a workspace.

use timmy_git::GitError;
use timmy_git::Revision;

use crate::sample::plain;
use crate::workshop::Workshop;

const BASE: [(&str, &str); 2] = [("a.txt", "a\n"), (".gitignore", "ignored\n")];

#[tokio::test]
async fn nothing_done_is_nothing_collected() {
    let workshop = Workshop::new(&BASE).await;
    assert_eq!(None, workshop.collect().await.unwrap());
    workshop
        .shell("git commit -q --allow-empty -m empty; echo x > ignored")
        .await;
    assert_eq!(None, workshop.collect().await.unwrap());
}

#[tokio::test]
async fn everything_becomes_one_commit_of_the_host() {
    let workshop = Workshop::new(&BASE).await;
    workshop
        .shell(
            "git config user.name Mallory; echo secret > s; git add s; git commit -qm one; \
             git rm -q s; echo b > b.txt; git add b.txt; git commit -qm two; echo c > 'c d.txt'; \
             rm a.txt; git checkout -q --orphan elsewhere; echo > .git/index.lock",
        )
        .await;
    let commit = workshop.collect().await.unwrap().unwrap();
    let bare = workshop.sample.bare.path();
    let show = ["log", "-1", "--format=%an|%cn|%P|%B", commit.as_str()];
    let expected = format!("timmy|timmy|{}|Fix it\n\nIssue: #7", workshop.base);
    assert_eq!(expected, plain(bare, &show));
    let paths = workshop.collected_paths().await;
    assert_eq!(vec!["a.txt", "b.txt", "c d.txt"], paths);
    let kept = "refs/timmy/work/7".parse::<Revision>().unwrap();
    assert!(workshop.sample.bare.resolve(&kept).await.unwrap().is_some());
    let reachable = plain(bare, &["log", "--format=%s", "refs/timmy/work/7"]);
    assert_eq!("Fix it\nbase", reachable);
}

#[tokio::test]
async fn a_destroyed_repository_is_an_error_not_a_result() {
    for damage in [
        "rm -rf .git",
        "rm -rf .git; git init -q",
        "rm -rf .git; echo 'gitdir: /etc' > .git",
        "mv .git real; ln -s real .git; echo b > b",
        "rm -rf .git/objects/*",
        "git init -q nested",
    ] {
        let workshop = Workshop::new(&BASE).await;
        workshop
            .shell(&format!("{damage}; echo new > new.txt"))
            .await;
        let collected = workshop.collect().await;
        let refused = matches!(
            collected,
            Err(GitError::Collect { .. } | GitError::Sandbox(_) | GitError::UnsafeObjects { .. })
        );
        assert!(refused, "{damage}: {collected:?}");
    }
}
