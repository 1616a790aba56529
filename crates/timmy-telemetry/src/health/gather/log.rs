//! What the log tells.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::fault::Fault;
use timmy_core::fault::fault;
use timmy_core::receipt::Provenance;
use timmy_store::EventLog;
use timmy_store::Started;
use timmy_store::StoreError;
use timmy_store::runs::PullRequestLink;
use timmy_store::runs::RunSummary;

use crate::health::HealthSettings;
use crate::health::evidence::Doing;
use crate::health::evidence::Evidence;
use crate::health::evidence::FailureSeen;
use crate::health::evidence::NightSeen;
use crate::health::evidence::PauseSeen;
use crate::health::evidence::ProviderSeen;
use crate::health::evidence::ResultSeen;
use crate::health::evidence::RunSeen;
use crate::health::evidence::Tried;
use crate::health::gather::Aside;
use crate::health::words;
use crate::run_lock;
use crate::run_lock::Lease;

/// Runs of the past that are looked at, at most.
const RUNS: u32 = 2_000;
/// No pause lasts longer: the longest one waits for the next day's budget. One of a loop that was killed
/// has no end in the log.
const LONGEST_PAUSE: Duration = Duration::from_secs(25 * 60 * 60);
/// Events of one type about the night, or about failed calls, that are looked at, newest first.
const NEWEST: u32 = 500;
/// Pages of answered calls that are read, at most, each as long.
const PAGES: u32 = 40;
/// Errors of a model call that say nothing about the provider: the conversation was too long, or a
/// recording is played back.
const NOT_THE_PROVIDER: [Code; 5] = [
    Code::new(605),
    Code::new(614),
    Code::new(615),
    Code::new(616),
    Code::new(617),
];

/// What is read from the log, and with what in mind.
pub struct FromLog<'a> {
    /// The log.
    pub log: &'a EventLog,
    /// The private root, whose locks tell which runs live.
    pub root: &'a Path,
    /// How far back.
    pub settings: &'a HealthSettings,
    /// The time to live of claims whose run does not tell it.
    pub ttl: Duration,
    /// Now.
    pub now: Timestamp,
}

impl FromLog<'_> {
    /// Fills in what the log tells.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn gather(
        &self,
        locks: &mut Aside,
        evidence: &mut Evidence,
    ) -> Result<(), StoreError> {
        let since = self.now.checked_sub(self.settings.past());
        let summaries = self
            .log
            .runs_since(since.unwrap_or(Timestamp::MIN), RUNS)
            .await?;
        evidence.runs = self.runs(locks).await?;
        evidence.results = self.results(&summaries).await?;
        evidence.tried = summaries.iter().filter_map(tried).collect();
        evidence.night = self.night(evidence.night.lives_here).await?;
        let heard = summaries.iter().map(|run| run.last_event);
        evidence.night.last_run = heard.chain(evidence.runs.iter().map(|run| run.heard)).max();
        evidence.providers = self.providers().await?;
        Ok(())
    }

    async fn runs(&self, locks: &mut Aside) -> Result<Vec<RunSeen>, StoreError> {
        let unfinished = self.log.unfinished(RUNS).await?;
        // First the locks, then the events: a run that ends meanwhile says so before it lets go.
        let leases = self.leases(locks, &unfinished).await;
        let mut seen = Vec::new();
        for started in unfinished {
            let lease = leases.get(&started.run).copied();
            seen.extend(self.run(started, lease.unwrap_or(Lease::Unknown)).await?);
        }
        Ok(seen)
    }

    /// What the locks of runs say; nothing where they cannot be looked at.
    async fn leases(&self, locks: &mut Aside, started: &[Started]) -> BTreeMap<RunId, Lease> {
        let root = self.root.to_owned();
        let runs: Vec<RunId> = started.iter().map(|started| started.run.clone()).collect();
        let look = move || {
            let leases = runs.into_iter().filter_map(|run| {
                let lease = run_lock::look(&root, &run).ok()?;
                Some((run, lease))
            });
            leases.collect()
        };
        locks.look(look).await.unwrap_or_default()
    }

    async fn run(&self, started: Started, lease: Lease) -> Result<Option<RunSeen>, StoreError> {
        let types = ["claim_acquired", "work_collected", "run_ended"];
        let own = std::slice::from_ref(&started.run);
        let (mut ttl, mut collected) = (self.ttl, false);
        for event in self.log.of_runs(own, &types).await? {
            match event.kind {
                EventKind::RunEnded { .. } => return Ok(None),
                EventKind::ClaimAcquired { ttl_s, .. } => ttl = Duration::from_secs(ttl_s),
                EventKind::WorkCollected { .. } => collected = true,
                _ => {}
            }
        }
        let Some(newest) = self.log.newest_of_run(&started.run).await? else {
            return Ok(None);
        };
        Ok(Some(RunSeen {
            run: started.run,
            repo: started.repo,
            issue: started.issue,
            lease,
            heard: newest.at,
            doing: match newest.kind {
                EventKind::ToolCalled { .. } => Doing::Command,
                EventKind::WorkCollected { .. } => Doing::Check,
                // Another process carries on what a dead one had finished.
                EventKind::ClaimAcquired { .. } if collected => Doing::Check,
                _ => Doing::Other,
            },
            ttl,
        }))
    }

    async fn results(&self, summaries: &[RunSummary]) -> Result<Vec<ResultSeen>, StoreError> {
        let told_for = Duration::from_secs(self.settings.receipts_s);
        let since = self.now.checked_sub(told_for).unwrap_or(Timestamp::MIN);
        let told = summaries.iter().filter(|run| run.last_event >= since);
        let told: Vec<(&RunSummary, &PullRequestLink)> = told
            .filter_map(|run| Some((run, run.pull_request.as_ref()?)))
            .collect();
        let runs: Vec<RunId> = told.iter().map(|(run, _)| run.run.clone()).collect();
        let types = ["check_finished", "branch_pushed", "pull_request_opened"];
        let mut of_run: BTreeMap<RunId, Vec<Event>> = BTreeMap::new();
        for event in self.log.of_runs(&runs, &types).await? {
            if let Some(run) = event.run.clone() {
                of_run.entry(run).or_default().push(event);
            }
        }
        let results = told.into_iter().map(|(run, pull)| {
            let is_draft = pull.draft || matches!(run.outcome, Some(Outcome::Draft { .. }));
            let events = of_run.get(&run.run).map_or(&[][..], Vec::as_slice);
            result(run, pull.number, is_draft, events)
        });
        Ok(results.collect())
    }

    async fn night(&self, lives_here: bool) -> Result<NightSeen, StoreError> {
        let loops = ["loop_started", "loop_ended"];
        let newest = self.log.newest_up_to(&loops, EventLog::END, 1).await?.pop();
        let on = newest.and_then(|event| match event.kind {
            EventKind::LoopStarted { repositories, .. } => {
                Some((event.seq, event.at, repositories))
            }
            _ => None,
        });
        let asked = ["pause_asked", "resume_asked"];
        let asked = self.log.newest_up_to(&asked, EventLog::END, 1).await?.pop();
        let mut night = NightSeen {
            on_since: on.as_ref().map(|(_, at, _)| *at),
            asked: asked.and_then(|event| match event.kind {
                EventKind::PauseAsked { reason, .. } => Some((event.at, reason)),
                _ => None,
            }),
            lives_here,
            ..NightSeen::default()
        };
        if let Some((seq, _, repositories)) = on {
            night.repositories = repositories;
            let pauses = ["dispatch_paused", "dispatch_resumed"];
            let events = self
                .log
                .newest_up_to(&pauses, EventLog::END, NEWEST)
                .await?;
            night.pauses = pauses_of(events.into_iter().filter(|event| event.seq > seq));
            let lasts = |pause: &PauseSeen| words::between(pause.at, self.now) <= LONGEST_PAUSE;
            night.pauses.retain(|pause| lives_here || lasts(pause));
        }
        Ok(night)
    }

    /// Providers that failed since they last answered. Those that never failed of late are left out.
    async fn providers(&self) -> Result<Vec<ProviderSeen>, StoreError> {
        let failed = self
            .log
            .newest_up_to(&["model_call_failed"], EventLog::END, NEWEST)
            .await?;
        let told_for = Duration::from_secs(self.settings.provider_s);
        let since = self.now.checked_sub(told_for).unwrap_or(Timestamp::MIN);
        if failed.last().is_none_or(|newest| newest.at < since) {
            return Ok(Vec::new());
        }
        let (answered, read) = self.answered(&failed).await?;
        let mut failures: BTreeMap<String, Vec<FailureSeen>> = BTreeMap::new();
        for event in failed.into_iter().rev() {
            if let EventKind::ModelCallFailed {
                provider,
                code,
                what,
                ..
            } = event.kind
            {
                let answer = answered.get(&provider);
                let since = answer.is_none_or(|(seq, _)| event.seq > *seq);
                if since && event.seq > read && !NOT_THE_PROVIDER.contains(&code) {
                    let at = event.at;
                    let failure = FailureSeen { at, code, what };
                    failures.entry(provider).or_default().push(failure);
                }
            }
        }
        let seen = failures.into_iter().map(|(name, failures)| ProviderSeen {
            answered: answered.get(&name).map(|(_, at)| *at),
            name,
            failures,
        });
        Ok(seen.collect())
    }

    /// The newest answer of each provider since the oldest of these failures, with its place in the log,
    /// and the place after which all answers were read: what failed before says nothing.
    async fn answered(&self, failed: &[Event]) -> Result<(Answered, i64), StoreError> {
        let providers: BTreeSet<&str> = failed.iter().filter_map(provider_of).collect();
        let oldest = failed.first().map_or(0, |event| event.seq);
        let mut answered = Answered::new();
        let mut to = self.log.newest().await?;
        for _ in 0..PAGES {
            let types = ["model_call_settled"];
            let page = self.log.newest_up_to(&types, to, NEWEST).await?;
            for event in page.iter().rev() {
                if let EventKind::ModelCallSettled { provider, .. } = &event.kind {
                    let newest = answered.entry(provider.clone());
                    newest.or_insert((event.seq, event.at));
                }
            }
            let full = page.len() == NEWEST as usize;
            to = page.first().map_or(0, |event| event.seq - 1);
            let all = providers.iter().all(|name| answered.contains_key(*name));
            if !full || to < oldest || all {
                return Ok((answered, 0));
            }
        }
        Ok((answered, to))
    }
}

/// When each provider last answered, by its name, and at which place in the log.
type Answered = BTreeMap<String, (i64, Timestamp)>;

fn provider_of(failed: &Event) -> Option<&str> {
    match &failed.kind {
        EventKind::ModelCallFailed { provider, .. } => Some(provider),
        _ => None,
    }
}

fn pauses_of(events: impl Iterator<Item = Event>) -> Vec<PauseSeen> {
    let mut pauses: BTreeMap<String, PauseSeen> = BTreeMap::new();
    for event in events {
        match event.kind {
            EventKind::DispatchPaused { scope, problem } => {
                let known = pauses.remove(&scope);
                let pause = PauseSeen {
                    scope: scope.clone(),
                    at: known.map_or(event.at, |known| known.at),
                    what: format!("{} {}", problem.code, problem.what),
                };
                pauses.insert(scope, pause);
            }
            EventKind::DispatchResumed { scope } => drop(pauses.remove(&scope)),
            _ => {}
        }
    }
    pauses.into_values().collect()
}

fn result(summary: &RunSummary, pull: u64, is_draft: bool, events: &[Event]) -> ResultSeen {
    let mut result = ResultSeen {
        run: summary.run.clone(),
        repo: summary.repo.clone(),
        pull,
        at: summary.last_event,
        is_draft,
        pushed: None,
        checks: Vec::new(),
    };
    for event in events {
        match &event.kind {
            EventKind::CheckFinished { receipt } => {
                result
                    .checks
                    .push((receipt.commit.clone(), receipt.passed()));
            }
            EventKind::BranchPushed { commit, .. } => result.pushed = Some(commit.clone()),
            EventKind::PullRequestOpened { .. } => result.at = event.at,
            _ => {}
        }
    }
    result
}

/// Only a live run says something about the agents of late; one whose process was killed does not.
fn tried(run: &RunSummary) -> Option<Tried> {
    let outcome = run.outcome.as_ref()?;
    let succeeded = match outcome {
        Outcome::PullRequest { .. } => true,
        Outcome::Draft { .. } => false,
        Outcome::Abandoned => return None,
        other if fault(other) == Fault::Agent => false,
        _ => return None,
    };
    let at = run.last_event;
    (run.provenance == Provenance::Live).then_some(Tried { at, succeeded })
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
