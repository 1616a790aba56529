//! The collector inside the loop.

use std::convert::Infallible;
use std::sync::Arc;

use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_forge::Forge;
use timmy_store::EventLog;
use timmy_store::Store;
use tokio::sync::watch;
use tokio::time::Instant;

use super::collector;
use crate::commands::health::Rounds;
use crate::commands::told;
use crate::connection::Connection;
use crate::host::Host;

/// Looks at everything again and again, under the newest good configuration. Whatever goes wrong is said
/// once, and never ends the loop.
pub(in crate::commands) struct Ticker<'a> {
    hosts: watch::Receiver<Arc<Host>>,
    store: &'a Store,
    log: EventLog,
    connection: &'a Connection,
    forge: Arc<dyn Forge>,
}

impl<'a> Ticker<'a> {
    /// A ticker of a loop.
    pub(in crate::commands) fn of(
        hosts: watch::Receiver<Arc<Host>>,
        store: &'a Store,
        connection: &'a Connection,
    ) -> Self {
        let log = store.log(Arc::clone(&hosts.borrow().clock));
        Self {
            hosts,
            store,
            log,
            connection,
            forge: connection.forge(),
        }
    }

    /// Never ends by itself. May be dropped at any moment.
    pub(in crate::commands) async fn run(&self) -> Infallible {
        let mut rounds = Rounds::new(self.host(), self.store, self.connection);
        let (mut warned, mut warned_of_rounds) = (None, None);
        self.collect(&mut warned).await;
        loop {
            // The first look comes later: a loop begins with closing what the last one left.
            self.wait().await;
            self.collect(&mut warned).await;
            let failed = Box::pin(rounds.turn(self.host())).await.err();
            self.warn(&mut warned_of_rounds, failed).await;
        }
    }

    /// The host under the newest good configuration.
    fn host(&self) -> Arc<Host> {
        Arc::clone(&self.hosts.borrow())
    }

    /// Waits for the next look. An edit meanwhile may bring it nearer.
    async fn wait(&self) {
        let began = Instant::now();
        let mut edits = self.hosts.clone();
        loop {
            let every = edits.borrow_and_update().loaded.config.telemetry.every();
            match tokio::time::timeout_at(began + every, edits.changed()).await {
                Ok(Ok(())) => {}
                // Nobody is left to edit anything.
                Ok(Err(_)) => return tokio::time::sleep_until(began + every).await,
                Err(_) => return,
            }
        }
    }

    async fn collect(&self, warned: &mut Option<Code>) {
        let failed = Box::pin(self.once()).await.err();
        self.warn(warned, failed).await;
    }

    async fn once(&self) -> Result<(), Problem> {
        let host = self.host();
        if !host.loaded.config.telemetry.in_loop {
            return Ok(());
        }
        let collector = collector(&host, self.store, host.every_secret())?;
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
