//! The collector inside the loop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_forge::Forge;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_telemetry::collect::Collector;
use timmy_telemetry::collect::Tick;

use super::collector;
use crate::commands::told;
use crate::connection::Connection;
use crate::host::Host;

/// Looks at everything again and again. Whatever goes wrong is said once, and never ends the loop.
pub(in crate::commands) struct Ticker<'a> {
    host: &'a Host,
    store: &'a Store,
    log: EventLog,
    forge: Arc<dyn Forge>,
    every: Duration,
}

impl<'a> Ticker<'a> {
    /// A ticker of a loop. None where the configuration wants none.
    pub(in crate::commands) fn of(
        host: &'a Host,
        store: &'a Store,
        connection: &Connection,
    ) -> Option<Self> {
        let settings = &host.loaded.config.telemetry;
        settings.in_loop.then(|| Self {
            host,
            store,
            log: store.log(Arc::clone(&host.clock)),
            forge: connection.forge(),
            every: settings.every(),
        })
    }

    /// Never ends by itself. May be dropped at any moment.
    pub(in crate::commands) async fn run(&self) -> Infallible {
        let mut warned = None;
        loop {
            let failed = Box::pin(self.once()).await.err();
            self.warn(&mut warned, failed).await;
            tokio::time::sleep(self.every).await;
        }
    }

    async fn once(&self) -> Result<(), Problem> {
        let collector = collector(self.host, self.store, self.host.every_secret())?;
        let tick = collector.tick(Some(&*self.forge)).await.map_err(told)?;
        self.after(&collector, &tick).await
    }

    /// What a look leads to, in this order.
    #[expect(
        clippy::unused_async,
        reason = "what is called here asks the log and servers"
    )]
    async fn after(&self, _collector: &Collector, _tick: &Tick) -> Result<(), Problem> {
        Ok(())
    }

    /// Says what went wrong once, until it goes well again or something else goes wrong.
    async fn warn(&self, warned: &mut Option<Code>, failed: Option<Problem>) {
        let code = failed.as_ref().map(|problem| problem.code);
        if *warned == code {
            return;
        }
        *warned = code;
        if let Some(problem) = failed {
            // What cannot be recorded now is no reason to end the loop.
            drop(self.log.append(None, EventKind::Warned { problem }).await);
        }
    }
}
