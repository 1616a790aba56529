//! Whose fault a failed attempt is.
//!
//! As the loop treats it:
//!
//! | | the issue | everybody else |
//! |---|---|---|
//! | answered (a pull request is open) | waits for people | - |
//! | the agent's fault (nothing changed, check failed, a limit, a loop, silence, refused, killed) | counts; back-off, then quarantine | - |
//! | the platform's fault (forge, model, quota, budget, disk, database, sandbox) | costs nothing | what depends on it pauses until it is over |
//! | the repository's own settings' | costs nothing | the repository pauses until they are mended |
//! | nobody's (claim lost, cancelled) | looked at again | - |

use serde::Serialize;

use crate::event::Outcome;
use crate::problem::ExitStatus;
use crate::problem::Problem;

/// What every attempt needs and no issue is to blame for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// The forge.
    Forge,
    /// Every model provider.
    Models,
    /// Money and tokens.
    Budget,
    /// Room for workspaces.
    Disk,
    /// Log and books.
    Database,
    /// Isolation of commands.
    Sandbox,
}

impl Platform {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Forge => "forge",
            Self::Models => "models",
            Self::Budget => "budget",
            Self::Disk => "disk",
            Self::Database => "database",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Whose fault an outcome is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody's: there is a result.
    Answered,
    /// The agent's, or the issue's: trying again from the same beginnings is limited.
    Agent,
    /// The repository's own settings'. Nothing in it starts before they are mended.
    Repository,
    /// A platform's. The issue is as good as untouched.
    Platform(Platform),
    /// Nobody's: somebody else has the issue, or it was not wanted any more.
    Nobody,
}

/// Says whose fault an outcome is.
#[must_use]
pub fn fault(outcome: &Outcome) -> Fault {
    match outcome {
        Outcome::PullRequest { .. } | Outcome::Draft { .. } => Fault::Answered,
        Outcome::NoChange
        | Outcome::CheckFailed
        | Outcome::Blocked
        | Outcome::Stopped { .. }
        | Outcome::Stalled { .. }
        | Outcome::Abandoned => Fault::Agent,
        Outcome::ClaimLost | Outcome::Cancelled { .. } => Fault::Nobody,
        Outcome::Failed { problem } => fault_of(problem),
    }
}

/// Says whose fault a problem is.
#[must_use]
pub fn fault_of(problem: &Problem) -> Fault {
    if WORKFLOW.contains(&problem.code.number()) {
        return Fault::Repository;
    }
    match platform(problem) {
        Some(platform) => Fault::Platform(platform),
        None => Fault::Agent,
    }
}

/// The platform that a problem is about; none when it says something about the issue or the agent.
///
/// The first two digits of a code name the part of timmy that reports it, the exit status whether it
/// is a passing fault; see [`crate::problem`].
#[must_use]
pub fn platform(problem: &Problem) -> Option<Platform> {
    let number = problem.code.number();
    let passes = matches!(
        problem.exit,
        ExitStatus::Unavailable | ExitStatus::Later | ExitStatus::Permission | ExitStatus::Refused
    );
    match number / 100 {
        2 if number == OVER_BUDGET => budget(problem),
        2 => Some(Platform::Database),
        3 if passes || problem.exit == ExitStatus::Internal => Some(Platform::Sandbox),
        // Git talks to the forge.
        4 | 5 if passes => Some(Platform::Forge),
        6 if passes || problem.exit == ExitStatus::NotFound => Some(Platform::Models),
        9 if NO_ROOM.contains(&number) => Some(Platform::Disk),
        9 if passes => Some(Platform::Forge),
        _ => None,
    }
}

/// What can be wrong with a workflow file; a template fails its own attempt only.
const WORKFLOW: [u16; 6] = [801, 802, 803, 804, 805, 806];
/// A model call would pass a cap.
const OVER_BUDGET: u16 = 210;
/// The directory of a run cannot be used; the quota is full, or the disk; a workspace or a cache
/// cannot be written.
const NO_ROOM: [u16; 4] = [915, 930, 931, 940];

/// Caps of a single call or run are about the issue; the others stop everybody.
fn budget(problem: &Problem) -> Option<Platform> {
    match problem.place.as_deref() {
        Some("budget.per_call" | "budget.per_run" | "budget.per_issue") => None,
        _ => Some(Platform::Budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn failed(code: u16, exit: ExitStatus) -> Outcome {
        Outcome::Failed {
            problem: Problem::new(Code::new(code), exit, "it failed"),
        }
    }

    #[test]
    fn platforms_are_told_from_agents() {
        let cases = [
            (
                failed(602, ExitStatus::Unavailable),
                Fault::Platform(Platform::Models),
            ),
            (
                failed(603, ExitStatus::Later),
                Fault::Platform(Platform::Models),
            ),
            (
                failed(604, ExitStatus::Permission),
                Fault::Platform(Platform::Models),
            ),
            (failed(605, ExitStatus::Data), Fault::Agent),
            (
                failed(501, ExitStatus::Unavailable),
                Fault::Platform(Platform::Forge),
            ),
            (
                failed(205, ExitStatus::Internal),
                Fault::Platform(Platform::Database),
            ),
            (
                failed(915, ExitStatus::Internal),
                Fault::Platform(Platform::Disk),
            ),
            (failed(701, ExitStatus::Failure), Fault::Agent),
            (Outcome::ClaimLost, Fault::Nobody),
            (Outcome::NoChange, Fault::Agent),
            (Outcome::PullRequest { number: 1 }, Fault::Answered),
        ];
        for (outcome, expected) in cases {
            assert_eq!(expected, fault(&outcome), "{outcome:?}");
        }
    }

    #[test]
    fn a_cap_of_the_run_is_about_the_issue_and_one_of_the_day_about_everybody() {
        let over = |setting: &str| {
            let problem = Problem::new(Code::new(210), ExitStatus::Later, "too much").at(setting);
            fault(&Outcome::Failed { problem })
        };
        assert_eq!(Fault::Agent, over("budget.per_run"));
        assert_eq!(Fault::Platform(Platform::Budget), over("budget.per_day"));
    }
}
