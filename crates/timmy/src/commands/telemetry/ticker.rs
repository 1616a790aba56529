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

use super::collector;
use crate::commands::health::Rounds;
use crate::commands::told;
use crate::connection::Connection;
use crate::host::Host;

/// Looks at everything again and again. Whatever goes wrong is said once, and never ends the loop.
pub(in crate::commands) struct Ticker<'a> {
    host: &'a Host,
    store: &'a Store,
    log: EventLog,
    connection: &'a Connection,
    forge: Arc<dyn Forge>,
    every: Duration,
}

impl<'a> Ticker<'a> {
    /// A ticker of a loop. None where the configuration wants none.
    pub(in crate::commands) fn of(
        host: &'a Host,
        store: &'a Store,
        connection: &'a Connection,
    ) -> Option<Self> {
        let settings = &host.loaded.config.telemetry;
        settings.in_loop.then(|| Self {
            host,
            store,
            log: store.log(Arc::clone(&host.clock)),
            connection,
            forge: connection.forge(),
            every: settings.every(),
        })
    }

    /// Never ends by itself. May be dropped at any moment.
    pub(in crate::commands) async fn run(&self) -> Infallible {
        let mut rounds = Rounds::new(self.host, self.store, self.connection);
        let (mut warned, mut warned_of_rounds) = (None, None);
        self.collect(&mut warned).await;
        loop {
            // The first look comes later: a loop begins with closing what the last one left.
            tokio::time::sleep(self.every).await;
            self.collect(&mut warned).await;
            let failed = Box::pin(rounds.turn()).await.err();
            self.warn(&mut warned_of_rounds, failed).await;
        }
    }

    async fn collect(&self, warned: &mut Option<Code>) {
        let failed = Box::pin(self.once()).await.err();
        self.warn(warned, failed).await;
    }

    async fn once(&self) -> Result<(), Problem> {
        let collector = collector(self.host, self.store, self.host.every_secret())?;
        collector.tick(Some(&*self.forge)).await.map_err(told)?;
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
