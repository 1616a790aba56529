//! The git tools, in the sandbox and on the host; each defect of an earlier implementation by name.

use serde_json::json;
use timmy_git::BranchName;
use timmy_git::GitError;
use timmy_git::GitUrl;
use timmy_git::Remote;
use timmy_git::tools;
use timmy_git::tools::Committed;
use timmy_git::tools::GitRunner;
use timmy_git::tools::HostRunner;
use timmy_git::tools::Renamed;
use timmy_git::tools::Stashed;
use timmy_git::tools::Status;
use timmy_git::tools::remote;

use crate::sample::Sample;
use crate::sample::plain;
use crate::sample::write;
use crate::workshop::Workshop;

const BASE: [(&str, &str); 2] = [("a.txt", "one\ntwo\n"), ("sub dir/b.txt", "b\nb\nb\n")];

fn arguments<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn refused<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> bool {
    serde_json::from_value::<T>(value).is_err()
}

async fn status(runner: &dyn GitRunner) -> Status {
    tools::status(runner, &arguments(json!({}))).await.unwrap()
}

#[test]
fn options_do_not_pass_for_names() {
    let option = "--output=/x";
    assert!(refused::<tools::LogArguments>(json!({"branch": option})));
    assert!(refused::<tools::BranchArguments>(json!({"create": option})));
    assert!(refused::<tools::BranchArguments>(json!({"switch": "-f"})));
    assert!(refused::<tools::CloneArguments>(
        json!({"url": "--upload-pack=cmd", "dest": "x"})
    ));
    assert!(refused::<tools::CloneArguments>(
        json!({"url": "ext::sh", "dest": "x"})
    ));
    assert!(refused::<tools::CloneArguments>(
        json!({"url": "https://h/x", "dest": "../x"})
    ));
    assert!(refused::<tools::PushArguments>(
        json!({"branch": "--mirror"})
    ));
    assert!(refused::<tools::AddArguments>(
        json!({"paths": ["../outside"]})
    ));
    assert!(refused::<tools::DiffArguments>(json!({"repo": "/etc"})));
    assert!(refused::<tools::StatusArguments>(json!({"unknown": 1})));
}

#[tokio::test]
async fn a_path_that_looks_like_an_option_is_a_path() {
    let workshop = Workshop::new(&BASE).await;
    workshop
        .shell("echo x > ./--all; echo y > '*.txt'; echo z >> a.txt")
        .await;
    let runner = workshop.runner();
    let paths = json!({"paths": ["--all", "*.txt"]});
    let added = tools::add(&runner, &arguments(paths)).await.unwrap();
    assert_eq!(vec!["*.txt", "--all"], added.staged);
    assert_eq!(vec!["a.txt"], status(&runner).await.modified);
    let diff = tools::diff(&runner, &arguments(json!({"path": "--output=x"})))
        .await
        .unwrap();
    assert_eq!("", diff.patch);
    assert_eq!("", workshop.shell("ls x 2>/dev/null || true").await);
}

#[tokio::test]
async fn a_bar_in_a_subject_corrupts_nothing() {
    let workshop = Workshop::new(&BASE).await;
    workshop
        .shell("git commit -q --allow-empty -m 'a | b\t%s \"c\"' --author='E|vil <e@e.invalid>'")
        .await;
    let log = tools::log(&workshop.runner(), &arguments(json!({})))
        .await
        .unwrap();
    let said: Vec<_> = log
        .commits
        .iter()
        .map(|entry| {
            (
                entry.author.as_str(),
                entry.subject.as_str(),
                entry.files_changed,
            )
        })
        .collect();
    assert_eq!(
        vec![("E|vil", "a | b\t%s \"c\"", 0), ("Ann O'Nym", "base", 2)],
        said
    );
}

#[tokio::test]
async fn an_unborn_branch_is_no_error() {
    let workshop = Workshop::new(&BASE).await;
    workshop
        .shell("mkdir fresh && git -C fresh init -q -b start && echo x > fresh/x")
        .await;
    let runner = workshop.runner();
    let repo = json!({"repo": "fresh"});
    let fresh = tools::status(&runner, &arguments(repo.clone()))
        .await
        .unwrap();
    let expected = Status {
        branch: Some("start".to_owned()),
        unborn: true,
        dirty: true,
        untracked: vec!["x".to_owned()],
        ..Status::default()
    };
    assert_eq!(expected, fresh);
    let log = tools::log(&runner, &arguments(repo.clone())).await.unwrap();
    assert!(log.commits.is_empty());
    let branches = tools::branch(&runner, &arguments(repo)).await.unwrap();
    assert_eq!(
        (vec![], Some("start".to_owned())),
        (branches.branches, branches.active)
    );
    let absent = json!({"repo": "fresh", "branch": "absent"});
    let absent = tools::log(&runner, &arguments(absent)).await;
    assert!(
        matches!(absent, Err(GitError::NotFound { .. })),
        "{absent:?}"
    );
}

#[tokio::test]
async fn a_rename_and_odd_names_are_reported_as_they_are() {
    let workshop = Workshop::new(&BASE).await;
    workshop
        .shell(
            "git mv 'sub dir/b.txt' 'näme | \"q\".txt'; echo new > 'ünïcode name'; echo 3 >> a.txt",
        )
        .await;
    let expected = Status {
        branch: Some("timmy/7-1".to_owned()),
        dirty: true,
        staged: vec!["näme | \"q\".txt".to_owned()],
        modified: vec!["a.txt".to_owned()],
        untracked: vec!["ünïcode name".to_owned()],
        renamed: vec![Renamed {
            from: "sub dir/b.txt".to_owned(),
            to: "näme | \"q\".txt".to_owned(),
        }],
        ..Status::default()
    };
    assert_eq!(expected, status(&workshop.runner()).await);
}

#[tokio::test]
async fn nothing_to_commit_is_said_and_a_commit_is_named() {
    let workshop = Workshop::new(&BASE).await;
    let runner = workshop.runner();
    let message = json!({"message": "--amend\n\nä # not a comment"});
    let commit = async || {
        tools::commit(&runner, &arguments(message.clone()))
            .await
            .unwrap()
    };
    assert_eq!(Committed::NothingToCommit, commit().await);
    workshop.shell("echo 3 >> a.txt").await;
    assert_eq!(Committed::NothingToCommit, commit().await);
    tools::add(&runner, &arguments(json!({"paths": ["."]})))
        .await
        .unwrap();
    let head = match commit().await {
        Committed::Committed { sha } => sha,
        Committed::NothingToCommit => panic!("a staged change was not committed"),
    };
    assert_eq!(head.as_str(), workshop.shell("git rev-parse HEAD").await);
    let log = tools::log(&runner, &arguments(json!({"max_count": 1})))
        .await
        .unwrap();
    assert_eq!(
        ("--amend", 1),
        (
            log.commits[0].subject.as_str(),
            log.commits[0].files_changed
        )
    );
}

#[tokio::test]
async fn branches_are_made_and_switched() {
    let workshop = Workshop::new(&BASE).await;
    let runner = workshop.runner();
    let branch = async |value| tools::branch(&runner, &arguments(value)).await;
    let both = branch(json!({"create": "next", "switch": "next"}))
        .await
        .unwrap();
    assert_eq!(vec!["main", "next", "timmy/7-1"], both.branches);
    assert_eq!(Some("next".to_owned()), both.active);
    assert!(branch(json!({"create": "next"})).await.is_err());
    let back = branch(json!({"switch": "main"})).await.unwrap();
    assert_eq!(Some("main".to_owned()), back.active);
    assert!(branch(json!({"switch": "absent"})).await.is_err());
}

#[tokio::test]
async fn blame_names_the_writer_of_each_line() {
    let workshop = Workshop::new(&BASE).await;
    workshop.shell("echo three >> a.txt").await;
    let blamed = tools::blame(&workshop.runner(), &arguments(json!({"path": "a.txt"}))).await;
    let lines = blamed.unwrap().lines;
    let said: Vec<_> = lines
        .iter()
        .map(|line| (line.line, line.text.as_str()))
        .collect();
    assert_eq!(vec![(1, "one"), (2, "two"), (3, "three")], said);
    assert_eq!(workshop.base.as_str(), lines[0].sha);
    assert_eq!("Ann O'Nym", lines[0].author);
    assert_eq!("0".repeat(40), lines[2].sha);
}

#[tokio::test]
async fn a_stash_goes_and_comes_back() {
    let workshop = Workshop::new(&BASE).await;
    let runner = workshop.runner();
    let stash = async |value| tools::stash(&runner, &arguments(value)).await.unwrap();
    assert_eq!(Stashed::NothingToPop, stash(json!({"pop": true})).await);
    assert_eq!(Stashed::NothingToStash, stash(json!({})).await);
    workshop.shell("echo 3 >> a.txt").await;
    assert_eq!(Stashed::Stashed, stash(json!({"message": "--all"})).await);
    assert!(!status(&runner).await.dirty);
    assert_eq!(Stashed::Popped, stash(json!({"pop": true})).await);
    assert_eq!(vec!["a.txt"], status(&runner).await.modified);
}

#[tokio::test]
async fn the_same_tools_run_on_the_host() {
    let (sample, _) = Sample::with_commit(&BASE).await;
    let source = sample.path("source");
    write(&source.join("a.txt"), "changed\n");
    let runner = HostRunner::new(&sample.git, &source);
    assert_eq!(vec!["a.txt"], status(&runner).await.modified);
    tools::add(&runner, &arguments(json!({"paths": ["a.txt"]})))
        .await
        .unwrap();
    let diff = tools::diff(&runner, &arguments(json!({"staged": true})))
        .await
        .unwrap();
    assert!(diff.patch.contains("+changed"), "{}", diff.patch);
    let committed = tools::commit(&runner, &arguments(json!({"message": "host"}))).await;
    assert!(matches!(committed.unwrap(), Committed::Committed { .. }));
    let outside = HostRunner::new(&sample.git, &sample.path("."));
    assert!(
        tools::status(&outside, &arguments(json!({})))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn clone_pull_and_push_work_between_repositories_of_the_host() {
    let (sample, base) = Sample::with_commit(&BASE).await;
    let origin = Remote::open(GitUrl::local(sample.bare.path()).unwrap());
    let clone = sample.path("clone");
    remote::clone(&sample.git, &origin, &clone).await.unwrap();
    assert_eq!("main", plain(&clone, &["branch", "--show-current"]));
    let other = Sample::new().await;
    let main: BranchName = "main".parse().unwrap();
    let pull = async || remote::pull(&other.bare, &origin, &main).await.unwrap();
    assert_eq!(remote::Pulled::Updated { sha: base.clone() }, pull().await);
    assert_eq!(remote::Pulled::UpToDate, pull().await);
    let push = async || remote::push(&other.bare, &origin, &main).await.unwrap();
    assert_eq!(remote::Pushed::Done { sha: base.clone() }, push().await);
    let tree = other.bare.tree_of(&base).await.unwrap();
    let epoch = jiff::Timestamp::UNIX_EPOCH;
    let ours = other
        .bare
        .commit_tree(&tree, &[&base], "ours", epoch)
        .await
        .unwrap();
    let theirs = sample
        .bare
        .commit_tree(&tree, &[&base], "theirs", epoch)
        .await
        .unwrap();
    other.bare.set_ref(&main.reference(), &ours).await.unwrap();
    sample
        .bare
        .set_ref(&main.reference(), &theirs)
        .await
        .unwrap();
    assert_eq!(remote::Pushed::Behind, push().await);
    assert_eq!(remote::Pulled::Diverged, pull().await);
    sample.bare.set_ref(&main.reference(), &base).await.unwrap();
    assert_eq!(remote::Pushed::Done { sha: ours }, push().await);
}
