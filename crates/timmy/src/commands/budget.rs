//! `timmy budget`: what may be spent, what is, and what a merged pull request cost.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_store::BudgetScope;
use timmy_store::Cap;
use timmy_store::DayStanding;
use timmy_store::SpendLimits;
use timmy_store::Spending;
use timmy_store::Standing;
use timmy_telemetry::merged::MergedPrice;

use super::Ended;
use super::told;
use crate::cli::BudgetArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// How many issues are named.
const DEAREST: u32 = 10;
const SECONDS_PER_DAY: u64 = 86_400;

/// Everything about money and tokens.
#[derive(Debug, Serialize)]
struct Budget {
    /// Limits that no standing belongs to: they begin anew with each call and run.
    per_call: Cap,
    per_run: Cap,
    /// The scopes that something can be left of.
    scopes: Vec<Scope>,
    /// The newest days on which anything was booked.
    days: Vec<DayStanding>,
    /// What merged pull requests cost.
    merged: MergedPrice,
}

/// One scope: what it may take and what it took.
#[derive(Debug, Serialize)]
struct Scope {
    scope: BudgetScope,
    /// The day, repository or issue.
    of: String,
    limit: Cap,
    #[serde(flatten)]
    standing: Standing,
    /// What is left of the limit; nothing is said about what has none.
    left: Cap,
}

impl Scope {
    fn new(scope: BudgetScope, of: String, standing: Standing, limits: &SpendLimits) -> Self {
        let limit = limits.cap(scope);
        let booked = standing.booked();
        let cost = |most: MicroUsd| MicroUsd(most.0.saturating_sub(booked.cost.0));
        Self {
            scope,
            of,
            limit,
            standing,
            left: Cap {
                tokens: limit
                    .tokens
                    .map(|most| most.saturating_sub(booked.tokens())),
                cost: limit.cost.map(cost),
            },
        }
    }
}

pub(super) async fn run(host: &Host, arguments: &BudgetArguments) -> Ended {
    let store = host.store().await?;
    let clock = Arc::clone(&host.clock);
    let spending = store.spending(Arc::clone(&clock));
    if arguments.recount {
        spending.recount().await.map_err(told)?;
    }
    let limits = host.loaded.config.budget;
    let days = u64::from(arguments.days);
    let stretch = Duration::from_secs(days * SECONDS_PER_DAY);
    let since = clock.now().checked_sub(stretch).unwrap_or_default();
    let log = store.log(clock);
    let only = arguments.repo.as_ref();
    let budget = Budget {
        per_call: limits.per_call,
        per_run: limits.per_run,
        scopes: scopes(&spending, arguments, &limits).await?,
        days: spending.days(arguments.days).await.map_err(told)?,
        merged: MergedPrice::read(&log, since, only).await.map_err(told)?,
    };
    match host.form {
        Form::Human => output::line(&text(&budget, arguments.days))?,
        Form::Json => output::json(&budget)?,
    }
    Ok(ExitStatus::Success)
}

async fn scopes(
    spending: &Spending,
    arguments: &BudgetArguments,
    limits: &SpendLimits,
) -> Result<Vec<Scope>, Problem> {
    let fleet = spending.of_fleet().await.map_err(told)?;
    let today = spending.today().await.map_err(told)?;
    let mut scopes = vec![
        Scope::new(BudgetScope::Fleet, "ever".to_owned(), fleet, limits),
        Scope::new(BudgetScope::Day, today.day.clone(), today.standing, limits),
    ];
    let only = arguments.repo.as_ref();
    match only {
        Some(repo) => {
            let standing = spending.of_repository(repo).await.map_err(told)?;
            let of = format!("{repo}, {}", today.day);
            scopes.push(Scope::new(BudgetScope::Repository, of, standing, limits));
        }
        None => {
            for row in spending.repositories_today().await.map_err(told)? {
                let of = format!("{}, {}", row.repo, today.day);
                let scope = Scope::new(BudgetScope::Repository, of, row.standing, limits);
                scopes.push(scope);
            }
        }
    }
    for row in spending.dearest_issues(only, DEAREST).await.map_err(told)? {
        let of = row.issue.to_string();
        scopes.push(Scope::new(BudgetScope::Issue, of, row.standing, limits));
    }
    Ok(scopes)
}

/// The budget for a person.
fn text(budget: &Budget, days: u32) -> String {
    let header = ["scope", "of", "limit", "reserved", "spent", "left"];
    let rows = budget.scopes.iter().map(|scope| {
        vec![
            scope.scope.to_string(),
            scope.of.clone(),
            cap(&scope.limit),
            amount(&scope.standing.reserved),
            amount(&scope.standing.spent),
            cap(&scope.left),
        ]
    });
    let scopes = output::table(&header, rows.collect());
    let rows = budget.days.iter().map(|day| {
        let Standing { reserved, spent } = day.standing;
        vec![day.day.clone(), amount(&reserved), amount(&spent)]
    });
    let by_day = match budget.days.is_empty() {
        true => "nothing was spent yet".to_owned(),
        false => output::table(&["day (UTC)", "reserved", "spent"], rows.collect()),
    };
    format!(
        "One call may take {}, one run {}\n\n{scopes}\n\n{by_day}\n\n{}",
        cap(&budget.per_call),
        cap(&budget.per_run),
        merged(&budget.merged, days)
    )
}

fn merged(price: &MergedPrice, days: u32) -> String {
    let stretch = output::count(usize::try_from(days).unwrap_or(usize::MAX), "day", "days");
    let runs = output::count(price.runs, "run", "runs");
    let done = format!(
        "Last {stretch}: {runs}, {} merged as far as a loop has seen; `timmy report` asks the forge",
        price.merged
    );
    let (Some(tokens), Some(cost)) = (price.tokens_each, price.cost_each) else {
        return format!("{done}\nA merged pull request took n/a: nothing was merged");
    };
    let energy = |each: Option<u64>, word: &str| {
        let told = each.map_or("n/a".to_owned(), |mj| format!("{} J", mj.div_ceil(1_000)));
        format!("{told} {word}")
    };
    format!(
        "{done}\nA merged pull request took {tokens} tokens, {cost}; energy {}, {}",
        energy(price.counted_mj_each, "counted"),
        energy(price.declared_mj_each, "declared"),
    )
}

fn amount(usage: &Usage) -> String {
    format!("{} tokens, {}", usage.tokens(), usage.cost)
}

fn cap(cap: &Cap) -> String {
    match (cap.tokens, cap.cost) {
        (None, None) => "no limit".to_owned(),
        (Some(tokens), None) => format!("{tokens} tokens"),
        (None, Some(cost)) => cost.to_string(),
        (Some(tokens), Some(cost)) => format!("{tokens} tokens, {cost}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn usage(tokens: u64) -> Usage {
        Usage {
            input_tokens: tokens,
            output_tokens: tokens / 4,
            cost: MicroUsd(tokens * 3),
        }
    }

    #[test]
    fn a_budget_reads_like_this() {
        let limits = SpendLimits {
            per_call: Cap {
                tokens: Some(50_000),
                cost: None,
            },
            per_day: Cap {
                tokens: Some(1_000_000),
                cost: Some(MicroUsd(5_000_000)),
            },
            ..SpendLimits::default()
        };
        let standing = Standing {
            reserved: usage(8_000),
            spent: usage(400_000),
        };
        let scope = |scope, of: &str| Scope::new(scope, of.to_owned(), standing, &limits);
        let mut budget = Budget {
            per_call: limits.per_call,
            per_run: limits.per_run,
            scopes: vec![
                scope(BudgetScope::Fleet, "ever"),
                scope(BudgetScope::Day, "2026-01-31"),
            ],
            days: vec![DayStanding {
                day: "2026-01-31".to_owned(),
                standing,
            }],
            merged: MergedPrice {
                since: Timestamp::UNIX_EPOCH,
                runs: 12,
                merged: 4,
                usage: usage(400_000),
                wall_ms: 60_000,
                counted_mj: Some(9_000_000),
                declared_mj: None,
                cost_each: Some(MicroUsd(300_000)),
                tokens_each: Some(125_000),
                wall_ms_each: Some(15_000),
                counted_mj_each: Some(2_250_000),
                declared_mj_each: None,
            },
        };
        insta::assert_snapshot!("a_budget", text(&budget, 7));
        budget.days.clear();
        budget.merged.merged = 0;
        budget.merged.cost_each = None;
        budget.merged.counted_mj_each = None;
        insta::assert_snapshot!("nothing_merged", text(&budget, 1));
    }
}
