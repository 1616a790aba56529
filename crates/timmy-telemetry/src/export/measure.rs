//! Events as counts and durations.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::RunId;
use timmy_core::event::AlertKey;
use timmy_core::event::Severity;
use timmy_core::text;

use super::conventions;

/// Different sets of labels that an instrument tells apart. What comes after them is counted as
/// [`OTHER`].
pub const LABEL_SETS: usize = 100;
/// The label of everything that is not told apart.
pub const OTHER: &str = "other";
/// The longest label, in characters.
const LONGEST_LABEL: usize = 100;

/// The types of events that are measured.
pub const TYPES: [&str; 15] = [
    "run_started",
    "run_ended",
    "model_call_settled",
    "model_call_failed",
    "tool_finished",
    "energy_used",
    "pull_request_merged",
    "pull_request_refused",
    "dispatch_paused",
    "dispatch_resumed",
    "pause_asked",
    "resume_asked",
    "alert_raised",
    "alert_escalated",
    "alert_cleared",
];

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instrument {
    /// Runs that began.
    RunsStarted,
    /// Runs that ended.
    RunsEnded,
    /// How long they took.
    RunDuration,
    /// Answers of models.
    ModelCalls,
    /// Requests that failed.
    ModelFailures,
    /// Tokens.
    Tokens,
    /// Tokens of single requests.
    TokensPerCall,
    /// Cost.
    Cost,
    /// How long models took to answer.
    CallDuration,
    /// Tool calls.
    ToolCalls,
    /// Energy.
    Energy,
    /// Own pull requests that people answered.
    PullRequests,
    /// Times that attempts were held back.
    Pauses,
    /// Alerts that were raised.
    Alerts,
}

/// How an instrument is told.
#[derive(Debug)]
pub struct Description {
    /// The name for Prometheus.
    pub prometheus: &'static str,
    /// The name for OpenTelemetry.
    pub otlp: &'static str,
    /// The unit, as UCUM spells it.
    pub unit: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Names of its labels for Prometheus, and of its attributes for OpenTelemetry.
    pub labels: &'static [(&'static str, &'static str)],
    /// Upper bounds of its buckets, for a histogram; a counter has none.
    pub bounds: &'static [f64],
}

/// A run may take hours, in seconds.
const RUN_BOUNDS: [f64; 9] = [
    15.0, 60.0, 180.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
];

type Label = (&'static str, &'static str);
const PROVIDER: Label = ("provider", conventions::PROVIDER_NAME);
const MODEL: Label = ("model", conventions::RESPONSE_MODEL);
const DIRECTION: Label = ("direction", conventions::TOKEN_TYPE);
const OUTCOME: Label = ("outcome", conventions::OUTCOME);

impl Instrument {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::RunsStarted,
        Self::RunsEnded,
        Self::RunDuration,
        Self::ModelCalls,
        Self::ModelFailures,
        Self::Tokens,
        Self::TokensPerCall,
        Self::Cost,
        Self::CallDuration,
        Self::ToolCalls,
        Self::Energy,
        Self::PullRequests,
        Self::Pauses,
        Self::Alerts,
    ];

    /// How it is told.
    #[must_use]
    pub fn description(self) -> Description {
        let counter = |prometheus, otlp, unit, what, labels| Description {
            prometheus,
            otlp,
            unit,
            what,
            labels,
            bounds: &[],
        };
        match self {
            Self::RunsStarted => counter(
                "timmy_runs_started_total",
                "timmy.runs.started",
                "{run}",
                "Runs that began, by the provider they began with.",
                &[PROVIDER],
            ),
            Self::RunsEnded => counter(
                "timmy_runs_total",
                "timmy.runs",
                "{run}",
                "Runs that ended, by how.",
                &[OUTCOME],
            ),
            Self::RunDuration => Description {
                bounds: &RUN_BOUNDS,
                ..counter(
                    "timmy_run_duration_seconds",
                    "timmy.run.duration",
                    "s",
                    "Wall time of runs that ended.",
                    &[OUTCOME],
                )
            },
            Self::ModelCalls => counter(
                "timmy_model_calls_total",
                "timmy.model.calls",
                "{call}",
                "Requests that a model answered.",
                &[PROVIDER, MODEL],
            ),
            Self::ModelFailures => counter(
                "timmy_model_call_failures_total",
                "timmy.model.call_failures",
                "{call}",
                "Requests to models that failed, by the code of the error.",
                &[PROVIDER, ("code", conventions::ERROR_TYPE)],
            ),
            Self::Tokens => counter(
                "timmy_model_tokens_total",
                "timmy.model.tokens",
                "{token}",
                "Tokens sent to models (input) and received from them (output).",
                &[PROVIDER, MODEL, DIRECTION],
            ),
            Self::TokensPerCall => Description {
                bounds: &conventions::TOKEN_BOUNDS,
                ..counter(
                    "timmy_model_call_tokens",
                    conventions::TOKEN_USAGE,
                    "{token}",
                    "Tokens of single requests to models.",
                    &[PROVIDER, MODEL, DIRECTION],
                )
            },
            Self::Cost => counter(
                "timmy_model_cost_microusd_total",
                "timmy.model.cost",
                "u{USD}",
                "Cost of model calls in millionths of a US dollar.",
                &[PROVIDER, MODEL],
            ),
            Self::CallDuration => Description {
                bounds: &conventions::DURATION_BOUNDS,
                ..counter(
                    "timmy_model_call_duration_seconds",
                    conventions::OPERATION_DURATION,
                    "s",
                    "Wall time of requests that a model answered.",
                    &[PROVIDER, MODEL],
                )
            },
            Self::ToolCalls => counter(
                "timmy_tool_calls_total",
                "timmy.tool.calls",
                "{call}",
                "Tool calls that ended, and whether they did what was asked.",
                &[("tool", conventions::TOOL_NAME), ("ok", "timmy.tool.ok")],
            ),
            Self::Energy => counter(
                "timmy_energy_millijoules_total",
                "timmy.energy",
                "mJ",
                "Energy of runs, measured or declared.",
                &[],
            ),
            Self::PullRequests => counter(
                "timmy_pull_requests_answered_total",
                "timmy.pull_requests.answered",
                "{pull_request}",
                "Own pull requests that were merged or closed without merging.",
                &[("answer", "timmy.pull_request.answer")],
            ),
            Self::Pauses => counter(
                "timmy_pauses_total",
                "timmy.pauses",
                "{pause}",
                "Times that new attempts were held back, by a condition or by a person.",
                &[("by", "timmy.pause.by")],
            ),
            Self::Alerts => counter(
                "timmy_alerts_total",
                "timmy.alerts",
                "{alert}",
                "Alerts that were raised, by the severity they began with.",
                &[("severity", "timmy.alert.severity")],
            ),
        }
    }
}

/// Where measurements go.
pub trait Sink {
    /// Adds to an instrument: an amount to a counter, one sample to a histogram. There is one label
    /// for each of [`Description::labels`].
    fn add(&mut self, instrument: Instrument, labels: &[String], amount: f64);
}

/// How things stand after the events so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// The place in the log up to which events were taken.
    pub seq: i64,
    /// Runs without an end.
    pub running: BTreeSet<RunId>,
    /// Scopes that are held back.
    pub held_back: BTreeSet<String>,
    /// Whether a person paused the fleet.
    pub paused: bool,
    /// Open alerts.
    #[serde(with = "alerts")]
    pub alerts: BTreeMap<AlertKey, Severity>,
    /// The label sets that are told apart.
    #[serde(with = "label_sets")]
    seen: BTreeMap<Instrument, BTreeSet<Vec<String>>>,
}

impl Measure {
    /// Goes on with the next event of the log.
    pub fn apply(&mut self, event: &Event, sink: &mut impl Sink) {
        self.seq = self.seq.max(event.seq);
        self.settle(event);
        let mut add = |instrument, labels: &[&str], amount: f64| {
            let labels = self.labels(instrument, labels);
            sink.add(instrument, &labels, amount);
        };
        match &event.kind {
            EventKind::RunStarted { provider, .. } => {
                add(Instrument::RunsStarted, &[provider], 1.0);
            }
            EventKind::RunEnded {
                outcome,
                duration_ms,
            } => {
                add(Instrument::RunsEnded, &[outcome.word()], 1.0);
                add(
                    Instrument::RunDuration,
                    &[outcome.word()],
                    seconds(*duration_ms),
                );
            }
            EventKind::ModelCallSettled {
                provider,
                model,
                usage,
                duration_ms,
                ..
            } => {
                add(Instrument::ModelCalls, &[provider, model], 1.0);
                for (direction, tokens) in [
                    ("input", usage.input_tokens),
                    ("output", usage.output_tokens),
                ] {
                    let labels = [provider, model, direction];
                    add(Instrument::Tokens, &labels, figure(tokens));
                    add(Instrument::TokensPerCall, &labels, figure(tokens));
                }
                add(Instrument::Cost, &[provider, model], figure(usage.cost.0));
                add(
                    Instrument::CallDuration,
                    &[provider, model],
                    seconds(*duration_ms),
                );
            }
            EventKind::ModelCallFailed { provider, code, .. } => {
                add(
                    Instrument::ModelFailures,
                    &[provider, &code.to_string()],
                    1.0,
                );
            }
            EventKind::ToolFinished { tool, ok, .. } => {
                let ok = if *ok { "true" } else { "false" };
                add(Instrument::ToolCalls, &[tool, ok], 1.0);
            }
            EventKind::EnergyUsed { millijoules, .. } => {
                add(Instrument::Energy, &[], figure(*millijoules));
            }
            EventKind::PullRequestMerged { .. } => {
                add(Instrument::PullRequests, &["merged"], 1.0);
            }
            EventKind::PullRequestRefused { .. } => {
                add(Instrument::PullRequests, &["refused"], 1.0);
            }
            EventKind::DispatchPaused { .. } => add(Instrument::Pauses, &["condition"], 1.0),
            EventKind::PauseAsked { .. } => add(Instrument::Pauses, &["person"], 1.0),
            EventKind::AlertRaised { severity, .. } => {
                add(Instrument::Alerts, &[severity.word()], 1.0);
            }
            _ => {}
        }
    }

    /// Keeps what is open and what is not.
    fn settle(&mut self, event: &Event) {
        match (&event.kind, &event.run) {
            (EventKind::RunStarted { .. }, Some(run)) => {
                self.running.insert(run.clone());
            }
            (EventKind::RunEnded { .. }, Some(run)) => {
                self.running.remove(run);
            }
            (EventKind::DispatchPaused { scope, .. }, _) => {
                self.held_back.insert(scope.clone());
            }
            (EventKind::DispatchResumed { scope }, _) => {
                self.held_back.remove(scope);
            }
            (EventKind::PauseAsked { .. }, _) => self.paused = true,
            (EventKind::ResumeAsked, _) => self.paused = false,
            (
                EventKind::AlertRaised { key, severity, .. }
                | EventKind::AlertEscalated { key, severity, .. },
                _,
            ) => {
                self.alerts.insert(key.clone(), *severity);
            }
            (EventKind::AlertCleared { key }, _) => {
                self.alerts.remove(key);
            }
            _ => {}
        }
    }

    /// Open alerts of a severity.
    #[must_use]
    pub fn open_alerts(&self, severity: Severity) -> usize {
        let of = self.alerts.values().filter(|one| **one == severity);
        of.count()
    }

    /// The labels, unless there are too many different ones of this instrument.
    fn labels(&mut self, instrument: Instrument, labels: &[&str]) -> Vec<String> {
        let labels: Vec<String> = labels.iter().map(|label| short(label)).collect();
        let seen = self.seen.entry(instrument).or_default();
        if seen.contains(&labels) {
            return labels;
        }
        if seen.len() >= LABEL_SETS {
            return vec![OTHER.to_owned(); labels.len()];
        }
        seen.insert(labels.clone());
        labels
    }
}

fn short(label: &str) -> String {
    let line = text::clean_line(label);
    line.chars().take(LONGEST_LABEL).collect()
}

fn seconds(milliseconds: u64) -> f64 {
    figure(milliseconds) / 1_000.0
}

/// The books bound every figure to what a float tells apart.
#[expect(clippy::cast_precision_loss, reason = "figures are below 2^53")]
pub(super) fn figure(number: u64) -> f64 {
    number.min(1 << 53) as f64
}

/// Alerts as a list: their key is no text.
mod alerts {
    use serde::Deserializer;
    use serde::Serializer;

    use super::AlertKey;
    use super::BTreeMap;
    use super::Deserialize;
    use super::Severity;

    pub(super) fn serialize<S: Serializer>(
        alerts: &BTreeMap<AlertKey, Severity>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(alerts)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<AlertKey, Severity>, D::Error> {
        let list = Vec::<(AlertKey, Severity)>::deserialize(deserializer)?;
        Ok(list.into_iter().collect())
    }
}

/// Label sets as a list, for the same reason.
mod label_sets {
    use serde::Deserializer;
    use serde::Serializer;

    use super::BTreeMap;
    use super::BTreeSet;
    use super::Deserialize;
    use super::Instrument;

    type Seen = BTreeMap<Instrument, BTreeSet<Vec<String>>>;

    pub(super) fn serialize<S: Serializer>(seen: &Seen, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(seen)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Seen, D::Error> {
        let list = Vec::<(Instrument, BTreeSet<Vec<String>>)>::deserialize(deserializer)?;
        Ok(list.into_iter().collect())
    }
}
