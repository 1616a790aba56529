//! Every write of the client happens once on a forge that loses replies, applies what it calls
//! failed, refuses and asks to wait.

use http::Method;
use http::StatusCode;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::IssueFilter;
use timmy_forge::IssueState;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::NewIssue;
use timmy_forge::NewPull;
use timmy_forge::Pacing;
use timmy_forge::PullFilter;
use timmy_forge::PullState;
use timmy_forge::PullUpdate;
use timmy_forge::StateFilter;
use timmy_forge::embedded::Fault;
use timmy_forge::embedded::Gate;
use timmy_forge::marker::mark;

use crate::forge_server::ForgeServer;
use crate::scripted::fast;

const FAULTS: [Fault; 5] = [
    Fault::ReplyLost,
    Fault::AppliedThen(StatusCode::INTERNAL_SERVER_ERROR),
    Fault::Dropped,
    Fault::Refused(StatusCode::BAD_GATEWAY),
    Fault::TooManyRequests { retry_after: 0 },
];

fn client(server: &ForgeServer) -> GiteaClient {
    let address = ForgeAddress {
        base: server.url().parse().unwrap(),
        kind: ForgeKind::Embedded,
    };
    let clock = std::sync::Arc::new(timmy_core::SystemClock::new());
    let token = server.bot.as_str().into();
    let pacing = Pacing {
        mergeable_wait: Pacing::default().mergeable_wait,
        ..fast()
    };
    GiteaClient::with_pacing(address, "bot".into(), token, clock, pacing).unwrap()
}

#[tokio::test]
async fn issues_and_comments_are_written_once_whatever_happens() {
    let server = ForgeServer::start().await;
    let (client, repo) = (client(&server), "bot/project".parse().unwrap());
    for (index, fault) in FAULTS.into_iter().enumerate() {
        let new = NewIssue {
            title: format!("{fault:?}"),
            body: mark(&format!("issue/{index}")),
            labels: Vec::new(),
        };
        server.faults.plan(Method::POST, "/issues", fault.clone());
        let issue = client.create_issue(&repo, &new).await.unwrap();
        let all = client.issues(&repo, &IssueFilter::default()).await.unwrap();
        let titled = all.iter().filter(|found| found.title == new.title);
        assert_eq!(1, titled.count(), "{fault:?}");

        server.faults.plan(Method::POST, "/comments", fault.clone());
        let body = format!("Done.\n\n{}", mark("result"));
        client.comment(&repo, issue.number, &body).await.unwrap();
        let comments = client.comments(&repo, issue.number).await.unwrap();
        assert_eq!(1, comments.len(), "{fault:?}");
        assert_eq!(0, server.faults.left(), "{fault:?} was not met");
    }
}

#[tokio::test]
async fn an_issue_is_closed_whatever_happens() {
    let server = ForgeServer::start().await;
    let (client, repo) = (client(&server), "bot/project".parse().unwrap());
    for fault in FAULTS {
        let new = NewIssue {
            title: "Close me".into(),
            ..NewIssue::default()
        };
        let issue = client.create_issue(&repo, &new).await.unwrap();
        server.faults.plan(Method::PATCH, "/issues/", fault.clone());
        let closed = client.close_issue(&repo, issue.number).await.unwrap();
        assert_eq!(IssueState::Closed, closed.state, "{fault:?}");
        assert_eq!(0, server.faults.left(), "{fault:?} was not met");
    }
}

#[tokio::test]
async fn pull_requests_are_opened_and_merged_once_whatever_happens() {
    let server = ForgeServer::start().await;
    let (client, repo) = (client(&server), "bot/project".parse().unwrap());
    let clone = server.clone_project("work").await;
    for (index, fault) in FAULTS.into_iter().enumerate() {
        let branch = format!("timmy/{index}-1");
        let file = format!("file-{index}");
        let head = clone.push_branch(&branch, &file, "text\n").await;
        let new = NewPull {
            title: format!("Number {index}"),
            body: "Text.".into(),
            head: branch.clone(),
            base: "main".into(),
            draft: false,
        };
        server.faults.plan(Method::POST, "/pulls", fault.clone());
        let opened = client.create_pull(&repo, &new).await.unwrap();
        assert!(!opened.adopted, "{fault:?}");
        let filter = PullFilter {
            state: StateFilter::All,
            head: Some(branch),
        };
        let all = client.pulls(&repo, &filter).await.unwrap();
        assert_eq!(1, all.len(), "{fault:?}");

        let number = opened.pull.number;
        client.checked_pull(&repo, number).await.unwrap();
        let request = MergeRequest {
            style: MergeStyle::Squash,
            head: head.trim().parse().unwrap(),
        };
        server.faults.plan(Method::POST, "/merge", fault.clone());
        let merged = client.merge_pull(&repo, number, &request).await.unwrap();
        assert_eq!(PullState::Merged, merged.state, "{fault:?}");
        assert_eq!(0, server.faults.left(), "{fault:?} was not met");
    }
}

#[tokio::test]
async fn a_pull_request_that_is_decided_before_its_reply_was_missed_is_not_opened_again() {
    let server = ForgeServer::start().await;
    let (client, repo) = (client(&server), "bot/project".parse().unwrap());
    let work = server.clone_project("work").await;
    work.push_branch("timmy/1-1", "a.txt", "a\n").await;
    let new = NewPull {
        title: "Work".into(),
        body: "Of run 1".into(),
        head: "timmy/1-1".into(),
        base: "main".into(),
        draft: false,
    };
    let gate = Gate::new();
    server.faults.plan(Method::POST, "/pulls", Fault::ReplyLost);
    let held = Fault::Held(gate.clone());
    server.faults.plan(Method::GET, "/pulls/main/", held);
    let opening = client.create_pull(&repo, &new);
    let deciding = async {
        gate.reached().await;
        let close = PullUpdate {
            state: Some(IssueState::Closed),
            ..PullUpdate::default()
        };
        let person = self::client(&server);
        let all = PullFilter::default();
        let number = person.pulls(&repo, &all).await.unwrap()[0].number;
        person.update_pull(&repo, number, &close).await.unwrap();
        gate.open();
        number
    };
    let (opened, number) = tokio::join!(opening, deciding);
    let opened = opened.unwrap();
    assert_eq!(
        (number, PullState::Closed),
        (opened.pull.number, opened.pull.state)
    );
    let all = PullFilter {
        state: StateFilter::All,
        head: None,
    };
    assert_eq!(1, client.pulls(&repo, &all).await.unwrap().len());
}
