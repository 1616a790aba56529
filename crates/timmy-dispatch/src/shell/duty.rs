//! What the shell does beside the loop, one task each.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use tokio::sync::watch;

use super::Handle;
use super::look::Post;
use crate::night::Attended;
use crate::night::Ended;
use crate::night::Extent;
use crate::night::Input;
use crate::night::Purpose;
use crate::workspace::Quota;

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) enum Duty {
    List {
        repo: RepoName,
        extent: Extent,
    },
    Attempt {
        key: IssueName,
        purpose: Purpose,
        run: RunId,
    },
    Attend {
        repo: RepoName,
    },
    MergeTurn {
        repo: RepoName,
    },
}

/// What every duty works with.
pub(super) struct Shared {
    pub(super) post: Arc<Post>,
    pub(super) handle: Handle,
    pub(super) quota: Arc<Quota>,
    /// How long an ordinary step may be silent.
    pub(super) silence: Duration,
    /// Stops an attempt with this outcome.
    pub(super) stop: watch::Receiver<Option<Outcome>>,
}

impl Duty {
    /// The repository it is about.
    pub(super) fn repo(&self) -> &RepoName {
        match self {
            Self::List { repo, .. } | Self::Attend { repo } | Self::MergeTurn { repo } => repo,
            Self::Attempt { key, .. } => &key.repo,
        }
    }

    /// Does it, and says what came of it.
    pub(super) async fn perform(self, shared: Shared) -> Input {
        let now = shared.post.sprint.desk.clock.now();
        let failed = |duty: &Self, problem: Problem| {
            let lasts = lasts(&problem, now);
            duty.failed(problem, lasts)
        };
        match &self {
            Self::List { repo, extent } => match shared.post.list(*extent).await {
                Ok(listing) => Input::Listed {
                    repo: repo.clone(),
                    listing,
                },
                Err(problem) => failed(&self, problem),
            },
            Self::Attempt { key, purpose, run } => {
                super::attempt::make(&shared, key.clone(), *purpose, run).await
            }
            Self::Attend { repo } => match shared.post.attend().await {
                Ok(attended) => Input::Attended {
                    repo: repo.clone(),
                    attended,
                },
                Err(problem) => failed(&self, problem),
            },
            Self::MergeTurn { repo } => match shared.post.merge_turn().await {
                Ok(more) => Input::MergeTurnEnded {
                    repo: repo.clone(),
                    more,
                },
                Err(problem) => failed(&self, problem),
            },
        }
    }

    /// What the core is told when it could not be done.
    pub(super) fn failed(&self, problem: Problem, lasts: Option<Duration>) -> Input {
        match self {
            Self::List { repo, .. } => Input::ListFailed {
                repo: repo.clone(),
                problem,
                lasts,
            },
            Self::Attempt { key, .. } => Input::Ended {
                key: key.clone(),
                ended: Ended {
                    outcome: Outcome::Failed { problem },
                    failed_attempts: 1,
                    fingerprint: None,
                    lasts,
                },
            },
            // They are looked at again in their time; what keeps a look from working keeps lists
            // from working too, and those say so.
            Self::Attend { repo } => {
                tracing::warn!(%repo, %problem, "own pull requests could not be looked at");
                Input::Attended {
                    repo: repo.clone(),
                    attended: Attended {
                        open: 1,
                        ..Attended::default()
                    },
                }
            }
            Self::MergeTurn { repo } => {
                tracing::warn!(%repo, %problem, "the merge queue could not be worked on");
                Input::MergeTurnEnded {
                    repo: repo.clone(),
                    more: false,
                }
            }
        }
    }
}

/// How long a problem lasts from now on, where it says so.
pub(super) fn lasts(problem: &Problem, now: Timestamp) -> Option<Duration> {
    let until = problem.until.or_else(|| end_of_budget(problem, now))?;
    let left = until.duration_since(now);
    Some(Duration::try_from(left).unwrap_or_default())
}

/// A spent day's budget is a new one with the next day, in UTC.
fn end_of_budget(problem: &Problem, now: Timestamp) -> Option<Timestamp> {
    let of_a_day = ["budget.per_day", "budget.per_repository"];
    if !problem
        .place
        .as_deref()
        .is_some_and(|place| of_a_day.contains(&place))
    {
        return None;
    }
    let tomorrow = now.to_zoned(TimeZone::UTC).tomorrow().ok()?;
    Some(tomorrow.start_of_day().ok()?.timestamp())
}

/// A task that panicked.
pub(super) fn defect(error: &tokio::task::JoinError) -> Problem {
    let what = format!("a part of the loop broke off: {error}");
    Problem::new(Code::new(920), ExitStatus::Internal, what).fix("report this as a defect of timmy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_day_lasts_until_midnight_and_a_reset_as_long_as_it_says() {
        let now: Timestamp = "2026-01-31T22:30:00Z".parse().unwrap();
        let spent = |place: &str| Problem::new(Code::new(210), ExitStatus::Later, "x").at(place);
        let minutes = |problem: &Problem| lasts(problem, now).map(|lasts| lasts.as_secs() / 60);
        assert_eq!(Some(90), minutes(&spent("budget.per_day")));
        assert_eq!(None, minutes(&spent("budget.fleet")));
        let reset = "2026-01-31T23:00:00Z".parse().unwrap();
        assert_eq!(Some(30), minutes(&spent("budget.fleet").until(Some(reset))));
        let past = "2026-01-31T21:00:00Z".parse().unwrap();
        assert_eq!(Some(0), minutes(&spent("x").until(Some(past))));
    }
}
