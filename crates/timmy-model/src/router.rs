//! The cascade: which provider is asked, how often, and when it is left alone.
//!
//! | what happened | the answer |
//! |---|---|
//! | a passing fault, a reply cut off | wait and ask again, a few times; then the next provider |
//! | cannot be reached, silent | the next provider at once; this one gets a trial later |
//! | quota spent | the provider is out until its reset time; the event names the next one |
//! | key refused, no such model, request rejected | the provider is out for the run |
//! | content policy | the next provider |
//! | empty or unreadable reply | ask again twice; then the next provider; then an error of its own |
//! | conversation too long | back to the agent at once |

mod attempt;
mod estimate;
mod health;
mod judge;
mod provider;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use backon::BackoffBuilder;
use backon::ExponentialBuilder;
use timmy_core::Clock;
use timmy_core::EventSink;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_store::Account;
use timmy_store::SpendLimits;
use timmy_store::Spending;

use crate::chat::ChatRequest;
use crate::chat::Reply;
use crate::error::ModelError;
use crate::error::RouteError;
use attempt::Attempt;
use attempt::failed;
use estimate::Calibration;
use health::Health;
use health::Turn;
use judge::Case;
use judge::Next;

pub use provider::Patience;
pub use provider::Provider;

/// A reply with what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the model said.
    pub reply: Reply,
    /// What it used.
    pub usage: Usage,
    /// The provider that answered.
    pub provider: String,
    /// False when the provider reported no usage and the figures are an estimate.
    pub measured: bool,
}

/// Providers in the order in which they are asked.
pub struct Router {
    lanes: Vec<Lane>,
    limits: SpendLimits,
    spending: Spending,
    clock: Arc<dyn Clock>,
    patience: Patience,
}

struct Lane {
    provider: Provider,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    health: Health,
    calibration: Calibration,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &str {
        self.provider.model.name()
    }
}

/// One call of one run.
struct Call<'a> {
    account: &'a Account,
    number: u32,
    request: &'a ChatRequest,
    events: &'a dyn EventSink,
}

/// How one provider ended a call.
enum LaneEnd {
    Answered(Box<Answer>),
    GaveUp(ModelError),
    Stop(RouteError),
}

impl Router {
    /// A router over providers, first choice first.
    #[must_use]
    pub fn new(
        providers: Vec<Provider>,
        limits: SpendLimits,
        spending: Spending,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let lanes = providers.into_iter().map(|provider| Lane {
            provider,
            state: Mutex::default(),
        });
        Self {
            lanes: lanes.collect(),
            limits,
            spending,
            clock,
            patience: Patience::default(),
        }
    }

    /// The same router with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The name of the first choice.
    #[must_use]
    pub fn first_provider(&self) -> &str {
        self.lanes.first().map_or("none", Lane::name)
    }

    /// Replayed when any provider plays back a recording: what comes of the run is not live then.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        let mut provenances = self
            .lanes
            .iter()
            .map(|lane| lane.provider.model.provenance());
        match provenances.any(|provenance| provenance == Provenance::Replayed) {
            true => Provenance::Replayed,
            false => Provenance::Live,
        }
    }

    /// How many tokens a conversation may have with every provider.
    #[must_use]
    pub fn context_tokens(&self) -> u64 {
        let contexts = self
            .lanes
            .iter()
            .map(|lane| lane.provider.model.context_tokens());
        contexts.min().unwrap_or(0)
    }

    /// Asks the providers in turn until one answers. Tokens and cost are reserved before each try and
    /// settled after it.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub async fn call(
        &self,
        account: &Account,
        call: u32,
        request: &ChatRequest,
        events: &dyn EventSink,
    ) -> Result<Answer, RouteError> {
        let call = Call {
            account,
            number: call,
            request,
            events,
        };
        let mut failures = Vec::new();
        for (at, lane) in self.lanes.iter().enumerate() {
            let turn = lane.state().health.turn(&account.run, self.clock.now());
            let retries = match turn {
                Turn::Skip(error) => {
                    failures.push(error);
                    continue;
                }
                Turn::Full => self.patience.retries,
                Turn::Trial => 0,
            };
            let next = self.lanes.get(at + 1).map(Lane::name);
            match Box::pin(self.ask(lane, &call, retries, next)).await {
                LaneEnd::Answered(answer) => return Ok(*answer),
                LaneEnd::GaveUp(error) => failures.push(error),
                LaneEnd::Stop(error) => return Err(error),
            }
        }
        Err(self.exhausted(failures))
    }

    fn exhausted(&self, mut failures: Vec<ModelError>) -> RouteError {
        if failures
            .iter()
            .all(|error| matches!(error, ModelError::Malformed(_)))
            && let Some(last) = failures.pop()
        {
            return RouteError::Malformed(last);
        }
        let untils = self
            .lanes
            .iter()
            .filter_map(|lane| lane.state().health.until());
        RouteError::Exhausted {
            failures,
            retry_at: untils.min(),
        }
    }

    async fn ask(
        &self,
        lane: &Lane,
        call: &Call<'_>,
        retries: usize,
        next: Option<&str>,
    ) -> LaneEnd {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.patience.first_wait)
            .with_max_delay(self.patience.longest_wait)
            .with_max_times(retries);
        let mut waits = waits.build();
        let mut malformed = 0;
        loop {
            let error = match self.attempt(lane, call).await {
                Ok(answer) => {
                    lane.state().health = Health::Up;
                    return LaneEnd::Answered(Box::new(answer));
                }
                Err(Attempt::Failed(error)) => error,
                Err(Attempt::Stop(error)) => return LaneEnd::Stop(error),
            };
            malformed += usize::from(matches!(error, ModelError::Malformed(_)));
            let retry = match &error {
                ModelError::Malformed(_) if malformed > self.patience.malformed_retries => None,
                ModelError::Malformed(_) if retries > 0 => Some(Duration::ZERO),
                ModelError::Transient { .. } | ModelError::CutOff(_) => waits.next(),
                _ => None,
            };
            let case = Case {
                run: &call.account.run,
                error: &error,
                retry,
                next,
                now: self.clock.now(),
                patience: &self.patience,
            };
            let (follows, said) = case.judge(&mut lane.state().health);
            if let Err(problem) = failed(lane, call, &error, &said).await {
                return LaneEnd::Stop(RouteError::Bookkeeping(problem));
            }
            match follows {
                Next::Wait(wait) => tokio::time::sleep(wait).await,
                Next::GiveUp => return LaneEnd::GaveUp(error),
                Next::Stop(error) => return LaneEnd::Stop(error),
            }
        }
    }
}
