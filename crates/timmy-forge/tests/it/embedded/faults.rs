//! Faults that a client must survive happen as they were planned.

use http::Method;
use http::StatusCode;
use serde_json::json;
use timmy_forge::embedded::Fault;
use timmy_forge::embedded::Gate;

use crate::forge_server::ForgeServer;

const ISSUES: &str = "/repos/bot/project/issues";

#[tokio::test]
async fn what_is_refused_or_dropped_is_not_done() {
    let server = ForgeServer::start().await;
    server.faults.plan(
        Method::POST,
        "/issues",
        Fault::TooManyRequests { retry_after: 7 },
    );
    server.faults.plan(
        Method::POST,
        "/issues",
        Fault::Refused(StatusCode::BAD_GATEWAY),
    );
    server.faults.plan(Method::POST, "/issues", Fault::Dropped);
    let limited = server.post(ISSUES, json!({"title": "x"})).await;
    assert_eq!((429, "7"), (limited.status, limited.header("retry-after")));
    assert_eq!(502, server.post(ISSUES, json!({"title": "x"})).await.status);
    let dropped = server
        .try_ask(Method::POST, ISSUES, &server.bot, json!({"title": "x"}))
        .await;
    assert!(dropped.is_err(), "{dropped:?}");
    assert_eq!(0, server.faults.left());
    assert_eq!(Vec::<u64>::new(), server.get(ISSUES).await.numbers());
    assert_eq!(201, server.post(ISSUES, json!({"title": "x"})).await.status);
}

#[tokio::test]
async fn what_is_applied_stays_although_the_reply_does_not_say_so() {
    let server = ForgeServer::start().await;
    let applied = Fault::AppliedThen(StatusCode::INTERNAL_SERVER_ERROR);
    server.faults.plan(Method::POST, "/issues", applied);
    server
        .faults
        .plan(Method::POST, "/issues", Fault::ReplyLost);
    assert_eq!(500, server.post(ISSUES, json!({"title": "x"})).await.status);
    let lost = server
        .try_ask(Method::POST, ISSUES, &server.bot, json!({"title": "x"}))
        .await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(vec![2, 1], server.get(ISSUES).await.numbers());
}

#[tokio::test]
async fn a_held_request_waits_for_its_gate() {
    let server = ForgeServer::start().await;
    let gate = Gate::new();
    server
        .faults
        .plan(Method::POST, "/issues", Fault::Held(gate.clone()));
    let release = async {
        gate.reached().await;
        let before = server.get(ISSUES).await.numbers();
        gate.open();
        before
    };
    let (made, before) = tokio::join!(server.post(ISSUES, json!({"title": "x"})), release);
    assert_eq!((201, Vec::new()), (made.status, before));
}
