//! Which running attempt is shown in which place.
//!
//! A run takes the lowest free slot when it starts and frees it when it ends. That is read from the
//! log alone, so every view of one log shows the same run in the same place, whichever host or
//! process made the run.
//!
//! A host that died leaves runs without an end. Such a run gives up its slot to the next one that
//! starts, once nothing was heard of it for [`SILENCE`]; at once when another run starts on its issue,
//! because a claim is held by one run only.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::RunId;

/// Nothing is heard of a run for so long: it is taken for dead. Twice what a command or a check may
/// take by default.
pub const SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// A run that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The run.
    pub run: RunId,
    /// What it works on.
    pub issue: IssueName,
    /// When it began.
    pub at: Timestamp,
    /// When its newest event was appended, as far as that is known.
    pub heard: Timestamp,
}

impl Begun {
    /// The beginning of a run, if the event is one.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let EventKind::RunStarted { repo, issue, .. } = &event.kind else {
            return None;
        };
        Some(Self {
            run: event.run.clone()?,
            issue: IssueName {
                repo: repo.clone(),
                number: *issue,
            },
            at: event.at,
            heard: event.at,
        })
    }
}

/// The runs that have no end yet, each in its slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    held: BTreeMap<u32, Begun>,
    /// Runs that gave up their slot because nothing was heard of them.
    silent: BTreeMap<RunId, Begun>,
    /// The latest time an event carried; hosts' clocks differ, and this one never goes back.
    clock: Timestamp,
}

impl Slots {
    /// Goes on with the next event of the log.
    pub fn apply(&mut self, event: &Event) {
        if let Some(begun) = Begun::of(event) {
            self.begin(begun);
            return;
        }
        self.clock = self.clock.max(event.at);
        let Some(run) = &event.run else {
            return;
        };
        if matches!(event.kind, EventKind::RunEnded { .. }) {
            self.end(run);
        } else {
            self.hear(run);
        }
    }

    /// A run begins.
    pub fn begin(&mut self, begun: Begun) {
        self.clock = self.clock.max(begun.at);
        self.held.retain(|_, other| other.issue != begun.issue);
        self.silent.retain(|_, other| other.issue != begun.issue);
        self.seat(begun);
    }

    /// A run is over.
    pub fn end(&mut self, run: &RunId) {
        self.held.retain(|_, held| held.run != *run);
        self.silent.remove(run);
    }

    /// The slot that a run holds.
    #[must_use]
    pub fn of(&self, run: &RunId) -> Option<u32> {
        let mut held = self.held.iter();
        held.find(|(_, held)| held.run == *run)
            .map(|(slot, _)| *slot)
    }

    /// The runs that are taken to be at work, by slot.
    #[must_use]
    pub fn at_work(&self, now: Timestamp) -> Vec<(u32, &RunId)> {
        let now = now.max(self.clock);
        let held = self.held.iter();
        held.filter(|(_, held)| !is_silent(held, now))
            .map(|(slot, held)| (*slot, &held.run))
            .collect()
    }

    fn hear(&mut self, run: &RunId) {
        let clock = self.clock;
        if let Some(held) = self.held.values_mut().find(|held| held.run == *run) {
            held.heard = held.heard.max(clock);
        } else if let Some(mut begun) = self.silent.remove(run) {
            // It was not dead after all.
            begun.heard = clock;
            self.seat(begun);
        }
    }

    /// Gives a run the lowest slot that nobody at work holds.
    fn seat(&mut self, begun: Begun) {
        let clock = self.clock;
        let silent: Vec<u32> = self
            .held
            .iter()
            .filter(|(_, held)| is_silent(held, clock))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in silent {
            if let Some(gone) = self.held.remove(&slot) {
                self.silent.insert(gone.run.clone(), gone);
            }
        }
        let mut slot = 1;
        while self.held.contains_key(&slot) {
            slot += 1;
        }
        self.held.insert(slot, begun);
    }
}

fn is_silent(held: &Begun, now: Timestamp) -> bool {
    now.duration_since(held.heard) > SILENCE
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
