//! A night with planted faults: `timmy health` finds exactly those, and each is gone when its cause is.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use serde_json::json;
use timmy_core::RunId;
use tokio::process::Command;

use crate::home::REPO;
use crate::home::Ran;
use crate::home::git;
use crate::home::ran;
use crate::kill::all_ended;
use crate::kill::kill;
use crate::loop_stage::QUICK;
use crate::loop_stage::Stage;

/// A fault that can be planted and taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    DeadWorker,
    DriftingModel,
    StuckClaim,
    FullDisk,
    LateTimer,
    ExpiredToken,
}

use Fault::DeadWorker;
use Fault::DriftingModel;
use Fault::ExpiredToken;
use Fault::FullDisk;
use Fault::LateTimer;
use Fault::StuckClaim;

const ALL: [Fault; 6] = [
    DeadWorker,
    DriftingModel,
    StuckClaim,
    FullDisk,
    LateTimer,
    ExpiredToken,
];

/// More than any disk holds.
const EVERYTHING: &str = "keep_free_bytes = 9000000000000000000\n";
const MODEL: &str = "qwen3-coder";
const OTHER_MODEL: &str = "llama4";
const JOB: &str = "/usr/local/bin/backup";
/// An issue that no sprint takes unless it is named.
const CLAIMED: u64 = 2;

/// A home whose night is over.
struct Planted {
    stage: Stage,
}

impl Planted {
    async fn after_a_night() -> Self {
        let stage = Stage::new().await;
        stage
            .forge
            .issue("[EPIC] Claimed by nobody who lives")
            .await;
        let planted = Self { stage };
        planted.make_places();
        planted.configure("");
        let mut night = planted.command(&["loop", "--until-idle", "--json"]);
        night.stdout(Stdio::piped());
        ran(night).await.well();
        planted
    }

    /// A place beside the private root.
    fn beside(&self, name: &str) -> PathBuf {
        self.stage.home.beside(name)
    }

    /// Everything that a fault is planted in, without a fault.
    fn make_places(&self) {
        std::fs::create_dir_all(self.beside("hermes")).unwrap();
        self.write_model(MODEL);
        self.write_login(tomorrow());
        let minute = hours_ago(0).to_zoned(TimeZone::system()).minute();
        // Due 20 minutes ago, every hour.
        let due = (minute + 40) % 60;
        let crontab = format!("{due} * * * * root {JOB}\n");
        std::fs::write(self.beside("crontab"), crontab).unwrap();
        // Nobody knows yet when it last fired, which is not the same as late.
        std::fs::write(self.beside("cron.log"), "").unwrap();
        // No crontab of whoever runs the test, and no timers of this machine.
        std::fs::create_dir_all(self.beside("programs")).unwrap();
        for name in ["crontab", "systemctl"] {
            let path = self.beside("programs").join(name);
            std::fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
            let runs = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, runs).unwrap();
        }
    }

    fn configure(&self, health: &str) {
        let path = |name: &str| format!("{:?}", self.beside(name).display().to_string());
        self.stage.configure(&format!(
            "{QUICK}[health]\n{health}\
             [telemetry.timers]\ncrontabs = [{}]\ncron_logs = [{}]\nhermes_homes = [{}]\n\
             [hermes]\nhome = {}\n\
             [[watchdog.expect]]\nprofile = \"default\"\nmodel = \"{MODEL}\"\n",
            path("crontab"),
            path("cron.log"),
            path("nowhere"),
            path("hermes"),
        ));
    }

    /// The program, in surroundings that hold nothing but what the test put there.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.home.command(arguments);
        let programs = self.beside("programs").display().to_string();
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{programs}:{path}"));
        command.env("HOME", self.beside("nobody"));
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments)).await
    }

    fn write_model(&self, model: &str) {
        let text = format!("model:\n  default: {model}\n  provider: nous\n");
        std::fs::write(self.beside("hermes/config.yaml"), text).unwrap();
    }

    /// A login whose key expires at a time.
    fn write_login(&self, expires: Timestamp) {
        let login = json!({"version": 1, "active_provider": "nous", "providers": {"nous": {
            "portal_base_url": "http://127.0.0.1:1", "client_id": "hermes-cli",
            "token_type": "Bearer", "access_token": "an access token",
            "refresh_token": "a refresh token", "expires_at": expires,
            "agent_key": "a key", "agent_key_expires_at": expires}}});
        let path = self.beside("hermes/auth.json");
        std::fs::write(&path, login.to_string()).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
    }

    /// Cron's own note that the job was last started so long ago.
    fn write_fired(&self, ago: Duration) {
        let at = Timestamp::now().checked_sub(ago).unwrap();
        let at = at.strftime("%Y-%m-%dT%H:%M:%S+00:00");
        let line = format!("{at} night CRON[7]: (root) CMD ({JOB})\n");
        std::fs::write(self.beside("cron.log"), line).unwrap();
    }

    /// Kills a sprint while its model is asked.
    async fn kill_a_worker(&self) {
        self.stage.forge.issue("The state is broken again").await;
        self.stage.worker.set_held(true);
        let mut sprint = self.command(&["sprint"]);
        let sprint = sprint.stdout(Stdio::null()).spawn().unwrap();
        self.stage.worker.reached().await;
        all_ended(kill(sprint).await).await;
        self.stage.worker.set_held(false);
        self.stage.worker.open(1);
    }

    /// A claim as a process of this home left it that was killed long ago, and whose run the log
    /// does not know.
    async fn leave_a_claim(&self) {
        let workers = self.stage.home.root().join("workers");
        let machine = std::fs::read_to_string(workers.join("machine-id")).unwrap();
        let worker = RunId::generate();
        std::fs::write(workers.join(format!("{worker}.lock")), "").unwrap();
        let message = json!({"v": 1, "issue": CLAIMED, "worker_id": worker,
            "machine_id": machine.trim(), "run_id": RunId::generate(), "epoch": 1, "ttl_s": 600,
            "state": "held", "nonce": "planted"});
        let at = hours_ago(2).as_second();
        let path = self.stage.forge.repository();
        let path = path.to_string_lossy();
        let tree = git(&["-C", &path, "hash-object", "-t", "tree", "-w", "/dev/null"]).await;
        let commit = format!(
            "tree {}\nauthor timmy <timmy@timmy.invalid> {at} +0000\n\
             committer timmy <timmy@timmy.invalid> {at} +0000\n\n{message}\n",
            tree.trim()
        );
        let file = self.beside("commit");
        std::fs::write(&file, commit).unwrap();
        let file = file.to_string_lossy();
        let commit = git(&["-C", &path, "hash-object", "-t", "commit", "-w", &file]).await;
        let name = format!("refs/timmy/claims/{CLAIMED}");
        git(&["-C", &path, "update-ref", &name, commit.trim()]).await;
    }

    async fn plant(&self, fault: Fault) {
        match fault {
            DeadWorker => self.kill_a_worker().await,
            DriftingModel => self.write_model(OTHER_MODEL),
            StuckClaim => self.leave_a_claim().await,
            FullDisk => self.configure(EVERYTHING),
            LateTimer => self.write_fired(Duration::from_secs(2 * 3_600)),
            ExpiredToken => self.write_login(hours_ago(1)),
        }
    }

    /// Takes a fault away: by the finding's own command, where that is one of timmy's.
    async fn mend(&self, fault: Fault, finding: &Value) {
        match fault {
            DeadWorker | StuckClaim | DriftingModel => {
                let fix = finding["fix"].as_str().unwrap();
                let words: Vec<&str> = fix.split(' ').skip(1).collect();
                self.run(&words).await.well();
            }
            FullDisk => self.configure(""),
            LateTimer => self.write_fired(Duration::from_secs(60)),
            ExpiredToken => self.write_login(tomorrow()),
        }
    }

    /// What health finds, after the exit code was compared with it.
    async fn findings(&self) -> Vec<Value> {
        let looked = self.run(&["health", "--json"]).await;
        let said = looked.json();
        let findings = said["findings"].as_array().unwrap().clone();
        assert_eq!(i32::from(!findings.is_empty()), looked.code, "{looked:?}");
        assert_eq!(json!(findings.is_empty()), said["healthy"]);
        assert_eq!(json!([]), said["unseen"], "{said}");
        for finding in &findings {
            for part in ["severity", "what", "fix"] {
                assert!(finding[part].is_string(), "{finding}");
            }
            assert!(
                !finding["evidence"].as_array().unwrap().is_empty(),
                "{finding}"
            );
        }
        findings
    }

    /// Asserts that health finds exactly these faults, and gives the finding of one.
    async fn finds(&self, faults: &BTreeSet<Fault>) -> Vec<(Fault, Value)> {
        let findings = self.findings().await;
        let told: Vec<(Fault, Value)> = findings
            .iter()
            .map(|finding| (fault_of(finding), finding.clone()))
            .collect();
        let found: BTreeSet<Fault> = told.iter().map(|(fault, _)| *fault).collect();
        assert_eq!(*faults, found, "{findings:#?}");
        assert_eq!(faults.len(), findings.len(), "{findings:#?}");
        told
    }
}

fn hours_ago(hours: u64) -> Timestamp {
    let ago = Duration::from_secs(hours * 3_600);
    Timestamp::now().checked_sub(ago).unwrap()
}

fn tomorrow() -> Timestamp {
    let day = Duration::from_secs(24 * 3_600);
    Timestamp::now().checked_add(day).unwrap()
}

/// The planted fault that a finding is about, by its code and subject.
fn fault_of(finding: &Value) -> Fault {
    let code = finding["code"].as_str().unwrap();
    let subject = finding["subject"].as_str().unwrap();
    match code {
        "TIMMY-1001" if subject == format!("{REPO}#{CLAIMED}") => StuckClaim,
        "TIMMY-1008" => FullDisk,
        "TIMMY-1009" => DeadWorker,
        "TIMMY-1010" if subject.ends_with(":cron:backup") => LateTimer,
        "TIMMY-1011" if subject.ends_with(":hermes:default") => DriftingModel,
        "TIMMY-1012" if subject.ends_with(":nous") => ExpiredToken,
        _ => panic!("nobody planted that: {finding}"),
    }
}

#[tokio::test]
async fn each_planted_fault_is_found_alone_and_gone_when_it_is_mended() {
    let planted = Planted::after_a_night().await;
    planted.finds(&BTreeSet::new()).await;
    for fault in ALL {
        planted.plant(fault).await;
        let found = planted.finds(&BTreeSet::from([fault])).await;
        planted.mend(fault, &found[0].1).await;
        planted.finds(&BTreeSet::new()).await;
    }
}

#[tokio::test]
async fn all_planted_faults_are_found_together_and_go_one_by_one() {
    let planted = Planted::after_a_night().await;
    let mut there = BTreeSet::new();
    for fault in ALL {
        planted.plant(fault).await;
        there.insert(fault);
    }
    let mut found = planted.finds(&there).await;
    while let Some((fault, finding)) = found.pop() {
        planted.mend(fault, &finding).await;
        there.remove(&fault);
        planted.finds(&there).await;
    }
}

#[tokio::test]
async fn work_waits_beside_a_loop_that_was_killed() {
    let planted = Planted::after_a_night().await;
    for number in ["one", "two"] {
        let title = format!("The state is broken again ({number})");
        planted.stage.forge.issue(&title).await;
    }
    planted.stage.worker.set_held(true);
    let mut night = planted.command(&["loop", "--slots", "1", "--json"]);
    let night = night.stdout(Stdio::null()).stderr(Stdio::null());
    let night = night.spawn().unwrap();
    planted.stage.worker.reached().await;
    all_ended(kill(night).await).await;
    planted.stage.worker.set_held(false);
    planted.stage.worker.open(1);
    planted.configure("idle_s = 0\n");
    let codes = async || {
        let findings = planted.findings().await;
        let codes = findings
            .iter()
            .map(|one| one["code"].as_str().unwrap().to_owned());
        codes.collect::<Vec<_>>()
    };
    // One issue waits for its dead worker first; the other only for somebody to begin.
    assert_eq!(["TIMMY-1003", "TIMMY-1009"].as_slice(), codes().await);
    planted.run(&["pause", "lunch"]).await.well();
    assert_eq!(["TIMMY-1009"].as_slice(), codes().await);
    planted.run(&["resume"]).await.well();
    let first = planted.findings().await.remove(0);
    let fix = first["fix"].as_str().unwrap().replace("timmy ", "") + " --until-idle";
    let words: Vec<&str> = fix.split(' ').collect();
    planted.run(&words).await.well();
    assert_eq!(Vec::<String>::new(), codes().await);
}
