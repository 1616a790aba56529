//! The pure core of the night: which issue starts when, what is stopped, what is looked at.
//!
//! ```text
//!   world ──▶ shell ──▶ Input ──▶ State::learn ──▶ decide ──▶ Actions ──▶ shell ──▶ world
//!                                      ▲                         │
//!                                      └──── State::undertake ◀──┘
//! ```
//!
//! No I/O and no clock: time comes in with every input. [`Night`] is the one authority that changes
//! the state; the shell performs the actions and feeds back what came of them. The simulation runs
//! the same core against a forge and hosts in memory.
//!
//! - [`Input`] is what happened, [`Action`] what is to be done, [`decide`] the way from one to the
//!   other.
//! - [`failure`] says whose fault a failed attempt is: a platform's fault pauses what depends on it and
//!   costs the issue nothing; an agent's fault counts, backs off and ends in quarantine.
//! - [`overlap`] predicts which issues would change the same files.
//! - [`State::claim_state`] and [`State::standing`] explain every issue.
//!
//! # Rules
//! - An issue is started only when it is neither running nor held; it is marked as running in the
//!   same step that decides to start it, so no second decision can start it again.
//! - Everything that is said is said once, when it begins or ends, however long it lasts.
//! - A pause that a person asked for ends when a person says so: nothing begins before, nothing is let
//!   through to try.
//! - What is remembered here is a cache: the forge's claims and the log decide what is true, and a
//!   new process begins with an empty state.

mod action;
mod asked;
mod backoff;
mod brief;
mod explain;
pub mod failure;
mod idle;
mod input;
mod learn;
mod listing;
pub mod overlap;
mod pause;
mod room;
mod settings;
mod state;
mod taken;
mod terms;

use std::time::Duration;

use timmy_core::event::Outcome;

pub use action::Action;
pub use action::Extent;
pub use action::Purpose;
pub use asked::STOPPED;
pub use asked::paused;
pub use brief::Brief;
pub use brief::Rank;
pub use input::Asked;
pub use input::Attended;
pub use input::Declined;
pub use input::Ended;
pub use input::Input;
pub use input::Listing;
pub use input::Recheck;
pub use input::Stop;
pub use settings::Settings;
pub use settings::Until;
pub use state::ClaimState;
pub use state::Pause;
pub use state::Row;
pub use state::Scope;
pub use state::Snapshot;
pub use state::State;
pub use terms::Terms;

use state::Stage;

/// The one authority over the state of a night.
#[derive(Debug)]
pub struct Night {
    state: State,
}

impl Night {
    /// A night that knows nothing yet, at time zero.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: State::new(settings),
        }
    }

    /// Learns what happened and decides what is to be done. `at` is the time since an arbitrary
    /// start on a clock that never goes backwards.
    pub fn handle(&mut self, at: Duration, input: &Input) -> Vec<Action> {
        self.state.learn(at, input);
        let actions = decide(&self.state, input);
        for action in &actions {
            self.state.undertake(action);
        }
        self.state.notices.clear();
        self.state.unsettled = false;
        actions
    }

    /// What is known.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// What is to be done, given everything that is known and what was just learned.
///
/// The order is fixed: what has to be said, running attempts that have to stop, lists that are due,
/// new attempts while there is room, the end.
#[must_use]
pub fn decide(state: &State, input: &Input) -> Vec<Action> {
    let mut actions: Vec<Action> = state.notices.iter().cloned().map(Action::Record).collect();
    cancel(state, input, &mut actions);
    if !state.is_ending() {
        look(state, &mut actions);
        // A pause ends by itself; nothing else that decides what may start does.
        if state.unsettled || !state.pauses.is_empty() {
            start(state, &mut actions);
        }
    }
    if let Some(reason) = finished(state, &actions) {
        actions.push(Action::Finish { reason });
    }
    actions
}

/// Attempts that went silent, are not wanted any more, or must end with the loop.
fn cancel(state: &State, input: &Input, actions: &mut Vec<Action>) {
    for (key, running) in &state.running {
        if running.stage == Stage::Stopping {
            continue;
        }
        let silent = state.now.saturating_sub(running.heard);
        let outcome = if let Some(reason) = &running.unwanted {
            Outcome::Cancelled {
                reason: reason.clone(),
            }
        } else if matches!(input, Input::Stop(Stop::Now)) || state.stop == Some(Stop::Now) {
            Outcome::Cancelled {
                reason: "the loop was told to stop".to_owned(),
            }
        } else if silent > running.patience && !running.patience.is_zero() {
            Outcome::Stalled {
                seconds: silent.as_secs(),
            }
        } else {
            continue;
        };
        actions.push(Action::Cancel {
            key: key.clone(),
            outcome,
        });
    }
}

/// Lists, looks at own pull requests, and turns of merge queues that are due.
fn look(state: &State, actions: &mut Vec<Action>) {
    for (repo, repository) in &state.repositories {
        if !repository.listing && repository.next_list <= state.now {
            let extent = if repository.next_full <= state.now {
                Extent::Everything
            } else {
                Extent::Changes
            };
            actions.push(Action::List {
                repo: repo.clone(),
                extent,
            });
        }
        if repository.attend_due <= state.now && !repository.attending && repository.listed {
            actions.push(Action::Attend { repo: repo.clone() });
        }
        if repository.merge_due && !repository.merging && !state.is_paused(repo) {
            actions.push(Action::MergeTurn { repo: repo.clone() });
        }
    }
}

/// New attempts: feedback on own pull requests first, then issues by rank.
fn start(state: &State, actions: &mut Vec<Action>) {
    let mut room = state.room();
    let answers = state.answers.iter().map(|(key, pull)| {
        let purpose = Purpose::Answer { pull: *pull };
        (key, purpose)
    });
    let fresh = state
        .ready
        .iter()
        .map(|(_, key)| key)
        .filter(|key| !state.answers.contains_key(*key))
        .map(|key| (key, Purpose::Resolve));
    for (key, purpose) in answers.chain(fresh) {
        if room.is_full() {
            break;
        }
        if state.may_start(key) && room.take(state, key) {
            actions.push(Action::Start {
                key: key.clone(),
                purpose,
            });
        }
    }
}

/// Whether the loop is over, and why.
fn finished(state: &State, actions: &[Action]) -> Option<String> {
    let starts = actions
        .iter()
        .any(|action| matches!(action, Action::Start { .. } | Action::MergeTurn { .. }));
    let busy = !state.running.is_empty() || state.repositories.values().any(|r| r.merging);
    if starts || busy || state.finished {
        return None;
    }
    if state.stop.is_some() {
        return Some("it was told to stop, and nothing runs any more".to_owned());
    }
    match state.settings.until {
        Until::Forever => None,
        Until::Idle => state.idle(),
        Until::Time(end) => (state.now >= end).then(|| "its time is over".to_owned()),
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
mod conformance;
