//! Tokens and cost: reserved before a model call, settled after it.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use sqlx::Row;
use timmy_core::Clock;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use uuid::Uuid;

use crate::database::Store;
use crate::database::Write;
use crate::error::StoreError;

/// The most that may be used. Absent means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cap {
    /// Tokens both ways.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub cost: Option<MicroUsd>,
}

impl Cap {
    fn allows(&self, total: &Usage) -> bool {
        self.tokens.is_none_or(|most| total.tokens() <= most)
            && self.cost.is_none_or(|most| total.cost <= most)
    }
}

/// The three caps every call is held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpendLimits {
    /// One model call.
    pub per_call: Cap,
    /// All calls of one run.
    pub per_run: Cap,
    /// All calls of one UTC day, whatever the run.
    pub per_day: Cap,
}

/// An amount that was set aside and is still to be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    id: String,
    run: RunId,
    provider: String,
    /// What was set aside.
    pub amount: Usage,
}

/// A reservation that was not made, or not settled.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The call would go over a cap. The run stops; nothing was sent.
    #[error(
        "the next model call could use {asked} tokens and pass the {limit} limit ({used} used)"
    )]
    OverBudget {
        /// The name of the cap: call, run or day.
        limit: &'static str,
        /// Tokens the call could use.
        asked: u64,
        /// Tokens already used or set aside under that cap.
        used: u64,
        /// The setting that changes it.
        setting: &'static str,
    },
    /// The reservation was settled before. A defect of the caller; the first settlement stands.
    #[error("reservation {0} was settled before")]
    SettledBefore(String),
    /// The database failed. The run stops; nothing was sent.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SpendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Coded for SpendError {
    fn problem(&self) -> Problem {
        match self {
            Self::OverBudget { setting, .. } => {
                Problem::new(Code::new(210), ExitStatus::Later, self.to_string())
                    .at((*setting).to_owned())
                    .fix(format!(
                        "raise {setting} in timmy.toml, or wait for the next day"
                    ))
            }
            Self::SettledBefore(_) => {
                Problem::new(Code::new(211), ExitStatus::Internal, self.to_string())
                    .fix("report this as a defect of timmy")
            }
            Self::Store(error) => error.problem(),
        }
    }
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
    /// [`SpendError::OverBudget`] names the first cap that does not.
    pub async fn reserve(
        &self,
        run: &RunId,
        provider: &str,
        amount: Usage,
        limits: &SpendLimits,
    ) -> Result<Reservation, SpendError> {
        let day = self.day();
        let mut write = self.store.write().await?;
        let in_run = total(&mut write, By::Run(run.as_str())).await?;
        let in_day = total(&mut write, By::Day(&day)).await?;
        let over = |limit, used: Usage, setting| SpendError::OverBudget {
            limit,
            asked: amount.tokens(),
            used: used.tokens(),
            setting,
        };
        if !limits.per_call.allows(&amount) {
            return Err(over("call", Usage::default(), "budget.per_call"));
        }
        if !limits.per_run.allows(&(in_run + amount)) {
            return Err(over("run", in_run, "budget.per_run"));
        }
        if !limits.per_day.allows(&(in_day + amount)) {
            return Err(over("day", in_day, "budget.per_day"));
        }
        let reservation = Reservation {
            id: Uuid::now_v7().to_string(),
            run: run.clone(),
            provider: provider.to_owned(),
            amount,
        };
        let signed = Signed::from(amount);
        self.insert(&mut write, &reservation, "reserve", &signed, &day)
            .await?;
        write.commit().await.map_err(StoreError::from)?;
        Ok(reservation)
    }

    /// Replaces what was set aside by what was used.
    ///
    /// # Errors
    /// [`SpendError::SettledBefore`] when it was settled already.
    pub async fn settle(&self, reservation: &Reservation, used: Usage) -> Result<(), SpendError> {
        let mut write = self.store.write().await?;
        let found = sqlx::query("SELECT day, entry FROM spending WHERE reservation = $1")
            .bind(&reservation.id)
            .fetch_all(&mut *write)
            .await?;
        let [only] = found.as_slice() else {
            return Err(SpendError::SettledBefore(reservation.id.clone()));
        };
        // The day of the reservation, so that a call over midnight counts once.
        let day: String = only.try_get("day")?;
        let difference = Signed::from(used) - Signed::from(reservation.amount);
        self.insert(&mut write, reservation, "settle", &difference, &day)
            .await?;
        write.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// What a run used or has set aside.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_run(&self, run: &RunId) -> Result<Usage, StoreError> {
        let mut connection = self.store.pool.acquire().await?;
        total(&mut connection, By::Run(run.as_str())).await
    }

    /// What today's calls (UTC) used or have set aside.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_today(&self) -> Result<Usage, StoreError> {
        let mut connection = self.store.pool.acquire().await?;
        total(&mut connection, By::Day(&self.day())).await
    }

    fn day(&self) -> String {
        self.clock.now().strftime("%Y-%m-%d").to_string()
    }

    async fn insert(
        &self,
        write: &mut Write,
        reservation: &Reservation,
        entry: &str,
        amount: &Signed,
        day: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO spending (reservation, entry, run, provider, day, input_tokens, \
             output_tokens, cost_micros, at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&reservation.id)
        .bind(entry)
        .bind(reservation.run.as_str())
        .bind(&reservation.provider)
        .bind(day)
        .bind(amount.input_tokens)
        .bind(amount.output_tokens)
        .bind(amount.cost)
        .bind(self.clock.now().as_microsecond())
        .execute(&mut **write)
        .await?;
        Ok(())
    }
}

/// [`Usage`] as the database keeps it, where a settlement may be negative.
struct Signed {
    input_tokens: i64,
    output_tokens: i64,
    cost: i64,
}

impl From<Usage> for Signed {
    fn from(usage: Usage) -> Self {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Self {
            input_tokens: signed(usage.input_tokens),
            output_tokens: signed(usage.output_tokens),
            cost: signed(usage.cost.0),
        }
    }
}

impl std::ops::Sub for Signed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens - other.input_tokens,
            output_tokens: self.output_tokens - other.output_tokens,
            cost: self.cost - other.cost,
        }
    }
}

enum By<'a> {
    Run(&'a str),
    Day(&'a str),
}

async fn total(connection: &mut sqlx::AnyConnection, by: By<'_>) -> Result<Usage, StoreError> {
    let query = match by {
        By::Run(run) => sqlx::query(
            "SELECT CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT) AS input, \
             CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output, \
             CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT) AS cost \
             FROM spending WHERE run = $1",
        )
        .bind(run.to_owned()),
        By::Day(day) => sqlx::query(
            "SELECT CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT) AS input, \
             CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output, \
             CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT) AS cost \
             FROM spending WHERE day = $1",
        )
        .bind(day.to_owned()),
    };
    let row = query.fetch_one(connection).await?;
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Usage {
        input_tokens: unsigned(row.try_get("input")?),
        output_tokens: unsigned(row.try_get("output")?),
        cost: MicroUsd(unsigned(row.try_get("cost")?)),
    })
}
