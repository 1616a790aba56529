//! One try: reserved before, settled after, told to the log.

use std::time::Duration;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::money::Usage;
use timmy_store::Reservation;
use timmy_store::SpendError;

use crate::chat::Reply;
use crate::error::ModelError;
use crate::error::RouteError;
use crate::router::Answer;
use crate::router::Call;
use crate::router::Lane;
use crate::router::Router;
use crate::router::estimate;
use crate::router::estimate::Calibration;

impl Router {
    pub(super) async fn attempt(&self, lane: &Lane, call: &Call<'_>) -> Result<Answer, Attempt> {
        let bytes = estimate::bytes(call.request);
        let model = &lane.provider.model;
        let input = lane.state().calibration.tokens(bytes) + model.added_input_tokens();
        let output = u64::from(call.request.max_output_tokens);
        let most = lane.provider.usage(input, output);
        let reservation = self.reserve(lane, call, most).await?;
        let started = self.clock.monotonic();
        let outcome = model.chat(call.request).await;
        let took = self.clock.monotonic().saturating_sub(started);
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => {
                self.settle(&reservation, spent_by(&error, most)).await?;
                return Err(Attempt::Failed(error));
            }
        };
        let (usage, measured) = match reply.tokens {
            Some(tokens) => {
                let own = tokens.input.saturating_sub(model.added_input_tokens());
                lane.state().calibration.learn(bytes, own);
                (lane.provider.usage(tokens.input, tokens.output), true)
            }
            None => (
                lane.provider.usage(input, said_tokens(&reply).min(output)),
                false,
            ),
        };
        self.settle(&reservation, usage).await?;
        let provider = lane.name().to_owned();
        let answer = Answer {
            reply,
            usage,
            provider,
            measured,
        };
        answered(call, &answer, took).await?;
        Ok(answer)
    }

    async fn reserve(
        &self,
        lane: &Lane,
        call: &Call<'_>,
        most: Usage,
    ) -> Result<Reservation, Attempt> {
        let reserved = self
            .spending
            .reserve(call.account, lane.name(), most, &self.limits)
            .await;
        let reservation = reserved.map_err(|error| {
            let problem = error.problem();
            Attempt::Stop(match error {
                SpendError::OverBudget { limit, .. } => RouteError::OverBudget {
                    scope: limit,
                    problem,
                },
                SpendError::SettledBefore(_) | SpendError::Store(_) => {
                    RouteError::Bookkeeping(problem)
                }
            })
        })?;
        let event = EventKind::ModelCallReserved {
            call: call.number,
            provider: lane.name().to_owned(),
            reserved: most,
        };
        append(call, event).await?;
        Ok(reservation)
    }

    async fn settle(&self, reservation: &Reservation, used: Usage) -> Result<(), Attempt> {
        let settled = self.spending.settle(reservation, used).await;
        settled.map_err(|error| Attempt::Stop(RouteError::Bookkeeping(error.problem())))
    }
}

/// Why a try gave no answer.
pub(super) enum Attempt {
    /// The model failed; the router judges how.
    Failed(ModelError),
    /// The call ends here.
    Stop(RouteError),
}

/// What a failed try is taken to have used: nothing when the request was refused, everything when
/// the model may have been at work.
fn spent_by(error: &ModelError, most: Usage) -> Usage {
    match error {
        ModelError::CutOff(_)
        | ModelError::Malformed(_)
        | ModelError::Refused(_)
        | ModelError::TooSlow(_) => most,
        ModelError::Unreachable(_)
        | ModelError::Transient { .. }
        | ModelError::Quota { .. }
        | ModelError::Auth(_)
        | ModelError::ContextOverflow(_)
        | ModelError::NotFound(_)
        | ModelError::Rejected(_)
        | ModelError::Settings(_)
        | ModelError::HermesImport(_)
        | ModelError::HermesTools(_)
        | ModelError::RecordingDamaged(_)
        | ModelError::RecordingTooNew(_)
        | ModelError::RecordingUsedUp(_)
        | ModelError::RecordingFile(_) => Usage::default(),
    }
}

/// An estimate of the tokens a reply has.
fn said_tokens(reply: &Reply) -> u64 {
    let calls = reply
        .calls
        .iter()
        .map(|call| call.name.len() + call.arguments.as_text().len());
    let thought = reply.reasoning.as_ref().map_or(0, String::len);
    let bytes = reply.text.len() + thought + calls.sum::<usize>();
    Calibration::default()
        .tokens(u64::try_from(bytes).unwrap_or(u64::MAX))
        .max(1)
}

async fn append(call: &Call<'_>, event: EventKind) -> Result<(), Attempt> {
    let appended = call.events.append(Some(&call.account.run), event).await;
    appended
        .map(|_| ())
        .map_err(|problem| Attempt::Stop(RouteError::Bookkeeping(problem)))
}

async fn answered(call: &Call<'_>, answer: &Answer, took: Duration) -> Result<(), Attempt> {
    let settled = EventKind::ModelCallSettled {
        call: call.number,
        provider: answer.provider.clone(),
        model: timmy_core::text::clean_line(&answer.reply.model),
        usage: answer.usage,
        measured: answer.measured,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    append(call, settled).await?;
    for warning in &answer.reply.warnings {
        let what = timmy_core::text::clean_line(warning);
        let problem = Problem::new(Code::new(620), ExitStatus::Data, what)
            .at(format!("provider `{}`", answer.provider))
            .fix("record the run again with --record");
        append(call, EventKind::Warned { problem }).await?;
    }
    Ok(())
}

/// Tells of a failed try and of what follows.
pub(super) async fn failed(
    lane: &Lane,
    call: &Call<'_>,
    error: &ModelError,
    answer: &str,
) -> Result<(), Problem> {
    let event = EventKind::ModelCallFailed {
        call: call.number,
        provider: lane.name().to_owned(),
        code: error.code(),
        what: error.to_string(),
        answer: answer.to_owned(),
    };
    call.events
        .append(Some(&call.account.run), event)
        .await
        .map(|_| ())
}
