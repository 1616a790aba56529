//! Everything there is in a night, and what everybody in it shares.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::asked::Wishes;
use super::forge::SimForge;
use super::host::Host;
use super::plan::Plan;
use super::project::Truth;
use super::schedule::Group;
use super::schedule::Schedule;
use super::trace::Happening;
use super::trace::VIOLATION;
use super::watch::Invariant;
use super::watch::Watch;
use super::weather::Sky;

/// The world's own tasks: people, webhooks, restarts.
pub(crate) const OUTSIDE: Group = Group(0);
/// timmy's login on the forge.
pub(crate) const BOT: &str = "timmy";
/// When nights begin: 2026-01-05T20:00:00Z, a Monday.
const BEGINNING: i64 = 1_767_643_200;

/// Everything there is in a night.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) seed: u64,
    pub(crate) repo: RepoName,
    pub(crate) schedule: Schedule,
    pub(crate) forge: RefCell<SimForge>,
    pub(crate) sky: Sky,
    pub(crate) watch: RefCell<Watch>,
    /// What an issue is like, which nobody can know beforehand.
    pub(crate) truths: RefCell<BTreeMap<IssueNumber, Truth>>,
    pub(crate) hosts: RefCell<Vec<Rc<Host>>>,
    /// What people asked of the fleet.
    pub(crate) wishes: RefCell<Wishes>,
}

impl World {
    pub(crate) fn now(&self) -> Duration {
        self.schedule.now()
    }

    /// What a right clock would say.
    pub(crate) fn time(&self) -> Timestamp {
        moment(self.now(), 0)
    }

    /// What a host's wall clock says.
    pub(crate) fn wall(&self, host: u32) -> Timestamp {
        moment(self.now(), self.sky.clock_offset_ms(host, self.now()))
    }

    pub(crate) fn key(&self, number: IssueNumber) -> IssueName {
        IssueName {
            repo: self.repo.clone(),
            number,
        }
    }

    /// Does something on the forge, at the forge's time.
    pub(crate) fn on_forge<T>(&self, deed: impl FnOnce(&mut SimForge) -> T) -> T {
        let mut forge = self.forge.borrow_mut();
        forge.clock = self.time();
        deed(&mut forge)
    }

    pub(crate) fn note(
        &self,
        host: Option<u32>,
        issue: Option<IssueNumber>,
        what: &'static str,
        detail: impl FnOnce() -> String,
    ) {
        let happening = self.happening(host, issue, what);
        self.watch.borrow_mut().trace.note(happening, detail);
    }

    pub(crate) fn violated(
        &self,
        invariant: Invariant,
        host: Option<u32>,
        issue: Option<IssueNumber>,
        detail: String,
    ) {
        let happening = self.happening(host, issue, VIOLATION);
        self.watch
            .borrow_mut()
            .violated(invariant, happening, detail);
    }

    pub(crate) fn happening(
        &self,
        host: Option<u32>,
        issue: Option<IssueNumber>,
        what: &'static str,
    ) -> Happening {
        Happening {
            at: self.now(),
            host,
            issue,
            what,
        }
    }
}

fn moment(passed: Duration, offset_ms: i64) -> Timestamp {
    let beginning = Timestamp::from_second(BEGINNING).unwrap_or(Timestamp::UNIX_EPOCH);
    let offset = SignedDuration::from_millis(offset_ms);
    let right = beginning.checked_add(passed).unwrap_or(beginning);
    right.checked_add(offset).unwrap_or(right)
}

/// The moment a night begins.
pub(crate) fn beginning() -> Timestamp {
    moment(Duration::ZERO, 0)
}

/// What an event is called in a trace.
pub(crate) fn word(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::ProcessStarted { .. } => "process started",
        EventKind::RunStarted { .. } => "run started",
        EventKind::ClaimAcquired { .. } => "claim acquired",
        EventKind::ClaimLost { .. } => "claim lost",
        EventKind::ClaimReleased { .. } => "claim released",
        EventKind::WorkspaceReady { .. } => "workspace ready",
        EventKind::ModelCallReserved { .. } => "model call",
        EventKind::ModelCallSettled { .. } => "model answered",
        EventKind::ModelCallFailed { .. } => "model failed",
        EventKind::AgentFinished { .. } => "agent finished",
        EventKind::WorkCollected { .. } => "work collected",
        EventKind::FeedbackTaken { .. } => "feedback taken",
        EventKind::CheckFinished { .. } => "check finished",
        EventKind::PublicationBlocked { .. } => "publication blocked",
        EventKind::BranchPushed { .. } => "branch pushed",
        EventKind::PullRequestOpened { .. } => "pull request opened",
        EventKind::IssueCommented { .. } => "issue told",
        EventKind::LoopStarted { .. } => "loop started",
        EventKind::LoopEnded { .. } => "loop ended",
        EventKind::RetryScheduled { .. } => "retry scheduled",
        EventKind::IssueQuarantined { .. } => "quarantined",
        EventKind::QuarantineLifted { .. } => "quarantine lifted",
        EventKind::DispatchPaused { .. } => "paused",
        EventKind::DispatchResumed { .. } => "resumed",
        EventKind::PullRequestMerged { .. } => "saw the merge",
        EventKind::PullRequestRefused { .. } => "saw the refusal",
        EventKind::BranchEdited { .. } => "saw the edit",
        EventKind::IssueClosed { .. } => "issue closed",
        EventKind::Warned { .. } => "warned",
        EventKind::RunEnded { .. } => "run ended",
        // What no simulated host records.
        _ => "event",
    }
}
