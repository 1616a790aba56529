//! Pauses: what keeps attempts from starting, and how it ends.
//!
//! A pause whose time is over lets one attempt through, its trial. When that gets an answer the pause
//! is over; when it fails in the same way the next pause is twice as long.

use std::time::Duration;

use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::Problem;

use super::backoff;
use super::state::Pause;
use super::state::Scope;
use super::state::State;

/// The first and the longest pause after a fault whose end is not known.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl State {
    /// A run of `key` got as far as an answer: whatever it was the trial of works.
    pub(super) fn platforms_worked(&mut self, key: &IssueName) {
        let tried = |pause: &Pause| pause.trial.as_ref() == Some(key);
        let over = self.pauses.iter().filter(|(_, pause)| tried(pause));
        let over: Vec<Scope> = over.map(|(scope, _)| scope.clone()).collect();
        for scope in over {
            self.resume(&scope);
        }
    }

    pub(super) fn end_trials(&mut self, key: &IssueName) {
        for pause in self.pauses.values_mut() {
            if pause.trial.as_ref() == Some(key) {
                pause.trial = None;
            }
        }
    }

    pub(super) fn platform_failed(
        &mut self,
        key: &IssueName,
        scope: Scope,
        problem: &Problem,
        lasts: Option<Duration>,
    ) {
        let step = match self.pauses.get(&scope) {
            // Only a trial says that the pause was too short; others failed before it began.
            Some(pause) if pause.trial.as_ref() == Some(key) => pause.step + 1,
            Some(pause) => pause.step,
            None => 1,
        };
        let wait = backoff::delay(FIRST_PAUSE, LONGEST_PAUSE, step);
        self.pause(scope.clone(), problem, lasts.unwrap_or_default().max(wait));
        if let Some(pause) = self.pauses.get_mut(&scope) {
            pause.step = step;
            pause.trial = None;
        }
    }

    pub(super) fn pause(&mut self, scope: Scope, problem: &Problem, wait: Duration) {
        let until = self.now.saturating_add(wait);
        if let Some(pause) = self.pauses.get_mut(&scope) {
            pause.until = pause.until.max(until);
            if pause.problem.code == problem.code {
                return;
            }
            pause.problem = problem.clone();
        } else {
            let pause = Pause {
                problem: problem.clone(),
                until,
                step: 1,
                trial: None,
            };
            self.pauses.insert(scope.clone(), pause);
        }
        self.notices.push(EventKind::DispatchPaused {
            scope: scope.to_string(),
            problem: problem.clone(),
        });
    }

    pub(super) fn resume(&mut self, scope: &Scope) {
        if self.pauses.remove(scope).is_some() {
            self.notices.push(EventKind::DispatchResumed {
                scope: scope.to_string(),
            });
        }
    }
}
