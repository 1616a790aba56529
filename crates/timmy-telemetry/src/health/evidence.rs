//! What findings are concluded from: plain data, gathered by somebody else.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_core::RunId;

use crate::finding::Drift;
use crate::finding::Login;
use crate::finding::Timer;
use crate::health::Unseen;
use crate::run_lock::Lease;

/// Something that was looked at, or why that was not possible. What is not configured, or not there,
/// was looked at and is empty.
pub type Look<T> = Result<T, String>;

/// Everything that is known about the fleet at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// This machine, as rows of telemetry name it.
    pub host: String,
    /// What other tables of the configuration say.
    pub limits: Limits,
    /// Runs without an end.
    pub runs: Vec<RunSeen>,
    /// Pull requests that runs of late say they opened.
    pub results: Vec<ResultSeen>,
    /// How runs of late ended, live ones whose end says something about the agent.
    pub tried: Vec<Tried>,
    /// Claims on the forge, by repository.
    pub claims: BTreeMap<RepoName, Look<Vec<ClaimSeen>>>,
    /// What the loop says about itself.
    pub night: NightSeen,
    /// What a sprint would take now, by repository. Empty when nobody has to know.
    pub work: BTreeMap<RepoName, Look<Option<Work>>>,
    /// The forge.
    pub forge: ForgeSeen,
    /// Providers whose calls failed of late.
    pub providers: Vec<ProviderSeen>,
    /// Disks.
    pub disks: Vec<DiskSeen>,
    /// Timers.
    pub timers: Vec<Timer>,
    /// Models that are not the expected ones.
    pub drifts: Vec<Drift>,
    /// Logins.
    pub logins: Vec<Login>,
    /// Further things of this machine that could not be looked at.
    pub unseen: Vec<Unseen>,
    /// The collector; none when nothing was ever collected here, or nobody is to collect.
    pub collector: Option<CollectorSeen>,
}

impl Evidence {
    /// Nothing at all, to be filled in.
    #[must_use]
    pub fn none(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            limits: Limits::default(),
            runs: Vec::new(),
            results: Vec::new(),
            tried: Vec::new(),
            claims: BTreeMap::new(),
            night: NightSeen::default(),
            work: BTreeMap::new(),
            forge: ForgeSeen::NotConfigured,
            providers: Vec::new(),
            disks: Vec::new(),
            timers: Vec::new(),
            drifts: Vec::new(),
            logins: Vec::new(),
            unseen: Vec::new(),
            collector: None,
        }
    }
}

/// What other tables of the configuration say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `night.stall_s`.
    pub stall: Duration,
    /// How long one command of an agent may take, and a grace.
    pub command: Duration,
    /// How long the check may take, and a grace.
    pub check: Duration,
    /// Bytes that stay free on the disk of the private root.
    pub keep_free: u64,
    /// `telemetry.timers.late_after_s`.
    pub timer_grace: Duration,
}

/// A run without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSeen {
    /// The run.
    pub run: RunId,
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue: IssueNumber,
    /// What its lock says, looked at before its events were read.
    pub lease: Lease,
    /// When its newest event was appended.
    pub heard: Timestamp,
    /// What it does since then.
    pub doing: Doing,
    /// How long its claim lives without being renewed.
    pub ttl: Duration,
}

/// What a run does since its newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// A tool was called: it may be a command that has a limit of its own.
    Command,
    /// The work was taken over: the check runs, which has a limit of its own.
    Check,
    /// Something without a limit of its own.
    Other,
}

/// A pull request that a run says it opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultSeen {
    /// The run.
    pub run: RunId,
    /// The repository.
    pub repo: RepoName,
    /// The pull request.
    pub pull: IssueNumber,
    /// When it was opened.
    pub at: Timestamp,
    /// Whether the check need not have passed.
    pub is_draft: bool,
    /// The commit that was pushed; none when the run does not say which.
    pub pushed: Option<ObjectName>,
    /// Every check of the run: of which commit, and whether it passed.
    pub checks: Vec<(ObjectName, bool)>,
}

/// A run that succeeded, or failed by its agent's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// When it ended.
    pub at: Timestamp,
    /// Whether a pull request is open whose check passed.
    pub succeeded: bool,
}

/// A claim on the forge under which somebody says to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimSeen {
    /// The issue.
    pub issue: IssueNumber,
    /// The ref.
    pub reference: String,
    /// The run that holds it.
    pub run: RunId,
    /// The machine it was made on: random for each private root.
    pub machine: String,
    /// Its time to live without renewal.
    pub ttl: Duration,
    /// For how long it has certainly not been renewed.
    pub unrenewed: Duration,
}

/// What the loop says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NightSeen {
    /// When the newest loop started, unless one ended since.
    pub on_since: Option<Timestamp>,
    /// The repositories that loop was asked to work on.
    pub repositories: Vec<RepoName>,
    /// When a run was last heard of, or one began or ended.
    pub last_run: Option<Timestamp>,
    /// Pauses of the newest loop that are not over.
    pub pauses: Vec<PauseSeen>,
    /// A person's pause that is not over: since when, and why.
    pub asked: Option<(Timestamp, String)>,
    /// Whether a process of timmy lives under this private root.
    pub lives_here: bool,
}

/// A pause that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseSeen {
    /// What is held back.
    pub scope: String,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub what: String,
}

/// What a sprint would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The issue.
    pub issue: IssueNumber,
    /// Its title.
    pub title: String,
}

/// The forge, as a question to it found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgeSeen {
    /// There is none to ask.
    NotConfigured,
    /// It answers.
    Answers {
        /// Where.
        place: String,
    },
    /// It does not.
    Fails {
        /// Where.
        place: String,
        /// What was tried and what came of it.
        what: String,
    },
}

/// A provider and the calls it failed since it last answered, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSeen {
    /// Its name.
    pub name: String,
    /// The calls.
    pub failures: Vec<FailureSeen>,
    /// When it last answered, where that is known.
    pub answered: Option<Timestamp>,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureSeen {
    /// When.
    pub at: Timestamp,
    /// The error.
    pub code: Code,
    /// What happened.
    pub what: String,
}

/// A disk.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskSeen {
    /// Where it is mounted.
    pub mount: String,
    /// Whether the private root is on it.
    pub holds_root: bool,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Free bytes in the past, oldest first.
    pub past: Vec<(Timestamp, f64)>,
}

/// The collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectorSeen {
    /// When it last wrote.
    pub wrote: Timestamp,
    /// How often it is to.
    pub every: Duration,
}
