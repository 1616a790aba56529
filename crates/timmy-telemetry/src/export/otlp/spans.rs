//! A run as a trace.
//!
//! The run is the root span. A model call is a span from its reservation to its answer, a tool call from
//! the request to the result; the check and the push are spans too. What has no end in the log ends with
//! the run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::money::Usage;

use crate::export::conventions as names;

/// What is told besides names, times and counts.
pub(super) struct Told<'a> {
    /// Whether texts of the log are told.
    pub(super) content: bool,
    /// The model that is asked for, by provider.
    pub(super) models: &'a BTreeMap<String, String>,
}

/// The trace of a run that ended; nothing for events that are no whole run.
pub(super) fn of_run(run: &RunId, events: &[Event], told: &Told<'_>) -> Vec<Span> {
    let start = events
        .iter()
        .find(|event| matches!(event.kind, EventKind::RunStarted { .. }));
    let end = events
        .iter()
        .rfind(|event| matches!(event.kind, EventKind::RunEnded { .. }));
    let (Some(start), Some(end)) = (start, end) else {
        return Vec::new();
    };
    let mut trace = Trace {
        run,
        root: span_id(run, start.seq),
        told,
        bounds: (start.at, end.at.max(start.at)),
        before: start.at,
        calls: BTreeMap::new(),
        tools: BTreeMap::new(),
        spans: Vec::new(),
    };
    let root = trace.root_span(start, events);
    trace.spans.push(root);
    for event in events {
        trace.add(event);
        trace.before = event.at;
    }
    trace.finish()
}

/// A trace while the events of its run are read.
struct Trace<'a> {
    run: &'a RunId,
    root: Vec<u8>,
    told: &'a Told<'a>,
    /// When the run began and ended.
    bounds: (Timestamp, Timestamp),
    /// When the event before was.
    before: Timestamp,
    /// Calls of models that were not answered yet, by their number.
    calls: BTreeMap<u32, &'a Event>,
    /// Tool calls that were not answered yet, the oldest first.
    tools: BTreeMap<(u32, &'a str), Vec<&'a Event>>,
    spans: Vec<Span>,
}

impl<'a> Trace<'a> {
    fn add(&mut self, event: &'a Event) {
        match &event.kind {
            EventKind::ModelCallReserved { call, .. } => {
                if let Some(before) = self.calls.insert(*call, event) {
                    self.unanswered_call(before, event.at);
                }
            }
            EventKind::ModelCallSettled { call, .. } | EventKind::ModelCallFailed { call, .. } => {
                let reserved = self.calls.remove(call);
                self.call(reserved.unwrap_or(event), event);
            }
            EventKind::ToolCalled { step, tool, .. } => {
                self.tools.entry((*step, tool)).or_default().push(event);
            }
            EventKind::ToolFinished { step, tool, .. } => {
                let open = self.tools.get_mut(&(*step, tool.as_str()));
                let called = open
                    .filter(|open| !open.is_empty())
                    .map(|open| open.remove(0));
                self.tool(called.unwrap_or(event), event);
            }
            EventKind::CheckFinished { receipt } => self.check(event, receipt),
            EventKind::BranchPushed { branch, commit } => {
                let mut span = self.span(event.seq, "push", (self.before, event.at));
                span.attributes.push(text(names::REF_NAME, branch));
                span.attributes
                    .push(text(names::REF_REVISION, commit.as_str()));
                self.spans.push(span);
            }
            _ => {}
        }
    }

    /// What has no end ends with the run.
    fn finish(mut self) -> Vec<Span> {
        let end = self.bounds.1;
        for (_, reserved) in std::mem::take(&mut self.calls) {
            self.unanswered_call(reserved, end);
        }
        for called in std::mem::take(&mut self.tools).into_values().flatten() {
            let mut span = self.tool_span(called, end);
            fail(&mut span, "unfinished");
            self.spans.push(span);
        }
        self.spans
    }

    fn root_span(&self, start: &Event, events: &[Event]) -> Span {
        let name = format!("{} {}", names::INVOKE_AGENT, names::TIMMY);
        let mut span = self.span(start.seq, &name, self.bounds);
        span.parent_span_id.clear();
        let attributes = &mut span.attributes;
        attributes.push(text(names::OPERATION_NAME, names::INVOKE_AGENT));
        attributes.push(text(names::AGENT_NAME, names::TIMMY));
        attributes.push(text(names::AGENT_VERSION, env!("CARGO_PKG_VERSION")));
        attributes.push(text(names::CONVERSATION_ID, self.run.as_str()));
        if let EventKind::RunStarted {
            repo,
            issue,
            provider,
            provenance,
            sandbox,
            ..
        } = &start.kind
        {
            attributes.push(text(names::PROVIDER_NAME, provider));
            attributes.push(text(names::REPOSITORY, &repo.to_string()));
            attributes.push(number(names::ISSUE, *issue));
            attributes.push(text(names::PROVENANCE, &word(provenance)));
            attributes.push(text(names::SANDBOX, &word(sandbox)));
        }
        let mut used = Usage::default();
        for event in events {
            match &event.kind {
                EventKind::ModelCallSettled { usage, .. } => used = used + *usage,
                EventKind::AgentFinished { steps, .. } => {
                    attributes.push(number(names::STEPS, u64::from(*steps)));
                }
                _ => {}
            }
        }
        usage(attributes, used);
        let ended = events.iter().rev().find_map(|event| match &event.kind {
            EventKind::RunEnded { outcome, .. } => Some(outcome),
            _ => None,
        });
        if let Some(outcome) = ended {
            attributes.push(text(names::OUTCOME, outcome.word()));
            self.judge(&mut span, outcome);
        }
        span
    }

    /// Marks the run as an error, if it ended with one. A check that failed or a claim that was lost
    /// is an answer.
    fn judge(&self, span: &mut Span, outcome: &Outcome) {
        match outcome {
            Outcome::Stopped { code } => fail(span, &code.to_string()),
            Outcome::Failed { problem } => {
                fail(span, &problem.code.to_string());
                self.say(span, &problem.what);
            }
            Outcome::Abandoned | Outcome::Stalled { .. } => fail(span, outcome.word()),
            Outcome::PullRequest { .. }
            | Outcome::Draft { .. }
            | Outcome::NoChange
            | Outcome::CheckFailed
            | Outcome::Blocked
            | Outcome::ClaimLost
            | Outcome::Cancelled { .. } => {}
        }
    }

    fn call(&mut self, reserved: &Event, answered: &Event) {
        let mut span = match &answered.kind {
            EventKind::ModelCallSettled {
                provider,
                model,
                usage: used,
                measured,
                ..
            } => {
                let mut span = self.chat(reserved, answered.at, provider, model);
                span.attributes.push(text(names::RESPONSE_MODEL, model));
                usage(&mut span.attributes, *used);
                span.attributes.push(truth(names::MEASURED, *measured));
                span
            }
            EventKind::ModelCallFailed {
                provider,
                code,
                what,
                ..
            } => {
                let mut span = self.chat(reserved, answered.at, provider, "");
                fail(&mut span, &code.to_string());
                self.say(&mut span, what);
                span
            }
            _ => return,
        };
        if reserved.seq == answered.seq {
            // Nothing tells when it began but how long it took.
            if let EventKind::ModelCallSettled { duration_ms, .. } = &answered.kind {
                let length = duration_ms.saturating_mul(1_000_000);
                let start = span.end_time_unix_nano.saturating_sub(length);
                span.start_time_unix_nano = start.max(nanoseconds(self.bounds.0));
            }
        }
        self.spans.push(span);
    }

    fn unanswered_call(&mut self, reserved: &Event, end: Timestamp) {
        if let EventKind::ModelCallReserved { provider, .. } = &reserved.kind {
            let mut span = self.chat(reserved, end, provider, "");
            fail(&mut span, "unfinished");
            self.spans.push(span);
        }
    }

    /// A request to a model. The one that was asked for gives it its name, where that is known.
    fn chat(&self, reserved: &Event, end: Timestamp, provider: &str, answered: &str) -> Span {
        let asked = self.told.models.get(provider).map_or("", String::as_str);
        let model = if asked.is_empty() { answered } else { asked };
        let name = format!("{} {model}", names::CHAT);
        let mut span = self.span(reserved.seq, name.trim_end(), (reserved.at, end));
        span.kind = SpanKind::Client as i32;
        let attributes = &mut span.attributes;
        attributes.push(text(names::OPERATION_NAME, names::CHAT));
        attributes.push(text(names::PROVIDER_NAME, provider));
        attributes.push(text(names::CONVERSATION_ID, self.run.as_str()));
        if !asked.is_empty() {
            attributes.push(text(names::REQUEST_MODEL, asked));
        }
        span
    }

    fn tool(&mut self, called: &Event, finished: &Event) {
        let EventKind::ToolFinished { ok, result, .. } = &finished.kind else {
            return;
        };
        let mut span = self.tool_span(called, finished.at);
        if !ok {
            fail(&mut span, "tool_failed");
        }
        if self.told.content {
            span.attributes.push(text(names::TOOL_RESULT, result));
        }
        self.spans.push(span);
    }

    fn tool_span(&self, called: &Event, end: Timestamp) -> Span {
        let (EventKind::ToolCalled { tool, .. } | EventKind::ToolFinished { tool, .. }) =
            &called.kind
        else {
            return Span::default();
        };
        let name = format!("{} {tool}", names::EXECUTE_TOOL);
        let mut span = self.span(called.seq, &name, (called.at, end));
        let attributes = &mut span.attributes;
        attributes.push(text(names::OPERATION_NAME, names::EXECUTE_TOOL));
        attributes.push(text(names::TOOL_NAME, tool));
        attributes.push(text(names::TOOL_TYPE, names::FUNCTION));
        match &called.kind {
            EventKind::ToolCalled { arguments, .. } if self.told.content => {
                attributes.push(text(names::TOOL_ARGUMENTS, arguments));
            }
            _ => {}
        }
        span
    }

    fn check(&mut self, event: &Event, receipt: &Receipt) {
        let length = jiff::SignedDuration::from_millis(
            i64::try_from(receipt.duration_ms).unwrap_or(i64::MAX),
        );
        let start = event.at.checked_sub(length).unwrap_or(event.at);
        let mut span = self.span(event.seq, "check", (start, event.at));
        if let Some(code) = receipt.exit_code {
            span.attributes.push(signed(names::EXIT_CODE, code.into()));
        }
        if !receipt.passed() {
            fail(&mut span, "check_failed");
        }
        self.spans.push(span);
    }

    /// A span below the root, inside of the run: clocks may have been set while it lasted.
    fn span(&self, seq: i64, name: &str, (start, end): (Timestamp, Timestamp)) -> Span {
        let start = start.clamp(self.bounds.0, self.bounds.1);
        let end = end.clamp(start, self.bounds.1);
        Span {
            trace_id: trace_id(self.run),
            span_id: span_id(self.run, seq),
            parent_span_id: self.root.clone(),
            name: name.to_owned(),
            kind: SpanKind::Internal as i32,
            start_time_unix_nano: nanoseconds(start),
            end_time_unix_nano: nanoseconds(end),
            attributes: vec![signed(names::SEQ, seq)],
            ..Span::default()
        }
    }

    /// Tells an error in words, where texts are told.
    fn say(&self, span: &mut Span, what: &str) {
        if let (true, Some(status)) = (self.told.content, &mut span.status) {
            what.clone_into(&mut status.message);
        }
    }
}

fn fail(span: &mut Span, class: &str) {
    span.attributes.push(text(names::ERROR_TYPE, class));
    span.status = Some(Status {
        code: StatusCode::Error as i32,
        ..Status::default()
    });
}

fn usage(attributes: &mut Vec<KeyValue>, usage: Usage) {
    attributes.push(number(names::INPUT_TOKENS, usage.input_tokens));
    attributes.push(number(names::OUTPUT_TOKENS, usage.output_tokens));
    attributes.push(number(names::COST, usage.cost.0));
}

/// The run's id is a UUID, and so are 16 bytes of trace id.
fn trace_id(run: &RunId) -> Vec<u8> {
    let digits: Vec<u8> = run.as_str().bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or(0);
    let bytes = digits.chunks(2).map(|pair| {
        let byte = pair.iter().fold(0, |byte, digit| byte << 4 | value(*digit));
        u8::try_from(byte).unwrap_or(0)
    });
    bytes.collect()
}

/// Eight bytes that belong to a place in the log of a run. All zeros would not be an id.
fn span_id(run: &RunId, seq: i64) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(run.as_str());
    digest.update(seq.to_be_bytes());
    let mut id = digest.finalize()[..8].to_vec();
    id[7] |= u8::from(id.iter().all(|byte| *byte == 0));
    id
}

pub(super) fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

/// The word that the JSON form has for something.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    signed(key, i64::try_from(value).unwrap_or(i64::MAX))
}

fn signed(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn truth(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}
