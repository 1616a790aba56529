//! `timmy watch`: what runs, as it happens. A view of the log and nothing else.

use std::io;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::json;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::text;
use timmy_store::EventLog;
use timmy_store::Query;

use super::Ended;
use super::board::Board;
use super::board::Live;
use super::control;
use super::runs::show_event;
use super::telling::tell;
use super::told;
use crate::cli::WatchArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// How often the log is asked for what comes after the last event seen.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// After a failure: a database that vanished may return.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// The part of a title in the picture, in bytes.
const TITLE_BYTES: usize = 40;
/// The part of the last event in the picture, in bytes.
const EVENT_BYTES: usize = 60;
/// Puts the cursor into the upper left corner and empties the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

pub(super) async fn run(host: &Host, arguments: &WatchArguments) -> Ended {
    let log = host.log().await?;
    let board = Board::open(&log).await?;
    let mut view = View {
        host,
        log,
        board,
        slot: arguments.slot,
    };
    view.begin().await?;
    if !arguments.once {
        view.follow().await?;
    }
    Ok(ExitStatus::Success)
}

/// What one process shows.
struct View<'a> {
    host: &'a Host,
    log: EventLog,
    board: Board,
    /// The slot whose run is shown; none for the picture of all.
    slot: Option<u32>,
}

impl View<'_> {
    /// Shows how things stand.
    async fn begin(&self) -> Result<(), Problem> {
        let Some(slot) = self.slot else {
            return self.picture();
        };
        let live = self.board.in_slot(slot, self.host.clock.now());
        let Some(live) = live else {
            output::talk(&format!("slot {slot} is free"));
            return Ok(());
        };
        for event in self.log.run(live.run()).await.map_err(told)? {
            // What came later is read again by who follows.
            if event.seq <= self.board.after {
                self.show(&event, live)?;
            }
        }
        Ok(())
    }

    /// Reads on from the last event, for ever.
    async fn follow(&mut self) -> Result<(), Problem> {
        let on_terminal = self.host.form == Form::Human && io::stdout().is_terminal();
        let mut failing = false;
        loop {
            let query = Query {
                after: self.board.after,
                ..Query::default()
            };
            let events = match self.log.events(&query).await {
                Ok(events) => events,
                Err(error) => {
                    if !failing {
                        output::talk(&told(error).to_string());
                    }
                    failing = true;
                    tokio::time::sleep(TRY_AGAIN).await;
                    continue;
                }
            };
            failing = false;
            for event in &events {
                self.take(event)?;
            }
            let changed = !events.is_empty();
            if self.slot.is_none() && (changed || on_terminal) {
                self.picture()?;
            }
            if !changed {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Goes on with an event, and shows it when it is about the slot.
    fn take(&mut self, event: &Event) -> Result<(), Problem> {
        // A run that ends holds its slot before the event, one that starts holds it after.
        let before = event.run.as_ref().and_then(|run| self.board.slot_of(run));
        let ending = event.run.as_ref().and_then(|run| self.board.live(run));
        let ending = ending.cloned();
        self.board.take(event);
        let Some(slot) = self.slot else {
            return Ok(());
        };
        if let EventKind::StopAsked { target } = &event.kind {
            return match self.board.slot_of(target) == Some(slot) {
                true => show_event(event),
                false => Ok(()),
            };
        }
        let Some(run) = &event.run else {
            return self.show_of_the_loop(event);
        };
        let after = self.board.slot_of(run);
        if after.or(before) != Some(slot) {
            return Ok(());
        }
        match self.board.live(run).or(ending.as_ref()) {
            Some(live) => self.show(event, live),
            None => Ok(()),
        }
    }

    /// An event of the run in the slot.
    fn show(&self, event: &Event, live: &Live) -> Result<(), Problem> {
        if self.host.form == Form::Json {
            return output::json(event);
        }
        if matches!(event.kind, EventKind::RunStarted { .. }) {
            let (issue, title, run) = (live.issue(), live.title(), live.run().short());
            output::line(&format!("── {issue} {title} (run {run})"))?;
        }
        show_event(event)
    }

    /// What happens to the loop happens to every slot.
    fn show_of_the_loop(&self, event: &Event) -> Result<(), Problem> {
        match (&event.kind, self.host.form) {
            (
                EventKind::LoopStarted { .. }
                | EventKind::LoopEnded { .. }
                | EventKind::DispatchPaused { .. }
                | EventKind::DispatchResumed { .. }
                | EventKind::PauseAsked { .. }
                | EventKind::ResumeAsked,
                Form::Human,
            ) => show_event(event),
            _ => Ok(()),
        }
    }

    /// One line a running attempt.
    fn picture(&self) -> Result<(), Problem> {
        let now = self.host.clock.now();
        let at_work = self.board.at_work(now);
        if self.host.form == Form::Json {
            let rows = at_work.iter().map(|(slot, live)| {
                json!({
                    "slot": slot,
                    "run": live.run(),
                    "issue": live.issue().to_string(),
                    "title": live.title(),
                    "phase": live.phase(),
                    "step": live.step(),
                    "elapsed_ms": live.elapsed_ms(now),
                    "last_event": live.last_event(),
                })
            });
            let mut picture = json!({ "running": rows.collect::<Vec<_>>() });
            if let (Some(pause), Some(picture)) = (&self.board.pause, picture.as_object_mut()) {
                picture.insert("paused".to_owned(), json!(pause));
            }
            return output::json(&picture);
        }
        let rows: Vec<Vec<String>> = at_work
            .into_iter()
            .map(|(slot, live)| {
                vec![
                    slot.to_string(),
                    live.issue().to_string(),
                    text::bound(live.title(), TITLE_BYTES).into_owned(),
                    live.phase().to_owned(),
                    live.step().to_string(),
                    output::duration(live.elapsed_ms(now)),
                    last_sentence(live),
                ]
            })
            .collect();
        let header = [
            "slot",
            "issue",
            "title",
            "phase",
            "step",
            "elapsed",
            "last event",
        ];
        let picture = if rows.is_empty() {
            "nothing runs".to_owned()
        } else {
            output::table(&header, rows)
        };
        let lead = if io::stdout().is_terminal() {
            CLEAR
        } else {
            ""
        };
        let pause = self.board.pause.as_ref();
        let pause = pause.map_or(String::new(), |pause| control::sentence(pause) + "\n");
        output::line(&format!("{lead}{pause}{picture}"))
    }
}

/// The first line of what a person is told of a run's newest event that says something.
fn last_sentence(live: &Live) -> String {
    let sentence = tell(&live.last_event().kind);
    let first = sentence.lines().next().unwrap_or_default();
    text::bound(first, EVENT_BYTES).into_owned()
}
