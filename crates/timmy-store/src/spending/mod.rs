//! Tokens and cost: reserved before a model call, settled after it.
//!
//! # Rules
//! - A call is sent only after its upper bound was set aside under every cap, in one write
//!   transaction. What is booked therefore never passes a cap by a reservation.
//! - What a call really used is written down even when it is more than was set aside. Then the next
//!   reservation is refused.
//! - What was set aside and never settled stays set aside, until [`Spending::release_of_run`] books
//!   it as spent: nobody can know that a killed call cost nothing.

mod limits;
mod overview;
mod totals;

use std::sync::Arc;

use sqlx::Row;
use sqlx::any::AnyRow;
use timmy_core::Clock;
use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use uuid::Uuid;

use crate::database::Store;
use crate::database::Write;
use crate::error::StoreError;
use totals::Places;
use totals::Total;
use totals::bounded;
use totals::signed;
use totals::unsigned;

pub use limits::BudgetScope;
pub use limits::Cap;
pub use limits::SpendError;
pub use limits::SpendLimits;
pub use overview::DayStanding;
pub use overview::IssueStanding;
pub use overview::RepositoryStanding;
pub use totals::Standing;

/// Whom a model call is booked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The run that makes it.
    pub run: RunId,
    /// The issue the run is for, if it is for one.
    pub issue: Option<IssueName>,
}

/// An amount that was set aside and is still to be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    id: String,
    /// What was set aside.
    pub amount: Usage,
}

/// The record of what was set aside and used. Cheap to clone.
#[derive(Clone)]
pub struct Spending {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Spending {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Sets an upper bound aside for one call, if every cap allows it.
    ///
    /// # Errors
    /// [`SpendError::OverBudget`] names the narrowest cap that does not.
    pub async fn reserve(
        &self,
        account: &Account,
        provider: &str,
        amount: Usage,
        limits: &SpendLimits,
    ) -> Result<Reservation, SpendError> {
        let amount = bounded(amount);
        let over = |limit, used: Usage| SpendError::OverBudget {
            limit,
            asked: amount.tokens(),
            used: used.tokens(),
        };
        if !limits.per_call.allows(&amount) {
            return Err(over(BudgetScope::Call, Usage::default()));
        }
        let entry = Entry {
            reservation: Uuid::now_v7().to_string(),
            run: account.run.to_string(),
            repo: account.issue.as_ref().map(|issue| issue.repo.to_string()),
            issue: account.issue.as_ref().map(|issue| issue.number),
            provider: provider.to_owned(),
            day: self.day(),
        };
        let mut write = self.store.write().await?;
        let mut totals = entry.places().read(&mut write).await?;
        for Total {
            scope, standing, ..
        } in &mut totals
        {
            let booked = standing.booked();
            if !limits.cap(*scope).allows(&(booked + amount)) {
                return Err(over(*scope, booked));
            }
            standing.reserve(amount);
        }
        self.insert(&mut write, &entry, "reserve", &Difference::of(amount))
            .await?;
        totals::write(&mut write, &totals).await?;
        write.commit().await.map_err(StoreError::from)?;
        Ok(Reservation {
            id: entry.reservation,
            amount,
        })
    }

    /// Replaces what was set aside by what was used, which may be more.
    ///
    /// # Errors
    /// [`SpendError::SettledBefore`] when it was settled already.
    pub async fn settle(&self, reservation: &Reservation, used: Usage) -> Result<(), SpendError> {
        let mut write = self.store.write().await?;
        let open = open_entries(&mut write, "reservation", &reservation.id).await?;
        let Some((entry, reserved)) = open.first() else {
            return Err(SpendError::SettledBefore(reservation.id.clone()));
        };
        self.settle_entry(&mut write, entry, *reserved, bounded(used))
            .await?;
        write.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Books everything a run has still set aside as spent, in full, and says how much that was.
    /// For a run that ended or whose process is gone: what its last call used is not known, and
    /// this is the most it can have been.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_of_run(&self, run: &RunId) -> Result<Usage, StoreError> {
        let mut write = self.store.write().await?;
        let mut released = Usage::default();
        for (entry, reserved) in open_entries(&mut write, "run", run.as_str()).await? {
            self.settle_entry(&mut write, &entry, reserved, reserved)
                .await?;
            released = released + reserved;
        }
        write.commit().await?;
        Ok(released)
    }

    /// Makes the totals again from the entries. They are the same afterwards, unless somebody else
    /// wrote into the database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recount(&self) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        totals::recount(&mut write).await?;
        Ok(write.commit().await?)
    }

    async fn settle_entry(
        &self,
        write: &mut Write,
        entry: &Entry,
        reserved: Usage,
        used: Usage,
    ) -> Result<(), StoreError> {
        let mut totals = entry.places().read(write).await?;
        for total in &mut totals {
            total.standing.settle(reserved, used);
        }
        let difference = Difference::between(reserved, used);
        self.insert(write, entry, "settle", &difference).await?;
        totals::write(write, &totals).await
    }

    /// The day (UTC) that a call counts for now.
    fn day(&self) -> String {
        self.clock.now().strftime("%Y-%m-%d").to_string()
    }

    async fn insert(
        &self,
        write: &mut Write,
        entry: &Entry,
        kind: &str,
        amount: &Difference,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO spending (reservation, entry, run, repo, issue, provider, day, \
             input_tokens, output_tokens, cost_micros, at_us) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(entry.reservation.clone())
        .bind(kind)
        .bind(entry.run.clone())
        .bind(entry.repo.clone())
        .bind(entry.issue.map(signed))
        .bind(entry.provider.clone())
        .bind(entry.day.clone())
        .bind(amount.input_tokens)
        .bind(amount.output_tokens)
        .bind(amount.cost)
        .bind(self.clock.now().as_microsecond())
        .execute(&mut **write)
        .await?;
        Ok(())
    }
}

/// What both entries of a reservation say alike. The day is that of the reservation, so that a call
/// over midnight counts once.
struct Entry {
    reservation: String,
    run: String,
    repo: Option<String>,
    issue: Option<u64>,
    provider: String,
    day: String,
}

impl Entry {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let issue: Option<i64> = row.try_get("issue")?;
        Ok(Self {
            reservation: row.try_get("reservation")?,
            run: row.try_get("run")?,
            repo: row.try_get("repo")?,
            issue: issue.map(unsigned),
            provider: row.try_get("provider")?,
            day: row.try_get("day")?,
        })
    }

    fn places(&self) -> Places<'_> {
        let repo = self.repo.as_deref();
        let issue = repo.zip(self.issue);
        Places {
            run: &self.run,
            repo,
            issue: issue.map(|(repo, issue)| format!("{repo}#{issue}")),
            day: &self.day,
        }
    }
}

/// The reservations that nobody settled yet, with what they hold.
async fn open_entries(
    write: &mut Write,
    column: &'static str,
    value: &str,
) -> Result<Vec<(Entry, Usage)>, StoreError> {
    let statement = format!(
        "SELECT * FROM spending WHERE {column} = $1 AND entry = 'reserve' AND NOT EXISTS \
         (SELECT 1 FROM spending AS other WHERE other.reservation = spending.reservation \
         AND other.entry = 'settle') ORDER BY reservation"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(value.to_owned())
        .fetch_all(&mut **write)
        .await?;
    rows.iter()
        .map(|row| {
            let reserved = Usage {
                input_tokens: unsigned(row.try_get("input_tokens")?),
                output_tokens: unsigned(row.try_get("output_tokens")?),
                cost: MicroUsd(unsigned(row.try_get("cost_micros")?)),
            };
            Ok((Entry::read(row)?, reserved))
        })
        .collect()
}

/// What an entry adds, which for a settlement is mostly less than nothing.
struct Difference {
    input_tokens: i64,
    output_tokens: i64,
    cost: i64,
}

impl Difference {
    fn of(amount: Usage) -> Self {
        Self::between(Usage::default(), amount)
    }

    fn between(reserved: Usage, used: Usage) -> Self {
        Self {
            input_tokens: signed(used.input_tokens) - signed(reserved.input_tokens),
            output_tokens: signed(used.output_tokens) - signed(reserved.output_tokens),
            cost: signed(used.cost.0) - signed(reserved.cost.0),
        }
    }
}
