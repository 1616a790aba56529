//! What every cap is compared with: totals that are kept in the transaction of each entry.
//!
//! New values are computed here, not in SQL, so that nothing overflows: a server may claim any
//! number of tokens.

use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::any::AnyRow;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;

use super::BudgetScope;
use crate::database::Write;
use crate::error::StoreError;

/// The largest figure the books hold for one call: what a 64-bit float still tells apart.
const LARGEST: u64 = 1 << 53;

const COLUMNS: &str = "scope, day, key, reserved_input, reserved_output, reserved_cost, \
     spent_input, spent_output, spent_cost";

/// What is booked under one scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Set aside for calls that are not settled yet.
    pub reserved: Usage,
    /// Used by calls that were settled.
    pub spent: Usage,
}

impl Standing {
    /// What counts against a cap.
    #[must_use]
    pub fn booked(&self) -> Usage {
        self.reserved + self.spent
    }

    pub(super) fn reserve(&mut self, amount: Usage) {
        self.reserved = self.reserved + amount;
    }

    pub(super) fn settle(&mut self, reserved: Usage, used: Usage) {
        self.reserved = less(self.reserved, reserved);
        self.spent = self.spent + used;
    }
}

fn less(from: Usage, amount: Usage) -> Usage {
    Usage {
        input_tokens: from.input_tokens.saturating_sub(amount.input_tokens),
        output_tokens: from.output_tokens.saturating_sub(amount.output_tokens),
        cost: MicroUsd(from.cost.0.saturating_sub(amount.cost.0)),
    }
}

/// An amount as the books can hold it.
pub(super) fn bounded(usage: Usage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens.min(LARGEST),
        output_tokens: usage.output_tokens.min(LARGEST),
        cost: MicroUsd(usage.cost.0.min(LARGEST)),
    }
}

/// One row of the totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) scope: BudgetScope,
    pub(super) day: String,
    pub(super) key: String,
    pub(super) standing: Standing,
}

/// Where an entry counts.
pub(super) struct Places<'a> {
    pub(super) run: &'a str,
    pub(super) repo: Option<&'a str>,
    pub(super) issue: Option<String>,
    pub(super) day: &'a str,
}

impl Places<'_> {
    /// The totals of these places as they stand; empty ones where nothing was booked yet. The
    /// narrowest scope comes first.
    pub(super) async fn read(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<Vec<Total>, StoreError> {
        let mut totals: Vec<Total> = Vec::new();
        let mut add = |scope, day: &str, key: &str| {
            totals.push(Total {
                scope,
                day: day.to_owned(),
                key: key.to_owned(),
                standing: Standing::default(),
            });
        };
        add(BudgetScope::Run, "", self.run);
        if let Some(issue) = &self.issue {
            add(BudgetScope::Issue, "", issue);
        }
        if let Some(repo) = self.repo {
            add(BudgetScope::Repository, self.day, repo);
        }
        add(BudgetScope::Day, self.day, "");
        add(BudgetScope::Fleet, "", "");
        for row in self.rows(connection).await? {
            let word: String = row.try_get("scope")?;
            let standing = standing(&row)?;
            let place = totals.iter_mut().find(|total| total.scope.word() == word);
            if let Some(total) = place {
                total.standing = standing;
            }
        }
        Ok(totals)
    }

    async fn rows(&self, connection: &mut AnyConnection) -> Result<Vec<AnyRow>, StoreError> {
        // One look-up each: an OR over them would be left to the planner.
        const LOOK_UP: &str = "SELECT * FROM spending_totals WHERE scope =";
        let statement = format!(
            "{LOOK_UP} 'run' AND day = '' AND key = $1 \
             UNION ALL {LOOK_UP} 'issue' AND day = '' AND key = $2 \
             UNION ALL {LOOK_UP} 'repository' AND day = $3 AND key = $4 \
             UNION ALL {LOOK_UP} 'day' AND day = $3 AND key = '' \
             UNION ALL {LOOK_UP} 'fleet' AND day = '' AND key = ''"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(self.run.to_owned())
            .bind(self.issue.clone().unwrap_or_default())
            .bind(self.day.to_owned())
            .bind(self.repo.unwrap_or_default().to_owned())
            .fetch_all(connection)
            .await?;
        Ok(rows)
    }
}

/// Writes totals as they are.
pub(super) async fn write(write: &mut Write, totals: &[Total]) -> Result<(), StoreError> {
    const WIDTH: usize = 9;
    let row = |number: usize| {
        let places: Vec<String> = (1..=WIDTH)
            .map(|column| format!("${}", number * WIDTH + column))
            .collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..totals.len()).map(row).collect();
    let statement = format!(
        "INSERT INTO spending_totals ({COLUMNS}) VALUES {} ON CONFLICT (scope, day, key) \
         DO UPDATE SET reserved_input = excluded.reserved_input, \
         reserved_output = excluded.reserved_output, reserved_cost = excluded.reserved_cost, \
         spent_input = excluded.spent_input, spent_output = excluded.spent_output, \
         spent_cost = excluded.spent_cost",
        rows.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for total in totals {
        let Standing { reserved, spent } = total.standing;
        query = query
            .bind(total.scope.word())
            .bind(total.day.clone())
            .bind(total.key.clone())
            .bind(signed(reserved.input_tokens))
            .bind(signed(reserved.output_tokens))
            .bind(signed(reserved.cost.0))
            .bind(signed(spent.input_tokens))
            .bind(signed(spent.output_tokens))
            .bind(signed(spent.cost.0));
    }
    query.execute(&mut **write).await?;
    Ok(())
}

/// Makes the totals again from the entries.
pub(super) async fn recount(write: &mut Write) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM spending_totals")
        .execute(&mut **write)
        .await?;
    let statement =
        format!("INSERT INTO spending_totals ({COLUMNS}) SELECT {COLUMNS} FROM spending_recount");
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut **write)
        .await?;
    Ok(())
}

pub(super) fn standing(row: &AnyRow) -> Result<Standing, StoreError> {
    let usage = |input, output, cost| -> Result<Usage, StoreError> {
        Ok(Usage {
            input_tokens: unsigned(row.try_get(input)?),
            output_tokens: unsigned(row.try_get(output)?),
            cost: MicroUsd(unsigned(row.try_get(cost)?)),
        })
    };
    Ok(Standing {
        reserved: usage("reserved_input", "reserved_output", "reserved_cost")?,
        spent: usage("spent_input", "spent_output", "spent_cost")?,
    })
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
