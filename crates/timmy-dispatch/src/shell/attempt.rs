//! One attempt, as the loop sees it.

use std::sync::Arc;
use std::time::Duration;

use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_store::runs::RunSummary;

use super::LOOK;
use super::duty;
use super::duty::Duty;
use super::duty::Shared;
use crate::error::SprintError;
use crate::night::Declined;
use crate::night::Ended;
use crate::night::Input;
use crate::night::Purpose;
use crate::night::Recheck;
use crate::sprint;
use crate::sprint::Attempted;
use crate::sprint::Order;
use crate::sprint::Settings;

/// A step that has a limit of its own may be silent a little longer than that.
const GRACE: Duration = Duration::from_secs(60);

/// Makes an attempt, and says how it ended.
pub(super) async fn make(shared: &Shared, key: IssueName, purpose: Purpose, run: &RunId) -> Input {
    let sprint = &shared.post.sprint;
    let duty = Duty::Attempt {
        key: key.clone(),
        purpose,
        run: run.clone(),
    };
    let failed = |problem: Problem| {
        let lasts = duty::lasts(&problem, sprint.desk.clock.now());
        duty.failed(problem, lasts)
    };
    if let Err(problem) = shared.quota.admit().await {
        return failed(problem);
    }
    match sprint.desk.reserve_issue(key.number).await {
        Ok(true) => {}
        Ok(false) => {
            let reason = "another host that shares the database has taken it".to_owned();
            let declined = sprint::Declined {
                rule: "claim",
                reason,
            };
            return Input::Declined {
                key,
                declined: recheck(declined, &sprint.desk.settings),
            };
        }
        Err(error) => return failed(error.problem()),
    }
    let order = Order {
        issue: key.number,
        observer: observer(shared, &key, &sprint.desk.settings),
        stop: shared.stop.clone(),
    };
    let attempted = match purpose {
        Purpose::Resolve => sprint.fulfil(run, &order).await,
        Purpose::Answer { pull } => sprint.answer(run, &order, pull).await,
    };
    // Kept until it lapses when the database is away now.
    drop(sprint.desk.free_issue(key.number).await);
    match attempted {
        Ok(Attempted::Declined(declined)) => Input::Declined {
            key,
            declined: recheck(declined, &sprint.desk.settings),
        },
        Ok(Attempted::Ran(summary)) => match ended(shared, *summary).await {
            Ok(ended) => Input::Ended { key, ended },
            Err(problem) => failed(problem),
        },
        // The loop has not heard of the pause yet; it will have by then.
        Err(SprintError::Paused(problem)) => Input::Declined {
            key,
            declined: Declined {
                reason: problem.what,
                recheck: Recheck::After(2 * LOOK),
            },
        },
        Err(error) => failed(error.problem()),
    }
}

/// Tells the core of every event, and how long the step that follows may be silent.
fn observer(shared: &Shared, key: &IssueName, settings: &Settings) -> sprint::Observer {
    let (handle, key) = (shared.handle.clone(), key.clone());
    let command = Duration::from_secs(settings.agent.command_seconds) + GRACE;
    let check = Duration::from_secs(settings.publish.check_seconds) + GRACE;
    let ordinary = shared.silence;
    Arc::new(move |kind: &EventKind| {
        let key = key.clone();
        let input = match kind {
            EventKind::RunStarted { .. } => Input::Began { key },
            EventKind::ToolCalled { .. } => Input::Heard {
                key,
                patience: longer(ordinary, command),
            },
            EventKind::WorkCollected { .. } => Input::Heard {
                key,
                patience: longer(ordinary, check),
            },
            _ => Input::Heard {
                key,
                patience: ordinary,
            },
        };
        handle.tell(input);
    })
}

/// Zero is for ever.
fn longer(ordinary: Duration, limit: Duration) -> Duration {
    if ordinary.is_zero() {
        return ordinary;
    }
    ordinary.max(limit)
}

/// When an issue that was declined is worth another look.
fn recheck(declined: sprint::Declined, settings: &Settings) -> Declined {
    let recheck = match declined.rule {
        // Its holder may die; then it lapses.
        "claim" => Recheck::After(Duration::from_secs(settings.claim_ttl_s)),
        "blockers" => Recheck::RepositoryChanges,
        // A base that moves answers no issue again, and there may be hundreds of them.
        "pull request" => Recheck::IssueEdited,
        "stopped" => Recheck::PersonAsks,
        _ => Recheck::IssueChanges,
    };
    Declined {
        reason: declined.reason,
        recheck,
    }
}

async fn ended(shared: &Shared, summary: RunSummary) -> Result<Ended, Problem> {
    use timmy_core::event::Outcome;
    let desk = &shared.post.sprint.desk;
    let failed_attempts = match &summary.fingerprint {
        Some(fingerprint) => desk
            .failures(summary.issue, fingerprint)
            .await
            .map_err(|error| error.problem())?,
        None => 0,
    };
    let outcome = summary.outcome.unwrap_or(Outcome::Abandoned);
    let lasts = match &outcome {
        Outcome::Failed { problem } => duty::lasts(problem, desk.clock.now()),
        _ => None,
    };
    Ok(Ended {
        outcome,
        failed_attempts,
        fingerprint: summary.fingerprint,
        lasts,
    })
}
