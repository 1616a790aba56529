//! Finding the strongest isolation that works here.

use std::fs;
use std::sync::Arc;

use serde::Serialize;
use timmy_core::receipt::SandboxLevel;

use crate::Sandbox;
use crate::agent::Identity;
use crate::canary;
use crate::canary::Verdict;
use crate::error::SandboxError;
use crate::host::Cgroups;
use crate::host::Isolation;
use crate::host::Mechanism;
use crate::host::system::find_program;
use crate::settings::Helper;
use crate::settings::Settings;
use crate::settings::Unsandboxed;

const STRONGEST_FIRST: [SandboxLevel; 4] = [
    SandboxLevel::L3,
    SandboxLevel::L2,
    SandboxLevel::L1,
    SandboxLevel::L0,
];

/// What the canary said about a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LevelReport {
    /// The level.
    pub level: SandboxLevel,
    /// Whether commands can be run at it.
    pub usable: bool,
    /// What works, or what is missing.
    pub detail: String,
    /// How to get what is missing.
    pub fix: Option<String>,
}

impl LevelReport {
    fn missing(level: SandboxLevel, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            level,
            usable: false,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }
}

/// The strongest level that a canary command could not get out of; or exactly the one that the
/// settings demand.
///
/// # Errors
/// [`SandboxError::Refused`] when there is none, with a report for each level that was tried;
/// [`SandboxError::NoAgentUser`] when this process is root and has nobody to run commands as.
pub async fn choose(
    settings: &Settings,
    helper: &Helper,
    unsandboxed_run: Unsandboxed,
) -> Result<Arc<dyn Sandbox>, SandboxError> {
    let prospect = Prospect::new(settings, helper, unsandboxed_run)?;
    let mut refused = Vec::new();
    for level in STRONGEST_FIRST {
        if settings.level.is_some_and(|demanded| demanded != level) {
            continue;
        }
        match prospect.prove(level).await {
            Ok(isolation) => {
                let weaker = refused
                    .first()
                    .map(|report: &LevelReport| report.detail.as_str());
                tracing::info!(
                    level = level.word(),
                    not_stronger_because = weaker,
                    "sandbox chosen"
                );
                return Ok(Arc::new(isolation));
            }
            Err(report) => refused.push(report),
        }
    }
    Err(SandboxError::Refused(refused))
}

/// What every level says, for `timmy doctor`.
pub async fn survey(settings: &Settings, helper: &Helper) -> Vec<LevelReport> {
    let prospect = match Prospect::new(settings, helper, Unsandboxed::Allowed) {
        Ok(prospect) => prospect,
        Err(error) => return STRONGEST_FIRST.map(|level| refusal(level, &error)).into(),
    };
    let mut reports = Vec::new();
    for level in STRONGEST_FIRST {
        reports.push(match prospect.prove(level).await {
            Ok(isolation) => LevelReport {
                level,
                usable: true,
                detail: strengths(&isolation),
                fix: None,
            },
            Err(report) => report,
        });
    }
    reports
}

/// What is the same for every level.
struct Prospect<'a> {
    settings: &'a Settings,
    helper: &'a Helper,
    unsandboxed_run: Unsandboxed,
    identity: Option<Identity>,
    cgroups: Cgroups,
}

impl<'a> Prospect<'a> {
    fn new(
        settings: &'a Settings,
        helper: &'a Helper,
        unsandboxed_run: Unsandboxed,
    ) -> Result<Self, SandboxError> {
        Ok(Self {
            settings,
            helper,
            unsandboxed_run,
            identity: Identity::for_commands(settings)?,
            cgroups: Cgroups::detect(),
        })
    }

    async fn prove(&self, level: SandboxLevel) -> Result<Isolation, LevelReport> {
        let isolation = Isolation::new(
            self.mechanism(level)?,
            self.helper.clone(),
            self.identity,
            self.cgroups.clone(),
        );
        match canary::sing(&isolation).await {
            Ok(Verdict::Proven) => Ok(isolation),
            Ok(Verdict::Failed(detail)) => {
                let fix = fix_for(&detail);
                Err(LevelReport::missing(level, detail, fix))
            }
            Err(error) => Err(refusal(level, &error)),
        }
    }

    fn mechanism(&self, level: SandboxLevel) -> Result<Mechanism, LevelReport> {
        match level {
            SandboxLevel::L3 => find_program("bwrap")
                .map(Mechanism::Bubblewrap)
                .ok_or_else(|| {
                    let fix = "install bubblewrap (apt install bubblewrap)";
                    LevelReport::missing(
                        level,
                        "bubblewrap is missing: there is no bwrap on PATH",
                        fix,
                    )
                }),
            SandboxLevel::L2 => Ok(Mechanism::Landlock),
            SandboxLevel::L1 if self.settings.runner.is_empty() => {
                let fix = "set sandbox.runner in timmy.toml, such as [\"docker\", \"run\", ...]";
                Err(LevelReport::missing(
                    level,
                    "no container runner is configured",
                    fix,
                ))
            }
            SandboxLevel::L1 => Ok(Mechanism::Runner(self.settings.runner.clone())),
            SandboxLevel::L0 if !self.settings.allow_unsandboxed => Err(LevelReport::missing(
                level,
                "running without isolation is not allowed on this host",
                "prefer another fix; sandbox.allow_unsandboxed = true in timmy.toml gives up isolation",
            )),
            SandboxLevel::L0 => match self.unsandboxed_run {
                Unsandboxed::Allowed => Ok(Mechanism::Nothing),
                Unsandboxed::Forbidden => Err(LevelReport::missing(
                    level,
                    "this run was not started with leave to go without isolation",
                    "prefer another fix; --unsandboxed gives up isolation for one run",
                )),
            },
        }
    }
}

fn strengths(isolation: &Isolation) -> String {
    let what = match isolation.mechanism {
        Mechanism::Bubblewrap(_) => "bubblewrap, Landlock and seccomp; loopback only",
        Mechanism::Landlock => {
            "Landlock and seccomp; no sockets, so servers on loopback fail; no /tmp or /dev/shm; \
             command lines of other processes can be seen"
        }
        Mechanism::Runner(_) => "the configured container runner",
        Mechanism::Nothing => "no isolation at all",
    };
    format!("{what}; {}", isolation.cgroups.describe())
}

fn refusal(level: SandboxLevel, error: &SandboxError) -> LevelReport {
    let problem = timmy_core::Coded::problem(error);
    let detail = match error {
        SandboxError::Setup { detail } => detail.clone(),
        other => other.to_string(),
    };
    let fix = match error {
        SandboxError::Setup { detail } => fix_for(detail),
        _ => problem.fix.unwrap_or_else(|| "see the detail".into()),
    };
    LevelReport::missing(level, detail, fix)
}

/// What helps against what bubblewrap, Landlock or the canary said.
fn fix_for(detail: &str) -> String {
    let about_namespaces = [
        "namespace",
        "uid map",
        "RTM_NEWADDR",
        "user.max_user_namespaces",
        "slave",
    ];
    if detail.contains("Landlock") {
        "boot a kernel with Landlock: Linux 6.2 or later (6.12 to run without a user of its own), \
         with landlock in its lsm= parameter"
            .into()
    } else if detail.contains("seccomp") {
        "boot a kernel with seccomp filters, and allow them in the container around timmy".into()
    } else if about_namespaces.iter().any(|word| detail.contains(word)) {
        allow_namespaces()
    } else if detail.contains("network") {
        "start the container without a network (--network none)".into()
    } else if detail.contains("root") {
        "start the container as another user (--user {uid}:{gid})".into()
    } else {
        "run `timmy doctor` for what each level says".into()
    }
}

fn allow_namespaces() -> String {
    let says =
        |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    if says(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        "allow bwrap user namespaces: install the AppArmor profile bwrap-userns-restrict \
         (apt install apparmor-profiles, then load it)"
            .into()
    } else if says("/proc/sys/user/max_user_namespaces", "0") {
        "allow user namespaces: sysctl user.max_user_namespaces=15000".into()
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1".into()
    } else {
        "allow user namespaces for bwrap: in a container, with a seccomp profile that permits \
         unshare and mount"
            .into()
    }
}
