//! Figures and traces for other programs: by commands of their own, and beside the loop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_loopback::Server;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_telemetry::export::ExportError;
use timmy_telemetry::export::otlp::Exporter;
use timmy_telemetry::export::otlp::Sent;
use timmy_telemetry::export::prometheus;
use timmy_telemetry::export::prometheus::Sources;
use timmy_telemetry::files;

use super::Ended;
use super::told;
use crate::host::Host;
use crate::host::incomplete;
use crate::output;
use crate::output::Form;

/// `timmy telemetry export`
pub(super) async fn once(host: &Host) -> Ended {
    let store = host.store().await?;
    let Some(exporter) = exporter(host, &store)? else {
        let reason = "no collector is named".to_owned();
        return Err(incomplete("export.otlp", reason));
    };
    let sent = exporter.tick().await.map_err(told)?;
    match host.form {
        Form::Json => output::json(&sent)?,
        Form::Human => output::line(&format!(
            "{} as {}",
            output::count(
                usize::try_from(sent.runs).unwrap_or(usize::MAX),
                "run",
                "runs"
            ),
            output::count(
                usize::try_from(sent.spans).unwrap_or(usize::MAX),
                "span",
                "spans"
            ),
        ))?,
    }
    if let Some(said) = rejected(&sent) {
        output::talk(&said);
    }
    Ok(ExitStatus::Success)
}

/// `timmy telemetry serve`
pub(super) async fn serve(host: &Host, listen: Option<SocketAddr>) -> Ended {
    let Some(address) = listen.or(host.loaded.config.export.prometheus) else {
        let reason = "no address is named".to_owned();
        return Err(incomplete("export.prometheus", reason));
    };
    let store = host.store().await?;
    let server = prometheus::serve(address, sources(host, &store)).await;
    let server = server.map_err(told)?;
    output::line(&format!("{}/metrics", server.url()))?;
    server.join().await;
    Ok(ExitStatus::Success)
}

/// What a loop does beside its work. Nothing, unless the configuration says so.
pub(super) struct Exports {
    /// Answers for as long as this lives.
    _server: Option<Server>,
    exporter: Option<Exporter>,
    log: EventLog,
    every: Duration,
}

impl Exports {
    /// Begins to answer. An address that is taken is said, and no reason to have no night.
    pub(super) async fn begin(host: &Host, store: &Store) -> Result<Self, Problem> {
        let settings = &host.loaded.config.export;
        let server = match settings.prometheus {
            None => None,
            Some(address) => match prometheus::serve(address, sources(host, store)).await {
                Ok(server) => Some(server),
                Err(ExportError::Listen(error)) => {
                    output::talk(&told(error).to_string());
                    None
                }
                Err(error) => return Err(told(error)),
            },
        };
        Ok(Self {
            _server: server,
            exporter: exporter(host, store)?,
            log: store.log(Arc::clone(&host.clock)),
            every: Duration::from_secs(settings.interval_s.max(1)),
        })
    }

    /// Sends again and again. Never ends by itself, and may be dropped at any moment.
    pub(super) async fn run(&self) -> Infallible {
        let Some(exporter) = &self.exporter else {
            return std::future::pending().await;
        };
        let mut warned = None;
        loop {
            tokio::time::sleep(self.every).await;
            self.send(exporter, &mut warned).await;
        }
    }

    /// Sends what the end of the night brought.
    pub(super) async fn finish(&self) {
        if let Some(exporter) = &self.exporter {
            self.send(exporter, &mut None).await;
        }
    }

    /// Says what goes wrong once, until it goes well again or something else goes wrong.
    async fn send(&self, exporter: &Exporter, warned: &mut Option<Code>) {
        let problem = match exporter.tick().await {
            Ok(sent) => {
                if let Some(said) = rejected(&sent) {
                    output::talk(&said);
                }
                None
            }
            // It was said when the collector asked for it.
            Err(ExportError::Busy { .. }) => return,
            Err(error) => Some(told(error)),
        };
        let code = problem.as_ref().map(|problem| problem.code);
        if *warned == code {
            return;
        }
        *warned = code;
        if let Some(problem) = problem {
            // What cannot be recorded now is no reason to end the loop.
            drop(self.log.append(None, EventKind::Warned { problem }).await);
        }
    }
}

fn sources(host: &Host, store: &Store) -> Sources {
    Sources {
        store: store.clone(),
        dir: host.root.join(files::DIRECTORY),
        clock: Arc::clone(&host.clock),
    }
}

fn exporter(host: &Host, store: &Store) -> Result<Option<Exporter>, Problem> {
    let config = &host.loaded.config;
    let model = |provider: &timmy_model::ProviderSettings| {
        Some((provider.name.clone(), provider.model.clone()?))
    };
    let models: BTreeMap<String, String> = config.provider.iter().filter_map(model).collect();
    let dir = host.root.join(files::DIRECTORY);
    let clock = Arc::clone(&host.clock);
    Exporter::new(&config.export, models, store, &dir, clock).map_err(told)
}

fn rejected(sent: &Sent) -> Option<String> {
    if sent.rejected == 0 && sent.said.is_none() {
        return None;
    }
    let said = sent.said.as_deref().unwrap_or("nothing about why");
    Some(format!(
        "the collector did not keep {} of it, and says: {said}",
        sent.rejected
    ))
}
