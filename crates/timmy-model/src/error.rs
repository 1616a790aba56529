//! Every way in which a model call can fail, each with an answer of its own.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_store::BudgetScope;

/// Who failed, where and how, in words that are cleaned, bounded and free of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The provider's name in the configuration.
    pub provider: String,
    /// An URL, a file or a program.
    pub place: String,
    /// What it said.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detail)
    }
}

/// A model call that gave no usable reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Nobody listens there, or the connection could not be made. The router asks the next provider
    /// and tries this one again later.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(Failure),
    /// A fault that passes: overload, a server error, a cut connection. The router waits (at least
    /// `retry_after`) and asks again, then asks the next provider.
    #[error("the provider failed for now: {failure}")]
    Transient {
        /// What happened.
        failure: Failure,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The reply broke off in the middle. What came of it may have been paid for, and is thrown away.
    /// The router waits and asks again, then asks the next provider.
    #[error("the reply broke off: {0}")]
    CutOff(Failure),
    /// The quota or the money is spent. The router leaves the provider alone until `resets_at`.
    #[error("the provider's quota is spent: {failure}")]
    Quota {
        /// What happened.
        failure: Failure,
        /// When it can be asked again, where the server said so.
        resets_at: Option<Timestamp>,
    },
    /// The key is missing, wrong or expired. The router leaves the provider out for the run; the
    /// operator mends the key.
    #[error("the provider refused the key: {0}")]
    Auth(Failure),
    /// The conversation is too long for the model. The agent shortens it.
    #[error("the conversation is too long for the model: {0}")]
    ContextOverflow(Failure),
    /// The reply is empty or makes no sense. The router asks again a limited number of times.
    #[error("the reply is not usable: {0}")]
    Malformed(Failure),
    /// The content policy of the provider refused. The router asks the next provider.
    #[error("the provider's content policy refused: {0}")]
    Refused(Failure),
    /// There is no such model or path. The router leaves the provider out for the run; the operator
    /// mends `model` or `base_url`.
    #[error("the provider has no such model: {0}")]
    NotFound(Failure),
    /// Nothing came for longer than `idle_timeout_s`. The router asks the next provider.
    #[error("the provider fell silent: {0}")]
    TooSlow(Failure),
    /// The provider does not take such a request. The router leaves the provider out for the run;
    /// the operator compares `kind` with the server.
    #[error("the provider rejected the request: {0}")]
    Rejected(Failure),
    /// The provider's settings cannot work. The operator mends them.
    #[error("the provider's settings cannot work: {0}")]
    Settings(Failure),
    /// The configuration of Hermes cannot be taken over. The operator mends it, or configures the
    /// provider in timmy.
    #[error("the configuration of Hermes cannot be used: {0}")]
    HermesImport(Failure),
    /// Hermes would run tools of its own, outside the sandbox. The operator takes them away from it.
    #[error("Hermes would run tools outside the sandbox: {0}")]
    HermesTools(Failure),
    /// A line of a recording is not what timmy writes. The operator records again.
    #[error("the recording is damaged: {0}")]
    RecordingDamaged(Failure),
    /// A newer timmy wrote the recording. The operator updates timmy.
    #[error("the recording was written by a newer timmy: {0}")]
    RecordingTooNew(Failure),
    /// The recording has no further reply. The run ends: it asked for more than was recorded.
    #[error("the recording is used up: {0}")]
    RecordingUsedUp(Failure),
    /// The recording cannot be read or written. The operator frees the place or names another.
    #[error("the recording cannot be read or written: {0}")]
    RecordingFile(Failure),
}

impl ModelError {
    /// Who failed, where and how.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Transient { failure, .. } | Self::Quota { failure, .. } => failure,
            Self::Unreachable(failure)
            | Self::CutOff(failure)
            | Self::Auth(failure)
            | Self::ContextOverflow(failure)
            | Self::Malformed(failure)
            | Self::Refused(failure)
            | Self::NotFound(failure)
            | Self::TooSlow(failure)
            | Self::Rejected(failure)
            | Self::Settings(failure)
            | Self::HermesImport(failure)
            | Self::HermesTools(failure)
            | Self::RecordingDamaged(failure)
            | Self::RecordingTooNew(failure)
            | Self::RecordingUsedUp(failure)
            | Self::RecordingFile(failure) => failure,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable(_) => Code::new(601),
            Self::Transient { .. } => Code::new(602),
            Self::Quota { .. } => Code::new(603),
            Self::Auth(_) => Code::new(604),
            Self::ContextOverflow(_) => Code::new(605),
            Self::Malformed(_) => Code::new(606),
            Self::Refused(_) => Code::new(607),
            Self::NotFound(_) => Code::new(608),
            Self::TooSlow(_) => Code::new(609),
            Self::Rejected(_) => Code::new(610),
            Self::Settings(_) => Code::new(611),
            Self::HermesImport(_) => Code::new(612),
            Self::HermesTools(_) => Code::new(613),
            Self::RecordingDamaged(_) => Code::new(614),
            Self::RecordingTooNew(_) => Code::new(615),
            Self::RecordingUsedUp(_) => Code::new(616),
            Self::RecordingFile(_) => Code::new(617),
            Self::CutOff(_) => Code::new(618),
        }
    }

    fn over_at(&self) -> Option<Timestamp> {
        match self {
            Self::Quota { resets_at, .. } => *resets_at,
            _ => None,
        }
    }

    fn exit(&self) -> ExitStatus {
        match self {
            Self::Unreachable(_) | Self::Transient { .. } | Self::CutOff(_) | Self::TooSlow(_) => {
                ExitStatus::Unavailable
            }
            Self::Quota { .. } => ExitStatus::Later,
            Self::Auth(_) => ExitStatus::Permission,
            Self::ContextOverflow(_) | Self::Malformed(_) | Self::Refused(_) => ExitStatus::Data,
            Self::NotFound(_) => ExitStatus::NotFound,
            Self::Rejected(_)
            | Self::Settings(_)
            | Self::HermesImport(_)
            | Self::HermesTools(_) => ExitStatus::Refused,
            Self::RecordingDamaged(_)
            | Self::RecordingTooNew(_)
            | Self::RecordingUsedUp(_)
            | Self::RecordingFile(_) => ExitStatus::Data,
        }
    }

    fn fix(&self) -> String {
        let provider = &self.failure().provider;
        let key = |name: &str| format!("`{name}` of provider `{provider}` in timmy.toml");
        match self {
            Self::Unreachable(_) => format!("start the server, or correct {}", key("base_url")),
            Self::Transient { .. } | Self::CutOff(_) => {
                "wait and run it again, or add a second provider to timmy.toml".to_owned()
            }
            Self::Quota { resets_at, .. } => match resets_at {
                Some(time) => format!("run it again after {time}, or add a second provider"),
                None => "see your account at the provider, or add a second provider".to_owned(),
            },
            Self::Auth(_) => format!("put a working key where {} points", key("key")),
            Self::ContextOverflow(_) => {
                format!(
                    "choose a model with more context, and correct {}",
                    key("context_tokens")
                )
            }
            Self::Malformed(_) => format!("check that {} names the right server", key("kind")),
            Self::Refused(_) => "reword the issue, or add another provider".to_owned(),
            Self::NotFound(_) => format!("correct {}", key("model")),
            Self::TooSlow(_) => format!("raise {}", key("idle_timeout_s")),
            Self::Rejected(_) => format!("check {} and {}", key("kind"), key("model")),
            Self::Settings(_) => "correct the provider in timmy.toml".to_owned(),
            Self::HermesImport(_) => {
                "log in with `hermes`, or configure the provider in timmy.toml".to_owned()
            }
            Self::HermesTools(_) => {
                "take all toolsets from the `api_server` platform with `hermes tools`".to_owned()
            }
            Self::RecordingDamaged(_) | Self::RecordingUsedUp(_) => {
                "record the run again with --record".to_owned()
            }
            Self::RecordingTooNew(_) => "update timmy, or record again".to_owned(),
            Self::RecordingFile(_) => "check the path and its permissions".to_owned(),
        }
    }
}

impl Coded for ModelError {
    fn problem(&self) -> Problem {
        let failure = self.failure();
        Problem::new(self.code(), self.exit(), self.to_string())
            .at(format!(
                "provider `{}`, {}",
                failure.provider, failure.place
            ))
            .fix(self.fix())
            .until(self.over_at())
    }
}

/// Why the router has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A budget would be passed. Nothing was asked; the agent stops the run.
    #[error("{}", problem.what)]
    OverBudget {
        /// What it is for.
        scope: BudgetScope,
        /// What was asked for, what is used and the setting that changes it.
        problem: Problem,
    },
    /// No provider can answer now. The agent ends the run; the dispatcher may try after `retry_at`.
    #[error("no provider can answer")]
    Exhausted {
        /// The last error of each provider that was asked or left out, in the order of the cascade.
        failures: Vec<ModelError>,
        /// The earliest time at which a provider is to be asked again, where one is known.
        retry_at: Option<Timestamp>,
    },
    /// The conversation is too long. The agent shortens it and asks again, a limited number of times.
    #[error("{0}")]
    ContextOverflow(ModelError),
    /// The replies stayed unusable. The agent counts it as a failed step.
    #[error("{0}")]
    Malformed(ModelError),
    /// Spending or events could not be recorded. Work that cannot be recorded is not done.
    #[error("{0}")]
    Bookkeeping(Problem),
}

impl Coded for RouteError {
    fn problem(&self) -> Problem {
        match self {
            Self::OverBudget { problem, .. } => problem.clone(),
            Self::Exhausted { failures, retry_at } => exhausted(failures, *retry_at),
            Self::ContextOverflow(error) | Self::Malformed(error) => error.problem(),
            Self::Bookkeeping(problem) => problem.clone(),
        }
    }
}

fn exhausted(failures: &[ModelError], retry_at: Option<Timestamp>) -> Problem {
    if let [only] = failures {
        return only.problem();
    }
    let all: Vec<String> = failures
        .iter()
        .map(|error| format!("{}: {error} ({})", error.failure().provider, error.code()))
        .collect();
    let fix = match retry_at {
        Some(time) => format!("run it again after {time}, or add a provider to timmy.toml"),
        None => "mend one of the providers in timmy.toml; each code has a page".to_owned(),
    };
    let exit = if retry_at.is_some() {
        ExitStatus::Later
    } else {
        ExitStatus::Unavailable
    };
    Problem::new(Code::new(619), exit, "no provider can answer")
        .at(all.join("; "))
        .fix(fix)
        .until(retry_at)
}
