//! Live views: `timmy watch`, and panes of a real tmux.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::process::Child;
use tokio::process::ChildStdout;
use tokio::process::Command;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::mending;
use crate::home::provider;
use crate::postgres::Database;
use crate::postgres::log_at;
use crate::served::NEEDED;
use crate::served::Served;

/// Far longer than anything takes here; whatever is not done by then never will be.
const FOREVER: Duration = Duration::from_secs(120);

/// A process whose lines are read as they come.
pub(crate) struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on up to a line that is wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ended without {what}"));
                if wanted(&line) {
                    return line;
                }
            }
        };
        let found = tokio::time::timeout(FOREVER, found).await;
        found.unwrap_or_else(|_| panic!("no {what}"))
    }

    pub(crate) async fn until_says(&mut self, what: &str) -> String {
        self.until(what, |line| line.contains(what)).await
    }

    pub(crate) async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A model whose second turn waits until it is let go.
async fn gated() -> ModelServer {
    let [look, write, finish] = mending().map(|(tool, arguments)| Turn::call(tool, arguments));
    ModelServer::start(vec![look, write.gated(), finish]).await
}

fn configure(home: &Home, model: &ModelServer) {
    home.configure_small(&provider("generic", &model.base_url()));
}

/// Waits until the model was asked for its gated turn: the first tool has answered.
async fn until_working(home: &Home) {
    let mut events = Follower::start(home.command(&["events", "--follow", "--json"]));
    events.until_says("\"tool_finished\"").await;
    events.end().await;
}

async fn well(child: Child) {
    let output = tokio::time::timeout(FOREVER, child.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_view_follows_the_run_in_its_slot_and_goes_on_to_the_next() {
    let home = Home::with_project().await;
    let nothing = home.json(&["watch", "--once"]).await.well().json();
    assert_eq!(json!({"running": []}), nothing);
    let model = gated().await;
    configure(&home, &model);
    // One view is there before anything runs, one comes when the run is half done.
    let mut early = Follower::start(home.command(&["watch", "1"]));
    let sprint = home
        .command(&["sprint"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until_working(&home).await;
    early
        .until_says("── timmy/small#1 The state is broken")
        .await;
    early.until_says("> run_command").await;
    let mut late = Follower::start(home.command(&["watch", "1"]));
    late.until_says("── timmy/small#1 The state is broken")
        .await;
    late.until_says("> run_command").await;

    let picture = home.json(&["watch", "--once"]).await.well().json();
    let running = picture["running"].as_array().unwrap();
    assert_eq!(1, running.len(), "{picture}");
    for (name, value) in [
        ("slot", json!(1)),
        ("issue", json!("timmy/small#1")),
        ("title", json!("The state is broken")),
        ("phase", json!("working")),
        ("step", json!(1)),
    ] {
        assert_eq!(value, running[0][name], "{picture}");
    }
    let told = home.run(&["watch", "--once"]).await.well().stdout;
    assert!(told.contains("timmy/small#1"), "{told}");
    let free = home.run(&["watch", "2", "--once"]).await.well();
    assert_eq!(
        ("", "slot 2 is free\n"),
        (free.stdout.as_str(), free.stderr.as_str())
    );

    model.release();
    well(sprint).await;
    for view in [&mut early, &mut late] {
        view.until_says("ended: pull request").await;
    }
    assert_eq!(
        json!({"running": []}),
        home.json(&["watch", "--once"]).await.well().json()
    );

    // The slot is free again, and the next run takes it.
    home.issue("Another one", "").await;
    let model = gated().await;
    model.release();
    configure(&home, &model);
    home.json(&["sprint"]).await.well();
    // The number between was the pull request's.
    early.until_says("── timmy/small#3 Another one").await;
    early.until_says("ended: pull request").await;
    early.end().await;
    late.end().await;
}

#[tokio::test]
async fn the_picture_is_drawn_again_when_something_happens() {
    let home = Home::with_project().await;
    let model = gated().await;
    configure(&home, &model);
    let mut view = Follower::start(home.command(&["watch", "--json"]));
    view.until_says("{\"running\":[]}").await;
    let sprint = home
        .command(&["sprint"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    view.until_says("\"phase\":\"working\"").await;
    model.release();
    view.until_says("{\"running\":[]}").await;
    well(sprint).await;
    view.end().await;
}

#[tokio::test]
async fn a_view_shows_what_runs_on_other_hosts() {
    let (forge, database) = (Served::start().await, Database::create().await);
    let model = gated().await;
    let host = async || {
        let home = Home::new();
        forge.let_in(&home, &NEEDED).await;
        let more = provider("generic", &model.base_url()) + &log_at(&home, &database.url());
        forge.configure(&home, CHECK, &more);
        home
    };
    let (worker, watcher) = (host().await, host().await);
    let mut view = Follower::start(watcher.command(&["watch", "1"]));
    let mut command = worker.command(&["sprint"]);
    let sprint = command.stdout(Stdio::null()).spawn().unwrap();
    until_working(&watcher).await;
    view.until_says("── timmy/small#1 The state is broken")
        .await;
    let picture = watcher.json(&["watch", "--once"]).await.well().json();
    assert_eq!(
        json!("working"),
        picture["running"][0]["phase"],
        "{picture}"
    );
    model.release();
    view.until_says("ended: pull request").await;
    well(sprint).await;
    view.end().await;
}

/// The tmux of a home.
pub(crate) struct Panes {
    pub(crate) socket: PathBuf,
}

impl Panes {
    fn of(home: &Home, name: &str) -> Self {
        let socket = home.root().join("tmux").join(name);
        Self { socket }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(arguments);
        command.env_remove("TMUX").kill_on_drop(true);
        command
    }

    pub(crate) async fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn is_gone(&self) -> bool {
        let asked = self.command(&["has-session"]).output().await.unwrap();
        !asked.status.success()
    }

    async fn list(&self, what: &str) -> Vec<String> {
        let listed = self.tmux(&["list-panes", "-s", "-F", what]).await;
        listed.lines().map(str::to_owned).collect()
    }

    /// Waits until a pane shows a text. tmux itself says when a pane's picture changes.
    async fn until_shown(&self, pane: &str, text: &str) {
        let mut client = self.command(&["-C", "attach", "-f", "read-only"]);
        // A control client whose input ends is gone.
        client.stdin(Stdio::piped());
        let mut changes = Follower::start(client);
        let shown = async {
            loop {
                let screen = self.tmux(&["capture-pane", "-p", "-J", "-t", pane]).await;
                if screen.contains(text) {
                    return;
                }
                changes
                    .until("%output", |line| line.starts_with("%output"))
                    .await;
            }
        };
        let in_time = tokio::time::timeout(FOREVER, shown).await;
        assert!(in_time.is_ok(), "no {text} in {pane}");
        changes.end().await;
    }
}

impl Drop for Panes {
    fn drop(&mut self) {
        // Servers end with their test, also with one that fails.
        let mut command = std::process::Command::new("tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server");
        drop(command.stderr(Stdio::null()).status());
    }
}

/// A loop with panes, at work on its only issue.
async fn night_with_panes(home: &Home, arguments: &[&str]) -> (Child, ModelServer) {
    let model = gated().await;
    configure(home, &model);
    let mut command = home.command(&[&["loop", "--until-idle", "--tmux", "2"], arguments].concat());
    let night = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until_working(home).await;
    (night, model)
}

#[tokio::test]
async fn panes_show_the_night_and_are_no_part_of_it() {
    let home = Home::with_project().await;
    let (night, model) = night_with_panes(&home, &[]).await;
    let panes = Panes::of(&home, "timmy");
    assert_eq!(vec!["slot 1", "slot 2"], panes.list("#{pane_title}").await);
    let ids = panes.list("#{pane_id}").await;
    panes.until_shown(&ids[0], "timmy/small#1").await;
    panes.until_shown(&ids[1], "slot 2 is free").await;

    // What a person kills stays killed, and the run does not notice.
    panes.tmux(&["kill-pane", "-t", &ids[0]]).await;
    assert_eq!(1, panes.list("#{pane_id}").await.len());
    model.release();
    let output = tokio::time::timeout(FOREVER, night.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let attach = format!("to watch: tmux -S {} attach", panes.socket.display());
    assert!(told.contains(&attach), "{told}");
    assert!(panes.is_gone().await);
    assert!(!panes.socket.exists());
    assert_eq!(1, home.pulls().await.len());
    home.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_night_outlives_its_tmux() {
    let home = Home::with_project().await;
    let (night, model) = night_with_panes(&home, &[]).await;
    let panes = Panes::of(&home, "timmy");
    panes.tmux(&["kill-server"]).await;
    model.release();
    well(night).await;
    assert_eq!(1, home.pulls().await.len());
}

#[tokio::test]
async fn panes_stay_when_that_is_wanted_and_others_are_opened_beside_them() {
    let home = Home::with_project().await;
    let (night, model) = night_with_panes(&home, &["--keep-panes"]).await;
    model.release();
    well(night).await;
    let first = Panes::of(&home, "timmy");
    let ids = first.list("#{pane_id}").await;
    first.until_shown(&ids[0], "loop ended").await;
    let opened = home.json(&["panes", "3"]).await.well().json();
    assert_eq!(json!("timmy-2"), opened["session"]);
    let second = Panes::of(&home, "timmy-2");
    assert_eq!(
        vec!["slot 1", "slot 2", "slot 3"],
        second.list("#{pane_title}").await
    );
    // A server of each: ending one leaves the other.
    first.tmux(&["kill-server"]).await;
    assert!(!second.is_gone().await);
    second.tmux(&["kill-server"]).await;
}

#[tokio::test]
async fn a_terminated_loop_takes_its_panes_along() {
    let home = Home::with_project().await;
    let (night, _model) = night_with_panes(&home, &[]).await;
    let pid = Pid::from_raw(i32::try_from(night.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    well(night).await;
    assert!(Panes::of(&home, "timmy").is_gone().await);
    home.assert_nothing_is_left().await;
}

#[tokio::test]
async fn no_secret_is_an_argument_of_a_pane() {
    let home = Home::new();
    home.configure_small("");
    let mut command = home.command(&["panes", "1", "--json"]);
    command.env("TIMMY__FORGE__TOKEN", "{ env = \"FORGE_TOKEN\" }");
    command.env("FORGE_TOKEN", "hunter2hunter2");
    crate::home::ran(command).await.well();
    let panes = Panes::of(&home, "timmy");
    let pids = panes.list("#{pane_pid}").await;
    let mut seen = 0;
    for pid in pids.iter().chain([&server(&panes).await]) {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!line.is_empty());
        assert!(!String::from_utf8_lossy(&line).contains("hunter2"));
        seen += 1;
    }
    assert_eq!(2, seen);
    panes.tmux(&["kill-server"]).await;
}

async fn server(panes: &Panes) -> String {
    let pid = panes.tmux(&["display-message", "-p", "#{pid}"]).await;
    pid.trim().to_owned()
}

#[tokio::test]
async fn without_tmux_nothing_begins() {
    let home = Home::with_project().await;
    let model = gated().await;
    configure(&home, &model);
    for arguments in [
        ["loop", "--tmux", "2", "--json"].as_slice(),
        &["panes", "--json"],
    ] {
        let mut command = home.command(arguments);
        command.env("PATH", home.beside("nowhere"));
        let refusal = crate::home::ran(command).await.refusal();
        assert_eq!((69, "TIMMY-0118".to_owned()), refusal);
    }
    home.assert_explained("TIMMY-0118").await;
    let events: Vec<Value> = home.events().await;
    let begun = |event: &&Value| event["type"] == json!("loop_started");
    assert_eq!(0, events.iter().filter(begun).count());
    assert_eq!(0, model.chats().len());
}

#[tokio::test]
async fn a_private_root_too_long_for_a_socket_is_refused() {
    let home = Home::new();
    let root = home.beside(&"long".repeat(30));
    let mut command = home.command(&["panes", "--json"]);
    command.env("TIMMY_HOME", &root);
    let refusal = crate::home::ran(command).await.refusal();
    assert_eq!((69, "TIMMY-0119".to_owned()), refusal);
}
