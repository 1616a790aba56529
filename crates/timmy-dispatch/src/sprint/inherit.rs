//! Runs of hosts that never come back.
//!
//! With a log that several hosts share, a run without an end and without a directory here is
//! another host's to close, unless that host is gone for good. Two facts that do not depend on each
//! other tell so: the log has heard nothing of the run for longer than its claim lives without
//! renewal, and the forge gives the issue's claim away, which it does not do while somebody renews it.
//! Whoever gets the claim closes the run: what was pushed with a receipt is carried on, everything else
//! went with that host's disk and is abandoned.

use std::sync::Arc;
use std::time::Duration;

use timmy_core::Coded;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::event::Outcome;
use timmy_store::Started;
use timmy_store::runs::RunSummary;

use super::Sprint;
use super::diary::Diary;
use super::hold::Hold;
use super::hold::Taken;
use super::place::Liveness;
use super::place::RunPlace;
use super::recover::Left;
use super::recover::matter_of;
use super::recover::passes;
use crate::attempt::Attempt;
use crate::error::SprintError;

/// Runs of the past that are looked at.
const RUNS_LOOKED_AT: u32 = 1_000;

impl Sprint {
    /// Closes the runs of hosts that are gone.
    pub(super) async fn inherit(&self) -> Result<(), SprintError> {
        let unfinished = self.desk.events().unfinished(RUNS_LOOKED_AT).await?;
        for started in unfinished {
            let ours = started.repo == self.desk.repo;
            let here = || RunPlace::look(&self.desk.root, &started.run);
            if !ours || !matches!(here()?, Liveness::Elsewhere) {
                continue;
            }
            let history = self.desk.events().run(&started.run).await?;
            if self.is_quiet(&history) {
                self.inherit_run(&started).await?;
            }
        }
        Ok(())
    }

    /// Whether nothing was heard of a run for longer than its claim lives without renewal.
    fn is_quiet(&self, history: &[Event]) -> bool {
        let own = history.iter().find_map(|event| match event.kind {
            EventKind::ClaimAcquired { ttl_s, .. } => Some(ttl_s),
            _ => None,
        });
        let ttl = Duration::from_secs(own.unwrap_or(self.desk.settings.claim_ttl_s));
        let newest = history.last().map(|event| event.at);
        let silence = newest.map(|newest| self.desk.clock.now().duration_since(newest));
        // A clock that is behind the other host's says nothing.
        let silence = silence.and_then(|silence| Duration::try_from(silence).ok());
        silence.is_some_and(|silence| silence > ttl + ttl / 4)
    }

    async fn inherit_run(&self, started: &Started) -> Result<(), SprintError> {
        // Held: its host lives after all, or somebody works on the issue and this can wait.
        let Taken::Won(hold) = self.desk.hold(&started.run, started.issue).await? else {
            return Ok(());
        };
        let closed = self.close_inherited(started, &hold).await;
        let released = hold.release(&self.desk.events(), &started.run).await;
        closed?;
        Ok(released?)
    }

    async fn close_inherited(&self, started: &Started, hold: &Hold) -> Result<(), SprintError> {
        // Read under the claim: somebody else may just have closed it.
        let history = self.desk.events().run(&started.run).await?;
        let Some(summary) = RunSummary::fold(&history).filter(|run| run.outcome.is_none()) else {
            return Ok(());
        };
        // Killed from here on, it is a dead run of this host.
        let place = RunPlace::make(&self.desk.root, &started.run)?;
        let attempt = Attempt::fold(&history);
        let mut diary = Diary::new(&self.desk, &started.run, attempt, Arc::new(|_| {}));
        let outcome = match self.finish(&mut diary, &summary, hold, &place).await {
            Ok(outcome) => outcome,
            Err(error) if passes(&error) => return Err(error),
            Err(error) => Outcome::Failed {
                problem: error.problem(),
            },
        };
        let duration_ms = summary.duration_ms;
        diary
            .record(EventKind::RunEnded {
                outcome,
                duration_ms,
            })
            .await?;
        self.desk.close(&started.run, &place).await.map(drop)
    }

    async fn finish(
        &self,
        diary: &mut Diary<'_>,
        summary: &RunSummary,
        hold: &Hold,
        place: &RunPlace,
    ) -> Result<Outcome, SprintError> {
        match self.left(diary, summary).await? {
            Left::Nothing(outcome) => Ok(outcome),
            Left::Steps => {
                let matter = matter_of(summary);
                hold.while_held(self.rest(diary, &matter, hold, place))
                    .await
            }
        }
    }
}
