//! Reads log and books for the view, and writes down what a person asks.

use std::time::Duration;

use timmy_core::Problem;
use timmy_core::RunId;
use timmy_store::EventLog;
use timmy_store::Query;
use timmy_store::Store;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::app::Effect;
use super::app::Input;
use super::books::Books;
use super::fleet::Fleet;
use crate::commands::control;
use crate::commands::control::Asked;
use crate::commands::told;
use crate::host::Host;

/// How often the log is asked for what comes after the last event seen.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often the books are read.
const BOOKS_AGAIN: Duration = Duration::from_secs(3);
/// After a failure: a database that vanished may return.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// The database of a host, as far as the log was read.
pub(super) struct Feed<'a> {
    host: &'a Host,
    store: Store,
    log: EventLog,
    after: i64,
}

/// Tells the view what happens and does what it asks, for ever.
pub(super) async fn run(
    host: &Host,
    inputs: &UnboundedSender<Input>,
    mut effects: UnboundedReceiver<Effect>,
) {
    loop {
        let Err(problem) = follow(host, inputs, &mut effects).await else {
            return;
        };
        tell(inputs, Input::Trouble(problem.what));
        let again = Instant::now() + TRY_AGAIN;
        // What is asked for meanwhile cannot be written down.
        while let Ok(effect) = tokio::time::timeout_at(again, effects.recv()).await {
            if effect.is_none() {
                return;
            }
            let what = "nothing was changed: the database does not answer".to_owned();
            tell(inputs, Input::Told(what));
        }
    }
}

/// Ends well when nobody listens any more.
async fn follow(
    host: &Host,
    inputs: &UnboundedSender<Input>,
    effects: &mut UnboundedReceiver<Effect>,
) -> Result<(), Problem> {
    let (mut feed, fleet) = Feed::open(host).await?;
    tell(inputs, Input::Opened(Box::new(fleet)));
    let mut books_at = Instant::now();
    loop {
        if books_at <= Instant::now() {
            tell(inputs, Input::Books(Box::new(feed.books().await?)));
            books_at = Instant::now() + BOOKS_AGAIN;
        }
        tokio::select! {
            effect = effects.recv() => match effect {
                Some(effect) => feed.perform(effect, inputs).await?,
                None => return Ok(()),
            },
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        feed.read_on(inputs).await?;
    }
}

/// A view that is over needs to hear nothing.
fn tell(inputs: &UnboundedSender<Input>, input: Input) {
    drop(inputs.send(input));
}

impl<'a> Feed<'a> {
    /// Opens the database and reads how things stand.
    pub(super) async fn open(host: &'a Host) -> Result<(Self, Fleet), Problem> {
        let store = host.store().await?;
        let log = store.log(std::sync::Arc::clone(&host.clock));
        let fleet = Fleet::open(&log).await?;
        let after = fleet.board.after;
        let feed = Self {
            host,
            store,
            log,
            after,
        };
        Ok((feed, fleet))
    }

    pub(super) async fn books(&self) -> Result<Books, Problem> {
        let limits = &self.host.loaded.config.budget;
        Books::read(&self.store, &self.host.clock, limits).await
    }

    async fn read_on(&mut self, inputs: &UnboundedSender<Input>) -> Result<(), Problem> {
        loop {
            let query = Query {
                after: self.after,
                ..Query::default()
            };
            let events = self.log.events(&query).await.map_err(told)?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            self.after = last.seq;
            tell(inputs, Input::Events(events));
        }
    }

    async fn perform(
        &self,
        effect: Effect,
        inputs: &UnboundedSender<Input>,
    ) -> Result<(), Problem> {
        let done = match effect {
            Effect::Read(run) => return self.read_log(run, inputs).await,
            Effect::Stop(run) => {
                let asked = control::ask_stop(&self.log, &run).await;
                asked.map(|asked| match asked {
                    Asked::Now => format!("run {} is asked to stop", run.short()),
                    Asked::Before => format!("run {} was asked to stop already", run.short()),
                })
            }
            Effect::Pause(reason) => {
                let asked = control::ask_pause(&self.log, &reason).await;
                asked.map(|(asked, _)| match asked {
                    Asked::Now => "the fleet is paused".to_owned(),
                    Asked::Before => "somebody else has just paused it".to_owned(),
                })
            }
            Effect::Resume => {
                let asked = control::ask_resume(&self.log).await;
                asked.map(|asked| match asked {
                    Asked::Now => "the fleet goes on".to_owned(),
                    Asked::Before => "it is not paused any more".to_owned(),
                })
            }
            Effect::Quit => return Ok(()),
        };
        let what = done.unwrap_or_else(|problem| problem.what);
        tell(inputs, Input::Told(what));
        Ok(())
    }

    async fn read_log(&self, run: RunId, inputs: &UnboundedSender<Input>) -> Result<(), Problem> {
        let events = self.log.run(&run).await.map_err(told)?;
        tell(inputs, Input::Log(run, events));
        Ok(())
    }
}
