use std::time::Duration;

use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::RunId;
use timmy_core::money::MicroUsd;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::RouteError;
use timmy_model::settings::Price;
use timmy_store::BudgetScope;
use timmy_store::Cap;
use timmy_store::SpendLimits;
use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

use crate::parts;
use crate::parts::Desk;

fn settings(name: &str, server: &ModelServer) -> ProviderSettings {
    parts::settings(name, ProviderKind::Generic, &server.base_url())
}

async fn two(first: Vec<Turn>, second: Vec<Turn>) -> (Desk, ModelServer, ModelServer) {
    let (a, b) = (
        ModelServer::start(first).await,
        ModelServer::start(second).await,
    );
    let desk = Desk::new(
        &[settings("a", &a), settings("b", &b)],
        SpendLimits::default(),
    )
    .await;
    (desk, a, b)
}

#[tokio::test]
async fn a_passing_fault_is_met_with_another_try() {
    let turns = vec![
        Turn::fault(Fault::ServerError),
        Turn::fault(Fault::RateLimited { retry_after_s: 0 }),
        Turn::say("ok"),
    ];
    let (desk, _a, b) = two(turns, vec![]).await;
    assert_eq!("a", desk.ask(1).await.unwrap().provider);
    assert_eq!(0, b.chats().len());
    insta::assert_snapshot!(desk.told().join("\n"));
}

#[tokio::test]
async fn a_spent_quota_is_left_alone_until_its_reset_time() {
    // The clock of the tests starts at 1767225600; the quota comes back an hour later.
    let turns = vec![
        Turn::fault(Fault::Quota {
            resets_at_s: 1_767_229_200,
        }),
        Turn::say("from a"),
    ];
    let others = vec![Turn::say("one"), Turn::say("two")];
    let (desk, a, _b) = two(turns, others).await;
    assert_eq!("b", desk.ask(1).await.unwrap().provider);
    desk.clock.advance(Duration::from_secs(3599));
    assert_eq!("b", desk.ask(2).await.unwrap().provider);
    assert_eq!(1, a.chats().len());
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!("a", desk.ask(3).await.unwrap().provider);
    insta::assert_snapshot!(desk.told().join("\n"));
}

#[tokio::test]
async fn when_every_quota_is_spent_the_earliest_reset_is_told() {
    let quota = |resets_at_s| vec![Turn::fault(Fault::Quota { resets_at_s })];
    let (desk, a, b) = two(quota(1_767_232_800), quota(1_767_229_200)).await;
    for _ in 0..3 {
        let error = desk.ask(1).await.unwrap_err();
        let expected = "2026-01-01T01:00:00Z".parse().unwrap();
        assert!(
            matches!(&error, RouteError::Exhausted { retry_at: Some(at), failures } if *at == expected && failures.len() == 2),
            "{error:?}"
        );
        assert_eq!(ExitStatus::Later, error.problem().exit);
    }
    assert_eq!((1, 1), (a.chats().len(), b.chats().len()));
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_in_the_same_run() {
    let turns = vec![Turn::fault(Fault::WrongKey), Turn::fault(Fault::WrongKey)];
    let (mut desk, a, _b) = two(turns, vec![Turn::say("1"), Turn::say("2"), Turn::say("3")]).await;
    desk.ask(1).await.unwrap();
    desk.ask(2).await.unwrap();
    assert_eq!(1, a.chats().len());
    desk.run = RunId::generate();
    desk.ask(1).await.unwrap();
    assert_eq!(2, a.chats().len());
}

#[tokio::test]
async fn a_provider_that_stays_broken_gets_one_trial_after_a_while() {
    let broken = || Turn::fault(Fault::ServerError);
    let turns = vec![
        broken(),
        broken(),
        broken(),
        broken(),
        broken(),
        Turn::say("back"),
    ];
    let others = vec![Turn::say("1"), Turn::say("2"), Turn::say("3")];
    let (desk, a, _b) = two(turns, others).await;
    assert_eq!("b", desk.ask(1).await.unwrap().provider);
    assert_eq!(4, a.chats().len());
    assert_eq!("b", desk.ask(2).await.unwrap().provider);
    assert_eq!(4, a.chats().len());
    desk.clock.advance(Duration::from_secs(30));
    assert_eq!("b", desk.ask(3).await.unwrap().provider);
    assert_eq!(5, a.chats().len());
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!("a", desk.ask(4).await.unwrap().provider);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_comes_back_at_once() {
    let (desk, a, b) = two(vec![Turn::fault(Fault::ContextOverflow)], vec![]).await;
    let error = desk.ask(1).await.unwrap_err();
    assert!(matches!(error, RouteError::ContextOverflow(_)), "{error:?}");
    assert_eq!((1, 0), (a.chats().len(), b.chats().len()));
    assert_eq!(0, desk.spending.of_run(&desk.run).await.unwrap().tokens());
}

#[tokio::test]
async fn unusable_replies_have_a_limit_and_count_as_spent() {
    let empty = || Turn::fault(Fault::EmptyReply);
    let server = ModelServer::start(vec![empty(), empty(), empty(), empty()]).await;
    let desk = Desk::new(&[settings("a", &server)], SpendLimits::default()).await;
    let error = desk.ask(1).await.unwrap_err();
    assert!(matches!(error, RouteError::Malformed(_)), "{error:?}");
    assert_eq!(3, server.chats().len());
    assert!(desk.spending.of_run(&desk.run).await.unwrap().output_tokens >= 3_000);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_passed_over_at_once() {
    let (a, b) = (
        ModelServer::start(vec![]).await,
        ModelServer::start(vec![Turn::say("ok")]).await,
    );
    let gone = settings("a", &a);
    drop(a);
    let desk = Desk::new(&[gone, settings("b", &b)], SpendLimits::default()).await;
    assert_eq!("b", desk.ask(1).await.unwrap().provider);
}

#[tokio::test]
async fn what_was_used_replaces_what_was_reserved() {
    let server = ModelServer::start(vec![Turn::say("ok").with_usage(1_000, 100)]).await;
    let priced = ProviderSettings {
        price_input: Price(MicroUsd(2_000_000)),
        price_output: Price(MicroUsd(10_000_000)),
        ..settings("a", &server)
    };
    let desk = Desk::new(&[priced], SpendLimits::default()).await;
    let answer = desk.ask(1).await.unwrap();
    assert_eq!(
        (true, MicroUsd(3_000)),
        (answer.measured, answer.usage.cost)
    );
    assert_eq!(answer.usage, desk.spending.of_run(&desk.run).await.unwrap());
}

#[tokio::test]
async fn without_usage_in_the_reply_an_estimate_is_settled() {
    let body = r#"{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}"#;
    let server = ModelServer::start(vec![Turn::raw(200, body)]).await;
    let desk = Desk::new(&[settings("a", &server)], SpendLimits::default()).await;
    let answer = desk.ask(1).await.unwrap();
    assert!(!answer.measured && answer.usage.input_tokens > 50 && answer.usage.output_tokens > 0);
}

#[tokio::test]
async fn a_budget_is_checked_before_anything_is_sent() {
    let cap = |tokens| Cap {
        tokens: Some(tokens),
        cost: None,
    };
    let cases = [
        (
            SpendLimits {
                per_call: cap(1_000),
                ..SpendLimits::default()
            },
            BudgetScope::Call,
            0,
        ),
        (
            SpendLimits {
                per_run: cap(1_500),
                ..SpendLimits::default()
            },
            BudgetScope::Run,
            1,
        ),
        (
            SpendLimits {
                per_day: cap(1_500),
                ..SpendLimits::default()
            },
            BudgetScope::Day,
            1,
        ),
    ];
    for (limits, expected, sent) in cases {
        let turns = vec![Turn::say("1").with_usage(600, 100), Turn::say("2")];
        let server = ModelServer::start(turns).await;
        let desk = Desk::new(&[settings("a", &server)], limits).await;
        let error = match desk.ask(1).await {
            Ok(_) => desk.ask(2).await.unwrap_err(),
            Err(error) => error,
        };
        let RouteError::OverBudget { scope, problem } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(
            (&expected, sent),
            (scope, server.chats().len()),
            "{problem}"
        );
    }
}
