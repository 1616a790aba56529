//! The git tools, through the loop.

use serde_json::Value;
use serde_json::json;

use crate::stage::Stage;
use crate::stage::call;
use crate::stage::calls;
use crate::stage::finish;

const REPOSITORY: &str = "git init -q -b main . && printf 'one\\n' > a && git add a && \
    git -c user.name=Ann -c user.email=ann@example.invalid commit -q -m base";

#[tokio::test]
async fn the_local_tools_work_in_the_workspace() {
    let turns = [
        call("write_file", json!({"path": "a", "contents": "one\ntwo\n"})),
        call("git_status", json!({})),
        call("git_diff", json!({})),
        call("git_stash", json!({})),
        call("git_stash", json!({"pop": true})),
        call("git_branch", json!({"create": "work", "switch": "work"})),
        call("git_add", json!({"paths": ["a"]})),
        call("git_commit", json!({"message": "Count to two"})),
        call("git_log", json!({"max_count": 5})),
        call("git_blame", json!({"path": "a"})),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.shell(REPOSITORY).await;
    let played = stage.play().await;
    let results = played.expect_finished().results();
    assert!(played.successes().into_iter().all(|ok| ok), "{results:#?}");
    let answers: Vec<Value> = results[1..]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(
        (&json!("main"), &json!(["a"])),
        (&answers[0]["branch"], &answers[0]["modified"])
    );
    assert!(answers[1]["patch"].as_str().unwrap().contains("\n+two\n"));
    assert_eq!(json!({"result": "stashed"}), answers[2]);
    assert_eq!(json!({"result": "popped"}), answers[3]);
    assert_eq!("work", answers[4]["active"]);
    assert_eq!(json!(["a"]), answers[5]["staged"]);
    assert_eq!("committed", answers[6]["result"]);
    assert_eq!(answers[6]["sha"], answers[7]["commits"][0]["sha"]);
    assert_eq!("Count to two", answers[7]["commits"][0]["subject"]);
    assert_eq!(answers[6]["sha"], answers[8]["lines"][1]["sha"]);
    assert_eq!("Ann", answers[8]["lines"][0]["author"]);
}

#[tokio::test]
async fn what_would_leave_the_workspace_is_not_done() {
    let turns = [
        calls([
            ("git_push", json!({"branch": "main"})),
            ("git_pull", json!({})),
            (
                "git_clone",
                json!({"url": "https://example.invalid/x.git", "dest": "x"}),
            ),
            ("git_clone", json!({"url": "ext::sh -c true", "dest": "x"})),
            ("git_push", json!({"branch": "--mirror"})),
        ]),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.shell(REPOSITORY).await;
    let played = stage.play().await;
    let results = played.expect_finished().results();
    assert!(results[0].starts_with("Noted. The work tree is published for you"));
    assert!(results[1].starts_with("Not done: a run works from one commit"));
    assert!(results[2].starts_with("Not done: there is no network here."));
    assert!(results[3].starts_with("The arguments do not fit git_clone: "));
    assert!(results[4].starts_with("The arguments do not fit git_push: "));
    assert_eq!(
        [true, false, false, false, false, true],
        *played.successes()
    );
    assert!(!stage.path("x").exists());
}

#[tokio::test]
async fn without_a_repository_git_says_so() {
    let result = Stage::new([call("git_status", json!({})), finish()]).await;
    let mut stage = result;
    let result = stage.play().await.only_result();
    assert!(result.contains("not a git repository"), "{result}");
}
