//! The runs that have no end yet, and how far each is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_dispatch::attempt::Attempt;
use timmy_dispatch::attempt::Phase;
use timmy_store::EventLog;
use timmy_store::StandingPause;
use timmy_telemetry::slots::Begun;
use timmy_telemetry::slots::Slots;

use crate::commands::telling::tell;
use crate::commands::told;

/// Starts and ends that are read at once.
const PAGE: u32 = 1_000;

/// A running attempt.
#[derive(Debug, Clone)]
pub(super) struct Live {
    begun: Begun,
    title: String,
    attempt: Attempt,
    step: u32,
    tokens: u64,
    asked_to_stop: bool,
    seq: i64,
    last: Event,
}

impl Live {
    fn begin(event: &Event) -> Option<Self> {
        let EventKind::RunStarted { title, .. } = &event.kind else {
            return None;
        };
        Some(Self {
            begun: Begun::of(event)?,
            title: title.clone(),
            attempt: Attempt::default(),
            step: 0,
            tokens: 0,
            asked_to_stop: false,
            seq: event.seq,
            last: event.clone(),
        })
    }

    fn fold(events: &[Event]) -> Option<Self> {
        let mut events = events.iter();
        let mut live = events.find_map(Self::begin)?;
        for event in events {
            live.add(event);
        }
        Some(live)
    }

    fn add(&mut self, event: &Event) {
        if event.seq <= self.seq {
            return;
        }
        self.seq = event.seq;
        self.begun.heard = event.at;
        self.attempt.apply(&event.kind);
        match &event.kind {
            EventKind::ToolCalled { step, .. } => self.step = self.step.max(*step),
            EventKind::ModelCallSettled { usage, .. } => self.tokens += usage.tokens(),
            _ => {}
        }
        if !tell(&event.kind).is_empty() {
            self.last = event.clone();
        }
    }

    pub(super) fn run(&self) -> &RunId {
        &self.begun.run
    }

    pub(super) fn issue(&self) -> &IssueName {
        &self.begun.issue
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// The step of the agent's loop.
    pub(super) fn step(&self) -> u32 {
        self.step.max(self.attempt.steps())
    }

    /// Tokens of the model calls that were settled.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The newest event that says something to a person, or the first.
    pub(super) fn last_event(&self) -> &Event {
        &self.last
    }

    pub(super) fn elapsed_ms(&self, now: Timestamp) -> u64 {
        let elapsed = now.duration_since(self.begun.at).as_millis();
        u64::try_from(elapsed).unwrap_or(0)
    }

    /// The phase in a word or two.
    pub(super) fn phase(&self) -> &'static str {
        if self.asked_to_stop {
            return "stopping";
        }
        match self.attempt.phase() {
            Phase::PreparingWorkspace => "preparing",
            Phase::BuildingPrompt => "reading",
            Phase::StreamingTurn => "working",
            Phase::Finishing => "finishing",
            Phase::Succeeded => "done",
            Phase::Failed => "failed",
            Phase::TimedOut => "at a limit",
            Phase::Stalled => "stalled",
            Phase::CanceledByReconciliation => "cancelled",
        }
    }
}

/// Every run without an end, by slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    slots: Slots,
    live: BTreeMap<RunId, Live>,
    /// The pause that a person asked for.
    pub(super) pause: Option<StandingPause>,
    /// The place of the newest event that was taken note of.
    pub(super) after: i64,
}

impl Board {
    /// How things stand: starts and ends along their index, and the events of what has no end.
    pub(super) async fn open(log: &EventLog) -> Result<Self, Problem> {
        let newest = log.newest().await.map_err(told)?;
        let turns = starts_and_ends(log, newest).await?;
        let ended = turns.iter().filter(|event| Begun::of(event).is_none());
        let ended: BTreeSet<&RunId> = ended.filter_map(|event| event.run.as_ref()).collect();
        let mut board = Self {
            slots: Slots::default(),
            live: BTreeMap::new(),
            pause: log.standing_pause().await.map_err(told)?,
            after: newest,
        };
        for event in &turns {
            let open = event.run.as_ref().filter(|run| !ended.contains(run));
            let (Some(run), Some(begun)) = (open, Begun::of(event)) else {
                board.slots.apply(event);
                continue;
            };
            let events = log.run(run).await.map_err(told)?;
            let heard = events.last().map_or(begun.heard, |newest| newest.at);
            board.slots.begin(Begun { heard, ..begun });
            let live = Live::fold(&events);
            board.live.extend(live.map(|live| (run.clone(), live)));
        }
        let stops = log.newest_up_to(&["stop_asked"], EventLog::END, PAGE);
        for event in stops.await.map_err(told)? {
            board.hear(&event);
        }
        Ok(board)
    }

    /// Goes on with the next event of the log.
    pub(super) fn take(&mut self, event: &Event) {
        self.after = event.seq;
        self.slots.apply(event);
        self.hear(event);
        let Some(run) = &event.run else {
            return;
        };
        if matches!(event.kind, EventKind::RunEnded { .. }) {
            self.live.remove(run);
        } else if let Some(live) = self.live.get_mut(run) {
            live.add(event);
        } else if let Some(live) = Live::begin(event) {
            self.live.insert(run.clone(), live);
        }
    }

    /// Takes note of what a person asks.
    fn hear(&mut self, event: &Event) {
        match &event.kind {
            EventKind::PauseAsked { reason, by } => {
                let (reason, by) = (reason.clone(), by.clone());
                let at = event.at;
                self.pause = Some(StandingPause { at, by, reason });
            }
            EventKind::ResumeAsked => self.pause = None,
            EventKind::StopAsked { target } => {
                if let Some(live) = self.live.get_mut(target) {
                    live.asked_to_stop = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn slot_of(&self, run: &RunId) -> Option<u32> {
        self.slots.of(run)
    }

    pub(super) fn live(&self, run: &RunId) -> Option<&Live> {
        self.live.get(run)
    }

    pub(super) fn at_work(&self, now: Timestamp) -> Vec<(u32, &Live)> {
        let at_work = self.slots.at_work(now).into_iter();
        at_work
            .filter_map(|(slot, run)| Some((slot, self.live.get(run)?)))
            .collect()
    }

    pub(super) fn in_slot(&self, slot: u32, now: Timestamp) -> Option<&Live> {
        let mut at_work = self.at_work(now).into_iter();
        at_work.find(|(taken, _)| *taken == slot).map(|(_, l)| l)
    }
}

async fn starts_and_ends(log: &EventLog, newest: i64) -> Result<Vec<Event>, Problem> {
    let mut found: Vec<Event> = Vec::new();
    loop {
        let after = found.last().map_or(0, |event| event.seq);
        let page = log
            .of_types(&["run_started", "run_ended"], after, PAGE)
            .await
            .map_err(told)?;
        let last = page.len() < PAGE as usize;
        found.extend(page.into_iter().filter(|event| event.seq <= newest));
        if last || found.last().is_none_or(|event| event.seq == after) {
            return Ok(found);
        }
    }
}
