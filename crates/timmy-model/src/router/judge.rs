//! What follows a failure, and how the event says so.

use std::time::Duration;

use jiff::Timestamp;
use timmy_core::RunId;

use crate::error::ModelError;
use crate::error::RouteError;
use crate::router::Patience;
use crate::router::health::Health;
use crate::router::health::later;

/// What follows a failure.
pub(super) enum Next {
    /// The same provider is asked again after a wait.
    Wait(Duration),
    /// The next provider is asked.
    GiveUp,
    /// The call ends here.
    Stop(RouteError),
}

/// A failure and all that its answer depends on.
pub(super) struct Case<'a> {
    pub(super) run: &'a RunId,
    pub(super) error: &'a ModelError,
    /// The wait before another try of the same provider, where a try is left.
    pub(super) retry: Option<Duration>,
    /// The provider that comes next in the cascade.
    pub(super) next: Option<&'a str>,
    pub(super) now: Timestamp,
    pub(super) patience: &'a Patience,
}

impl Case<'_> {
    /// Judges the failure and keeps the consequence for the provider's health.
    pub(super) fn judge(&self, health: &mut Health) -> (Next, String) {
        match self.error {
            ModelError::ContextOverflow(_) => {
                let stop = RouteError::ContextOverflow(self.error.clone());
                (
                    Next::Stop(stop),
                    "the conversation has to be shortened".to_owned(),
                )
            }
            ModelError::Quota { resets_at, .. } => {
                let unknown = || later(self.now, self.patience.quota_cooldown);
                self.leave_until(health, resets_at.unwrap_or_else(unknown))
            }
            ModelError::Transient {
                retry_after: Some(asked),
                ..
            } if *asked > self.patience.longest_wait => {
                self.leave_until(health, later(self.now, *asked))
            }
            ModelError::Transient { retry_after, .. } => match self.retry {
                Some(wait) => again(wait.max(retry_after.unwrap_or_default())),
                None => self.cool_down(health),
            },
            ModelError::CutOff(_) => match self.retry {
                Some(wait) => again(wait),
                None => self.cool_down(health),
            },
            ModelError::Malformed(_) => match self.retry {
                Some(wait) => again(wait),
                None => (Next::GiveUp, self.then()),
            },
            ModelError::Refused(_) => (Next::GiveUp, self.then()),
            ModelError::Unreachable(_) | ModelError::TooSlow(_) => self.cool_down(health),
            ModelError::Auth(_)
            | ModelError::NotFound(_)
            | ModelError::Rejected(_)
            | ModelError::Settings(_)
            | ModelError::HermesImport(_)
            | ModelError::HermesTools(_)
            | ModelError::RecordingDamaged(_)
            | ModelError::RecordingTooNew(_)
            | ModelError::RecordingUsedUp(_)
            | ModelError::RecordingFile(_) => self.leave_for_run(health),
        }
    }

    fn leave_until(&self, health: &mut Health, until: Timestamp) -> (Next, String) {
        health.open_until(self.error.clone(), until);
        let then = self.then();
        (
            Next::GiveUp,
            format!("it is left alone until {until}; {then}"),
        )
    }

    fn cool_down(&self, health: &mut Health) -> (Next, String) {
        health.open(self.error.clone(), self.now, self.patience.cooldown);
        let until = health.until().unwrap_or(self.now);
        let then = self.then();
        (
            Next::GiveUp,
            format!("it gets a trial after {until}; {then}"),
        )
    }

    fn leave_for_run(&self, health: &mut Health) -> (Next, String) {
        *health = Health::OutForRun {
            run: self.run.clone(),
            error: self.error.clone(),
        };
        let then = self.then();
        (Next::GiveUp, format!("it is left out of this run; {then}"))
    }

    fn then(&self) -> String {
        match self.next {
            Some(next) => format!("{next} is asked instead"),
            None => "no other provider is left".to_owned(),
        }
    }
}

fn again(wait: Duration) -> (Next, String) {
    (
        Next::Wait(wait),
        format!("asked again in {} ms", wait.as_millis()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;
    use crate::router::health::Turn;

    fn failure() -> Failure {
        Failure {
            provider: "p".to_owned(),
            place: "x".to_owned(),
            detail: "y".to_owned(),
        }
    }

    fn judged(error: &ModelError, health: &mut Health) -> (Next, String) {
        let case = Case {
            run: &RunId::generate(),
            error,
            retry: Some(Duration::from_secs(2)),
            next: Some("b"),
            now: Timestamp::UNIX_EPOCH,
            patience: &Patience::default(),
        };
        case.judge(health)
    }

    #[test]
    fn a_wait_is_at_least_what_the_server_asked_for() {
        for (asked, expected) in [(None, 2), (Some(1), 2), (Some(20), 20)] {
            let error = ModelError::Transient {
                failure: failure(),
                retry_after: asked.map(Duration::from_secs),
            };
            let (next, _) = judged(&error, &mut Health::Up);
            assert!(matches!(next, Next::Wait(wait) if wait.as_secs() == expected));
        }
    }

    #[test]
    fn a_server_that_asks_for_more_than_patience_allows_is_left_alone() {
        let error = ModelError::Transient {
            failure: failure(),
            retry_after: Some(Duration::from_secs(90)),
        };
        let mut health = Health::Up;
        let (next, said) = judged(&error, &mut health);
        assert!(matches!(next, Next::GiveUp));
        assert_eq!(
            "it is left alone until 1970-01-01T00:01:30Z; b is asked instead",
            said
        );
    }

    #[test]
    fn a_failed_trial_doubles_the_wait() {
        let start = Timestamp::UNIX_EPOCH;
        let error = ModelError::Unreachable(failure());
        let run = RunId::generate();
        let mut health = Health::Up;
        for wait in [30, 60, 120, 240, 480, 960, 960] {
            health.open(error.clone(), start, Duration::from_secs(30));
            let until = later(start, Duration::from_secs(wait));
            assert_eq!(Some(until), health.until());
            let before = later(start, Duration::from_secs(wait - 1));
            assert!(matches!(health.turn(&run, before), Turn::Skip(_)));
            assert!(matches!(health.turn(&run, until), Turn::Trial));
        }
    }
}
