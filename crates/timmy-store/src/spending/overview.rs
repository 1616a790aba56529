//! What stands in the books, for people.

use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use timmy_core::IssueName;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::money::Usage;

use super::BudgetScope;
use super::Spending;
use super::Standing;
use super::totals::standing;
use crate::error::StoreError;

/// What was booked on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayStanding {
    /// The day in UTC, `2026-01-31`.
    pub day: String,
    /// What was booked.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What was booked for one repository on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryStanding {
    /// The repository.
    pub repo: RepoName,
    /// What was booked.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What was booked for one issue, by all its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssueStanding {
    /// The issue.
    pub issue: IssueName,
    /// What was booked.
    #[serde(flatten)]
    pub standing: Standing,
}

impl Spending {
    /// What a run used or has set aside.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_run(&self, run: &RunId) -> Result<Usage, StoreError> {
        let standing = self.one(BudgetScope::Run, "", run.as_str()).await?;
        Ok(standing.booked())
    }

    /// What today's calls (UTC) used or have set aside.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_today(&self) -> Result<Usage, StoreError> {
        Ok(self.today().await?.standing.booked())
    }

    /// What stands in the books for today (UTC).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn today(&self) -> Result<DayStanding, StoreError> {
        let day = self.day();
        let standing = self.one(BudgetScope::Day, &day, "").await?;
        Ok(DayStanding { day, standing })
    }

    /// What stands in the books for an issue.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_issue(&self, issue: &IssueName) -> Result<Standing, StoreError> {
        self.one(BudgetScope::Issue, "", &issue.to_string()).await
    }

    /// What stands in the books for a repository today (UTC).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_repository(&self, repo: &RepoName) -> Result<Standing, StoreError> {
        let day = self.day();
        self.one(BudgetScope::Repository, &day, &repo.to_string())
            .await
    }

    /// Everything that was ever booked in this database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_fleet(&self) -> Result<Standing, StoreError> {
        self.one(BudgetScope::Fleet, "", "").await
    }

    /// The newest days on which anything was booked, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn days(&self, limit: u32) -> Result<Vec<DayStanding>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM spending_totals WHERE scope = 'day' ORDER BY day DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let day = row.try_get("day")?;
                let standing = standing(row)?;
                Ok(DayStanding { day, standing })
            })
            .collect()
    }

    /// Every repository something was booked for today (UTC), by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repositories_today(&self) -> Result<Vec<RepositoryStanding>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM spending_totals WHERE scope = 'repository' AND day = $1 ORDER BY key",
        )
        .bind(self.day())
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let repo = key(row)?;
                let standing = standing(row)?;
                Ok(RepositoryStanding { repo, standing })
            })
            .collect()
    }

    /// The issues that took most, of one repository or of all: by cost, then by tokens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dearest_issues(
        &self,
        repo: Option<&RepoName>,
        limit: u32,
    ) -> Result<Vec<IssueStanding>, StoreError> {
        let beginning = repo.map_or_else(String::new, |repo| format!("{repo}#"));
        let rows = sqlx::query(
            "SELECT * FROM spending_totals \
             WHERE scope = 'issue' AND SUBSTR(key, 1, LENGTH($1)) = $1 \
             ORDER BY reserved_cost + spent_cost DESC, \
             reserved_input + reserved_output + spent_input + spent_output DESC, key LIMIT $2",
        )
        .bind(beginning)
        .bind(i64::from(limit))
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let issue = key(row)?;
                let standing = standing(row)?;
                Ok(IssueStanding { issue, standing })
            })
            .collect()
    }

    async fn one(&self, scope: BudgetScope, day: &str, key: &str) -> Result<Standing, StoreError> {
        let row =
            sqlx::query("SELECT * FROM spending_totals WHERE scope = $1 AND day = $2 AND key = $3")
                .bind(scope.word())
                .bind(day.to_owned())
                .bind(key.to_owned())
                .fetch_optional(&self.store.pool)
                .await?;
        row.as_ref()
            .map_or_else(|| Ok(Standing::default()), standing)
    }
}

fn key<T>(row: &AnyRow) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let key: String = row.try_get("key")?;
    key.parse().map_err(|error: T::Err| StoreError::Unreadable {
        table: "spending_totals",
        row: key.clone(),
        reason: error.to_string(),
    })
}
