//! Reservations and settlements.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use timmy_core::RunId;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_store::Cap;
use timmy_store::SpendError;
use timmy_store::SpendLimits;
use timmy_testkit::ManualClock;

use crate::databases::Database;
use crate::databases::on_both_databases;

on_both_databases!(
    what_is_reserved_counts_until_it_is_settled,
    a_cap_is_never_passed_by_racing_calls,
    a_new_day_starts_from_nothing,
    a_reservation_is_settled_once,
);

fn tokens(count: u64) -> Usage {
    Usage {
        input_tokens: count,
        output_tokens: 0,
        cost: MicroUsd(count * 3),
    }
}

fn day_limit(count: u64) -> SpendLimits {
    let per_day = Cap {
        tokens: Some(count),
        cost: None,
    };
    SpendLimits {
        per_day,
        ..SpendLimits::default()
    }
}

async fn what_is_reserved_counts_until_it_is_settled(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let run = RunId::generate();
    let limits = day_limit(1_000);
    let first = spending
        .reserve(&run, "local", tokens(800), &limits)
        .await
        .unwrap();
    let refused = spending.reserve(&run, "local", tokens(300), &limits).await;
    assert!(matches!(
        refused,
        Err(SpendError::OverBudget {
            limit: "day",
            used: 800,
            ..
        })
    ));
    spending.settle(&first, tokens(100)).await.unwrap();
    assert_eq!(tokens(100), spending.of_run(&run).await.unwrap());
    spending
        .reserve(&run, "local", tokens(300), &limits)
        .await
        .unwrap();
    assert_eq!(tokens(400), spending.of_today().await.unwrap());
}

async fn a_cap_is_never_passed_by_racing_calls(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let racers = (0..8).map(|_| {
        let spending = spending.clone();
        let run = RunId::generate();
        tokio::spawn(async move {
            let mut granted = 0;
            for _ in 0..5 {
                let asked = spending
                    .reserve(&run, "local", tokens(100), &day_limit(1_050))
                    .await;
                granted += usize::from(asked.is_ok());
            }
            granted
        })
    });
    let mut granted = 0;
    for racer in racers.collect::<Vec<_>>() {
        granted += racer.await.unwrap();
    }
    assert_eq!(10, granted);
}

async fn a_new_day_starts_from_nothing(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let spending = database.store.spending(clock.clone());
    let run = RunId::generate();
    let limits = day_limit(100);
    spending
        .reserve(&run, "local", tokens(100), &limits)
        .await
        .unwrap();
    clock.advance(Duration::from_hours(24));
    spending
        .reserve(&run, "local", tokens(100), &limits)
        .await
        .unwrap();
}

async fn a_reservation_is_settled_once(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let run = RunId::generate();
    let limits = SpendLimits::default();
    let reservation = spending
        .reserve(&run, "local", tokens(10), &limits)
        .await
        .unwrap();
    spending.settle(&reservation, tokens(4)).await.unwrap();
    let again = spending.settle(&reservation, tokens(9)).await;
    assert!(matches!(again, Err(SpendError::SettledBefore(_))));
    assert_eq!(tokens(4), spending.of_run(&run).await.unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the order of reservations and settlements, the total is the sum of what was used
    /// plus what is still set aside, and never passes the cap.
    #[test]
    fn the_total_is_always_right(steps in prop::collection::vec((1_u64..200, 0_u64..200, any::<bool>()), 1..20)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let database = crate::databases::sqlite().await;
            let spending = database.store.spending(Arc::new(ManualClock::default()));
            let run = RunId::generate();
            let mut expected = 0;
            for (asked, used, settle) in steps {
                match spending.reserve(&run, "local", tokens(asked), &day_limit(1_000)).await {
                    Err(_) => assert!(expected + asked > 1_000),
                    Ok(reservation) if settle => {
                        let used = used.min(asked);
                        spending.settle(&reservation, tokens(used)).await.unwrap();
                        expected += used;
                    }
                    Ok(_) => expected += asked,
                }
                assert!(expected <= 1_000);
                assert_eq!(tokens(expected), spending.of_today().await.unwrap());
            }
        });
    }
}
