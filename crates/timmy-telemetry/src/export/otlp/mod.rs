//! Traces and figures for an OpenTelemetry collector, by OTLP over HTTP.
//!
//! One trace a run, sent when the run has ended, and the figures of [`super::measure`]. What was sent is
//! remembered as a place in the log, in `otlp.json`: a collector that is away costs one request a tick,
//! and gets everything when it is back. Runs that ended more than [`BACKLOG`] ago are left out.
//!
//! Ids of traces and spans are made from the ids of runs and places in the log: what is sent twice is
//! the same trace.

mod cursor;
mod figures;
mod send;
mod spans;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde::Serialize;
use timmy_core::Clock;
use timmy_core::Event;
use timmy_store::EventLog;
use timmy_store::Spending;
use timmy_store::Store;

use super::ExportError;
use super::ExportSettings;
use super::measure::TYPES;
use super::standing;
use crate::files::Files;
use cursor::Cursor;
pub(crate) use cursor::FILE;
use send::Collector;

/// Spans in one request, at most.
pub const SPANS: usize = 512;
/// Runs that ended longer ago than this are not sent.
pub const BACKLOG: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Requests with spans in one tick, at most. The next tick goes on.
const REQUESTS: u32 = 64;
/// Events read at once.
const PAGE: u32 = 2_000;
/// Ends of runs read at once.
const ENDS: u32 = 100;

/// What was sent in one tick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Runs whose trace was taken.
    pub runs: u64,
    /// Spans of them.
    pub spans: u64,
    /// Runs that had ended too long ago.
    pub too_old: u64,
    /// Spans and points that the collector did not keep.
    pub rejected: u64,
    /// What it said about that, cleaned and redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Whether figures were taken.
    pub figures: bool,
}

/// Sends to one collector.
pub struct Exporter {
    log: EventLog,
    spending: Spending,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    collector: Collector,
    content: bool,
    /// The model that is asked for, by provider.
    models: BTreeMap<String, String>,
}

impl Exporter {
    /// An exporter as the configuration wants it; none when it names no collector. `models` are the
    /// configured models by the name of their provider.
    ///
    /// # Errors
    /// [`ExportError::Settings`] when the address or a header cannot be used.
    pub fn new(
        settings: &ExportSettings,
        models: BTreeMap<String, String>,
        store: &Store,
        dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, ExportError> {
        let Some(base) = &settings.otlp else {
            return Ok(None);
        };
        // Made, if need be, where git does not see it.
        let files = Files::open(dir)?;
        Ok(Some(Self {
            log: store.log(Arc::clone(&clock)),
            spending: store.spending(Arc::clone(&clock)),
            dir: files.directory().to_owned(),
            clock,
            collector: Collector::new(base, &settings.headers)?,
            content: settings.content,
            models,
        }))
    }

    /// Sends what there is to send since the last time.
    ///
    /// # Errors
    /// When the collector or the log fails. Everything it took until then is remembered.
    pub async fn tick(&self) -> Result<Sent, ExportError> {
        let path = self.dir.join(cursor::FILE);
        let mut cursor = Cursor::read(&path)?;
        if cursor.traces.max(cursor.measure.seq) > self.log.newest().await? {
            // The log is another one than before.
            cursor = Cursor::default();
        }
        let now = self.clock.now();
        if let Some(seconds) = cursor.wait(now) {
            return Err(ExportError::Busy { seconds });
        }
        let mut sent = Sent::default();
        let mut outcome = self.traces(&mut cursor, &mut sent).await;
        if outcome.is_ok() {
            outcome = self.figures(&mut cursor, &mut sent).await;
        }
        if let Err(ExportError::Busy { seconds }) = outcome {
            cursor.not_before = now
                .checked_add(SignedDuration::from_secs(
                    i64::try_from(seconds).unwrap_or(i64::MAX),
                ))
                .ok();
        }
        cursor.write(&path)?;
        outcome.map(|()| sent)
    }

    async fn traces(&self, cursor: &mut Cursor, sent: &mut Sent) -> Result<(), ExportError> {
        let oldest = self.clock.now() - BACKLOG;
        let mut batch = Batch::default();
        let mut requests = 0;
        loop {
            let after = batch.upto.max(cursor.traces);
            let ends = self.log.of_types(&["run_ended"], after, ENDS).await?;
            for end in &ends {
                self.add(end, oldest, &mut batch).await?;
                if batch.spans.len() >= SPANS {
                    requests += 1;
                    self.flush(&mut batch, cursor, sent).await?;
                }
                if requests >= REQUESTS {
                    return Ok(());
                }
            }
            if ends.len() < ENDS as usize {
                return self.flush(&mut batch, cursor, sent).await;
            }
        }
    }

    /// Adds the trace of a run that ended.
    async fn add(
        &self,
        end: &Event,
        oldest: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), ExportError> {
        batch.upto = end.seq;
        let Some(run) = &end.run else {
            return Ok(());
        };
        if end.at < oldest {
            batch.too_old += 1;
            return Ok(());
        }
        let events = self.log.run(run).await?;
        let told = spans::Told {
            content: self.content,
            models: &self.models,
        };
        let spans = spans::of_run(run, &events, &told);
        batch.runs += u64::from(!spans.is_empty());
        batch.spans.extend(spans);
        Ok(())
    }

    /// Sends a batch and remembers it.
    async fn flush(
        &self,
        batch: &mut Batch,
        cursor: &mut Cursor,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let batch = std::mem::take(batch);
        for spans in batch.spans.chunks(SPANS) {
            let answer = self.collector.spans(spans).await?;
            sent.note(answer);
        }
        cursor.traces = cursor.traces.max(batch.upto);
        sent.runs += batch.runs;
        sent.spans += u64::try_from(batch.spans.len()).unwrap_or(u64::MAX);
        sent.too_old += batch.too_old;
        Ok(())
    }

    async fn figures(&self, cursor: &mut Cursor, sent: &mut Sent) -> Result<(), ExportError> {
        let Cursor {
            measure,
            figures,
            start,
            ..
        } = cursor;
        loop {
            let events = self.log.of_types(&TYPES, measure.seq, PAGE).await?;
            for event in &events {
                start.get_or_insert(event.at);
                measure.apply(event, figures);
            }
            if events.len() < PAGE as usize {
                break;
            }
        }
        let now = self.clock.now();
        let gauges = standing::of_now(measure, &self.spending, &self.dir, now).await?;
        let metrics = figures.metrics(&gauges, start.unwrap_or(now), now);
        let answer = self.collector.metrics(metrics).await?;
        sent.note(answer);
        sent.figures = true;
        Ok(())
    }
}

impl Sent {
    fn note(&mut self, answer: send::Answer) {
        self.rejected += answer.rejected;
        if let Some(said) = answer.said {
            self.said = Some(said);
        }
    }
}

/// Traces that are sent together.
#[derive(Default)]
struct Batch {
    spans: Vec<Span>,
    runs: u64,
    too_old: u64,
    /// The place in the log of the newest end among them.
    upto: i64,
}
