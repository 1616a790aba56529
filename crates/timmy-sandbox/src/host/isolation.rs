//! One level of isolation, ready to run commands.

use std::ffi::OsString;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use timmy_core::receipt::SandboxLevel;

use crate::Sandbox;
use crate::agent::Identity;
use crate::environment::environment;
use crate::error::SandboxError;
use crate::host::bubblewrap;
use crate::host::cgroup::Cgroups;
use crate::host::cgroup::Group;
use crate::host::growth::Known;
use crate::host::run;
use crate::host::scratch::Scratch;
use crate::host::system;
use crate::outcome::Finished;
use crate::plan::Access;
use crate::plan::Confinement;
use crate::plan::Counted;
use crate::plan::Namespaces;
use crate::plan::Network;
use crate::plan::Plan;
use crate::plan::Reaping;
use crate::plan::Rlimits;
use crate::plan::Step;
use crate::plan::Supervision;
use crate::policy::Command;
use crate::policy::Policy;
use crate::settings::Helper;
use crate::wire::Bytes;
use crate::wire::encode;

/// Inside bubblewrap the mount namespace is the wall and Landlock the second one: any kernel that
/// has it will do (5.13). Without namespaces it is the only wall, and has to cover truncation (6.2).
const LANDLOCK_FLOOR_L3: u32 = 1;
const LANDLOCK_FLOOR_L2: u32 = 3;

/// The variables that the client of a container engine may need.
const RUNNER_VARIABLES: [&str; 8] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "CONTAINER_HOST",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
];

/// Changes to its first argument and becomes the rest.
const ENTER_AND_RUN: &str = r#"cd -- "$0" && exec "$@""#;

/// How commands are isolated.
#[derive(Debug, Clone)]
pub(crate) enum Mechanism {
    /// L3, with the path of `bwrap`.
    Bubblewrap(PathBuf),
    /// L2.
    Landlock,
    /// L1, with the beginning of its command line.
    Runner(Vec<String>),
    /// L0.
    Nothing,
}

impl Mechanism {
    pub(crate) fn level(&self) -> SandboxLevel {
        match self {
            Self::Bubblewrap(_) => SandboxLevel::L3,
            Self::Landlock => SandboxLevel::L2,
            Self::Runner(_) => SandboxLevel::L1,
            Self::Nothing => SandboxLevel::L0,
        }
    }
}

/// A mechanism with everything it needs.
#[derive(Debug, Clone)]
pub(crate) struct Isolation {
    pub(crate) mechanism: Mechanism,
    pub(crate) helper: Helper,
    pub(crate) identity: Option<Identity>,
    pub(crate) cgroups: Cgroups,
    pub(super) known: Arc<Known>,
}

impl Isolation {
    pub(crate) fn new(
        mechanism: Mechanism,
        helper: Helper,
        identity: Option<Identity>,
        cgroups: Cgroups,
    ) -> Self {
        Self {
            mechanism,
            helper,
            identity,
            cgroups,
            known: Arc::default(),
        }
    }

    /// A place for home and temporary files, where the level has none of its own.
    pub(super) fn scratch(&self, policy: &Policy) -> Result<Option<Scratch>, SandboxError> {
        match self.mechanism {
            Mechanism::Bubblewrap(_) | Mechanism::Runner(_) => Ok(None),
            Mechanism::Landlock | Mechanism::Nothing => {
                Scratch::beside(&policy.workspace, self.identity).map(Some)
            }
        }
    }

    /// What the inner process is to do.
    pub(super) fn plan(
        &self,
        policy: &Policy,
        command: &Command,
        group: &Group,
        scratch: Option<&Scratch>,
    ) -> Result<Plan, SandboxError> {
        let mut plan = Plan {
            cgroups: group.procs_files(),
            identity: self.identity,
            reach: self.reach(policy, scratch),
            step: Step::Supervise(self.supervision(policy, command, scratch)),
        };
        match &self.mechanism {
            Mechanism::Bubblewrap(program) => {
                plan.step = Step::Bubblewrap(self.namespaces(policy, command, program)?);
            }
            Mechanism::Landlock => refuse_holes(policy)?,
            Mechanism::Runner(runner) => {
                plan.identity = None;
                plan.step = Step::Supervise(self.runner(policy, command, runner));
            }
            Mechanism::Nothing => {}
        }
        Ok(plan)
    }

    fn reach(&self, policy: &Policy, scratch: Option<&Scratch>) -> Vec<PathBuf> {
        let mut paths = policy.read_only.clone();
        paths.extend(policy.writable.iter().cloned());
        paths.push(policy.workspace.clone());
        paths.extend(self.helper.argv.first().map(PathBuf::from));
        paths.extend(scratch.map(|scratch| scratch.root().to_owned()));
        paths
    }

    fn supervision(
        &self,
        policy: &Policy,
        command: &Command,
        scratch: Option<&Scratch>,
    ) -> Supervision {
        let home = scratch.map_or_else(|| bubblewrap::HOME.into(), Scratch::home);
        let temporary = scratch.map_or_else(|| "/tmp".into(), Scratch::temporary);
        let limits = &policy.limits;
        Supervision {
            reaping: match self.mechanism {
                Mechanism::Bubblewrap(_) => Reaping::Namespace,
                Mechanism::Landlock | Mechanism::Runner(_) | Mechanism::Nothing => {
                    Reaping::Subreaper
                }
            },
            argv: command.argv.clone(),
            directory: policy.workspace.join(&command.directory),
            environment: environment(policy, &home, &temporary),
            input: Bytes(command.input.clone()),
            rlimits: Some(Rlimits {
                file_bytes: limits.file_bytes,
                open_files: limits.open_files.into(),
                processes: limits.processes.into(),
                counted: match self.mechanism {
                    Mechanism::Bubblewrap(_) => Counted::Namespace,
                    Mechanism::Landlock | Mechanism::Runner(_) | Mechanism::Nothing => {
                        Counted::User
                    }
                },
                data_bytes: (!self.cgroups.limit_memory()).then_some(limits.memory_bytes),
            }),
            confinement: self.confinement(policy, scratch),
        }
    }

    fn confinement(&self, policy: &Policy, scratch: Option<&Scratch>) -> Option<Confinement> {
        let (landlock_floor, mut rules, network) = match self.mechanism {
            Mechanism::Bubblewrap(_) => (
                LANDLOCK_FLOOR_L3,
                system::namespace_rules(),
                Network::Loopback,
            ),
            Mechanism::Landlock => (LANDLOCK_FLOOR_L2, system::host_rules(), Network::Denied),
            Mechanism::Runner(_) | Mechanism::Nothing => return None,
        };
        let read_only = policy.read_only.iter().cloned();
        rules.extend(read_only.map(|path| (path, Access::Read)));
        let writable = policy.writable.iter().chain([&policy.workspace]);
        rules.extend(writable.map(|path| (path.clone(), Access::Write)));
        rules.extend(scratch.map(|scratch| (scratch.root().to_owned(), Access::Write)));
        Some(Confinement {
            landlock_floor,
            rules,
            network,
        })
    }

    fn namespaces(
        &self,
        policy: &Policy,
        command: &Command,
        program: &Path,
    ) -> Result<Namespaces, SandboxError> {
        let own = self.helper.argv.first().map(Path::new);
        let own = own.ok_or_else(|| SandboxError::setup("the helper has no program"))?;
        let (uid, gid) = match self.identity {
            Some(user) => (user.uid, user.gid),
            None => (
                rustix::process::getuid().as_raw(),
                rustix::process::getgid().as_raw(),
            ),
        };
        let mut inner: Vec<OsString> = self.helper.argv.clone();
        inner[0] = bubblewrap::INNER_PROGRAM.into();
        let plan = Plan {
            cgroups: Vec::new(),
            identity: None,
            reach: Vec::new(),
            step: Step::Supervise(self.supervision(policy, command, None)),
        };
        Ok(Namespaces {
            program: program.to_owned(),
            arguments: bubblewrap::options(policy, own, uid, gid),
            inner,
            plan: Bytes(encode(&plan)),
        })
    }

    fn runner(&self, policy: &Policy, command: &Command, runner: &[String]) -> Supervision {
        let directory = policy.workspace.join(&command.directory);
        let fill = |word: &String| self.fill(word, policy, &directory);
        let mut argv: Vec<OsString> = runner.iter().map(fill).collect();
        argv.extend(["env", "-i"].map(OsString::from));
        for (name, value) in environment(policy, Path::new("/tmp"), Path::new("/tmp")) {
            let mut pair = name;
            pair.push("=");
            pair.push(value);
            argv.push(pair);
        }
        // Killing the client of an engine does not end a container; this does, from inside.
        let seconds = policy.limits.wall.as_secs() + 1;
        argv.extend(["timeout", "-s", "KILL", &seconds.to_string()].map(OsString::from));
        argv.extend(["sh", "-c", ENTER_AND_RUN].map(OsString::from));
        argv.push(directory.into_os_string());
        argv.extend(command.argv.iter().cloned());
        let host = RUNNER_VARIABLES.iter().filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some(((*name).into(), value))
        });
        Supervision {
            reaping: Reaping::Subreaper,
            argv,
            directory: PathBuf::from("/"),
            environment: host.collect(),
            input: Bytes(command.input.clone()),
            rlimits: None,
            confinement: None,
        }
    }

    fn fill(&self, word: &str, policy: &Policy, directory: &Path) -> OsString {
        let (uid, gid) = self.identity.map_or_else(
            || {
                (
                    rustix::process::getuid().as_raw(),
                    rustix::process::getgid().as_raw(),
                )
            },
            |user| (user.uid, user.gid),
        );
        let filled = word
            .replace("{workspace}", &policy.workspace.to_string_lossy())
            .replace("{directory}", &directory.to_string_lossy())
            .replace("{uid}", &uid.to_string())
            .replace("{gid}", &gid.to_string());
        filled.into()
    }
}

/// Landlock opens a directory with everything in it: nothing below the workspace can be kept
/// read-only without a mount.
fn refuse_holes(policy: &Policy) -> Result<(), SandboxError> {
    let hole = policy
        .read_only
        .iter()
        .find(|path| path.starts_with(&policy.workspace));
    match hole {
        None => Ok(()),
        Some(path) => Err(SandboxError::Policy {
            place: "read_only",
            value: path.display().to_string(),
            reason: "lies in the workspace, where level L2 cannot keep it read-only",
        }),
    }
}

/// Tells the inner process to end everything when nobody waits for the command any more.
struct HangUp(UnixStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        // It may have hung up itself.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[async_trait]
impl Sandbox for Isolation {
    fn level(&self) -> SandboxLevel {
        self.mechanism.level()
    }

    async fn run(&self, policy: &Policy, command: &Command) -> Result<Finished, SandboxError> {
        policy.check()?;
        command.check()?;
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| SandboxError::io("make a control channel", error))?;
        let copy = ours
            .try_clone()
            .map_err(|error| SandboxError::io("copy the control channel", error))?;
        let _hang_up = HangUp(copy);
        let (isolation, policy, command) = (self.clone(), policy.clone(), command.clone());
        // bubblewrap dies with the thread that started it. This one lasts as long as the command.
        let run = move || run::to_the_end(&isolation, &policy, &command, ours, theirs);
        tokio::task::spawn_blocking(run)
            .await
            .unwrap_or_else(|error| Err(SandboxError::setup(error.to_string())))
    }

    fn hand_over(&self, tree: &Path) -> Result<(), SandboxError> {
        match self.identity {
            Some(identity) => crate::hand_over::hand_over(tree, identity),
            None => Ok(()),
        }
    }

    fn belongs(&self, directory: &Path) -> Result<bool, SandboxError> {
        let uid = rustix::process::geteuid().as_raw();
        let uid = self.identity.map_or(uid, |identity| identity.uid);
        crate::hand_over::belongs_to(directory, uid)
    }
}
