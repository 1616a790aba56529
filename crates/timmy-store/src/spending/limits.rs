//! What may be spent, and the errors of those who ask for more.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;

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
    pub(super) fn allows(&self, total: &Usage) -> bool {
        self.tokens.is_none_or(|most| total.tokens() <= most)
            && self.cost.is_none_or(|most| total.cost <= most)
    }
}

/// The caps every call is held against, before it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpendLimits {
    /// One model call.
    pub per_call: Cap,
    /// All calls of one run.
    pub per_run: Cap,
    /// All calls of every run there ever was on one issue.
    pub per_issue: Cap,
    /// All calls of one UTC day for one repository.
    pub per_repository: Cap,
    /// All calls of one UTC day, whatever for.
    pub per_day: Cap,
    /// Everything that was ever booked in this database, by every host that shares it.
    pub fleet: Cap,
}

impl SpendLimits {
    /// The cap of a scope.
    #[must_use]
    pub fn cap(&self, scope: BudgetScope) -> Cap {
        match scope {
            BudgetScope::Call => self.per_call,
            BudgetScope::Run => self.per_run,
            BudgetScope::Issue => self.per_issue,
            BudgetScope::Repository => self.per_repository,
            BudgetScope::Day => self.per_day,
            BudgetScope::Fleet => self.fleet,
        }
    }
}

/// What a cap is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// One model call.
    Call,
    /// One run.
    Run,
    /// One issue, through all its runs.
    Issue,
    /// One repository on one UTC day.
    Repository,
    /// One UTC day.
    Day,
    /// Everything in this database.
    Fleet,
}

impl BudgetScope {
    /// The scope as the database and messages name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Run => "run",
            Self::Issue => "issue",
            Self::Repository => "repository",
            Self::Day => "day",
            Self::Fleet => "fleet",
        }
    }

    /// The setting that changes its cap.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Call => "budget.per_call",
            Self::Run => "budget.per_run",
            Self::Issue => "budget.per_issue",
            Self::Repository => "budget.per_repository",
            Self::Day => "budget.per_day",
            Self::Fleet => "budget.fleet",
        }
    }

    /// What makes room again, when the setting stays as it is.
    fn remedy(self) -> &'static str {
        match self {
            Self::Call => "the next call has to be shorter",
            Self::Run => "the next run starts from nothing",
            Self::Issue => "work on another issue",
            Self::Repository | Self::Day => "wait for the next day (UTC)",
            Self::Fleet => "nothing is spent until then",
        }
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A reservation that was not made, or not settled.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The call would go over a cap. The run stops; nothing was sent.
    #[error(
        "the next model call could use {asked} tokens and pass the {limit} limit ({used} used)"
    )]
    OverBudget {
        /// The cap that would be passed.
        limit: BudgetScope,
        /// Tokens the call could use.
        asked: u64,
        /// Tokens already used or set aside under that cap.
        used: u64,
    },
    /// The reservation was settled before. A defect of the caller, or its run was closed as dead
    /// meanwhile; the first settlement stands.
    #[error("reservation {0} was settled before")]
    SettledBefore(String),
    /// The database failed. The run stops; nothing was sent.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for SpendError {
    fn problem(&self) -> Problem {
        match self {
            Self::OverBudget { limit, .. } => {
                Problem::new(Code::new(210), ExitStatus::Later, self.to_string())
                    .at(limit.setting())
                    .fix(format!(
                        "raise {} in timmy.toml, or leave it: {}",
                        limit.setting(),
                        limit.remedy()
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

impl From<sqlx::Error> for SpendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
