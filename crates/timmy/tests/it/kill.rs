//! kill -9 in the middle of a sprint: the next one carries on or starts clean.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use http::Method;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::pidfd_open;
use serde_json::Value;
use serde_json::json;
use timmy_forge::embedded::Fault;
use timmy_forge::embedded::Gate;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::process::Child;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::mender;
use crate::home::mending;
use crate::home::provider;
use crate::served::NEEDED;
use crate::served::Served;

/// Far longer than anything takes here; whatever is not done by then never will be.
pub(crate) const FOREVER: Duration = Duration::from_secs(120);

/// A home and the forge it works on.
struct Stage {
    home: Home,
    forge: Served,
}

impl Stage {
    async fn new() -> Self {
        let (home, forge) = (Home::new(), Served::start().await);
        forge.let_in(&home, &NEEDED).await;
        Self { home, forge }
    }

    /// Starts a sprint.
    fn sprint(&self, model: &ModelServer, check: &str, more: &str) -> Child {
        let more = provider("generic", &model.base_url()) + more;
        self.forge.configure(&self.home, check, &more);
        let mut command = self.home.command(&["sprint"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    }

    /// Holds the next such request back.
    fn hold(&self, path: &str) -> Gate {
        let gate = Gate::new();
        let held = Fault::Held(gate.clone());
        self.forge.faults.plan(Method::POST, path, held);
        gate
    }

    /// The next sprint; afterwards there is one pull request, and nothing of the dead run.
    async fn next_sprint(&self) {
        let model = mender().await;
        let more = provider("generic", &model.base_url());
        self.forge.configure(&self.home, CHECK, &more);
        self.home.json(&["sprint"]).await.well();
        let pulls = self.forge.pulls().await;
        assert_eq!(1, pulls.len(), "{pulls:?}");
        assert!(
            pulls[0].body.contains("**The check passed**"),
            "{}",
            pulls[0].body
        );
        assert_eq!(Vec::<PathBuf>::new(), self.home.run_directories());
        let refs = self.forge.refs().await;
        assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
        let issue = self.home.json(&["explain", "#1"]).await.well().json();
        let open = issue["answers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|answer| answer["passed"] == json!(false));
        assert_eq!(json!("pull request"), open.unwrap()["rule"], "{issue}");
    }

    /// How the runs ended, oldest first.
    async fn outcomes(&self) -> Vec<String> {
        let runs = self.home.json(&["runs"]).await.well().json();
        let outcome = |run: &Value| {
            run["outcome"]["outcome"]
                .as_str()
                .unwrap_or("none")
                .to_owned()
        };
        runs.as_array().unwrap().iter().rev().map(outcome).collect()
    }
}

/// Waits until an event of this kind is in a home's log, as `timmy events --follow` prints it.
pub(crate) async fn until(home: &Home, kind: &str) {
    let mut command = home.command(&["events", "--follow", "--json"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["type"] == json!(kind) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(FOREVER, found).await;
    assert!(found.is_ok(), "no {kind}");
    follower.kill().await.unwrap();
}

/// SIGKILL for the program alone, as the kernel does it when memory is short. Gives what it had
/// started, to be waited for.
pub(crate) async fn kill(mut sprint: Child) -> Vec<OwnedFd> {
    let descendants = descendants(sprint.id().unwrap());
    assert_eq!(None, sprint.try_wait().unwrap(), "it ended too early");
    sprint.kill().await.unwrap();
    descendants
}

/// Waits until every one of these processes has ended.
pub(crate) async fn all_ended(processes: Vec<OwnedFd>) {
    let forever = Timespec::try_from(FOREVER).unwrap();
    let wait = move || {
        for process in processes {
            // The descriptor of a process becomes readable when it ends.
            let mut one = [PollFd::new(&process, PollFlags::IN)];
            assert_eq!(
                1,
                poll(&mut one, Some(&forever)).unwrap(),
                "a process survived"
            );
        }
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

/// Everything below a process, found by following parents through /proc.
fn descendants(ancestor: u32) -> Vec<OwnedFd> {
    let ids = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    let mut found = vec![ancestor];
    let mut at = 0;
    while let Some(next) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == next)
                .map(|(id, _)| *id),
        );
        at += 1;
    }
    let open = |id: &u32| {
        let id = Pid::from_raw(i32::try_from(*id).ok()?)?;
        pidfd_open(id, PidfdFlags::empty()).ok()
    };
    found.iter().skip(1).filter_map(open).collect()
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name in parentheses, which may hold anything, come the state and the parent.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// A named pipe that commands in the sandbox may read. Who opens it for writing waits for one that
/// reads, and who reads waits for as long as it is open: the two meet without a clock.
struct Meeting {
    pipe: PathBuf,
}

impl Meeting {
    fn new(home: &Home) -> Self {
        let directory = home.beside("meeting");
        std::fs::create_dir(&directory).unwrap();
        let pipe = directory.join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        Self { pipe }
    }

    fn settings(&self) -> String {
        let directory = self.pipe.parent().unwrap().display();
        format!("[sandbox]\nread_only = [\"{directory}\"]\n")
    }

    fn command(&self) -> String {
        format!("read line < {}", self.pipe.display())
    }

    /// Waits for the command, and lets it wait until the file is dropped.
    async fn met(&self) -> File {
        let pipe = self.pipe.clone();
        let opened = tokio::task::spawn_blocking(move || File::options().write(true).open(pipe));
        opened.await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn while_the_claim_is_pushed() {
    let stage = Stage::new().await;
    let model = mender().await;
    let gate = stage.hold("git-receive-pack");
    let sprint = stage.sprint(&model, CHECK, "");
    gate.reached().await;
    let started = kill(sprint).await;
    // What was on its way arrives after all.
    gate.open();
    all_ended(started).await;
    stage.next_sprint().await;
    assert_eq!(vec!["pull_request"], stage.outcomes().await);
}

#[tokio::test]
async fn while_the_model_is_asked() {
    let stage = Stage::new().await;
    let [_, (tool, arguments), _] = mending();
    let silent = Turn::say("never said").gated();
    let model = ModelServer::start(vec![Turn::call(tool, arguments), silent]).await;
    let sprint = stage.sprint(&model, CHECK, "");
    until(&stage.home, "tool_finished").await;
    all_ended(kill(sprint).await).await;
    stage.next_sprint().await;
    assert_eq!(vec!["abandoned", "pull_request"], stage.outcomes().await);
}

#[tokio::test]
async fn while_a_command_runs() {
    let stage = Stage::new().await;
    let meeting = Meeting::new(&stage.home);
    let call = Turn::call("run_command", json!({"command": meeting.command()}));
    let model = ModelServer::start(vec![call]).await;
    let sprint = stage.sprint(&model, CHECK, &meeting.settings());
    let _open = meeting.met().await;
    let started = kill(sprint).await;
    assert!(!started.is_empty());
    all_ended(started).await;
    stage.next_sprint().await;
    assert_eq!(vec!["abandoned", "pull_request"], stage.outcomes().await);
}

#[tokio::test]
async fn while_the_check_runs() {
    let stage = Stage::new().await;
    let meeting = Meeting::new(&stage.home);
    let model = mender().await;
    let sprint = stage.sprint(&model, &meeting.command(), &meeting.settings());
    let _open = meeting.met().await;
    let started = kill(sprint).await;
    assert!(!started.is_empty());
    all_ended(started).await;
    stage.next_sprint().await;
    // The agent's work was taken over: only the check is done again.
    assert_eq!(vec!["pull_request"], stage.outcomes().await);
}

#[tokio::test]
async fn while_the_branch_is_pushed() {
    let stage = Stage::new().await;
    let meeting = Meeting::new(&stage.home);
    let model = mender().await;
    let check = format!("{}; {CHECK}", meeting.command());
    let sprint = stage.sprint(&model, &check, &meeting.settings());
    let open = meeting.met().await;
    let gate = stage.hold("git-receive-pack");
    drop(open);
    gate.reached().await;
    let started = kill(sprint).await;
    gate.open();
    all_ended(started).await;
    stage.next_sprint().await;
    // The branch is there although nobody could say so: it is the dead run's, and is offered.
    assert_eq!(vec!["pull_request"], stage.outcomes().await);
    let refs = stage.forge.refs().await;
    assert!(
        refs.contains(&"refs/heads/timmy/1-1".to_owned()),
        "{refs:?}"
    );
    assert!(
        !refs.contains(&"refs/heads/timmy/1-2".to_owned()),
        "{refs:?}"
    );
}

#[tokio::test]
async fn between_the_push_and_the_pull_request() {
    let stage = Stage::new().await;
    let model = mender().await;
    let gate = stage.hold("/pulls");
    let sprint = stage.sprint(&model, CHECK, "");
    gate.reached().await;
    all_ended(kill(sprint).await).await;
    stage.next_sprint().await;
    // The next sprint opened what the dead run had pushed, and found nothing else to do.
    assert_eq!(vec!["pull_request"], stage.outcomes().await);
}

#[tokio::test]
async fn while_the_pull_request_is_opened() {
    let stage = Stage::new().await;
    let model = mender().await;
    let gate = stage.hold("/pulls");
    let sprint = stage.sprint(&model, CHECK, "");
    gate.reached().await;
    all_ended(kill(sprint).await).await;
    gate.open();
    // The forge opens it although nobody waits for its answer.
    let opened = async { while stage.forge.pulls().await.is_empty() {} };
    assert!(tokio::time::timeout(FOREVER, opened).await.is_ok());
    stage.next_sprint().await;
    assert_eq!(vec!["pull_request"], stage.outcomes().await);
    let events = stage.home.events().await;
    let opened = events
        .iter()
        .find(|event| event["type"] == json!("pull_request_opened"));
    assert_eq!(json!(true), opened.unwrap()["adopted"]);
}

#[tokio::test]
async fn right_after_the_pull_request() {
    let stage = Stage::new().await;
    let model = mender().await;
    let gate = stage.hold("/comments");
    let sprint = stage.sprint(&model, CHECK, "");
    gate.reached().await;
    all_ended(kill(sprint).await).await;
    stage.next_sprint().await;
    assert_eq!(vec!["pull_request"], stage.outcomes().await);
}
