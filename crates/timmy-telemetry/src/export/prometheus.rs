//! Answers to Prometheus.
//!
//! Counters and histograms are folded from the log, from its beginning when the process starts: they
//! are the same after a restart, and never go back. A scrape reads only what the log has got since the
//! one before.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics::Label;
use metrics::SharedString;
use metrics::with_local_recorder;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusRecorder;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use timmy_store::EventLog;
use timmy_store::Spending;
use timmy_store::Store;
use timmy_store::StoreError;
use tokio::sync::Mutex;

use super::ExportError;
use super::measure::Instrument;
use super::measure::Measure;
use super::measure::Sink;
use super::measure::TYPES;
use super::standing;
use super::standing::Gauge;

/// Events read at once.
const PAGE: u32 = 2_000;
/// Nobody sends a body with a scrape.
const LONGEST_BODY: usize = 1 << 10;
/// The text format, version 0.0.4.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where figures come from.
pub struct Sources {
    /// Log and books.
    pub store: Store,
    /// The directory of the telemetry files.
    pub dir: PathBuf,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What a scrape is answered from.
pub struct Scrapes {
    log: EventLog,
    spending: Spending,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    fold: Mutex<Fold>,
}

/// The log so far.
struct Fold {
    measure: Measure,
    recorded: Recorded,
}

impl Scrapes {
    /// Nothing is read yet: the first scrape reads the log from its beginning.
    ///
    /// # Errors
    /// [`ExportError::Settings`], which is a defect of timmy.
    pub fn new(sources: Sources) -> Result<Self, ExportError> {
        Ok(Self {
            log: sources.store.log(Arc::clone(&sources.clock)),
            spending: sources.store.spending(Arc::clone(&sources.clock)),
            dir: sources.dir,
            clock: sources.clock,
            fold: Mutex::new(Fold {
                measure: Measure::default(),
                recorded: Recorded::new()?,
            }),
        })
    }

    async fn catch_up(&self, fold: &mut Fold) -> Result<(), StoreError> {
        loop {
            let events = self.log.of_types(&TYPES, fold.measure.seq, PAGE).await?;
            for event in &events {
                fold.measure.apply(event, &mut fold.recorded);
            }
            // Samples of histograms wait in memory until somebody counts them.
            fold.recorded.recorder.handle().run_upkeep();
            if events.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// The text of a scrape.
    ///
    /// # Errors
    /// When log or books cannot be read.
    pub async fn text(&self) -> Result<String, ExportError> {
        let mut fold = self.fold.lock().await;
        self.catch_up(&mut fold).await?;
        let now = self.clock.now();
        let gauges = standing::of_now(&fold.measure, &self.spending, &self.dir, now).await?;
        let counted = fold.recorded.recorder.handle().render();
        Ok(format!("{counted}{}", of_gauges(&gauges)))
    }
}

impl Handler for Scrapes {
    async fn handle(&self, request: Request) -> Reply {
        if request.uri().path() != "/metrics" {
            return Reply::empty(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::GET {
            return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let (status, text) = match self.text().await {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{}\n", error.problem()),
            ),
        };
        let mut response = http::Response::new(text.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
        Reply::Whole(response)
    }
}

/// Answers scrapes at an address of this machine for as long as the server lives.
///
/// # Errors
/// [`ExportError::Facing`] for an address of a network, [`ExportError::Listen`] when the address cannot
/// be had.
pub async fn serve(address: SocketAddr, sources: Sources) -> Result<Server, ExportError> {
    if !address.ip().is_loopback() {
        return Err(ExportError::Facing(address));
    }
    let scrapes = Scrapes::new(sources)?;
    Ok(Server::start_at(address, LONGEST_BODY, scrapes).await?)
}

/// Counters and histograms.
struct Recorded {
    recorder: PrometheusRecorder,
}

impl Recorded {
    fn new() -> Result<Self, ExportError> {
        let mut builder = PrometheusBuilder::new();
        for instrument in Instrument::ALL {
            let told = instrument.description();
            if told.bounds.is_empty() {
                continue;
            }
            let name = Matcher::Full(told.prometheus.to_owned());
            let bounded = builder.set_buckets_for_metric(name, told.bounds);
            builder = bounded.map_err(|error| ExportError::Settings {
                setting: told.prometheus.to_owned(),
                reason: error.to_string(),
            })?;
        }
        let recorder = builder.build_recorder();
        with_local_recorder(&recorder, || {
            for instrument in Instrument::ALL {
                let told = instrument.description();
                if told.bounds.is_empty() {
                    metrics::describe_counter!(told.prometheus, told.what);
                } else {
                    metrics::describe_histogram!(told.prometheus, told.what);
                }
            }
        });
        Ok(Self { recorder })
    }
}

impl Sink for Recorded {
    fn add(&mut self, instrument: Instrument, labels: &[String], amount: f64) {
        let told = instrument.description();
        let named = told.labels.iter().zip(labels);
        let labels: Vec<Label> = named
            .map(|((name, _), label)| Label::new(*name, SharedString::from(label.clone())))
            .collect();
        with_local_recorder(&self.recorder, || {
            if told.bounds.is_empty() {
                metrics::counter!(told.prometheus, labels).increment(whole(amount));
            } else {
                metrics::histogram!(told.prometheus, labels).record(amount);
            }
        });
    }
}

/// Counters count whole things; every amount began as one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "amounts are whole, not negative and at most 2^53"
)]
fn whole(amount: f64) -> u64 {
    amount as u64
}

/// What stands now has no past: a recorder of its own forgets what is gone.
fn of_gauges(gauges: &[Gauge]) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        for gauge in gauges {
            let labels = gauge.labels.iter();
            let labels: Vec<Label> = labels
                .map(|(name, label)| Label::new(*name, SharedString::from(label.clone())))
                .collect();
            metrics::describe_gauge!(gauge.prometheus, gauge.what);
            metrics::gauge!(gauge.prometheus, labels).set(gauge.value);
        }
    });
    recorder.handle().render()
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
