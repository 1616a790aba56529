//! What the log does not tell: the books, and the queue that hosts of one database share.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use timmy_core::Clock;
use timmy_core::Problem;
use timmy_store::BudgetScope;
use timmy_store::Cap;
use timmy_store::SpendLimits;
use timmy_store::Standing;
use timmy_store::Store;

use crate::commands::told;

/// Entries of the queue that are looked at.
const ENTRIES: u32 = 1_000;

/// Money, tokens and the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Books {
    /// What the calls of today (UTC) used.
    pub(super) day: Account,
    /// What all calls ever used.
    pub(super) fleet: Account,
    /// Issues that wait in the queue of the database.
    pub(super) offered: usize,
    /// Issues that a host has taken out of it.
    pub(super) taken: usize,
    /// Hosts that hold one.
    pub(super) hosts: usize,
}

/// What was used of what may be.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Account {
    /// The most; nothing is said where there is no limit.
    pub(super) limit: Cap,
    /// Used or set aside.
    pub(super) standing: Standing,
}

impl Books {
    pub(super) async fn read(
        store: &Store,
        clock: &Arc<dyn Clock>,
        limits: &SpendLimits,
    ) -> Result<Self, Problem> {
        let spending = store.spending(Arc::clone(clock));
        let queue = store.queue(Arc::clone(clock)).await.map_err(told)?;
        let entries = queue.entries(timmy_dispatch::TOPIC, ENTRIES).await;
        let entries = entries.map_err(told)?;
        let holders: Vec<&String> = entries.iter().filter_map(|e| e.holder.as_ref()).collect();
        let hosts: BTreeSet<&&String> = holders.iter().collect();
        Ok(Self {
            day: Account {
                limit: limits.cap(BudgetScope::Day),
                standing: spending.today().await.map_err(told)?.standing,
            },
            fleet: Account {
                limit: limits.cap(BudgetScope::Fleet),
                standing: spending.of_fleet().await.map_err(told)?,
            },
            offered: entries.len() - holders.len(),
            taken: holders.len(),
            hosts: hosts.len(),
        })
    }
}
