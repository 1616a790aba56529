//! The merge queue: real git, a real check, a forge over HTTP.

use std::process::Stdio;

use http::Method;
use serde_json::Value;
use serde_json::json;
use timmy_forge::Comment;
use timmy_forge::Forge;
use timmy_forge::NewLabel;
use timmy_forge::NewPull;
use timmy_forge::PullState;
use timmy_forge::embedded::Fault;
use timmy_forge::embedded::Gate;
use timmy_forge::embedded::InitialCommit;

use crate::home::Home;
use crate::home::git;
use crate::served::NEEDED;
use crate::served::Served;
use crate::served::repo;

/// Fails once `one` and `two` are both there.
const RIVALS: &str = "if test -e one && test -e two; then echo one and two; exit 1; fi\n";
const CHECK: &str = "sh test.sh";

struct Stage {
    home: Home,
    forge: Served,
}

impl Stage {
    /// A project with this check, and pull requests #2, #3, ... that each add a file.
    async fn new(check: &str, files: &[&str]) -> Self {
        let content = vec![("test.sh".to_owned(), check.as_bytes().to_vec())];
        let forge = Served::with(InitialCommit::Files(content)).await;
        let home = Home::new();
        forge.let_in(&home, &NEEDED).await;
        forge.configure(&home, CHECK, "");
        let stage = Self { home, forge };
        let label = NewLabel {
            name: "merge".to_owned(),
            color: "00ff00".to_owned(),
            description: String::new(),
        };
        let made = stage.forge.client.create_label(&repo(), &label).await;
        made.unwrap();
        let clone = stage.home.beside("clone");
        git(&["clone", "-q", &stage.url(), &clone.to_string_lossy()]).await;
        for (place, file) in files.iter().enumerate() {
            stage.push(file, file).await;
            stage.offer(2 + place as u64, file).await;
        }
        stage
    }

    fn url(&self) -> String {
        self.forge.git_url(&self.home)
    }

    async fn git(&self, arguments: &[&str]) -> String {
        let clone = self.home.beside("clone");
        git(&[&["-C", &clone.to_string_lossy()], arguments].concat()).await
    }

    /// Puts a commit with one file on a branch that starts at the clone's `main`.
    async fn push(&self, branch: &str, file: &str) {
        self.git(&["checkout", "-q", "-B", branch, "origin/main"])
            .await;
        std::fs::write(self.home.beside("clone").join(file), branch).unwrap();
        self.git(&["add", "-A"]).await;
        self.git(&["commit", "-q", "-m", branch]).await;
        self.git(&["push", "-q", "-f", &self.url(), branch]).await;
    }

    async fn offer(&self, number: u64, branch: &str) {
        let new = NewPull {
            title: format!("Add {branch}"),
            body: String::new(),
            head: branch.to_owned(),
            base: "main".to_owned(),
            draft: false,
        };
        let opened = self.forge.client.create_pull(&repo(), &new).await.unwrap();
        assert_eq!(number, opened.pull.number);
        let labelled = self
            .forge
            .client
            .add_labels(&repo(), number, &["merge"])
            .await;
        labelled.unwrap();
    }

    async fn work_off(&self) -> Value {
        self.home.json(&["queue", "--run"]).await.json()
    }

    async fn states(&self) -> Vec<(u64, PullState)> {
        let mut pulls = self.forge.pulls().await;
        pulls.sort_by_key(|pull| pull.number);
        pulls.iter().map(|pull| (pull.number, pull.state)).collect()
    }

    async fn comments(&self, number: u64) -> Vec<Comment> {
        let comments = self.forge.client.comments(&repo(), number).await;
        comments.unwrap()
    }

    async fn standings(&self) -> Value {
        let queue = self.home.json(&["queue"]).await.well().json();
        let standing = |pull: &Value| json!([pull["number"], pull["standing"]["standing"]]);
        queue.as_array().unwrap().iter().map(standing).collect()
    }
}

#[tokio::test]
async fn what_breaks_only_together_is_told_and_the_rest_is_merged() {
    let stage = Stage::new(RIVALS, &["one", "two", "three"]).await;
    let ready = json!([[2, "ready"], [3, "ready"], [4, "ready"]]);
    assert_eq!(ready, stage.standings().await);
    let turn = stage.work_off().await;
    let reason = "the check passes with #2 and fails with this on top";
    assert_eq!(json!([2, 4]), turn["merged"]);
    assert_eq!(json!([[3, reason]]), turn["rejected"]);
    let states = [
        (2, PullState::Merged),
        (3, PullState::Open),
        (4, PullState::Merged),
    ];
    assert_eq!(states.to_vec(), stage.states().await);
    let told = stage.comments(3).await;
    assert_eq!(1, told.len());
    assert!(told[0].body.contains("one and two"), "{}", told[0].body);
    assert_eq!(json!([[3, "waits"]]), stage.standings().await);

    // Nothing is said or checked twice.
    let again = stage.work_off().await;
    assert_eq!(json!("no pull request is ready"), again["rest"]);
    assert_eq!(1, stage.comments(3).await.len());
    let events = stage.home.events().await;
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((4, 1), (count("stack_checked"), count("queue_rejected")));

    // Another head has its place again.
    stage.push("two", "second").await;
    assert_eq!(json!([[3, "ready"]]), stage.standings().await);
    assert_eq!(json!([3]), stage.work_off().await["merged"]);
    assert_eq!(0, stage.home.run_directories().len());
    let refs = stage.forge.refs().await;
    assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
}

#[tokio::test]
async fn a_base_that_fails_blames_nobody_and_is_checked_once() {
    let stage = Stage::new("exit 1\n", &["one", "two"]).await;
    let turn = stage.work_off().await;
    let expected = json!([[], [], "the check fails on the base branch itself"]);
    let seen = json!([turn["merged"], turn["rejected"], turn["rest"]]);
    assert_eq!(expected, seen);
    assert!(stage.comments(2).await.is_empty() && stage.comments(3).await.is_empty());
    let again = stage.work_off().await;
    assert_eq!(
        json!([0, turn["rest"]]),
        json!([again["checks"], again["rest"]])
    );
    // The base is mended.
    stage.git(&["checkout", "-q", "main"]).await;
    std::fs::write(stage.home.beside("clone/test.sh"), "true\n").unwrap();
    stage.git(&["commit", "-qam", "Mend"]).await;
    stage.git(&["push", "-q", &stage.url(), "main"]).await;
    assert_eq!(json!([2, 3]), stage.work_off().await["merged"]);
}

#[tokio::test]
async fn a_conflict_with_the_base_is_told() {
    let stage = Stage::new("true\n", &["one"]).await;
    stage.git(&["checkout", "-q", "main"]).await;
    std::fs::write(stage.home.beside("clone/one"), "theirs").unwrap();
    stage.git(&["add", "-A"]).await;
    stage.git(&["commit", "-qm", "Theirs"]).await;
    stage.git(&["push", "-q", &stage.url(), "main"]).await;
    let turn = stage.work_off().await;
    let reason = "it conflicts with the base branch in one";
    assert_eq!(json!([[2, reason]]), turn["rejected"]);
    assert_eq!(json!(0), turn["checks"]);
}

#[tokio::test]
async fn a_process_killed_between_two_merges_is_followed_by_one_that_goes_on() {
    let stage = Stage::new("true\n", &["one", "two", "three"]).await;
    let gate = Gate::new();
    let held = Fault::Held(gate.clone());
    stage
        .forge
        .faults
        .plan(Method::POST, "/pulls/3/merge", held);
    let mut command = stage.home.command(&["queue", "--run"]);
    let mut killed = command.stdout(Stdio::null()).spawn().unwrap();
    gate.reached().await;
    killed.kill().await.unwrap();
    gate.open();
    let turn = stage.work_off().await;
    assert_eq!("the queue is worked off", turn["rest"]);
    let merged = [2, 3, 4].map(|number| (number, PullState::Merged));
    assert_eq!(merged.to_vec(), stage.states().await);
    for number in [2, 3, 4] {
        assert!(stage.comments(number).await.is_empty());
    }
}
