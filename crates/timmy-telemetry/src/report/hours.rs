//! Hours at work, idle hours, and what was held back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_store::runs::RunSummary;

use super::loops;
use super::reading::Gathered;
use super::words::short;

/// What a pause is called that a person asked for.
const FLEET: &str = "fleet";

/// Something that kept attempts from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// What was held back; `fleet` when a person asked for it.
    pub scope: String,
    /// Whether a person asked for it.
    pub asked: bool,
    /// Who asked for it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The code of the problem behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Why, on one line.
    pub why: String,
    /// What to do about it, where the problem says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// When it began.
    pub since: Timestamp,
    /// When it was over; none when the log does not say so.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// How long it lasted, in milliseconds; none when it is not over.
    #[must_use]
    pub fn lasted_ms(&self) -> Option<u64> {
        Some(between(self.since, self.until?))
    }
}

/// What is held back while the log is read.
///
/// A pause is a thing of the loop: it is over when the loop ends or another one begins, unless others
/// are at work, of which it may be. One that a person asked for is over when a person says so.
#[derive(Debug, Clone, Default)]
pub(super) struct Pauses {
    open: BTreeMap<String, Pause>,
    over: Vec<Pause>,
}

impl Pauses {
    pub(super) fn apply(&mut self, event: &Event, others_work: bool) {
        let at = event.at;
        match &event.kind {
            // A loop noticed what the person asked for.
            EventKind::DispatchPaused { scope, .. } if scope == FLEET => {}
            EventKind::DispatchPaused { scope, problem } => {
                let since = self.open.get(scope).map_or(at, |pause| pause.since);
                let pause = Pause {
                    scope: short(scope),
                    asked: false,
                    by: None,
                    code: Some(problem.code),
                    why: short(&problem.what),
                    fix: problem.fix.as_deref().map(short),
                    since,
                    until: None,
                };
                self.open.insert(scope.clone(), pause);
            }
            EventKind::PauseAsked { reason, by } => {
                let since = self.open.get(FLEET).map_or(at, |pause| pause.since);
                let pause = Pause {
                    scope: FLEET.to_owned(),
                    asked: true,
                    by: Some(short(by)).filter(|by| !by.is_empty()),
                    code: None,
                    why: short(reason),
                    fix: None,
                    since,
                    until: None,
                };
                self.open.insert(FLEET.to_owned(), pause);
            }
            EventKind::DispatchResumed { scope } => {
                let scope = short(scope);
                self.close(at, |pause| pause.scope == scope);
            }
            EventKind::ResumeAsked => self.close(at, |pause| pause.asked),
            EventKind::LoopStarted { .. } | EventKind::LoopEnded { .. } if !others_work => {
                self.close(at, |pause| !pause.asked);
            }
            _ => {}
        }
    }

    /// All of a window that began then, in the order in which they began: what was over before is not
    /// part of it.
    pub(super) fn ended(self, begin: Timestamp) -> Vec<Pause> {
        let mut all = self.over;
        all.retain(|pause| pause.until.is_some_and(|until| until > begin));
        all.extend(self.open.into_values());
        all.sort_by(|one, other| (one.since, &one.scope).cmp(&(other.since, &other.scope)));
        all
    }

    fn close(&mut self, at: Timestamp, over: impl Fn(&Pause) -> bool) {
        let (closed, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(_, pause)| over(pause));
        self.open = open;
        let closed: BTreeMap<String, Pause> = closed;
        self.over.extend(closed.into_values().map(|pause| Pause {
            until: Some(at),
            ..pause
        }));
    }
}

/// How the time was spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hours {
    /// Time in which at least one attempt ran, in milliseconds.
    pub at_work_ms: u64,
    /// The time of all attempts together, in milliseconds.
    pub attempts_ms: u64,
    /// The most attempts that ran at once.
    pub most_at_once: usize,
    /// The longest time without any attempt while a loop ran and work waited.
    pub longest_idle: Option<Idle>,
    /// What was held back.
    pub pauses: Vec<Pause>,
}

/// A time without any attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// When the last attempt before it ended, or the loop began.
    pub since: Timestamp,
    /// When the next one began, or the loop ended.
    pub until: Timestamp,
    /// What shows that work waited, as a sentence.
    pub waited: String,
}

impl Idle {
    /// How long it lasted, in milliseconds.
    #[must_use]
    pub fn lasted_ms(&self) -> u64 {
        between(self.since, self.until)
    }
}

impl Hours {
    /// Works them out.
    #[must_use]
    pub fn of(gathered: &Gathered) -> Self {
        let busy = busy(&gathered.runs);
        let at_work = busy.iter().map(|(since, until)| between(*since, *until));
        let attempts = gathered.runs.iter().map(|run| run.duration_ms);
        Self {
            at_work_ms: at_work.fold(0, u64::saturating_add),
            attempts_ms: attempts.fold(0, u64::saturating_add),
            most_at_once: most_at_once(&gathered.runs),
            longest_idle: longest_idle(gathered, &busy),
            pauses: gathered.pauses.clone(),
        }
    }
}

/// When a run ended, or was last heard of.
pub(super) fn end_of(run: &RunSummary) -> Timestamp {
    if run.outcome.is_none() {
        return run.last_event;
    }
    let milliseconds = i64::try_from(run.duration_ms).unwrap_or(i64::MAX);
    let end = run
        .started
        .checked_add(jiff::SignedDuration::from_millis(milliseconds));
    end.unwrap_or(run.last_event)
}

fn between(since: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.duration_since(since).as_millis()).unwrap_or(0)
}

/// The stretches in which at least one attempt ran.
fn busy(runs: &[RunSummary]) -> Vec<(Timestamp, Timestamp)> {
    let mut spans: Vec<_> = runs.iter().map(|run| (run.started, end_of(run))).collect();
    spans.sort_unstable();
    let mut busy: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (since, until) in spans {
        match busy.last_mut() {
            Some(last) if since <= last.1 => last.1 = last.1.max(until),
            _ => busy.push((since, until)),
        }
    }
    busy
}

fn most_at_once(runs: &[RunSummary]) -> usize {
    // An end counts before a beginning of the same moment.
    let begins = runs.iter().map(|run| (run.started, true));
    let ends = runs.iter().map(|run| (end_of(run), false));
    let mut moments: Vec<_> = begins.chain(ends).collect();
    moments.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in moments {
        now = if begins {
            now + 1
        } else {
            now.saturating_sub(1)
        };
        most = most.max(now);
    }
    most
}

fn longest_idle(gathered: &Gathered, busy: &[(Timestamp, Timestamp)]) -> Option<Idle> {
    let begun = gathered.loops.iter().map(|(begin, _)| *begin);
    let at_work = |at: Timestamp| {
        busy.iter()
            .any(|(since, until)| (*since..*until).contains(&at))
    };
    let begun = begun.filter(|at| !at_work(*at));
    let mut free: Vec<Timestamp> = begun.chain(busy.iter().map(|(_, until)| *until)).collect();
    free.sort_unstable();
    let mut longest: Option<Idle> = None;
    for since in free {
        let Some(end) = loops::end_from(&gathered.loops, since) else {
            continue;
        };
        let mut begins = busy.iter().map(|(begin, _)| *begin);
        let next = begins.find(|begin| *begin > since);
        let Some(until) = next.into_iter().chain(end).min() else {
            continue;
        };
        let Some(waited) = waited(gathered, since, until) else {
            continue;
        };
        let idle = Idle {
            since,
            until,
            waited,
        };
        let longer = longest
            .as_ref()
            .is_none_or(|longest| idle.lasted_ms() > longest.lasted_ms());
        if longer && idle.lasted_ms() > 0 {
            longest = Some(idle);
        }
    }
    longest
}

/// What shows that there was work in a stretch without attempts; none when nothing does.
fn waited(gathered: &Gathered, since: Timestamp, until: Timestamp) -> Option<String> {
    let mut pauses = gathered.pauses.iter();
    let held =
        pauses.find(|pause| pause.since < until && pause.until.is_none_or(|end| end > since));
    if let Some(pause) = held {
        return Some(match pause.asked {
            true => "a person had paused the fleet".to_owned(),
            false => format!("paused: {}", pause.scope),
        });
    }
    let due = |(_, due): &&(IssueName, Timestamp)| since < *due && *due <= until;
    if let Some((issue, _)) = gathered.retries.iter().find(due) {
        return Some(format!("{issue} waited to be tried again"));
    }
    let next = gathered.runs.iter().find(|run| run.started == until)?;
    let known = gathered
        .runs
        .iter()
        .any(|run| run.started < since && (&run.repo, run.issue) == (&next.repo, next.issue));
    known.then(|| format!("{}#{} was known already", next.repo, next.issue))
}
