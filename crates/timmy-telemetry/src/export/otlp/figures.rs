//! Counters and histograms as OTLP tells them: sums since the first event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use serde::Deserialize;
use serde::Serialize;

use super::spans::nanoseconds;
use super::spans::text;
use crate::export::conventions;
use crate::export::measure::Instrument;
use crate::export::measure::Sink;
use crate::export::standing::Gauge;

/// Sums of everything that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Figures(Vec<Figure>);

/// One instrument under one set of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Figure {
    instrument: Instrument,
    labels: Vec<String>,
    count: u64,
    sum: f64,
    /// Samples by bucket; none for a counter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    buckets: Vec<u64>,
}

impl Sink for Figures {
    fn add(&mut self, instrument: Instrument, labels: &[String], amount: f64) {
        let key = (instrument, labels);
        let place = self
            .0
            .binary_search_by(|one| (one.instrument, one.labels.as_slice()).cmp(&key));
        let bounds = instrument.description().bounds;
        let place = place.unwrap_or_else(|place| {
            let buckets = if bounds.is_empty() {
                0
            } else {
                bounds.len() + 1
            };
            let new = Figure {
                instrument,
                labels: labels.to_vec(),
                count: 0,
                sum: 0.0,
                buckets: vec![0; buckets],
            };
            self.0.insert(place, new);
            place
        });
        let figure = &mut self.0[place];
        figure.count += 1;
        figure.sum += amount;
        // A bucket holds what is at most its bound.
        let bucket = bounds.partition_point(|bound| *bound < amount);
        if let Some(count) = figure.buckets.get_mut(bucket) {
            *count += 1;
        }
    }
}

impl Figures {
    /// Everything, with how things stand now.
    pub(super) fn metrics(
        &self,
        gauges: &[Gauge],
        start: Timestamp,
        now: Timestamp,
    ) -> Vec<proto::Metric> {
        let time = (nanoseconds(start), nanoseconds(now));
        let mut metrics: Vec<proto::Metric> = Vec::new();
        for instrument in Instrument::ALL {
            let of: Vec<&Figure> = self
                .0
                .iter()
                .filter(|figure| figure.instrument == instrument)
                .collect();
            if !of.is_empty() {
                metrics.push(metric(instrument, &of, time));
            }
        }
        let mut told: BTreeMap<&str, proto::Metric> = BTreeMap::new();
        for gauge in gauges {
            let metric = told.entry(gauge.otlp).or_insert_with(|| proto::Metric {
                name: gauge.otlp.to_owned(),
                description: gauge.what.to_owned(),
                unit: gauge.unit.to_owned(),
                data: Some(Data::Gauge(proto::Gauge::default())),
                ..proto::Metric::default()
            });
            if let Some(Data::Gauge(points)) = &mut metric.data {
                points.data_points.push(of_gauge(gauge, time.1));
            }
        }
        metrics.extend(told.into_values());
        metrics
    }
}

fn metric(instrument: Instrument, figures: &[&Figure], time: (u64, u64)) -> proto::Metric {
    let told = instrument.description();
    let temporality = proto::AggregationTemporality::Cumulative as i32;
    let data = if told.bounds.is_empty() {
        Data::Sum(proto::Sum {
            data_points: figures.iter().map(|one| point(one, time)).collect(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        })
    } else {
        let points = figures.iter().map(|one| histogram(one, told.bounds, time));
        Data::Histogram(proto::Histogram {
            data_points: points.collect(),
            aggregation_temporality: temporality,
        })
    };
    proto::Metric {
        name: told.otlp.to_owned(),
        description: told.what.to_owned(),
        unit: told.unit.to_owned(),
        data: Some(data),
        ..proto::Metric::default()
    }
}

type Attributes = Vec<opentelemetry_proto::tonic::common::v1::KeyValue>;

fn attributes(figure: &Figure) -> Attributes {
    let told = figure.instrument.description();
    let named = told.labels.iter().zip(&figure.labels);
    let mut attributes: Attributes = named.map(|((_, name), label)| text(name, label)).collect();
    if told.otlp.starts_with("gen_ai.") {
        attributes.push(text(conventions::OPERATION_NAME, conventions::CHAT));
    }
    attributes
}

fn point(figure: &Figure, (start, now): (u64, u64)) -> proto::NumberDataPoint {
    proto::NumberDataPoint {
        attributes: attributes(figure),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(Value::AsDouble(figure.sum)),
        ..proto::NumberDataPoint::default()
    }
}

fn histogram(
    figure: &Figure,
    bounds: &[f64],
    (start, now): (u64, u64),
) -> proto::HistogramDataPoint {
    proto::HistogramDataPoint {
        attributes: attributes(figure),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: figure.count,
        sum: Some(figure.sum),
        bucket_counts: figure.buckets.clone(),
        explicit_bounds: bounds.to_vec(),
        ..proto::HistogramDataPoint::default()
    }
}

fn of_gauge(gauge: &Gauge, now: u64) -> proto::NumberDataPoint {
    let labels = gauge.labels.iter();
    proto::NumberDataPoint {
        attributes: labels.map(|(name, label)| text(name, label)).collect(),
        time_unix_nano: now,
        value: Some(Value::AsDouble(gauge.value)),
        ..proto::NumberDataPoint::default()
    }
}
