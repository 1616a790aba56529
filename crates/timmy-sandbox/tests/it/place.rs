//! A throw-away host to attack: a home with secrets, a workspace, somebody who runs commands.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use timmy_sandbox::End;
use timmy_sandbox::SandboxLevel;

/// The test program of this crate, where everybody can reach it: the build directory may lie in a
/// private home.
pub(crate) static HELPER: LazyLock<String> = LazyLock::new(|| {
    let built = Path::new(env!("CARGO_BIN_EXE_timmy-sandbox-helper"));
    if !is_root()
        || as_agent(built)
            .arg("survey")
            .arg("{}")
            .output()
            .unwrap()
            .status
            .success()
    {
        return built.display().to_string();
    }
    let shared = std::env::temp_dir().join("timmy-sandbox-helper-for-tests");
    let fresh = shared.with_extension(std::process::id().to_string());
    fs::copy(built, &fresh).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(fresh, &shared).unwrap();
    shared.display().to_string()
});
pub(crate) const AGENT: &str = "timmy-agent";

/// Stands in every secret that a command must not find.
pub(crate) const SECRET: &str = "canary-4f1d2c";

/// Who starts the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever runs the tests.
    Own,
    /// An ordinary user, when the tests run as root.
    Agent,
}

#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) truncated: bool,
    pub(crate) milliseconds: u64,
    pub(crate) level: SandboxLevel,
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect_success(&self) -> &Self {
        assert_eq!(End::Exited(0), self.end, "{self:?}");
        self
    }
}

pub(crate) struct Place {
    pub(crate) level: SandboxLevel,
    pub(crate) caller: Caller,
    pub(crate) home: PathBuf,
    pub(crate) workspace: PathBuf,
    base: TempDir,
}

static OFFERED: LazyLock<Vec<(SandboxLevel, Caller)>> = LazyLock::new(|| {
    let mut callers = vec![Caller::Own];
    if is_root() {
        callers.push(Caller::Agent);
    }
    let mut offered = Vec::new();
    for caller in callers {
        for report in survey(caller) {
            let level: SandboxLevel = serde_json::from_value(report["level"].clone()).unwrap();
            let isolating = matches!(level, SandboxLevel::L3 | SandboxLevel::L2);
            if isolating && report["usable"] == true {
                offered.push((level, caller));
            }
        }
    }
    offered
});

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn survey(caller: Caller) -> Vec<Value> {
    let output = helper(caller).args(["survey", "{}"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The test program of this crate, started as `caller`.
pub(crate) fn helper(caller: Caller) -> Command {
    match caller {
        Caller::Own => Command::new(HELPER.as_str()),
        Caller::Agent => as_agent(Path::new(HELPER.as_str())),
    }
}

fn as_agent(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", AGENT, "--regid", AGENT, "--clear-groups", "--"])
        .arg(program);
    command
}

/// A place at every level and for every caller that this machine offers.
#[track_caller]
pub(crate) fn everywhere() -> Vec<Place> {
    assert!(
        !OFFERED.is_empty(),
        "this machine offers no isolation at all: nothing is tested"
    );
    OFFERED
        .iter()
        .map(|(level, caller)| Place::new(*level, *caller))
        .collect()
}

pub(crate) fn at_level(level: SandboxLevel) -> Vec<Place> {
    everywhere()
        .into_iter()
        .filter(|place| place.level == level)
        .collect()
}

impl Place {
    pub(crate) fn new(level: SandboxLevel, caller: Caller) -> Self {
        let base = TempDir::with_prefix("timmy-place-").unwrap();
        let home = base.path().join("home");
        let workspace = base.path().join("work/one");
        for directory in [
            home.join(".ssh"),
            home.join(".config/timmy"),
            workspace.clone(),
        ] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::create_dir_all(base.path().join("work/sibling")).unwrap();
        for file in [
            "home/.ssh/id",
            "home/.config/timmy/token",
            "home/.bashrc",
            "work/sibling/f",
        ] {
            fs::write(base.path().join(file), SECRET).unwrap();
        }
        let place = Self {
            level,
            caller,
            home,
            workspace,
            base,
        };
        place.open_to_everybody();
        place
    }

    /// Permissions protect nothing here: the sandbox has to.
    fn open_to_everybody(&self) {
        let status = Command::new("chmod")
            .args(["-R", "a+rwX"])
            .arg(self.base.path())
            .status();
        assert!(status.unwrap().success());
        if self.caller == Caller::Agent {
            let chown = Command::new("chown")
                .args(["-R", AGENT])
                .arg(self.base.path())
                .status();
            assert!(chown.unwrap().success());
        }
    }

    pub(crate) fn base(&self) -> &Path {
        self.base.path()
    }

    pub(crate) fn job(&self, script: &str) -> Job {
        Job::new(self, &["sh", "-c", script])
    }

    /// Runs a script and tells how it ended.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> Ended {
        self.job(script).run()
    }

    /// Runs one of the attempts that a script cannot make.
    #[track_caller]
    pub(crate) fn attempt(&self, words: &[&str]) -> Ended {
        let mut argv = vec![HELPER.as_str(), "attempt"];
        argv.extend(words);
        Job::new(self, &argv).run()
    }

    #[track_caller]
    pub(crate) fn expect_untouched(&self) {
        for file in [
            "home/.ssh/id",
            "home/.config/timmy/token",
            "home/.bashrc",
            "work/sibling/f",
        ] {
            let now = fs::read_to_string(self.base().join(file)).unwrap();
            assert_eq!(
                SECRET, now,
                "{file} at {:?} by {:?}",
                self.level, self.caller
            );
        }
        for directory in ["home", "work/sibling"] {
            let count = fs::read_dir(self.base().join(directory)).unwrap().count();
            let expected = if directory == "home" { 3 } else { 1 };
            assert_eq!(expected, count, "something was planted in {directory}");
        }
    }

    pub(crate) fn write_workspace(&self, name: &str, contents: &str) {
        let path = self.workspace.join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
}

/// A command to run in a place.
pub(crate) struct Job {
    caller: Caller,
    pub(crate) value: Value,
    pub(crate) environment: Vec<(String, String)>,
}

impl Job {
    pub(crate) fn new(place: &Place, argv: &[&str]) -> Self {
        let value = json!({
            "settings": { "level": place.level },
            "unsandboxed": false,
            "policy": {
                "workspace": place.workspace,
                "read_only": [HELPER.as_str()],
            },
            "argv": argv,
            "directory": "",
            "input": "",
            "hand_over": true,
        });
        Self {
            caller: place.caller,
            value,
            environment: Vec::new(),
        }
    }

    /// Sets one limit; the others keep their defaults.
    pub(crate) fn limit(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.value["policy"]["limits"][name] = value.into();
        self
    }

    pub(crate) fn wall_s(self, seconds: u64) -> Self {
        self.limit("wall_s", json!(seconds))
    }

    pub(crate) fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.value[field] = value.into();
        self
    }

    pub(crate) fn start(&self) -> Child {
        let mut child = helper(self.caller)
            .arg("run")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let job = self.value.to_string();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(job.as_bytes())
            .unwrap();
        child
    }

    pub(crate) fn output(&self) -> Output {
        self.start().wait_with_output().unwrap()
    }

    #[track_caller]
    pub(crate) fn run(&self) -> Ended {
        let output = self.output();
        assert!(
            output.status.success(),
            "{} {}",
            String::from_utf8_lossy(&output.stderr),
            self.value
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
