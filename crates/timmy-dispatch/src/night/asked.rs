//! What people ask of the fleet: to begin nothing new, to go on, to stop a run.
//!
//! A pause that a person asked for is like any other, with two differences: it has no end of its own,
//! and so no attempt is ever let through to see whether it is over. A run that a person stopped is
//! nobody's failure, but whoever stopped it does not want it back two seconds later: its issue waits
//! until it changes or a person lets the fleet go on.

use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::Problem;

use super::input::Asked;
use super::state::Hold;
use super::state::NEVER;
use super::state::Release;
use super::state::Scope;
use super::state::State;

/// Why a run ends that a person stopped.
pub const STOPPED: &str = "a person asked for it";

/// What keeps attempts from beginning while a person's pause lasts.
#[must_use]
pub fn paused(reason: &str) -> Problem {
    let what = match reason {
        "" => "a person paused the fleet".to_owned(),
        reason => format!("a person paused the fleet: {reason}"),
    };
    Problem::new(Code::new(975), ExitStatus::Later, what)
        .fix("`timmy resume` lets every host go on, once the reason is gone")
}

impl State {
    pub(super) fn asked(&mut self, asked: &Asked) {
        match asked {
            Asked::Pause { reason } => self.pause(Scope::Asked, &paused(reason), NEVER),
            Asked::Resume => {
                self.resume(&Scope::Asked);
                self.let_stopped_issues_go();
                // Runs that are still about to stop leave no issue behind that waits.
                for running in self.running.values_mut() {
                    running.asked_to_stop = false;
                }
            }
            Asked::Stop { key } => {
                if let Some(running) = self.running.get_mut(key) {
                    running.unwanted = Some(STOPPED.to_owned());
                    running.asked_to_stop = true;
                }
            }
        }
    }

    /// After a person stopped its run.
    pub(super) fn hold_for_a_person(&mut self, key: &IssueName) {
        let hold = Hold {
            reason: "a person stopped its run; it is tried again when it changes, after \
                     `timmy resume`, or with `timmy sprint --issue`"
                .to_owned(),
            release: Release::PersonAsks,
            retry: None,
            settled: std::time::Duration::ZERO,
        };
        self.hold(key, hold);
    }

    fn let_stopped_issues_go(&mut self) {
        let waits = |key: &&IssueName| {
            let hold = self.known.get(*key).and_then(|known| known.hold.as_ref());
            hold.is_some_and(|hold| hold.release == Release::PersonAsks)
        };
        let waiting: Vec<IssueName> = self.frozen.iter().filter(waits).cloned().collect();
        for key in waiting {
            self.release(&key);
        }
    }
}

#[cfg(test)]
#[path = "asked_tests.rs"]
mod tests;
