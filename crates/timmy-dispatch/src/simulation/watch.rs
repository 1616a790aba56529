//! The invariants of a night, watched while it goes on.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RunId;
use timmy_core::money::MicroUsd;

use super::plan::Plan;
use super::trace::Happening;
use super::trace::Trace;
use super::trace::VIOLATION;

/// What has to hold, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// An issue has at most one open pull request.
    OnePullRequest,
    /// At most one run acts under the claim of an issue.
    OneHolder,
    /// A branch is pushed only by the holder of the claim.
    OnlyTheHolderPublishes,
    /// Slots are given back, and every run has an end.
    NoLeakedSlot,
    /// Spending passes the budget by one reservation at most.
    Budget,
    /// Every issue ends where a sentence can say why.
    Justified,
    /// Nothing is asked of a model but for a run, and of the forge one list a tick.
    IdleIsIdle,
    /// A run with a pull request says so on its issue once.
    OneComment,
    /// What a person decided stands: edited branches, closed pull requests.
    PeopleDecide,
    /// An issue that cannot be solved takes no other's chance.
    NobodyStarves,
    /// A failed attempt is not repeated before its time.
    BackOff,
    /// Nothing begins while a person's pause lasts.
    PauseHolds,
    /// An issue whose run a person stopped is left alone until it changes or they say so.
    StopHolds,
}

impl Invariant {
    /// What has to hold, as a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OnePullRequest => "an issue has at most one open pull request",
            Self::OneHolder => "at most one run acts under the claim of an issue",
            Self::OnlyTheHolderPublishes => "only the holder of a claim pushes its branch",
            Self::NoLeakedSlot => "slots are given back and every run has an end",
            Self::Budget => "spending passes the budget by one reservation at most",
            Self::Justified => "a sentence says why an issue is where it is",
            Self::IdleIsIdle => "an idle fleet asks no model, and the forge once a tick",
            Self::OneComment => "a run with a pull request says so on its issue once",
            Self::PeopleDecide => "what a person decided stands",
            Self::NobodyStarves => "an issue that cannot be solved takes no other's chance",
            Self::BackOff => "a failed attempt is not repeated before its time",
            Self::PauseHolds => "nothing begins while the fleet is paused",
            Self::StopHolds => "what a person stopped does not begin again by itself",
        }
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, in seconds of the night.
    pub at_s: u64,
    /// On which host, from 1.
    pub host: Option<u32>,
    /// At which issue.
    pub issue: Option<IssueNumber>,
    /// What was seen.
    pub detail: String,
}

/// Who acts under a claim: a run of a process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) host: u32,
    pub(crate) life: u64,
    pub(crate) run: RunId,
}

/// How often what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Runs that began.
    pub attempts: u64,
    /// How they ended, by the word of the outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Pull requests that were opened.
    pub pull_requests: u64,
    /// Of those, the ones people merged.
    pub merged: u64,
    /// Of those, the ones people closed.
    pub refused: u64,
    /// Calls to models.
    pub model_calls: u64,
    /// What they cost.
    pub cost: MicroUsd,
    /// Calls to the forge.
    pub forge_calls: u64,
    /// Lists of issues among them.
    pub lists: u64,
    /// Calls to the forge that went wrong.
    pub faults: u64,
    /// Processes that were killed.
    pub crashes: u64,
    /// Claims that were taken over.
    pub takeovers: u64,
    /// Claims that were lost or no longer acted under.
    pub claims_lost: u64,
    /// Events in the logs.
    pub events: u64,
    /// Things people did.
    pub deeds: u64,
    /// Pauses and stops that people asked for.
    pub asked: u64,
    /// Where the issues are in the end.
    pub issues: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds another night.
    pub fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.pull_requests += other.pull_requests;
        self.merged += other.merged;
        self.refused += other.refused;
        self.model_calls += other.model_calls;
        self.cost = self.cost + other.cost;
        self.forge_calls += other.forge_calls;
        self.lists += other.lists;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.takeovers += other.takeovers;
        self.claims_lost += other.claims_lost;
        self.events += other.events;
        self.deeds += other.deeds;
        self.asked += other.asked;
        for (word, count) in &other.outcomes {
            *self.outcomes.entry(word).or_default() += count;
        }
        for (word, count) in &other.issues {
            *self.issues.entry(word).or_default() += count;
        }
    }
}

/// The last failure of an issue in one life of a process.
#[derive(Debug, Clone, Copy)]
struct Failure {
    at: Duration,
    life: u64,
    failures: u32,
}

/// Sees everything and says what must not be.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    violations: Vec<Violation>,
    acting: BTreeMap<IssueName, Vec<Actor>>,
    failures: BTreeMap<(u32, IssueName), Failure>,
    attempted: BTreeSet<IssueName>,
    first_backoff: Duration,
    longest_backoff: Duration,
    budget: MicroUsd,
}

/// Of one night, more violations than these say nothing new.
const MOST_VIOLATIONS: usize = 50;

impl Watch {
    pub(crate) fn new(plan: &Plan, trace: Trace) -> Self {
        Self {
            trace,
            tally: Tally::default(),
            violations: Vec::new(),
            acting: BTreeMap::new(),
            failures: BTreeMap::new(),
            attempted: BTreeSet::new(),
            first_backoff: plan.settings.first_backoff,
            longest_backoff: plan.settings.longest_backoff,
            budget: plan.budget,
        }
    }

    /// Something that must not be.
    pub(crate) fn violated(&mut self, invariant: Invariant, happening: Happening, detail: String) {
        self.trace.note(
            Happening {
                what: VIOLATION,
                ..happening
            },
            || format!("{}: {detail}", invariant.sentence()),
        );
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(Violation {
                invariant,
                at_s: happening.at.as_secs(),
                host: happening.host.map(|host| host + 1),
                issue: happening.issue,
                detail,
            });
        }
    }

    /// A run begins to act under a claim.
    pub(crate) fn acts(&mut self, happening: Happening, key: &IssueName, actor: Actor) {
        let others = self.acting.entry(key.clone()).or_default();
        let second = others.first().cloned();
        others.push(actor);
        if let Some(other) = second {
            let run = other.run.short().to_owned();
            let detail = format!("run {run} of host {} still acts", other.host + 1);
            self.violated(Invariant::OneHolder, happening, detail);
        }
    }

    /// A run no longer acts under a claim.
    pub(crate) fn stops(&mut self, key: &IssueName, actor: &Actor) {
        if let Some(acting) = self.acting.get_mut(key) {
            acting.retain(|other| other != actor);
        }
    }

    /// A process died, and everything it did with it.
    pub(crate) fn died(&mut self, host: u32, life: u64) {
        for acting in self.acting.values_mut() {
            acting.retain(|actor| actor.host != host || actor.life != life);
        }
    }

    /// Who acts, in the end nobody.
    pub(crate) fn acting(&self) -> impl Iterator<Item = (&IssueName, &Actor)> {
        let all = self.acting.iter();
        all.flat_map(|(key, actors)| actors.iter().map(move |actor| (key, actor)))
    }

    /// A run began.
    pub(crate) fn began(&mut self, happening: Happening, host: u32, life: u64, key: &IssueName) {
        self.tally.attempts += 1;
        self.attempted.insert(key.clone());
        let Some(failure) = self.failures.get(&(host, key.clone())).copied() else {
            return;
        };
        let doublings = failure.failures.saturating_sub(1).min(20);
        let wait = self.first_backoff.saturating_mul(1 << doublings);
        let wait = wait.min(self.longest_backoff);
        let passed = happening.at.saturating_sub(failure.at);
        // A new process remembers nothing of waits.
        if failure.life == life && passed < wait {
            let detail = format!(
                "after {} s instead of {} s",
                passed.as_secs(),
                wait.as_secs()
            );
            self.violated(Invariant::BackOff, happening, detail);
        }
    }

    /// An attempt failed through the agent's fault.
    pub(crate) fn failed(
        &mut self,
        happening: Happening,
        (host, life): (u32, u64),
        key: &IssueName,
        failures: u32,
    ) {
        let failure = Failure {
            at: happening.at,
            life,
            failures,
        };
        self.failures.insert((host, key.clone()), failure);
    }

    /// Whether any host tried an issue.
    pub(crate) fn was_attempted(&self, key: &IssueName) -> bool {
        self.attempted.contains(key)
    }

    /// How many issues were tried.
    pub(crate) fn attempted(&self) -> usize {
        self.attempted.len()
    }

    /// A host spent something.
    pub(crate) fn spent(&mut self, happening: Happening, total: MicroUsd, reservation: MicroUsd) {
        if total.0 > self.budget.0.saturating_add(reservation.0) {
            let detail = format!("{total} of {}", self.budget);
            self.violated(Invariant::Budget, happening, detail);
        }
    }

    pub(crate) fn into_parts(self) -> (Trace, Tally, Vec<Violation>) {
        (self.trace, self.tally, self.violations)
    }
}
