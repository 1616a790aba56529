//! Reservations and settlements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_store::Account;
use timmy_store::BudgetScope;
use timmy_store::Cap;
use timmy_store::Reservation;
use timmy_store::SpendError;
use timmy_store::SpendLimits;
use timmy_store::Spending;
use timmy_store::Standing;
use timmy_testkit::ManualClock;

use crate::databases::Database;
use crate::databases::on_both_databases;
use crate::databases::on_both_with_proptest;

on_both_databases!(
    what_is_reserved_counts_until_it_is_settled,
    a_cap_is_never_passed_by_racing_calls,
    a_new_day_starts_from_nothing,
    a_reservation_is_settled_once,
    every_scope_has_a_cap_of_its_own,
    what_a_call_took_beyond_its_reservation_is_written_down,
    what_a_dead_run_had_set_aside_becomes_spent,
    figures_beyond_all_reason_stay_in_the_books,
    the_books_are_told_by_scope,
);

on_both_with_proptest!(no_interleaving_passes_a_cap, steps);

fn tokens(count: u64) -> Usage {
    Usage {
        input_tokens: count,
        output_tokens: 0,
        cost: MicroUsd(count * 3),
    }
}

fn cap(count: u64) -> Cap {
    Cap {
        tokens: Some(count),
        cost: None,
    }
}

fn day_limit(count: u64) -> SpendLimits {
    SpendLimits {
        per_day: cap(count),
        ..SpendLimits::default()
    }
}

fn issue(name: &str) -> IssueName {
    name.parse().unwrap()
}

fn without_issue() -> Account {
    Account {
        run: RunId::generate(),
        issue: None,
    }
}

fn for_issue(name: &str) -> Account {
    Account {
        run: RunId::generate(),
        issue: Some(issue(name)),
    }
}

async fn what_is_reserved_counts_until_it_is_settled(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let account = without_issue();
    let limits = day_limit(1_000);
    let first = spending
        .reserve(&account, "local", tokens(800), &limits)
        .await
        .unwrap();
    let refused = spending
        .reserve(&account, "local", tokens(300), &limits)
        .await;
    assert!(matches!(
        refused,
        Err(SpendError::OverBudget {
            limit: BudgetScope::Day,
            used: 800,
            ..
        })
    ));
    spending.settle(&first, tokens(100)).await.unwrap();
    assert_eq!(tokens(100), spending.of_run(&account.run).await.unwrap());
    spending
        .reserve(&account, "local", tokens(300), &limits)
        .await
        .unwrap();
    assert_eq!(tokens(400), spending.of_today().await.unwrap());
}

async fn a_cap_is_never_passed_by_racing_calls(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let racers = (0..8).map(|_| {
        let spending = spending.clone();
        let account = without_issue();
        tokio::spawn(async move {
            let mut granted = 0;
            for _ in 0..5 {
                let asked = spending
                    .reserve(&account, "local", tokens(100), &day_limit(1_050))
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
    let account = for_issue("operator/project#7");
    let limits = SpendLimits {
        per_day: cap(100),
        per_repository: cap(100),
        ..SpendLimits::default()
    };
    let first = spending
        .reserve(&account, "local", tokens(100), &limits)
        .await
        .unwrap();
    clock.advance(Duration::from_hours(24));
    spending
        .reserve(&account, "local", tokens(100), &limits)
        .await
        .unwrap();
    spending.settle(&first, tokens(30)).await.unwrap();
    assert_eq!(tokens(100), spending.of_today().await.unwrap());
    let days = spending.days(2).await.unwrap();
    assert_eq!(
        tokens(30),
        days[1].standing.spent,
        "it counts for its own day"
    );
}

async fn a_reservation_is_settled_once(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let account = without_issue();
    let limits = SpendLimits::default();
    let reservation = spending
        .reserve(&account, "local", tokens(10), &limits)
        .await
        .unwrap();
    spending.settle(&reservation, tokens(4)).await.unwrap();
    let again = spending.settle(&reservation, tokens(9)).await;
    assert!(matches!(again, Err(SpendError::SettledBefore(_))));
    assert_eq!(tokens(4), spending.of_run(&account.run).await.unwrap());
}

async fn every_scope_has_a_cap_of_its_own(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let none = SpendLimits::default();
    let account = for_issue("operator/project#7");
    spending
        .reserve(&account, "local", tokens(100), &none)
        .await
        .unwrap();
    let same_run = account.clone();
    let same_issue = for_issue("operator/project#7");
    let same_repository = for_issue("operator/project#8");
    let elsewhere = without_issue();
    let cases = [
        (
            BudgetScope::Call,
            SpendLimits {
                per_call: cap(9),
                ..none
            },
            &elsewhere,
        ),
        (
            BudgetScope::Run,
            SpendLimits {
                per_run: cap(100),
                ..none
            },
            &same_run,
        ),
        (
            BudgetScope::Issue,
            SpendLimits {
                per_issue: cap(100),
                ..none
            },
            &same_issue,
        ),
        (
            BudgetScope::Repository,
            SpendLimits {
                per_repository: cap(100),
                ..none
            },
            &same_repository,
        ),
        (BudgetScope::Day, day_limit(100), &elsewhere),
        (
            BudgetScope::Fleet,
            SpendLimits {
                fleet: cap(100),
                ..none
            },
            &elsewhere,
        ),
    ];
    for (scope, limits, account) in cases {
        let refused = spending
            .reserve(account, "local", tokens(10), &limits)
            .await;
        let error = refused.unwrap_err();
        assert!(
            matches!(error, SpendError::OverBudget { limit, .. } if limit == scope),
            "{error}"
        );
        assert_eq!(Some(scope.setting()), error.problem().place.as_deref());
    }
    let narrower = SpendLimits {
        per_run: cap(100),
        per_issue: cap(100),
        per_repository: cap(100),
        ..none
    };
    spending
        .reserve(&elsewhere, "local", tokens(10), &narrower)
        .await
        .unwrap();
}

async fn what_a_call_took_beyond_its_reservation_is_written_down(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let account = without_issue();
    let limits = day_limit(100);
    let reservation = spending
        .reserve(&account, "local", tokens(60), &limits)
        .await
        .unwrap();
    spending.settle(&reservation, tokens(150)).await.unwrap();
    assert_eq!(tokens(150), spending.of_today().await.unwrap());
    let refused = spending
        .reserve(&account, "local", tokens(1), &limits)
        .await;
    assert!(matches!(
        refused,
        Err(SpendError::OverBudget { used: 150, .. })
    ));
}

async fn what_a_dead_run_had_set_aside_becomes_spent(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let (dead, alive) = (
        for_issue("operator/project#7"),
        for_issue("operator/project#7"),
    );
    let limits = SpendLimits::default();
    let settled = spending
        .reserve(&dead, "local", tokens(50), &limits)
        .await
        .unwrap();
    spending.settle(&settled, tokens(5)).await.unwrap();
    let open = spending
        .reserve(&dead, "local", tokens(40), &limits)
        .await
        .unwrap();
    spending
        .reserve(&alive, "local", tokens(20), &limits)
        .await
        .unwrap();
    assert_eq!(
        tokens(40),
        spending.release_of_run(&dead.run).await.unwrap()
    );
    let expected = Standing {
        reserved: tokens(20),
        spent: tokens(45),
    };
    let of_issue = spending.of_issue(&issue("operator/project#7")).await;
    assert_eq!(expected, of_issue.unwrap());
    let again = spending.release_of_run(&dead.run).await.unwrap();
    assert_eq!(Usage::default(), again);
    let late = spending.settle(&open, tokens(1)).await;
    assert!(matches!(late, Err(SpendError::SettledBefore(_))));
}

async fn figures_beyond_all_reason_stay_in_the_books(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let account = without_issue();
    let limits = SpendLimits::default();
    let absurd = Usage {
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
        cost: MicroUsd(u64::MAX),
    };
    for _ in 0..3 {
        let reservation = spending
            .reserve(&account, "local", absurd, &limits)
            .await
            .unwrap();
        spending.settle(&reservation, absurd).await.unwrap();
    }
    assert_eq!(3 << 53, spending.of_today().await.unwrap().input_tokens);
    spending.recount().await.unwrap();
    assert_eq!(3 << 53, spending.of_today().await.unwrap().input_tokens);
}

async fn the_books_are_told_by_scope(database: Database) {
    let spending = database.store.spending(Arc::new(ManualClock::default()));
    let limits = SpendLimits::default();
    for (name, amount) in [("a/a#1", 10), ("a/a#2", 30), ("a/b#1", 20), ("a/ab#9", 1)] {
        let account = for_issue(name);
        let asked = spending.reserve(&account, "local", tokens(amount), &limits);
        spending
            .settle(&asked.await.unwrap(), tokens(amount))
            .await
            .unwrap();
    }
    let dearest = spending.dearest_issues(None, 2).await.unwrap();
    let names: Vec<String> = dearest.iter().map(|row| row.issue.to_string()).collect();
    assert_eq!(vec!["a/a#2", "a/b#1"], names);
    let of_one = spending
        .dearest_issues(Some(&"a/a".parse().unwrap()), 9)
        .await;
    assert_eq!(2, of_one.unwrap().len());
    let today = spending.repositories_today().await.unwrap();
    let today: Vec<_> = today
        .iter()
        .map(|row| (row.repo.name(), row.standing.spent))
        .collect();
    assert_eq!(
        vec![("a", tokens(40)), ("ab", tokens(1)), ("b", tokens(20))],
        today
    );
    assert_eq!(tokens(61), spending.of_fleet().await.unwrap().spent);
    assert_eq!(
        tokens(20),
        spending
            .of_repository(&"a/b".parse().unwrap())
            .await
            .unwrap()
            .spent
    );
}

/// One thing that happens to the books. Numbers choose among the accounts and open reservations
/// there are.
#[derive(Debug, Clone)]
enum Step {
    Reserve { account: usize, amount: u64 },
    Settle { open: usize, used: u64 },
    Die { account: usize },
    Midnight,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..5, 1_u64..150).prop_map(|(account, amount)| Step::Reserve { account, amount }),
        5 => (any::<usize>(), 0_u64..200).prop_map(|(open, used)| Step::Settle { open, used }),
        1 => (0_usize..5).prop_map(|account| Step::Die { account }),
        1 => Just(Step::Midnight),
    ];
    prop::collection::vec(step, 1..40)
}

/// What the books should say, kept the slow and obvious way: every call, summed up each time.
#[derive(Default)]
struct Expected {
    calls: Vec<Call>,
}

struct Call {
    account: usize,
    day: i64,
    reservation: Option<Reservation>,
    amount: u64,
}

impl Expected {
    fn booked(&self, counts: impl Fn(&Call) -> bool) -> u64 {
        let counted = self.calls.iter().filter(|call| counts(call));
        counted.map(|call| call.amount).sum()
    }
}

const CAPS: [(BudgetScope, u64); 5] = [
    (BudgetScope::Run, 300),
    (BudgetScope::Issue, 400),
    (BudgetScope::Repository, 500),
    (BudgetScope::Day, 600),
    (BudgetScope::Fleet, 1_500),
];

fn caps() -> SpendLimits {
    let caps: BTreeMap<BudgetScope, Cap> = CAPS
        .iter()
        .map(|(scope, most)| (*scope, cap(*most)))
        .collect();
    SpendLimits {
        per_call: Cap::default(),
        per_run: caps[&BudgetScope::Run],
        per_issue: caps[&BudgetScope::Issue],
        per_repository: caps[&BudgetScope::Repository],
        per_day: caps[&BudgetScope::Day],
        fleet: caps[&BudgetScope::Fleet],
    }
}

/// Whatever happens in whatever order, a reservation is granted exactly when no cap is passed, and
/// the totals are what a recount of the entries gives.
async fn no_interleaving_passes_a_cap(database: Database, steps: Vec<Step>) {
    let clock = Arc::new(ManualClock::default());
    let spending = database.store.spending(clock.clone());
    let accounts = [
        for_issue("a/a#1"),
        for_issue("a/a#1"),
        for_issue("a/a#2"),
        for_issue("a/b#1"),
        without_issue(),
    ];
    let name = |account: usize| accounts[account].issue.clone();
    let repo = |account: usize| name(account).map(|issue| issue.repo);
    let mut expected = Expected::default();
    for step in steps {
        let day = clock.now().as_second() / 86_400;
        match step {
            Step::Midnight => clock.advance(Duration::from_hours(24)),
            Step::Die { account } => {
                spending
                    .release_of_run(&accounts[account].run)
                    .await
                    .unwrap();
                for call in expected
                    .calls
                    .iter_mut()
                    .filter(|call| call.account == account)
                {
                    call.reservation = None;
                }
            }
            Step::Settle { open, used } => {
                let mut calls: Vec<&mut Call> = expected
                    .calls
                    .iter_mut()
                    .filter(|call| call.reservation.is_some())
                    .collect();
                if calls.is_empty() {
                    continue;
                }
                let place = open % calls.len();
                let reservation = calls[place].reservation.take().unwrap();
                spending.settle(&reservation, tokens(used)).await.unwrap();
                calls[place].amount = used;
            }
            Step::Reserve { account, amount } => {
                let booked = |scope| {
                    expected.booked(|call| match scope {
                        BudgetScope::Call => false,
                        BudgetScope::Run => call.account == account,
                        BudgetScope::Issue => {
                            name(account).is_some() && name(call.account) == name(account)
                        }
                        BudgetScope::Repository => {
                            repo(account).is_some()
                                && call.day == day
                                && repo(call.account) == repo(account)
                        }
                        BudgetScope::Day => call.day == day,
                        BudgetScope::Fleet => true,
                    })
                };
                let applies = |scope| {
                    accounts[account].issue.is_some()
                        || !matches!(scope, BudgetScope::Issue | BudgetScope::Repository)
                };
                let refusal = CAPS
                    .into_iter()
                    .find(|(scope, most)| applies(*scope) && booked(*scope) + amount > *most);
                let answer = spending
                    .reserve(&accounts[account], "local", tokens(amount), &caps())
                    .await;
                match (answer, refusal) {
                    (Ok(reservation), None) => expected.calls.push(Call {
                        account,
                        day,
                        reservation: Some(reservation),
                        amount,
                    }),
                    (Err(SpendError::OverBudget { limit, .. }), Some((scope, _))) => {
                        assert_eq!(scope, limit)
                    }
                    (answer, refusal) => panic!("{answer:?} where {refusal:?} was expected"),
                }
            }
        }
        let fleet = expected.booked(|_| true);
        assert_eq!(tokens(fleet), spending.of_fleet().await.unwrap().booked());
    }
    let kept = snapshot(&spending, &accounts).await;
    spending.recount().await.unwrap();
    assert_eq!(kept, snapshot(&spending, &accounts).await);
    let open = expected
        .calls
        .iter()
        .filter(|call| call.reservation.is_some());
    let open: u64 = open.map(|call| call.amount).sum();
    assert_eq!(tokens(open), spending.of_fleet().await.unwrap().reserved);
}

/// Everything the totals say.
async fn snapshot(spending: &Spending, accounts: &[Account]) -> String {
    let mut runs = Vec::new();
    for account in accounts {
        runs.push(spending.of_run(&account.run).await.unwrap());
    }
    let days = spending.days(1_000).await.unwrap();
    let issues = spending.dearest_issues(None, 1_000).await.unwrap();
    let repositories = spending.repositories_today().await.unwrap();
    let fleet = spending.of_fleet().await.unwrap();
    format!("{runs:?} {days:?} {issues:?} {repositories:?} {fleet:?}")
}
