//! Writes whose replies are lost, and what else can become of them.

use std::sync::Arc;
use std::sync::Mutex;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_core::ObjectName;
use timmy_forge::Forge;
use timmy_forge::ForgeError;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;
use timmy_forge::NewPull;
use timmy_forge::PullState;
use timmy_forge::marker::mark;
use timmy_loopback::Reply;

use crate::scripted::Asked;
use crate::scripted::Scripted;
use crate::scripted::json;
use crate::scripted::repo;
use crate::scripted::text;
use crate::scripted::with_header;

const MAIN: &str = "main";
const WORK: &str = "timmy/1-1";

fn head() -> ObjectName {
    "a".repeat(40).parse().unwrap()
}

fn pull_json(title: &str, state: &str, merged: bool, mergeable: bool) -> Value {
    json!({"id": 1, "number": 5, "state": state, "merged": merged, "mergeable": mergeable, "title": title,
           "body": "text", "merge_commit_sha": "b".repeat(40), "user": {"login": "bot"},
           "head": {"ref": WORK, "sha": head(), "repo_id": 1}, "base": {"ref": MAIN, "repo_id": 1}})
}

fn new_pull(draft: bool) -> NewPull {
    NewPull {
        title: "Fix it".into(),
        body: "text".into(),
        head: WORK.into(),
        base: MAIN.into(),
        draft,
    }
}

/// A forge with one list of comments, which answers the `n`th POST as told.
async fn comments_forge(
    reply: impl Fn(usize, &Asked, &mut Vec<Value>) -> Reply + Send + Sync + 'static,
) -> Scripted {
    let kept = Arc::new(Mutex::new(Vec::new()));
    Scripted::start(move |asked| {
        let mut kept = kept.lock().unwrap();
        if asked.is("GET", "/comments") {
            let total = kept.len().to_string();
            return with_header(json(200, &kept.clone().into()), "x-total-count", &total);
        }
        reply(asked.before, asked, &mut kept)
    })
    .await
}

fn keep(asked: &Asked, kept: &mut Vec<Value>) -> Value {
    let body = asked.json()["body"].clone();
    let comment = json!({"id": kept.len() + 1, "user": {"login": "Bot"}, "body": body});
    kept.push(comment.clone());
    comment
}

#[tokio::test]
async fn a_comment_that_was_applied_behind_a_500_is_not_written_twice() {
    let forge = comments_forge(|_, asked, kept| {
        keep(asked, kept);
        text(500, "text/plain", "database is locked")
    })
    .await;
    let body = format!("Done.\n{}", mark("run/1"));
    let comment = forge.client().comment(&repo(), 1, &body).await.unwrap();
    assert_eq!((1, body.as_str()), (comment.id, comment.body.as_str()));
    let expected = ["GET", "POST", "GET"].map(|method| format!("{method} /issues/1/comments"));
    assert_eq!(expected.to_vec(), forge.asked());
}

#[tokio::test]
async fn a_comment_that_was_not_applied_is_written_again() {
    let forge = comments_forge(|attempt, asked, kept| match attempt {
        0 => Reply::Dropped,
        1 => Reply::empty(StatusCode::BAD_GATEWAY),
        _ => json(201, &keep(asked, kept)),
    })
    .await;
    let comment = forge
        .client()
        .comment(&repo(), 1, &mark("x"))
        .await
        .unwrap();
    assert_eq!(1, comment.id);
}

#[tokio::test]
async fn a_comment_without_a_mark_is_never_repeated_blindly() {
    let forge = comments_forge(|_, asked, _| match asked.is("GET", "/issues/1") {
        true => json(200, &json!({"number": 1})),
        false => Reply::Dropped,
    })
    .await;
    let error = forge
        .client()
        .comment(&repo(), 1, "Done.")
        .await
        .unwrap_err();
    assert!(
        matches!(error, ForgeError::UnknownOutcome { .. }),
        "{error}"
    );
    assert_eq!(
        vec!["POST /issues/1/comments", "GET /issues/1"],
        forge.asked()
    );
}

#[tokio::test]
async fn a_500_for_an_issue_that_does_not_exist_is_seen_through() {
    let forge = Scripted::start(|asked| match asked.is("POST", "/comments") {
        true => json(
            500,
            &json!({"message": "issue does not exist [id: 0, index: 1]"}),
        ),
        false => Reply::empty(StatusCode::NOT_FOUND),
    })
    .await;
    let client = forge.client();
    for body in ["Done.", &mark("x")] {
        let error = client.comment(&repo(), 1, body).await.unwrap_err();
        assert!(matches!(error, ForgeError::NotFound(_)), "{error}");
    }
}

#[tokio::test]
async fn a_marked_comment_is_brought_up_to_date_and_strangers_are_not_believed() {
    let body = |text: &str| format!("{text}\n{}", mark("run/1"));
    let (stranger, ours) = (body("forged"), body("old"));
    let forge = Scripted::start(move |asked| {
        if asked.is("GET", "/comments") {
            return json(
                200,
                &json!([{"id": 1, "user": {"login": "eve"}, "body": stranger},
                                     {"id": 2, "user": {"login": "bot"}, "body": ours}]),
            );
        }
        assert!(asked.is("PATCH", "/issues/comments/2"), "{}", asked.line);
        json(
            200,
            &json!({"id": 2, "user": {"login": "bot"}, "body": asked.json()["body"]}),
        )
    })
    .await;
    let comment = forge
        .client()
        .comment(&repo(), 1, &body("new"))
        .await
        .unwrap();
    assert_eq!(body("new"), comment.body);
}

#[tokio::test]
async fn when_the_forge_stays_away_the_outcome_is_called_unknown() {
    let forge = Scripted::start(|asked| match asked.before {
        0 if asked.is("GET", "/comments") => json(200, &json!([])),
        _ => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    })
    .await;
    let error = forge
        .client()
        .comment(&repo(), 1, &mark("x"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ForgeError::UnknownOutcome { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_look_shows_not_to_have_happened_is_not_called_unknown() {
    let forge = comments_forge(|_, _, _| Reply::empty(StatusCode::INTERNAL_SERVER_ERROR)).await;
    let error = forge
        .client()
        .comment(&repo(), 1, &mark("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_marked_issue_is_found_again_and_dropped_labels_are_noticed() {
    let labels = Arc::new(Mutex::new(json!([])));
    let body = mark("task/1");
    let written = body.clone();
    let forge = Scripted::start(move |asked| {
        let issue = json!({"id": 9, "number": 9, "user": {"login": "bot"}, "body": written,
                           "state": "open", "labels": *labels.lock().unwrap()});
        if asked.is("POST", "/issues") {
            Reply::empty(StatusCode::INTERNAL_SERVER_ERROR)
        } else if asked.is("GET", "/issues") {
            json(200, &json!([issue]))
        } else if asked.is("GET", "/shift/labels") {
            json(200, &json!([{"id": 4, "name": "todo"}]))
        } else if asked.is("POST", "/issues/9/labels") {
            assert_eq!(json!({"labels": [4]}), asked.json());
            *labels.lock().unwrap() = json!([{"id": 4, "name": "todo"}]);
            json(200, &json!([]))
        } else {
            json(200, &issue)
        }
    })
    .await;
    let new = NewIssue {
        title: "t".into(),
        body,
        labels: vec!["todo".into()],
    };
    let issue = forge.client().create_issue(&repo(), &new).await.unwrap();
    assert_eq!((9, vec!["todo".to_owned()]), (issue.number, issue.labels));
}

#[tokio::test]
async fn labels_that_are_dropped_without_a_word_are_an_error() {
    let forge = Scripted::start(|asked| {
        if asked.is("GET", "/shift/labels") {
            return json(200, &json!([{"id": 4, "name": "todo"}]));
        }
        json(200, &json!({"number": 1, "labels": null}))
    })
    .await;
    let client = forge.client();
    let error = client.add_labels(&repo(), 1, &["todo"]).await.unwrap_err();
    assert!(matches!(error, ForgeError::Forbidden { .. }), "{error}");
    let error = client
        .add_labels(&repo(), 1, &["todo", "nope"])
        .await
        .unwrap_err();
    let missing = ForgeError::MissingLabels {
        repo: repo(),
        labels: vec!["nope".into()],
    };
    assert!(
        matches!(error, ForgeError::Malformed { .. }) || error == missing,
        "{error}"
    );
}

#[tokio::test]
async fn labels_that_do_not_exist_are_named() {
    let forge = Scripted::start(|asked| {
        if asked.line.contains("/orgs/") {
            return Reply::empty(StatusCode::FORBIDDEN);
        }
        assert!(asked.is("GET", "/labels"), "{}", asked.line);
        json(200, &json!([{"id": 4, "name": "todo"}]))
    })
    .await;
    let error = forge
        .client()
        .add_labels(&repo(), 1, &["todo", "nope"])
        .await
        .unwrap_err();
    let labels = vec!["nope".to_owned()];
    assert_eq!(
        ForgeError::MissingLabels {
            repo: repo(),
            labels
        },
        error
    );
}

#[tokio::test]
async fn a_label_is_never_made_twice() {
    let forge = Scripted::start(|asked| {
        assert!(asked.is("GET", "/labels"), "{}", asked.line);
        json(200, &json!([{"id": 4, "name": "todo", "color": "#00aabb"}]))
    })
    .await;
    let new = NewLabel {
        name: "todo".into(),
        color: "ffffff".into(),
        description: String::new(),
    };
    let label = forge.client().create_label(&repo(), &new).await.unwrap();
    assert_eq!((4, "00aabb"), (label.id, label.color.as_str()));
}

#[tokio::test]
async fn an_open_pull_request_is_adopted_and_brought_up_to_date() {
    let forge = Scripted::start(|asked| {
        if asked.is("POST", "/pulls") {
            json(
                409,
                &json!({"message": "pull request already exists for these targets"}),
            )
        } else if asked.is("PATCH", "/pulls/5") {
            assert_eq!(
                json!({"title": "WIP: Fix it", "body": "text"}),
                asked.json()
            );
            json(201, &pull_json("WIP: Fix it", "open", false, false))
        } else if asked.is("GET", "/pulls/main/timmy%2F1-1") {
            // An older one between the same branches hides the open one.
            json(200, &pull_json("old", "closed", false, false))
        } else {
            json(200, &json!([pull_json("stale", "open", false, true)]))
        }
    })
    .await;
    let opened = forge
        .client()
        .create_pull(&repo(), &new_pull(true))
        .await
        .unwrap();
    assert!(opened.adopted);
    assert_eq!(
        ("Fix it", true),
        (opened.pull.title.as_str(), opened.pull.draft)
    );
}

#[tokio::test]
async fn a_pull_request_behind_a_lost_reply_is_found_and_is_ours() {
    let forge = Scripted::start(|asked| {
        if asked.is("POST", "/pulls") {
            return Reply::Dropped;
        }
        json(200, &pull_json("Fix it", "open", false, false))
    })
    .await;
    let opened = forge
        .client()
        .create_pull(&repo(), &new_pull(false))
        .await
        .unwrap();
    assert!(!opened.adopted);
    assert_eq!(None, opened.pull.mergeable);
    assert_eq!(
        vec!["POST /pulls", "GET /pulls/main/timmy%2F1-1"],
        forge.asked()
    );
}

#[tokio::test]
async fn a_collision_with_nothing_to_adopt_stays_a_collision() {
    let forge = Scripted::start(|asked| {
        if asked.is("POST", "/pulls") {
            return json(409, &json!({"message": "no"}));
        }
        Reply::empty(StatusCode::NOT_FOUND)
    })
    .await;
    let error = forge
        .client()
        .create_pull(&repo(), &new_pull(false))
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::Conflict(_)), "{error}");
}

fn merge_request() -> MergeRequest {
    MergeRequest {
        style: MergeStyle::Squash,
        head: head(),
    }
}

#[tokio::test]
async fn a_merge_waits_until_the_forge_knows() {
    let merged = Arc::new(Mutex::new(false));
    let forge = Scripted::start(move |asked| {
        let mut merged = merged.lock().unwrap();
        if !asked.is("POST", "/merge") {
            let state = if *merged { "closed" } else { "open" };
            return json(200, &pull_json("Fix it", state, *merged, false));
        }
        assert_eq!(
            json!({"Do": "squash", "head_commit_id": head()}),
            asked.json()
        );
        if asked.before < 2 {
            return json(405, &json!({"message": "Please try again later"}));
        }
        *merged = true;
        Reply::empty(StatusCode::OK)
    })
    .await;
    let pull = forge
        .client()
        .merge_pull(&repo(), 5, &merge_request())
        .await
        .unwrap();
    assert_eq!(
        (PullState::Merged, Some("b".repeat(40).parse().unwrap())),
        (pull.state, pull.merge_commit)
    );
}

#[tokio::test]
async fn what_is_merged_already_is_merged_and_what_cannot_be_is_not() {
    let done = Scripted::start(|asked| {
        if asked.is("POST", "/merge") {
            return json(405, &json!({"message": ""}));
        }
        json(200, &pull_json("Fix it", "closed", true, false))
    })
    .await;
    let pull = done
        .client()
        .merge_pull(&repo(), 5, &merge_request())
        .await
        .unwrap();
    assert_eq!(PullState::Merged, pull.state);
    let other = MergeRequest {
        head: "c".repeat(40).parse().unwrap(),
        ..merge_request()
    };
    let error = done
        .client()
        .merge_pull(&repo(), 5, &other)
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::NotMergeable(_)), "{error}");

    let conflict = Scripted::start(|asked| {
        if asked.is("POST", "/merge") {
            return json(405, &json!({"message": "Please try again later"}));
        }
        json(200, &pull_json("Fix it", "open", false, false))
    })
    .await;
    let error = conflict
        .client()
        .merge_pull(&repo(), 5, &merge_request())
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::NotMergeable(_)), "{error}");
    let checked = conflict.client().checked_pull(&repo(), 5).await.unwrap();
    assert_eq!(Some(false), checked.mergeable);
}

#[tokio::test]
async fn a_merge_behind_a_lost_reply_is_found() {
    let forge = Scripted::start(|asked| {
        if asked.is("POST", "/merge") {
            return Reply::Dropped;
        }
        json(200, &pull_json("Fix it", "closed", true, false))
    })
    .await;
    let pull = forge
        .client()
        .merge_pull(&repo(), 5, &merge_request())
        .await
        .unwrap();
    assert_eq!(PullState::Merged, pull.state);
    assert_eq!(vec!["POST /pulls/5/merge", "GET /pulls/5"], forge.asked());
}

#[tokio::test]
async fn a_head_that_moved_is_a_collision() {
    let forge = Scripted::start(|_| json(409, &json!({"message": "head out of date"}))).await;
    let error = forge
        .client()
        .merge_pull(&repo(), 5, &merge_request())
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::Conflict(_)), "{error}");
    assert_eq!(vec!["POST /pulls/5/merge"], forge.asked());
}

#[tokio::test]
async fn a_blocked_issue_stays_open_and_says_so() {
    let message = "cannot close this issue because it still has open dependencies";
    let forge = Scripted::start(move |_| json(412, &json!({"message": message}))).await;
    let error = forge.client().close_issue(&repo(), 1).await.unwrap_err();
    assert!(matches!(error, ForgeError::Blocked(_)), "{error}");
}
