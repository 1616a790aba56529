//! What a report reads from the log: along its indexes, in pages, folded as it comes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::AlertKey;
use timmy_core::event::EnergySource;
use timmy_core::event::Severity;
use timmy_core::money::Usage;
use timmy_store::EventLog;
use timmy_store::StoreError;
use timmy_store::runs::RunSummary;

use super::hours::Pause;
use super::hours::Pauses;
use super::loops::Loops;
use super::window::Window;

/// Runs of one report, at most: the newest ones.
pub(super) const MOST_RUNS: u32 = 10_000;
/// Events read at once.
const PAGE: u32 = 10_000;
/// Clocks of hosts may differ by so much; the log is read from that much earlier.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// Events of each of those types that are looked at before the window.
const EARLIER: u32 = 1_000;

/// The types that are read, beside what a run's summary is made of.
const TYPES: [&str; 21] = [
    "model_call_settled",
    "model_call_failed",
    "energy_used",
    "pull_request_opened",
    "pull_request_merged",
    "pull_request_refused",
    "branch_edited",
    "publication_blocked",
    "queue_rejected",
    "issue_quarantined",
    "quarantine_lifted",
    "retry_scheduled",
    "loop_started",
    "loop_ended",
    "dispatch_paused",
    "dispatch_resumed",
    "pause_asked",
    "resume_asked",
    "alert_raised",
    "alert_escalated",
    "alert_cleared",
];
/// The types that say what lasts: what is held back, what is in quarantine, which alerts are open.
const LASTING: [&str; 11] = [
    "dispatch_paused",
    "dispatch_resumed",
    "pause_asked",
    "resume_asked",
    "loop_started",
    "loop_ended",
    "issue_quarantined",
    "quarantine_lifted",
    "alert_raised",
    "alert_escalated",
    "alert_cleared",
];
/// What a tool call on a file is called.
const TOOL_CALLED: [&str; 1] = ["tool_called"];

/// What one model of one provider did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    /// The runs it answered in, and how often in each.
    pub runs: BTreeMap<RunId, u32>,
    /// Calls it answered.
    pub settled: u64,
    /// Calls of which the usage is an estimate.
    pub estimated: u64,
    /// What they used.
    pub usage: Usage,
    /// How long they took together, in milliseconds.
    pub duration_ms: u64,
}

/// Everything a report reads from the log.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The runs that began in the window, oldest first.
    pub runs: Vec<RunSummary>,
    /// Whether there were more than are read.
    pub more_runs: bool,
    /// What the models of those runs did, by provider and model.
    pub calls: BTreeMap<(String, String), Calls>,
    /// Failed calls of those runs, by provider.
    pub failed_calls: BTreeMap<String, u64>,
    /// What was used in each minute in which a call of those runs was settled.
    pub minutes: BTreeMap<Timestamp, Usage>,
    /// Millijoules of those runs, by source; none when nothing was counted or declared.
    pub counted_mj: Option<u64>,
    /// Millijoules by declared power.
    pub declared_mj: Option<u64>,
    /// When pull requests were opened by those runs.
    pub opened: Vec<Timestamp>,
    /// Pull requests that the log calls merged in the window, with the issue, and when.
    pub merged: BTreeMap<(RepoName, IssueNumber), (IssueNumber, Timestamp)>,
    /// Pull requests that the log calls refused in the window, with the issue.
    pub refused: BTreeMap<(RepoName, IssueNumber), IssueNumber>,
    /// Pull requests whose branch a person took over in the window.
    pub edited: BTreeSet<(RepoName, IssueNumber)>,
    /// Why pull requests left the merge queue in the window.
    pub rejected: BTreeMap<(RepoName, IssueNumber), String>,
    /// The first reason why a run was not published.
    pub blocked: BTreeMap<RunId, String>,
    /// Issues in quarantine, and after how many attempts.
    pub quarantined: BTreeMap<IssueName, u32>,
    /// Retries: the issue, and when it was due.
    pub retries: Vec<(IssueName, Timestamp)>,
    /// When loops worked in the window, in the order in which they began; those that were at work
    /// before it began with it.
    pub loops: Vec<(Timestamp, Option<Timestamp>)>,
    /// What was held back.
    pub pauses: Vec<Pause>,
    /// Alerts that are open, with how pressing they are and what was found.
    pub alerts: BTreeMap<AlertKey, (Severity, String)>,
    /// Files that failed runs wrote, each with those runs.
    pub files: BTreeMap<String, BTreeSet<RunId>>,
}

impl Gathered {
    /// Reads a window of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read(log: &EventLog, window: &Window) -> Result<Self, StoreError> {
        let most = MOST_RUNS + 1;
        let mut runs = log.runs_between(window.begin(), window.end(), most).await?;
        let more_runs = runs.len() > MOST_RUNS as usize;
        runs.truncate(MOST_RUNS as usize);
        runs.reverse();
        let mut gathered = Self {
            runs,
            more_runs,
            ..Self::default()
        };
        let (after, to) = gathered.places(log, window).await?;
        let earlier = log.newest_up_to(&LASTING, after, EARLIER).await?;
        let mut folding = Folding::new(&gathered.runs, window);
        for event in &earlier {
            folding.take_lasting(&mut gathered, event);
        }
        gathered.fold(log, (after, to), &mut folding).await?;
        gathered.loops = folding.loops.within(window.begin());
        gathered.pauses = folding.pauses.ended(window.begin());
        gathered.read_files(log, to).await?;
        Ok(gathered)
    }

    /// Between which places of the log the window lies, with all that became of its runs.
    async fn places(&self, log: &EventLog, window: &Window) -> Result<(i64, i64), StoreError> {
        let after = match window.since {
            Some(since) => log.place_of(earlier(since)).await?,
            None => 0,
        };
        let newest = self.runs.iter().map(|run| run.last_event).max();
        let to = match window.until {
            Some(until) => {
                let end = newest.map_or(until, |newest| newest.max(until));
                log.place_of(later(end)).await?
            }
            None => log.newest().await?,
        };
        Ok((after, to))
    }

    async fn fold(
        &mut self,
        log: &EventLog,
        (mut after, to): (i64, i64),
        folding: &mut Folding,
    ) -> Result<(), StoreError> {
        loop {
            let events = log.between(&TYPES, after, to, PAGE).await?;
            for event in &events {
                folding.take(self, event);
            }
            match events.last() {
                Some(last) if events.len() >= PAGE as usize => after = last.seq,
                _ => return Ok(()),
            }
        }
    }

    /// The files that runs without a result wrote.
    async fn read_files(&mut self, log: &EventLog, to: i64) -> Result<(), StoreError> {
        let failed: BTreeSet<RunId> = super::causes::failed(&self.runs)
            .map(|run| run.run.clone())
            .collect();
        let Some(first) = self.runs.iter().find(|run| failed.contains(&run.run)) else {
            return Ok(());
        };
        let mut after = log.place_of(earlier(first.started)).await?;
        loop {
            let events = log.between(&TOOL_CALLED, after, to, PAGE).await?;
            for event in &events {
                let run = event.run.as_ref().filter(|run| failed.contains(run));
                if let (Some(run), Some(path)) = (run, written(&event.kind)) {
                    self.files.entry(path).or_default().insert(run.clone());
                }
            }
            match events.last() {
                Some(last) if events.len() >= PAGE as usize => after = last.seq,
                _ => return Ok(()),
            }
        }
    }
}

/// What folding has to remember beside its result.
struct Folding {
    runs: BTreeSet<RunId>,
    window: Window,
    loops: Loops,
    pauses: Pauses,
}

impl Folding {
    fn new(runs: &[RunSummary], window: &Window) -> Self {
        Self {
            runs: runs.iter().map(|run| run.run.clone()).collect(),
            window: window.clone(),
            loops: Loops::default(),
            pauses: Pauses::default(),
        }
    }

    /// An event of a run counts when the run began in the window, another one when it did itself. What
    /// lasts counts from before the window as well: it is read from earlier than that.
    fn take(&mut self, gathered: &mut Gathered, event: &Event) {
        let run = event.run.as_ref().filter(|run| self.runs.contains(*run));
        if let Some(run) = run {
            gathered.take_of_run(run, event);
        }
        // A run may say so as well: it takes its issue out of quarantine.
        if event.at < self.window.end() {
            self.take_lasting(gathered, event);
        }
        // What the loop found out about an own pull request may be told with the run that opened it.
        if self.window.holds(event.at) {
            gathered.take_of_fleet(event);
        }
    }

    fn take_lasting(&mut self, gathered: &mut Gathered, event: &Event) {
        let others_work = self.loops.others_work(event);
        self.pauses.apply(event, others_work);
        self.loops.apply(event);
        gathered.take_of_issue_or_alert(event);
    }
}

impl Gathered {
    fn take_of_run(&mut self, run: &RunId, event: &Event) {
        match &event.kind {
            EventKind::ModelCallSettled {
                provider,
                model,
                usage,
                measured,
                duration_ms,
                ..
            } => {
                let of = (provider.clone(), model.clone());
                let calls = self.calls.entry(of).or_default();
                *calls.runs.entry(run.clone()).or_default() += 1;
                calls.settled += 1;
                calls.estimated += u64::from(!measured);
                calls.usage = calls.usage + *usage;
                calls.duration_ms = calls.duration_ms.saturating_add(*duration_ms);
                let minute = self.minutes.entry(full_minute(event.at)).or_default();
                *minute = *minute + *usage;
            }
            EventKind::ModelCallFailed { provider, .. } => {
                *self.failed_calls.entry(provider.clone()).or_default() += 1;
            }
            EventKind::EnergyUsed {
                millijoules,
                source,
            } => {
                let sum = match source {
                    EnergySource::Counted => &mut self.counted_mj,
                    EnergySource::Declared => &mut self.declared_mj,
                };
                *sum = Some(sum.unwrap_or(0).saturating_add(*millijoules));
            }
            EventKind::PullRequestOpened { adopted: false, .. } => self.opened.push(event.at),
            EventKind::PublicationBlocked { reasons } => {
                let first = reasons.first().cloned().unwrap_or_default();
                self.blocked.entry(run.clone()).or_insert(first);
            }
            _ => {}
        }
    }

    /// What is known of the fate of pull requests, whichever run an event belongs to.
    fn take_of_pull(&mut self, event: &Event) {
        match &event.kind {
            EventKind::PullRequestMerged {
                repo,
                issue,
                number,
            } => {
                let of = (repo.clone(), *number);
                self.merged.entry(of).or_insert((*issue, event.at));
            }
            EventKind::PullRequestRefused {
                repo,
                issue,
                number,
            } => drop(self.refused.insert((repo.clone(), *number), *issue)),
            EventKind::BranchEdited { repo, number, .. } => {
                self.edited.insert((repo.clone(), *number));
            }
            EventKind::QueueRejected {
                repo,
                number,
                reason,
            } => drop(
                self.rejected
                    .insert((repo.clone(), *number), reason.clone()),
            ),
            _ => {}
        }
    }

    fn take_of_fleet(&mut self, event: &Event) {
        let EventKind::RetryScheduled {
            repo,
            issue,
            delay_ms,
            ..
        } = &event.kind
        else {
            return self.take_of_pull(event);
        };
        let delay = i64::try_from(*delay_ms).unwrap_or(i64::MAX);
        let due = event.at.checked_add(SignedDuration::from_millis(delay));
        let due = due.unwrap_or(Timestamp::MAX);
        self.retries.push((named(repo, *issue), due));
    }

    /// What lasts until something else is said.
    fn take_of_issue_or_alert(&mut self, event: &Event) {
        match &event.kind {
            EventKind::IssueQuarantined {
                repo,
                issue,
                attempts,
                ..
            } => drop(self.quarantined.insert(named(repo, *issue), *attempts)),
            EventKind::QuarantineLifted { repo, issue, .. } => {
                self.quarantined.remove(&named(repo, *issue));
            }
            EventKind::AlertRaised {
                key,
                severity,
                what,
            }
            | EventKind::AlertEscalated {
                key,
                severity,
                what,
            } => {
                let alert = (*severity, what.clone());
                self.alerts.insert(key.clone(), alert);
            }
            EventKind::AlertCleared { key } => drop(self.alerts.remove(key)),
            _ => {}
        }
    }
}

fn named(repo: &RepoName, number: IssueNumber) -> IssueName {
    IssueName {
        repo: repo.clone(),
        number,
    }
}

fn earlier(at: Timestamp) -> Timestamp {
    at.checked_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::MIN)
}

fn later(at: Timestamp) -> Timestamp {
    at.checked_add(CLOCKS_DIFFER).unwrap_or(Timestamp::MAX)
}

fn full_minute(at: Timestamp) -> Timestamp {
    const SECONDS: i64 = 60;
    let second = at.as_second().div_euclid(SECONDS) * SECONDS;
    Timestamp::from_second(second).unwrap_or(at)
}

/// The file that a tool call changes, as the model named it.
fn written(kind: &EventKind) -> Option<String> {
    let EventKind::ToolCalled {
        tool, arguments, ..
    } = kind
    else {
        return None;
    };
    if !tool.contains("write") && !tool.contains("edit") {
        return None;
    }
    let arguments: serde_json::Value = serde_json::from_str(arguments).ok()?;
    let path = arguments.get("path")?.as_str()?;
    let path = super::words::short(path.trim_start_matches("./"));
    (!path.is_empty()).then_some(path)
}
