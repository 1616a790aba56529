//! How things stand now, as gauges for both exporters.

use std::path::Path;

use jiff::Timestamp;
use timmy_core::event::Severity;
use timmy_core::text;
use timmy_store::Spending;
use timmy_store::StoreError;

use super::latest;
use super::latest::TOLD;
use super::measure::Measure;
use super::measure::figure;

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gauge {
    pub(super) prometheus: &'static str,
    pub(super) otlp: &'static str,
    pub(super) unit: &'static str,
    pub(super) what: &'static str,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: f64,
}

fn gauge(
    prometheus: &'static str,
    otlp: &'static str,
    unit: &'static str,
    what: &'static str,
    value: f64,
) -> Gauge {
    Gauge {
        prometheus,
        otlp,
        unit,
        what,
        labels: Vec::new(),
        value,
    }
}

impl Gauge {
    fn with(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((label, value.into()));
        self
    }
}

/// Everything: from the log, the books and the newest rows.
pub(super) async fn of_now(
    measure: &Measure,
    spending: &Spending,
    dir: &Path,
    now: Timestamp,
) -> Result<Vec<Gauge>, StoreError> {
    let mut gauges = of_log(measure);
    let today = spending.today().await?.standing;
    for (state, usage) in [("spent", today.spent), ("reserved", today.reserved)] {
        let what = "Tokens in the books for today (UTC).";
        let tokens = figure(usage.tokens());
        gauges.push(
            gauge(
                "timmy_today_tokens",
                "timmy.today.tokens",
                "{token}",
                what,
                tokens,
            )
            .with("state", state),
        );
        let what = "Cost in the books for today (UTC), in millionths of a US dollar.";
        let cost = figure(usage.cost.0);
        gauges.push(
            gauge(
                "timmy_today_cost_microusd",
                "timmy.today.cost",
                "u{USD}",
                what,
                cost,
            )
            .with("state", state),
        );
    }
    for one in latest::read(dir, now) {
        let told = &TOLD[one.told];
        let mut gauge = gauge(told.prometheus, told.otlp, told.unit, told.what, one.value)
            .with("host", label(&one.host));
        if let Some(name) = told.of {
            gauge = gauge.with(name, label(&one.of));
        }
        gauges.push(gauge);
    }
    Ok(gauges)
}

fn of_log(measure: &Measure) -> Vec<Gauge> {
    let count = |number: usize| figure(u64::try_from(number).unwrap_or(u64::MAX));
    let mut gauges = vec![
        gauge(
            "timmy_build_info",
            "timmy.build.info",
            "1",
            "Always 1; the version is a label.",
            1.0,
        )
        .with("version", env!("CARGO_PKG_VERSION")),
        gauge(
            "timmy_runs_running",
            "timmy.runs.running",
            "{run}",
            "Runs without an end.",
            count(measure.running.len()),
        ),
        gauge(
            "timmy_held_back",
            "timmy.held_back",
            "{scope}",
            "Scopes in which a condition keeps new attempts from starting.",
            count(measure.held_back.len()),
        ),
        gauge(
            "timmy_paused",
            "timmy.paused",
            "1",
            "1 while a person has paused the fleet.",
            count(usize::from(measure.paused)),
        ),
    ];
    for severity in [Severity::Notice, Severity::Warning, Severity::Critical] {
        let open = count(measure.open_alerts(severity));
        gauges.push(
            gauge(
                "timmy_alerts_open",
                "timmy.alerts.open",
                "{alert}",
                "Open alerts.",
                open,
            )
            .with("severity", severity.word()),
        );
    }
    gauges
}

fn label(text: &str) -> String {
    text::clean_line(text).chars().take(200).collect()
}
