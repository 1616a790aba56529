//! One collector, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use secrecy::SecretString;
use timmy_core::Redactor;
use timmy_core::text::bound;
use timmy_core::text::clean_line;
use timmy_model::SecretReference;
use timmy_model::call::Call;
use timmy_model::call::Called;
use timmy_model::call::Caller;
use url::Url;

use super::spans::text;
use crate::export::ExportError;
use crate::export::conventions;

/// The longest time for one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a collector is left alone that asks for patience without saying how much, in seconds.
const PAUSE: u64 = 30;
/// The longest pause that a collector can ask for, in seconds.
const LONGEST_PAUSE: u64 = 3_600;
/// The longest words of a collector that are kept, in bytes.
const LONGEST_SAYING: usize = 300;
const PROTOBUF: &str = "application/x-protobuf";
const TRACES: &str = "v1/traces";
const METRICS: &str = "v1/metrics";

/// A collector.
pub(super) struct Collector {
    caller: Caller,
    headers: Vec<(HeaderName, SecretString)>,
    redactor: Redactor,
}

/// What a collector said about something it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Spans or points it did not keep. They are not sent again: it would refuse them again.
    pub(super) rejected: u64,
    pub(super) said: Option<String>,
}

impl Collector {
    pub(super) fn new(
        base: &Url,
        headers: &BTreeMap<String, SecretReference>,
    ) -> Result<Self, ExportError> {
        let settings = |setting: &str, reason: String| ExportError::Settings {
            setting: setting.to_owned(),
            reason,
        };
        let caller = Caller::new(base, PATIENCE)
            .map_err(|error| settings("export.otlp", error.to_string()))?;
        let mut resolved = Vec::new();
        for (name, reference) in headers {
            let wrong = |reason| settings(&format!("export.headers.{name}"), reason);
            let value = reference.resolve().map_err(wrong)?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong("it is not the name of a header".to_owned()))?;
            resolved.push((name, value));
        }
        Ok(Self {
            caller,
            redactor: Redactor::new(resolved.iter().map(|(_, value)| value)),
            headers: resolved,
        })
    }

    pub(super) async fn spans(&self, spans: &[Span]) -> Result<Answer, ExportError> {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope()),
                    spans: spans.to_vec(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let called = self.post(TRACES, request.encode_to_vec()).await?;
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        self.answer(TRACES, &called, count, |body| {
            let answer = ExportTraceServiceResponse::decode(body).ok()?;
            let partly = answer.partial_success?;
            Some((partly.rejected_spans, partly.error_message))
        })
    }

    pub(super) async fn metrics(&self, metrics: Vec<Metric>) -> Result<Answer, ExportError> {
        let count = u64::try_from(metrics.len()).unwrap_or(u64::MAX);
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope()),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let called = self.post(METRICS, request.encode_to_vec()).await?;
        self.answer(METRICS, &called, count, |body| {
            let answer = ExportMetricsServiceResponse::decode(body).ok()?;
            let partly = answer.partial_success?;
            Some((partly.rejected_data_points, partly.error_message))
        })
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Called, ExportError> {
        let mut call = Call::post(path, PROTOBUF, body);
        for (name, value) in &self.headers {
            call = call.with(name.clone(), value.clone());
        }
        let called = self.caller.call(call).await;
        called.map_err(|error| ExportError::Away(self.shown(&error.to_string())))
    }

    /// What an answer means, as the OTLP specification has it ("Failures" and "Partial Success" of
    /// OTLP/HTTP, version 1.9). `partly` reads the count and the words of a partial success.
    fn answer(
        &self,
        path: &str,
        called: &Called,
        sent: u64,
        partly: impl FnOnce(&[u8]) -> Option<(i64, String)>,
    ) -> Result<Answer, ExportError> {
        match called.status {
            200..=299 => {
                let (rejected, said) = partly(&called.body).unwrap_or_default();
                Ok(Answer {
                    rejected: u64::try_from(rejected).unwrap_or(0),
                    said: Some(self.shown(&said)).filter(|said| !said.is_empty()),
                })
            }
            429 | 502 | 503 | 504 => Err(ExportError::Busy {
                seconds: pause(called),
            }),
            // This request will never be taken: the next one may be.
            400 | 413 | 422 => Ok(Answer {
                rejected: sent,
                said: Some(self.shown(&String::from_utf8_lossy(&called.body))),
            }),
            status => Err(ExportError::Refused {
                place: self.caller.place(path),
                status,
                said: self.shown(&String::from_utf8_lossy(&called.body)),
            }),
        }
    }

    fn shown(&self, text: &str) -> String {
        let line = clean_line(&self.redactor.redact(text));
        bound(&line, LONGEST_SAYING).into_owned()
    }
}

/// How long a collector wants to be left alone, in seconds.
fn pause(called: &Called) -> u64 {
    let said = called.headers.get(RETRY_AFTER);
    let said = said.and_then(|value| value.to_str().ok());
    let seconds = said.and_then(|said| {
        let until = || {
            let until = jiff::fmt::rfc2822::parse(said).ok()?.timestamp();
            u64::try_from(until.duration_since(Timestamp::now()).as_secs()).ok()
        };
        said.trim().parse().ok().or_else(until)
    });
    seconds.unwrap_or(PAUSE).min(LONGEST_PAUSE)
}

fn resource() -> Resource {
    Resource {
        attributes: vec![
            text(conventions::SERVICE_NAME, conventions::TIMMY),
            text(conventions::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        ],
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: conventions::TIMMY.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
