//! What servers do that a client must not fall for, when reading.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeError;
use timmy_forge::ForgeKind;
use timmy_forge::Issue;
use timmy_forge::IssueFilter;
use timmy_forge::Pacing;
use timmy_forge::PullFilter;
use timmy_loopback::Reply;

use crate::scripted::Scripted;
use crate::scripted::TOKEN;
use crate::scripted::client_at;
use crate::scripted::fast;
use crate::scripted::json;
use crate::scripted::repo;
use crate::scripted::text;
use crate::scripted::with_header;

fn issues(numbers: impl IntoIterator<Item = u64>, label: &str) -> Value {
    let labels = json!([{"id": 1, "name": label}]);
    let issue = |n| json!({"id": 100 + n, "number": n, "state": "open", "labels": labels});
    numbers.into_iter().map(issue).collect()
}

fn numbers(issues: &[Issue]) -> Vec<u64> {
    issues.iter().map(|issue| issue.number).collect()
}

fn labelled(name: &str) -> IssueFilter {
    IssueFilter {
        labels: vec![name.to_owned()],
        ..IssueFilter::default()
    }
}

#[tokio::test]
async fn a_short_page_is_not_the_last_and_the_host_of_a_link_is_ignored() {
    let forge = Scripted::start(|asked| {
        let page = |n: u32| format!("<http://127.0.0.1:1/api/v1/x?page={n}>; rel=\"next\"");
        if asked.line.contains("page=1") {
            with_header(json(200, &issues([9, 8], "todo")), "link", &page(2))
        } else if asked.line.contains("page=2") {
            // Number 8 moved on while the pages were read.
            with_header(json(200, &issues([8, 7], "todo")), "link", &page(3))
        } else {
            json(200, &issues([6], "todo"))
        }
    })
    .await;
    let found = forge
        .client()
        .issues(&repo(), &IssueFilter::default())
        .await
        .unwrap();
    assert_eq!(vec![9, 8, 7, 6], numbers(&found));
    assert_eq!("type=issues&state=open&limit=50&page=3", forge.queries()[2]);
}

#[tokio::test]
async fn an_endless_list_is_given_up() {
    let forge = Scripted::start(|asked| {
        let page: u64 = asked.line.rsplit('=').next().unwrap().parse().unwrap();
        let next = format!("<http://h/x?page={}>; rel=\"next\"", page + 1);
        with_header(json(200, &issues([page], "todo")), "link", &next)
    })
    .await;
    let error = forge
        .client()
        .issues(&repo(), &IssueFilter::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::TooLarge { .. }), "{error}");
    assert_eq!(200, forge.asked().len());
}

#[tokio::test]
async fn an_issue_too_large_to_read_does_not_hide_the_others() {
    let body = "x".repeat(timmy_forge::ANSWER_LIMIT);
    let giant = Bytes::from(json!([{"id": 1, "number": 1, "body": body}]).to_string());
    let forge = Scripted::start(move |asked| {
        if asked.line.ends_with("limit=1&page=2") {
            return json(200, &issues([7], "todo"));
        }
        if asked.line.ends_with("limit=1&page=3") {
            return json(200, &json!([]));
        }
        Reply::json(StatusCode::OK, giant.clone())
    })
    .await;
    let client = forge.client();
    let found = client
        .issues(&repo(), &IssueFilter::default())
        .await
        .unwrap();
    assert_eq!(vec![7], numbers(&found));
    let error = client.issue(&repo(), 1).await.unwrap_err();
    assert!(matches!(error, ForgeError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_filter_that_vanished_lets_nothing_through() {
    let forge = Scripted::start(|asked| {
        if asked.is("GET", "/labels") {
            return json(200, &json!([{"id": 1, "name": "todo"}]));
        }
        json(200, &issues([3, 2], "other"))
    })
    .await;
    let found = forge
        .client()
        .issues(&repo(), &labelled("todo"))
        .await
        .unwrap();
    assert_eq!(Vec::<u64>::new(), numbers(&found));
    assert!(
        forge
            .queries()
            .contains(&"type=issues&state=open&labels=todo&limit=50&page=1".into())
    );
}

#[tokio::test]
async fn a_label_that_does_not_exist_is_never_sent() {
    let forge = Scripted::start(|asked| {
        if asked.line.contains("/orgs/") {
            return Reply::empty(StatusCode::NOT_FOUND);
        }
        assert!(asked.is("GET", "/labels"), "{}", asked.line);
        json(200, &json!([{"id": 1, "name": "Todo"}]))
    })
    .await;
    let found = forge
        .client()
        .issues(&repo(), &labelled("todo"))
        .await
        .unwrap();
    assert_eq!(Vec::<u64>::new(), numbers(&found));
}

#[tokio::test]
async fn labels_of_the_organisation_and_double_labels_are_looked_for_on_this_side() {
    let forge = Scripted::start(|asked| {
        if asked.is("GET", "/orgs/night/labels") {
            return json(200, &json!([{"id": 8, "name": "theirs"}]));
        }
        if asked.is("GET", "/labels") {
            return json(
                200,
                &json!([{"id": 1, "name": "twice"}, {"id": 2, "name": "twice"}]),
            );
        }
        assert!(!asked.line.contains("labels="), "{}", asked.line);
        let mut all = issues([5], "twice").as_array().unwrap().clone();
        all.extend(issues([4], "theirs").as_array().unwrap().clone());
        json(200, &all.into())
    })
    .await;
    let client = forge.client();
    assert_eq!(
        vec![5],
        numbers(&client.issues(&repo(), &labelled("twice")).await.unwrap())
    );
    assert_eq!(
        vec![4],
        numbers(&client.issues(&repo(), &labelled("theirs")).await.unwrap())
    );
}

#[tokio::test]
async fn pull_requests_are_no_issues_and_a_branch_filter_is_checked_again() {
    let sha = "a".repeat(40);
    let pull = move |n: u64, branch: &str, head_repo: u64, sha: &str| {
        json!({"id": n, "number": n, "state": "open", "title": "t",
               "head": {"ref": branch, "sha": sha, "repo_id": head_repo}, "base": {"ref": "main", "repo_id": 1}})
    };
    let forge = Scripted::start(move |asked| {
        if asked.is("GET", "/issues/7") {
            return json(
                200,
                &json!({"number": 7, "pull_request": {"merged": false}}),
            );
        }
        json(
            200,
            &json!([
                pull(1, "mine", 1, &sha),
                pull(2, "other", 1, &sha),
                pull(3, "mine", 2, &sha),
                pull(4, "mine", 1, "")
            ]),
        )
    })
    .await;
    let client = forge.client();
    let filter = PullFilter {
        head: Some("mine".into()),
        ..PullFilter::default()
    };
    let found = client.pulls(&repo(), &filter).await.unwrap();
    assert_eq!(
        vec![1],
        found.iter().map(|pull| pull.number).collect::<Vec<_>>()
    );
    let error = client.issue(&repo(), 7).await.unwrap_err();
    assert!(matches!(error, ForgeError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn a_read_survives_passing_faults_and_dropped_replies() {
    let forge = Scripted::start(|asked| match asked.before {
        0 => Reply::Dropped,
        1 => text(502, "text/html", "<html>Bad Gateway</html>"),
        2 => with_header(json(429, &json!({})), "retry-after", "0"),
        _ => json(200, &json!({"version": "1.25.0"})),
    })
    .await;
    let info = forge.client().server().await.unwrap();
    assert_eq!(
        (ForgeKind::Gitea, "1.25.0"),
        (info.kind, info.version.as_str())
    );
}

#[tokio::test]
async fn faults_that_stay_end_the_read() {
    let forge = Scripted::start(|_| text(500, "text/plain", "database is locked")).await;
    let error = forge.client().server().await.unwrap_err();
    let why = "HTTP 500 Internal Server Error: database is locked".to_owned();
    let call = format!("GET http://127.0.0.1:{}/api/v1/version", forge.port());
    assert_eq!(ForgeError::Unavailable { call, why }, error);
    assert_eq!(4, forge.asked().len());
}

#[tokio::test]
async fn a_long_wish_to_be_left_alone_is_handed_on() {
    let forge = Scripted::start(|_| with_header(json(429, &json!({})), "retry-after", "120")).await;
    let error = forge.client().server().await.unwrap_err();
    let ForgeError::RateLimited { retry_after, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(Some(Duration::from_secs(120)), retry_after);
    assert_eq!(1, forge.asked().len());
}

#[tokio::test]
async fn nothing_listens_there() {
    let forge = Scripted::start(|_| Reply::Dropped).await;
    let base = format!("http://127.0.0.1:{}", forge.port())
        .parse()
        .unwrap();
    drop(forge);
    let address = ForgeAddress {
        base,
        kind: ForgeKind::Gitea,
    };
    let error = client_at(address, fast()).server().await.unwrap_err();
    assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let forge = Scripted::start(|_| {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        // Kept for ever: the head is sent, the body never ends.
        std::mem::forget(sender);
        Reply::Streamed(http::Response::new(receiver))
    })
    .await;
    let base = format!("http://127.0.0.1:{}", forge.port())
        .parse()
        .unwrap();
    let address = ForgeAddress {
        base,
        kind: ForgeKind::Gitea,
    };
    let pacing = Pacing {
        idle_timeout: Duration::from_millis(50),
        ..fast()
    };
    let error = client_at(address, pacing).server().await.unwrap_err();
    let ForgeError::Unavailable { why, .. } = error else {
        panic!("{error}");
    };
    assert_eq!("no answer in time", why);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let other = Scripted::start(|_| json(200, &json!({"version": "1"}))).await;
    let elsewhere = format!("http://127.0.0.1:{}/api/v1/version", other.port());
    let target = elsewhere.clone();
    let forge =
        Scripted::start(move |_| with_header(json(307, &json!({})), "location", &target)).await;
    let error = forge.client().server().await.unwrap_err();
    let ForgeError::Redirected { to, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(elsewhere, to);
    assert_eq!(Vec::<String>::new(), other.asked());
}

#[tokio::test]
async fn requests_say_who_asks_and_carry_the_token_in_a_header_only() {
    let forge = Scripted::start(|asked| {
        let header = |name: &str| asked.request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(format!("token {TOKEN}"), header("authorization"));
        assert!(header("user-agent").starts_with("timmy/"));
        assert!(!asked.line.contains(TOKEN));
        json(200, &json!({"version": "7.0.16+gitea-1.21.11"}))
    })
    .await;
    let client = forge.client();
    assert_eq!(ForgeKind::Forgejo, client.server().await.unwrap().kind);
    assert!(!format!("{client:?}").contains(TOKEN));
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let forge = Scripted::start(|_| {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let piece = Bytes::from(vec![b'['; 1 << 20]);
            while sender.send(Ok(piece.clone())).await.is_ok() {}
        });
        Reply::Streamed(http::Response::new(receiver))
    })
    .await;
    let client = forge.client();
    let error = client.issue(&repo(), 1).await.unwrap_err();
    assert!(matches!(error, ForgeError::TooLarge { .. }), "{error}");
    let diff = client.pull_diff(&repo(), 1).await.unwrap();
    assert_eq!(timmy_forge::DIFF_LIMIT, diff.len());
}

#[tokio::test]
async fn dependencies_that_are_switched_off_block_nothing() {
    let forge = Scripted::start(|asked| {
        if asked.is("GET", "/issues/1") {
            return json(200, &json!({"number": 1}));
        }
        json(404, &json!({"message": "The target couldn't be found."}))
    })
    .await;
    let client = forge.client();
    assert_eq!(
        Vec::<u64>::new(),
        numbers(&client.blockers(&repo(), 1).await.unwrap())
    );
    assert!(client.blockers(&repo(), 2).await.is_err());
}

#[tokio::test]
async fn a_page_before_the_forge_is_a_passing_fault_and_never_shown() {
    let page = "<!doctype html><title>Down for maintenance</title><p>secret plans";
    let forge = Scripted::start(move |asked| match asked.before {
        0 => text(200, "text/html; charset=utf-8", page),
        1 => with_header(
            Reply::empty(StatusCode::FOUND),
            "location",
            "/user/login?redirect_to=x",
        ),
        _ => json(200, &json!({"version": "1.25.0"})),
    })
    .await;
    assert_eq!(
        "1.25.0",
        forge.client().server().await.unwrap().version.as_str()
    );
    assert_eq!(3, forge.asked().len());

    let forge = Scripted::start(move |_| text(200, "text/plain", page)).await;
    let error = forge.client().server().await.unwrap_err();
    assert!(error.is_passing());
    assert_eq!(
        "a page came instead of an answer of the forge: 65 bytes of HTML",
        error.to_string()
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_passing_fault() {
    let forge = Scripted::start(|_| text(200, "application/json", "{\"version\": \"1.2")).await;
    let error = forge.client().server().await.unwrap_err();
    assert!(error.is_passing());
    assert_eq!(
        "the forge gives no usable answer: the answer breaks off after 16 bytes",
        error.to_string()
    );
}

#[tokio::test]
async fn a_page_after_a_write_leaves_it_open_whether_it_happened() {
    // The proxy let the comment through and answered with a page of its own.
    let forge = Scripted::start(|asked| {
        if asked.request.method() == "POST" {
            return text(200, "text/html", "<html>");
        }
        let written = json!({"id": 4, "body": "x <!-- timmy:m -->", "user": {"login": "bot"}});
        match asked.before {
            0 => json(200, &json!([])),
            _ => json(200, &json!([written])),
        }
    })
    .await;
    let body = "x <!-- timmy:m -->";
    let comment = forge.client().comment(&repo(), 1, body).await.unwrap();
    assert_eq!(4, comment.id);
    let posts = forge
        .asked()
        .iter()
        .filter(|line| line.starts_with("POST"))
        .count();
    assert_eq!(1, posts);
}
