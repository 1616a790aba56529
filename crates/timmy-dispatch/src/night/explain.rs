//! Where every issue stands, for people.

use timmy_core::IssueName;

use super::state::ClaimState;
use super::state::Hold;
use super::state::Release;
use super::state::Row;
use super::state::Snapshot;
use super::state::Stage;
use super::state::State;

impl State {
    /// Where an issue stands, in the terms of the Symphony specification.
    #[must_use]
    pub fn claim_state(&self, key: &IssueName) -> ClaimState {
        if let Some(running) = self.running.get(key) {
            return match running.stage {
                Stage::Starting | Stage::Stopping => ClaimState::Claimed,
                Stage::Working => ClaimState::Running,
            };
        }
        let Some(known) = self.known.get(key) else {
            let reason = "it is not among the open issues".to_owned();
            return ClaimState::Released { reason };
        };
        if let Some(reason) = known.excluded.clone() {
            return ClaimState::Released { reason };
        }
        match known.hold.clone() {
            None => ClaimState::Unclaimed,
            Some(Hold {
                reason,
                release: Release::At(due),
                retry: Some(attempt),
                ..
            }) => ClaimState::RetryQueued {
                attempt,
                due,
                reason,
            },
            Some(Hold { reason, .. }) => ClaimState::Released { reason },
        }
    }

    /// Why an issue runs, waits or is left out, as a sentence.
    #[must_use]
    pub fn standing(&self, key: &IssueName) -> String {
        match self.claim_state(key) {
            ClaimState::Claimed => "its claim is being won or given back".to_owned(),
            ClaimState::Running => "an attempt runs".to_owned(),
            ClaimState::RetryQueued { reason, .. } | ClaimState::Released { reason } => reason,
            ClaimState::Unclaimed => self.waits_for(key),
        }
    }

    fn waits_for(&self, key: &IssueName) -> String {
        let mut pauses = self.pauses.iter();
        let pause =
            pauses.find(|(scope, _)| scope.repository().is_none_or(|repo| *repo == key.repo));
        if let Some((scope, pause)) = pause {
            return format!("{scope} is paused: {}", pause.problem.what);
        }
        if self.is_ending() {
            return "the loop ends".to_owned();
        }
        let room = self.room();
        if room.is_full() {
            return "every slot is taken".to_owned();
        }
        match room.obstacle(self, key) {
            Some(obstacle) => obstacle.to_string(),
            None => "it is next".to_owned(),
        }
    }

    /// What runs and what waits.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let running = self.running.iter().map(|(key, running)| Row {
            issue: key.clone(),
            attempt: None,
            at_s: running.since.as_secs(),
            reason: String::new(),
        });
        let retries = self.timers.iter().filter_map(|(due, key)| {
            let hold = self.known.get(key)?.hold.as_ref()?;
            Some(Row {
                issue: key.clone(),
                attempt: Some(hold.retry?),
                at_s: due.as_secs(),
                reason: hold.reason.clone(),
            })
        });
        let pauses = self.pauses.iter();
        Snapshot {
            running: running.collect(),
            retries: retries.collect(),
            ready: self.ready.len(),
            pauses: pauses
                .map(|(scope, pause)| (scope.to_string(), pause.problem.clone()))
                .collect(),
        }
    }
}
