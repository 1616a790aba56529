//! What the core knows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RepoName;

use super::action::Action;
use super::action::Purpose;
use super::brief::Brief;
use super::brief::Rank;
use super::input::Stop;
use super::settings::Settings;
use super::settings::Until;
use super::terms::Terms;
use crate::selection::SelectionSettings;

/// Later than anything.
pub(super) const NEVER: Duration = Duration::MAX;

/// Everything the core knows. Changed by [`super::Night`] alone.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) now: Duration,
    pub(super) settings: Settings,
    pub(super) repositories: BTreeMap<RepoName, Repository>,
    pub(super) known: BTreeMap<IssueName, Known>,
    /// What could start, in the order of work.
    pub(super) ready: BTreeSet<(Rank, IssueName)>,
    /// Holds that end at a time.
    pub(super) timers: BTreeSet<(Duration, IssueName)>,
    /// Holds that end with a change.
    pub(super) frozen: BTreeSet<IssueName>,
    /// Issues whose own pull request has feedback, and that pull request.
    pub(super) answers: BTreeMap<IssueName, IssueNumber>,
    pub(super) running: BTreeMap<IssueName, Running>,
    pub(super) pauses: BTreeMap<Scope, Pause>,
    pub(super) stop: Option<Stop>,
    pub(super) finished: bool,
    /// Whether something changed that decides what may start, since the issues were last gone through.
    pub(super) unsettled: bool,
    /// What has to be said because of the last input.
    pub(super) notices: Vec<EventKind>,
}

/// A repository.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) next_list: Duration,
    pub(super) next_full: Duration,
    pub(super) listing: bool,
    /// Something changed while a list was on its way.
    pub(super) woken: bool,
    pub(super) listed: bool,
    pub(super) failures: u32,
    pub(super) base: Option<ObjectName>,
    pub(super) attend_due: Duration,
    pub(super) attending: bool,
    pub(super) merge_due: bool,
    pub(super) merging: bool,
    pub(super) terms: Terms,
}

impl Default for Repository {
    fn default() -> Self {
        Self {
            next_list: Duration::ZERO,
            next_full: Duration::ZERO,
            listing: false,
            woken: false,
            listed: false,
            failures: 0,
            base: None,
            attend_due: NEVER,
            attending: false,
            merge_due: false,
            merging: false,
            terms: Terms::default(),
        }
    }
}

/// An open issue.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) brief: Brief,
    /// The rule that leaves it out, as a sentence.
    pub(super) excluded: Option<String>,
    pub(super) hold: Option<Hold>,
    /// Attempts at it that failed while this process lived.
    pub(super) failures: u32,
}

impl Known {
    /// Where it stands among the others.
    pub(super) fn rank(&self, settings: &SelectionSettings) -> Rank {
        self.brief.rank(settings, self.failures)
    }
}

/// Why an issue waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) reason: String,
    pub(super) release: Release,
    /// The number of the attempt that will be made, when it is a retry.
    pub(super) retry: Option<u32>,
    /// A base that moves before this time ends nothing: on a busy repository it always moves.
    pub(super) settled: Duration,
}

/// What ends a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    At(Duration),
    IssueEdited,
    IssueChanges,
    RepositoryChanges,
    PersonAsks,
}

/// An attempt that was started.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) stage: Stage,
    pub(super) purpose: Purpose,
    pub(super) since: Duration,
    pub(super) heard: Duration,
    pub(super) patience: Duration,
    pub(super) state: String,
    pub(super) files: BTreeSet<String>,
    /// Why it is not wanted any more.
    pub(super) unwanted: Option<String>,
    /// A person asked that it stops, so it does not begin again by itself.
    pub(super) asked_to_stop: bool,
}

/// How far an attempt is, as the core sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its claim is being won.
    Starting,
    /// It works.
    Working,
    /// It was told to stop.
    Stopping,
}

/// Something that new attempts depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The whole fleet, because a person asked for it. Ends when a person says so.
    Asked,
    /// The forge.
    Forge,
    /// Every model provider.
    Models,
    /// Money and tokens.
    Budget,
    /// Room for workspaces.
    Disk,
    /// Log and books.
    Database,
    /// Isolation of commands.
    Sandbox,
    /// The operator's settings.
    Settings,
    /// One repository, whose issues cannot be listed.
    Repository(RepoName),
    /// One repository, whose own settings cannot be used.
    Workflow(RepoName),
    /// One repository, which has spent what it may in a day.
    BudgetOf(RepoName),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("fleet"),
            Self::Forge => f.write_str("forge"),
            Self::Models => f.write_str("models"),
            Self::Budget => f.write_str("budget"),
            Self::Disk => f.write_str("disk"),
            Self::Database => f.write_str("database"),
            Self::Sandbox => f.write_str("sandbox"),
            Self::Settings => f.write_str("settings"),
            Self::Repository(repo) => write!(f, "{repo}"),
            Self::Workflow(repo) => write!(f, "{repo} (its settings)"),
            Self::BudgetOf(repo) => write!(f, "{repo} (its budget)"),
        }
    }
}

/// What keeps attempts from starting. Once its time is over, one attempt is let through; how that
/// ends decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub problem: Problem,
    /// Until when nothing starts.
    pub until: Duration,
    pub(super) step: u32,
    pub(super) trial: Option<IssueName>,
}

/// The claim states of the Symphony specification (section 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    /// Neither running nor waiting for another attempt.
    Unclaimed,
    /// Reserved: its claim is being won or given back.
    Claimed,
    /// A worker is at it.
    Running,
    /// Another attempt will be made.
    RetryQueued {
        /// Its number.
        attempt: u32,
        /// When.
        due: Duration,
        /// Why.
        reason: String,
    },
    /// It is not worked on, for this reason.
    Released {
        /// The reason, as a sentence.
        reason: String,
    },
}

/// What runs and what waits, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Attempts that run.
    pub running: Vec<Row>,
    /// Issues that are tried again later.
    pub retries: Vec<Row>,
    /// Issues that could start.
    pub ready: usize,
    /// What is held back, and why.
    pub pauses: Vec<(String, Problem)>,
}

/// One issue of a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The issue.
    pub issue: IssueName,
    /// The number of the attempt that waits; none while one runs.
    pub attempt: Option<u32>,
    /// Since when it runs, or when it is tried again, in seconds of the loop's clock.
    pub at_s: u64,
    /// Why it waits; empty while it runs.
    pub reason: String,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        let named = settings.repositories.iter().cloned();
        let repositories = named.map(|repo| (repo, Repository::default())).collect();
        Self {
            now: Duration::ZERO,
            settings,
            repositories,
            known: BTreeMap::new(),
            ready: BTreeSet::new(),
            timers: BTreeSet::new(),
            frozen: BTreeSet::new(),
            answers: BTreeMap::new(),
            running: BTreeMap::new(),
            pauses: BTreeMap::new(),
            stop: None,
            finished: false,
            unsettled: true,
            notices: Vec::new(),
        }
    }

    /// When a tick could next change something; none when only the world can.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let mut times: Vec<Duration> = Vec::new();
        // What is only looked at to start something waits for nothing once nothing starts.
        let looking = !self.is_ending();
        let due = self.timers.first().filter(|_| looking);
        times.extend(due.map(|(due, _)| *due));
        for repository in self.repositories.values().filter(|_| looking) {
            if !repository.listing {
                times.push(repository.next_list);
            }
            if !repository.attending && repository.listed {
                times.push(repository.attend_due);
            }
        }
        for running in self.running.values() {
            if running.stage != Stage::Stopping && !running.patience.is_zero() {
                let just_after = Duration::from_millis(1);
                times.push(running.heard.saturating_add(running.patience + just_after));
            }
        }
        let held_back = self.pauses.values().filter(|pause| pause.until > self.now);
        times.extend(held_back.filter(|_| looking).map(|pause| pause.until));
        if let Until::Time(end) = self.settings.until
            && looking
        {
            times.push(end);
        }
        times.into_iter().filter(|time| *time != NEVER).min()
    }

    /// How many attempts run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether the loop is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The issues that are known to be open.
    pub fn issues(&self) -> impl Iterator<Item = &IssueName> {
        self.known.keys()
    }

    pub(super) fn is_paused(&self, repo: &RepoName) -> bool {
        self.pauses.iter().any(|(scope, pause)| match scope {
            Scope::Repository(paused) | Scope::Workflow(paused) => {
                paused == repo && pause.until > self.now
            }
            Scope::Asked | Scope::Forge | Scope::Disk | Scope::Database | Scope::Sandbox => {
                pause.until > self.now
            }
            Scope::Models | Scope::Budget | Scope::BudgetOf(_) | Scope::Settings => false,
        })
    }

    pub(super) fn may_start(&self, key: &IssueName) -> bool {
        let mut scopes = self.pauses.keys();
        let held_back = scopes.any(|scope| scope.repository() == Some(&key.repo));
        !held_back && !self.running.contains_key(key) && self.repositories.contains_key(&key.repo)
    }

    /// Whether nothing new is to begin.
    pub(super) fn is_ending(&self) -> bool {
        let time_is_over = match self.settings.until {
            Until::Time(end) => self.now >= end,
            Until::Forever | Until::Idle => false,
        };
        self.stop.is_some() || self.finished || time_is_over
    }

    /// How long an attempt in a repository may be silent.
    pub(super) fn stall(&self, repo: &RepoName) -> Duration {
        let terms = self.repositories.get(repo).map(|known| &known.terms);
        let own = terms.and_then(|terms| terms.stall);
        own.unwrap_or(self.settings.stall)
    }

    pub(super) fn state_of(&self, key: &IssueName) -> &'static str {
        match self.known.get(key).map(|known| known.brief.state) {
            Some(timmy_forge::IssueState::Closed) => "closed",
            Some(timmy_forge::IssueState::Open) | None => "open",
        }
    }

    pub(super) fn files_of(&self, key: &IssueName) -> &BTreeSet<String> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        self.known.get(key).map_or(NONE, |known| &known.brief.files)
    }

    /// Marks what was decided, so that it is not decided again.
    pub(super) fn undertake(&mut self, action: &Action) {
        match action {
            Action::Record(_) => {}
            Action::List { repo, .. } => {
                if let Some(repository) = self.repositories.get_mut(repo) {
                    repository.listing = true;
                    repository.woken = false;
                }
            }
            Action::Start { key, purpose } => self.begin(key, *purpose),
            Action::Cancel { key, .. } => {
                if let Some(running) = self.running.get_mut(key) {
                    running.stage = Stage::Stopping;
                }
            }
            Action::Attend { repo } => {
                if let Some(repository) = self.repositories.get_mut(repo) {
                    repository.attending = true;
                }
            }
            Action::MergeTurn { repo } => {
                if let Some(repository) = self.repositories.get_mut(repo) {
                    repository.merging = true;
                    repository.merge_due = false;
                }
            }
            Action::Finish { .. } => self.finished = true,
        }
    }

    fn begin(&mut self, key: &IssueName, purpose: Purpose) {
        let running = Running {
            stage: Stage::Starting,
            purpose,
            since: self.now,
            heard: self.now,
            patience: self.stall(&key.repo),
            state: self.state_of(key).to_owned(),
            files: self.files_of(key).clone(),
            unwanted: None,
            asked_to_stop: false,
        };
        self.running.insert(key.clone(), running);
        self.answers.remove(key);
        if let Some(known) = self.known.get(key) {
            let rank = known.rank(&self.settings.selection);
            self.ready.remove(&(rank, key.clone()));
        }
        for pause in self.pauses.values_mut() {
            if pause.until <= self.now && pause.trial.is_none() {
                pause.trial = Some(key.clone());
            }
        }
    }
}
