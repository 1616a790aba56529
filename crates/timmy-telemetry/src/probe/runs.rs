//! Runs of this host that have no end: what they do, how far they are, whether their process lives.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::RunId;
use timmy_store::EventLog;
use timmy_store::StoreError;

use crate::files::Progress;
use crate::files::RunProgress;
use crate::run_lock;
use crate::run_lock::Lease;

/// Of so many of the newest runs those without an end are looked for.
const RUNS_LOOKED_AT: u32 = 1_000;
/// Events that are read to go on from the last look. When there are more, the runs that have no end
/// are read anew instead.
const MOST_EVENTS: i64 = 20_000;
/// Events of these types say how far a run is. Those with long texts are left out.
const TYPES: [&str; 12] = [
    "run_started",
    "claim_acquired",
    "workspace_ready",
    "prompt_built",
    "tool_called",
    "model_call_settled",
    "agent_finished",
    "work_collected",
    "check_finished",
    "branch_pushed",
    "pull_request_opened",
    "run_ended",
];

/// A run without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub run: RunId,
    /// How far it is.
    pub progress: RunProgress,
    /// Whether its process lives.
    pub lease: Lease,
    /// When its newest event was appended.
    pub heard: Option<Timestamp>,
}

/// The runs of this host that have no end, and what to go on from the next time.
///
/// # Errors
/// When the log cannot be read.
pub async fn read(
    log: &EventLog,
    root: &Path,
    known: &Progress,
) -> Result<(Vec<Run>, Progress), StoreError> {
    let newest = log.newest().await?;
    let behind = newest - known.after;
    let progress = if known.after == 0 || !(0..=MOST_EVENTS).contains(&behind) {
        anew(log, newest).await?
    } else {
        let limit = u32::try_from(behind).unwrap_or(0);
        let events = log.of_types(&TYPES, known.after, limit).await?;
        let mut progress = known.clone();
        progress.take(&events);
        progress.after = progress.after.max(newest);
        progress
    };
    let leases = progress.runs.iter().filter_map(|(run, progress)| {
        // What cannot be looked at is as good as elsewhere.
        let lease = run_lock::look(root, run).unwrap_or(Lease::Elsewhere);
        matches!(lease, Lease::Held | Lease::Free).then_some((run, progress, lease))
    });
    let here: Vec<_> = leases.collect();
    let names: Vec<RunId> = here.iter().map(|(run, _, _)| (*run).clone()).collect();
    let heard = log.last_heard(&names).await?;
    let run = |(run, progress, lease): (&RunId, &RunProgress, Lease)| Run {
        run: run.clone(),
        progress: progress.clone(),
        lease,
        heard: heard.get(run).copied(),
    };
    let runs = here.into_iter().map(run).collect();
    Ok((runs, progress))
}

async fn anew(log: &EventLog, newest: i64) -> Result<Progress, StoreError> {
    let unfinished = log.unfinished(RUNS_LOOKED_AT).await?;
    let runs: Vec<RunId> = unfinished.into_iter().map(|started| started.run).collect();
    let mut progress = Progress::default();
    let mut events = log.of_runs(&runs, &TYPES).await?;
    // What came meanwhile is counted in by the next look, with whatever else came.
    events.retain(|event| event.seq <= newest);
    progress.take(&events);
    progress.after = newest;
    Ok(progress)
}

impl Progress {
    /// Counts events in, in the order of the log.
    fn take(&mut self, events: &[Event]) {
        for event in events {
            self.after = self.after.max(event.seq);
            if let Some(run) = &event.run {
                count_in(&mut self.runs, run, &event.kind);
            }
        }
    }
}

fn count_in(runs: &mut BTreeMap<RunId, RunProgress>, run: &RunId, kind: &EventKind) {
    if let EventKind::RunStarted { .. } = kind {
        let begun = RunProgress {
            phase: "starting".to_owned(),
            steps: 0,
            tokens: 0,
        };
        runs.insert(run.clone(), begun);
        return;
    }
    if let EventKind::RunEnded { .. } = kind {
        runs.remove(run);
        return;
    }
    let Some(progress) = runs.get_mut(run) else {
        return;
    };
    match kind {
        EventKind::ToolCalled { step, .. } => progress.steps = progress.steps.max(*step),
        EventKind::ModelCallSettled { usage, .. } => {
            progress.tokens = progress.tokens.saturating_add(usage.tokens());
        }
        _ => {}
    }
    if let Some(phase) = phase(kind) {
        progress.phase = phase.to_owned();
    }
}

/// What a run does after an event, in a word.
fn phase(kind: &EventKind) -> Option<&'static str> {
    match kind {
        EventKind::ClaimAcquired { .. } => Some("preparing"),
        EventKind::WorkspaceReady { .. } | EventKind::PromptBuilt { .. } => Some("working"),
        EventKind::AgentFinished { .. } => Some("collecting"),
        EventKind::WorkCollected { .. } => Some("checking"),
        EventKind::CheckFinished { .. } => Some("publishing"),
        EventKind::BranchPushed { .. } => Some("offering"),
        EventKind::PullRequestOpened { .. } => Some("telling"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
