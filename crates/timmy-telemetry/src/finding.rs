//! Something that is not as it should be: what health, watchdog and logins say, and alerts are made of.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct;
use timmy_core::Code;
use timmy_core::RepoName;
use timmy_core::event::AlertKey;
use timmy_core::event::Severity;

/// The codes of findings, each with a page in docs/errors.
pub mod code {
    use timmy_core::Code;

    /// A claim is not renewed.
    pub const STUCK_CLAIM: Code = Code::new(1001);
    /// A run has been silent for too long.
    pub const SILENT_RUN: Code = Code::new(1002);
    /// Work waits while nothing runs.
    pub const IDLE_WITH_WORK: Code = Code::new(1003);
    /// A result has no receipt.
    pub const NO_RECEIPT: Code = Code::new(1004);
    /// The share of runs that succeed collapsed.
    pub const SUCCESS_COLLAPSED: Code = Code::new(1005);
    /// The forge fails.
    pub const FORGE_FAILS: Code = Code::new(1006);
    /// A model provider fails.
    pub const PROVIDER_FAILS: Code = Code::new(1007);
    /// A disk is full, or will be soon.
    pub const DISK: Code = Code::new(1008);
    /// The process of a run is gone, and the run has no end.
    pub const DEAD_WORKER: Code = Code::new(1009);
    /// A timer did not fire when it was due.
    pub const LATE_TIMER: Code = Code::new(1010);
    /// Another model than the expected one is configured or runs.
    pub const MODEL_DRIFT: Code = Code::new(1011);
    /// A login has expired or is about to.
    pub const LOGIN: Code = Code::new(1012);
    /// The collector has not written for too long.
    pub const NO_TELEMETRY: Code = Code::new(1013);
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind; see [`code`].
    pub code: Code,
    /// How pressing it is.
    pub severity: Severity,
    /// What it is about, stable for as long as the cause lasts: a run, a repository, a provider,
    /// `HOST:/mount`, `HOST:UNIT`.
    pub subject: String,
    /// What was found, as a sentence.
    pub what: String,
    /// What it was concluded from, one fact a line.
    pub evidence: Vec<String>,
    /// The command that mends it, or the first step of a person.
    pub fix: String,
    /// Since when, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Finding {
    /// What makes two findings the same one.
    #[must_use]
    pub fn key(&self) -> AlertKey {
        AlertKey {
            code: self.code,
            subject: self.subject.clone(),
        }
    }
}

/// A timer of cron, systemd or Hermes, as a probe found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// Who fires it.
    pub source: TimerSource,
    /// Its unit, job, or command line, cleaned, redacted and bounded.
    pub name: String,
    /// When it is due, as its source writes it: a cron expression, or nothing where only times are known.
    pub schedule: Option<String>,
    /// When it should have fired: the first time it did not, where its last firing is known, else the
    /// newest one.
    pub due: Option<Timestamp>,
    /// The newest time it did fire. None when that cannot be known, which is not the same as never.
    pub last: Option<Timestamp>,
    /// The next time it should fire.
    pub next: Option<Timestamp>,
}

impl Timer {
    /// How late its newest firing is: from when it was due until now, when it has not fired since.
    /// None when it is not late, or nobody can know.
    #[must_use]
    pub fn late(&self, now: Timestamp) -> Option<SignedDuration> {
        let (due, last) = (self.due?, self.last?);
        (last < due && due <= now).then(|| now.duration_since(due))
    }
}

/// Who fires a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerSource {
    /// A crontab.
    Cron,
    /// A systemd timer unit.
    Systemd,
    /// A job of Hermes.
    Hermes,
}

impl TimerSource {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Systemd => "systemd",
            Self::Hermes => "hermes",
        }
    }
}

/// Open things in a repository of the forge, from one list call each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryCounts {
    /// The repository.
    pub repo: RepoName,
    /// Open issues.
    pub open_issues: u64,
    /// Open pull requests.
    pub open_pulls: u64,
    /// Commits of the default branch.
    pub commits: u64,
}

/// Another model than the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Where: `hermes:PROFILE`, `ollama:ADDRESS`, `pane:SESSION:WINDOW.PANE`, `provider:NAME`.
    pub subject: String,
    /// What is expected.
    pub expected: String,
    /// What is there; none for nothing at all.
    pub found: Option<String>,
    /// What it was read from.
    pub evidence: String,
    /// Whether `timmy watchdog --fix` would touch it, and if not, why not.
    pub fixable: Result<(), String>,
}

impl Serialize for Drift {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Drift", 6)?;
        fields.serialize_field("subject", &self.subject)?;
        fields.serialize_field("expected", &self.expected)?;
        fields.serialize_field("found", &self.found)?;
        fields.serialize_field("evidence", &self.evidence)?;
        fields.serialize_field("fixable", &self.fixable.is_ok())?;
        fields.serialize_field("why_not", &self.fixable.as_ref().err())?;
        fields.end()
    }
}

/// A login whose tokens expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    /// Its name: `nous`, `nous@PROFILE`, or that of a provider in the configuration.
    pub name: String,
    /// The file its tokens are kept in.
    pub place: String,
    /// How it stands.
    pub state: LoginState,
    /// When the key for inference expires.
    pub key_expires: Option<Timestamp>,
    /// When the login itself ends and a person has to log in again, where that is known.
    pub login_ends: Option<Timestamp>,
}

/// How a login stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginState {
    /// Its key is good for longer than is asked for.
    Good,
    /// Its key ends soon or has ended, and can be refreshed.
    Stale,
    /// The login itself ends within this time.
    Ending {
        /// From now.
        within: Duration,
    },
    /// A person has to log in again.
    Dead {
        /// What the portal said, or what is missing, without any token.
        reason: String,
    },
}
