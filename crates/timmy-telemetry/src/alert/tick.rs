//! One turn: raise, escalate, clear, tell.

use std::sync::Arc;
use std::time::Duration;

use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::Problem;
use timmy_store::EventLog;
use timmy_store::Queue;
use timmy_store::StoreError;

use super::AlertSettings;
use super::OpenAlerts;
use super::TYPES;
use super::delivery;
use super::fold::COMMAND_FAILED;
use super::news;
use super::step;
use crate::health::Verdict;

/// What hosts with one log keep each other out with.
const TOPIC: &str = "alerts";
const KEY: &str = "tick";
/// Beyond the command's own time, for the log.
const GRACE: Duration = Duration::from_secs(60);
/// Events of the log that are read at once.
const PAGE: u32 = 1_000;
/// News that one call of the command is given, at most; the rest waits for the next turn.
const NEWS: usize = 100;

/// Alerts of a log. Keeps what it folded, so that the next turn only reads what is new.
pub struct Alerts {
    log: EventLog,
    queue: Queue,
    clock: Arc<dyn Clock>,
    /// This process, as no other is called.
    holder: String,
    folded: OpenAlerts,
}

/// What a turn did.
#[derive(Debug, Clone, PartialEq)]
pub enum Ticked {
    /// Another process has the turn; nothing was done.
    Elsewhere,
    /// These events were appended.
    Done(Vec<EventKind>),
}

impl Alerts {
    /// Alerts of a log. Nothing is read yet. `holder` names this process and no other.
    #[must_use]
    pub fn new(log: EventLog, queue: Queue, clock: Arc<dyn Clock>, holder: String) -> Self {
        Self {
            log,
            queue,
            clock,
            holder,
            folded: OpenAlerts::default(),
        }
    }

    /// The alerts that are open, as the log tells now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn open(&mut self) -> Result<&OpenAlerts, StoreError> {
        loop {
            let next = self.log.of_types(&TYPES, self.folded.seq(), PAGE).await?;
            for event in &next {
                self.folded.apply(event);
            }
            if next.len() < PAGE as usize {
                return Ok(&self.folded);
            }
        }
    }

    /// Makes events and news of a look. Call it after every look; it does nothing while another process
    /// that shares the log is at it.
    ///
    /// # Errors
    /// When the log cannot be read or written. A command that fails is said in the log once, and tried
    /// again at the next turn.
    pub async fn tick(
        &mut self,
        verdict: &Verdict,
        settings: &AlertSettings,
    ) -> Result<Ticked, Problem> {
        let lease = Duration::from_secs(settings.timeout_s) + GRACE;
        let taken = self.queue.lease(TOPIC, KEY, &self.holder, lease).await;
        if !taken.map_err(|error| error.problem())? {
            return Ok(Ticked::Elsewhere);
        }
        let done = self.turn(verdict, settings).await;
        let given_back = self.queue.done(TOPIC, KEY, &self.holder).await;
        let done = done?;
        given_back.map_err(|error| error.problem())?;
        Ok(Ticked::Done(done))
    }

    async fn turn(
        &mut self,
        verdict: &Verdict,
        settings: &AlertSettings,
    ) -> Result<Vec<EventKind>, Problem> {
        self.open().await.map_err(|error| error.problem())?;
        let mut appended = Vec::new();
        for kind in step(&self.folded, verdict, self.clock.now(), settings) {
            appended.push(self.append(kind).await?);
        }
        self.open().await.map_err(|error| error.problem())?;
        if settings.command.is_empty() {
            return Ok(appended);
        }
        let now = self.clock.now();
        let mut news = news(&self.folded, verdict, now, settings);
        news.truncate(NEWS);
        if news.is_empty() {
            return Ok(appended);
        }
        match delivery::deliver(settings, &verdict.host, now, &news).await {
            Ok(()) => {
                for one in &news {
                    appended.push(self.append(one.told()).await?);
                }
            }
            Err(problem) if self.folded.warned && problem.code == COMMAND_FAILED => {}
            Err(problem) => {
                let warned = EventKind::Warned { problem };
                appended.push(self.append(warned).await?);
            }
        }
        Ok(appended)
    }

    /// What was appended is folded when it is read back: others may have appended as well.
    async fn append(&self, kind: EventKind) -> Result<EventKind, Problem> {
        let appended = self.log.try_append(None, kind).await;
        Ok(appended.map_err(|error| error.problem())?.kind)
    }
}
