//! Why an agent stops without having finished.

use std::time::Duration;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_model::RouteError;

use crate::loops::Pattern;

/// The end of a run that the model did not ask for. The sprint records it and publishes nothing.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The run may make no further step.
    #[error("the agent used its {0} steps")]
    StepLimit(u32),
    /// The run may take no more time.
    #[error("the agent used its {} seconds", .0.as_secs())]
    TimeLimit(Duration),
    /// The agent goes in circles.
    #[error("the agent goes in circles: {0}")]
    Loop(Pattern),
    /// No model answers, or the budget is used up.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// What happened could not be recorded.
    #[error("{0}")]
    Record(Problem),
}

impl Coded for AgentError {
    fn problem(&self) -> Problem {
        let problem = |code| Problem::new(code, ExitStatus::Failure, self.to_string());
        match self {
            Self::StepLimit(_) => {
                problem(Code::new(701)).fix("raise agent.steps in timmy.toml, or split the issue")
            }
            Self::TimeLimit(_) => {
                problem(Code::new(702)).fix("raise agent.seconds in timmy.toml, or split the issue")
            }
            Self::Loop(_) => problem(Code::new(703)).fix(
                "read the run with `timmy show`, then reword the issue or choose another model",
            ),
            Self::Route(error) => error.problem(),
            Self::Record(problem) => problem.clone(),
        }
    }
}
