//! What `timmy telemetry` samples, keeps and captures, with real tmux, a real forge and a planted
//! crontab, and on a machine that has none of these.

use std::fs::Permissions;
use std::mem::MaybeUninit;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::fs::inotify;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;
use timmy_testkit::model_server::ModelServer;
use tokio::process::Command;

use crate::home::Home;
use crate::home::REPO;
use crate::home::Ran;
use crate::home::git;
use crate::home::provider;
use crate::home::ran;
use crate::kill::FOREVER;
use crate::loop_stage::Follower;
use crate::loop_stage::QUICK;
use crate::loop_stage::Stage;

/// A tmux server of the test's own. It ends with the test.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    async fn start(socket: PathBuf, session: &str, command: &str) -> Self {
        let directory = socket.parent().unwrap();
        std::fs::create_dir_all(directory).unwrap();
        // As tmux does it: a socket that others could have put there is left alone.
        std::fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
        let tmux = Self { socket };
        let size = ["-x", "200", "-y", "50"];
        tmux.run(&[&["new-session", "-d", "-s", session], &size[..], &[command]].concat())
            .await;
        tmux.run(&["set-option", "-g", "remain-on-exit", "on"])
            .await;
        tmux
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.command();
        command.args(arguments);
        ran(command).await.well().stdout
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-S"]).arg(&self.socket);
        command.env_remove("TMUX").stdin(Stdio::null());
        command
    }

    /// Waits until a pane shows a text: the program in it says when it is ready.
    async fn shows(&self, channel: &str) {
        self.run(&["wait-for", channel]).await;
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server");
        drop(command.stderr(Stdio::null()).status());
    }
}

/// The settings of telemetry that keep a test to itself: no timers but those that are planted.
fn planted(home: &Home) -> String {
    let none = home.beside("none").display().to_string();
    let (crontab, log) = (home.beside("crontab"), home.beside("cron.log"));
    format!(
        "[telemetry.timers]\ncrontabs = [{:?}]\ncron_logs = [{:?}]\nhermes_homes = [{none:?}]\n",
        crontab.display().to_string(),
        log.display().to_string(),
    )
}

/// Runs a command of the program on a machine without tmux, cron, systemd and GPU, whose user has
/// no tmux server.
async fn bare(home: &Home, arguments: &[&str]) -> Ran {
    let empty = home.beside("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let mut command = home.command(&[arguments, &["--json"]].concat());
    command.env("PATH", &empty).env("TMUX_TMPDIR", &empty);
    command.env("HOME", &empty);
    ran(command).await
}

/// The same on this machine, whose user has no tmux server and no Hermes.
async fn here(home: &Home, arguments: &[&str]) -> Ran {
    let empty = home.beside("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let mut command = home.command(&[arguments, &["--json"]].concat());
    command.env("TMUX_TMPDIR", &empty).env("HOME", &empty);
    ran(command).await
}

/// The sample of one thing.
fn sample<'a>(tick: &'a Value, series: &str, of: &str) -> &'a Value {
    let rows = tick["rows"].as_array().unwrap();
    let found = rows
        .iter()
        .find(|row| row["series"] == json!(series) && row["of"].as_str().unwrap_or_default() == of);
    match found {
        None => &Value::Null,
        Some(row) if row["value"].is_null() => &row["state"],
        Some(row) => &row["value"],
    }
}

/// The changes of a series, as `of: from -> to`.
fn changes(tick: &Value, series: &str) -> Vec<String> {
    let changes = tick["changes"].as_array().unwrap().iter();
    let told = |change: &Value| {
        let word = |name: &str| change[name].as_str().unwrap_or("-").to_owned();
        format!("{}: {} -> {}", word("of"), word("from"), word("to"))
    };
    changes
        .filter(|change| change["series"] == json!(series))
        .map(told)
        .collect()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_look_sees_panes_forge_models_timers_and_what_changed() {
    let home = Home::with_project().await;
    let model = ModelServer::start(Vec::new()).await;
    std::fs::write(home.beside("crontab"), "0 0 1 1 * root backup --all\n").unwrap();
    std::fs::write(
        home.beside("cron.log"),
        "2020-01-01T00:00:01+00:00 night CRON[7]: (root) CMD (backup --all)\n",
    )
    .unwrap();
    home.configure_small(&(provider("generic", &model.base_url()) + &planted(&home)));
    let tmux = Tmux::start(home.root().join("tmux/timmy"), "timmy", "exec sleep 1000").await;
    let pane = "timmy/timmy:0.0";

    let tick = here(&home, &["telemetry", "collect"]).await.well().json();
    for (series, of, expected) in [
        ("tmux.sessions", "", json!(1.0)),
        ("tmux.panes", "", json!(1.0)),
        ("tmux.pane", pane, json!("sleep")),
        ("timer.state", "cron:backup", json!("late")),
        ("forge.state", REPO, json!("answers")),
        ("forge.open_issues", REPO, json!(1.0)),
        ("forge.open_pulls", REPO, json!(0.0)),
        ("forge.commits", REPO, json!(1.0)),
        ("model.server", "scripted", json!("answers")),
        ("model.loaded", "scripted/scripted", json!("loaded")),
    ] {
        assert_eq!(&expected, sample(&tick, series, of), "{series} {tick:#}");
    }
    assert!(sample(&tick, "memory.total_bytes", "").as_f64().unwrap() > 0.0);
    assert_eq!(
        vec![format!("{pane}: - -> sleep")],
        changes(&tick, "tmux.pane")
    );
    assert_eq!(json!([]), tick["unseen"]);

    // The pane dies, the server of models goes, the timer fires; the forge is not asked again.
    tmux.run(&["set-hook", "-g", "pane-died", "wait-for -S died"])
        .await;
    let pid = tmux.run(&["display-message", "-p", "#{pane_pid}"]).await;
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    tmux.shows("died").await;
    drop(model);
    let ran_now = format!(
        "{} night CRON[7]: (root) CMD (backup --all)\n",
        tick["at"].as_str().unwrap()
    );
    std::fs::write(home.beside("cron.log"), ran_now).unwrap();
    let second = here(&home, &["telemetry", "collect"]).await.well().json();
    assert_eq!(
        vec![format!("{pane}: sleep -> dead")],
        changes(&second, "tmux.pane")
    );
    assert_eq!(
        vec!["cron:backup: late -> on_time"],
        changes(&second, "timer.state")
    );
    assert_eq!(
        vec!["scripted: answers -> fails"],
        changes(&second, "model.server")
    );
    // What a server that is away has loaded is not known.
    assert_eq!(Vec::<String>::new(), changes(&second, "model.loaded"));
    assert_eq!(&Value::Null, sample(&second, "forge.state", REPO));
    assert_eq!(Vec::<String>::new(), changes(&second, "forge.state"));

    // The whole server of panes goes.
    tmux.run(&["kill-server"]).await;
    let third = here(&home, &["telemetry", "collect"]).await.well().json();
    assert_eq!(
        vec![format!("{pane}: dead -> -")],
        changes(&third, "tmux.pane")
    );
    let fourth = here(&home, &["telemetry", "collect"]).await.well().json();
    assert_eq!(json!([]), fourth["changes"]);

    // The files hold what was told, and nobody else may read them.
    let directory = home.root().join("telemetry");
    let ticks = [&tick, &second, &third, &fourth];
    for (file, part) in [("metrics.jsonl", "rows"), ("events.jsonl", "changes")] {
        let told: Vec<Value> = ticks
            .iter()
            .flat_map(|tick| tick[part].as_array().unwrap().clone())
            .collect();
        assert_eq!(told, lines(&directory.join(file)));
        let mode = std::fs::metadata(directory.join(file))
            .unwrap()
            .permissions();
        assert_eq!(0o600, mode.mode() & 0o777);
    }
    let shown = home.json(&["telemetry", "show"]).await.well().json();
    assert_eq!(fourth["at"], shown["at"]);
    assert_eq!(json!(1), shown["forge"][REPO]["open_issues"]);
    let people = home.run(&["telemetry", "show"]).await.well().stdout;
    assert!(
        people.contains("cron:backup") && people.contains("on_time"),
        "{people}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_sampled_and_no_error() {
    let home = Home::new();
    home.configure(&planted(&home));
    let tick = bare(&home, &["telemetry", "collect"]).await.well().json();
    assert_eq!(json!([]), tick["unseen"]);
    for row in tick["rows"].as_array().unwrap() {
        let series = row["series"].as_str().unwrap();
        let machine = ["disk.", "memory.", "load."];
        assert!(machine.iter().any(|own| series.starts_with(own)), "{row}");
    }
    let refusal = bare(&home, &["telemetry", "snapshot"]).await.refusal();
    assert_eq!((69, "TIMMY-1023".to_owned()), refusal);
    home.assert_explained("TIMMY-1023").await;
}

#[tokio::test]
async fn a_forge_that_is_away_changes_only_its_own_state() {
    let stage = Stage::new().await;
    let more = planted(&stage.home) + "[telemetry]\nforge_every_s = 0\n";
    stage.configure(&more);
    let collect = async || {
        let ran = here(&stage.home, &["telemetry", "collect"]).await;
        ran.well().json()
    };
    let well = collect().await;
    assert_eq!(&json!(1.0), sample(&well, "forge.open_issues", REPO));
    stage.front.set_down(true);
    let away = collect().await;
    assert_eq!(
        vec![format!("{REPO}: answers -> fails")],
        changes(&away, "forge.state")
    );
    assert_eq!(&Value::Null, sample(&away, "forge.open_issues", REPO));
    assert_eq!(json!(REPO), away["unseen"][0]["what"]);
    stage.front.set_down(false);
    let back = collect().await;
    assert_eq!(
        vec![format!("{REPO}: fails -> answers")],
        changes(&back, "forge.state")
    );
}

#[tokio::test]
async fn panes_of_timmy_are_captured_without_secrets_and_no_others() {
    let home = Home::new();
    home.configure(&planted(&home));
    let secret = "sk-abcdefghijklmnopqrstuvwxyz0123456789";
    let say = format!(
        "printf 'key {secret} \\033[31mred\\033[0m\\n'; tmux -S $SOCKET wait-for -S said; exec sleep 1000"
    );
    let own = home.root().join("tmux/timmy");
    let say = say.replace("$SOCKET", &own.display().to_string());
    let own = Tmux::start(own, "timmy", &say).await;
    own.shows("said").await;
    let other = Tmux::start(home.beside("other"), "private", "exec sleep 1000").await;
    let snapshot = async || here(&home, &["telemetry", "snapshot"]).await.well().json();
    let first = snapshot().await;
    let panes = first["panes"].as_array().unwrap().clone();
    assert_eq!(1, panes.len(), "{first}");
    let file = PathBuf::from(panes[0].as_str().unwrap());
    assert_eq!("timmy-0-0.txt", file.file_name().unwrap());
    assert_eq!(
        "key [redacted] red\n",
        std::fs::read_to_string(&file).unwrap()
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(0o600, mode & 0o777);

    // One that is named is captured too; only the newest is kept.
    let socket = other.socket.display().to_string();
    let more = format!("[telemetry]\nsnapshot_sockets = [{socket:?}]\nsnapshots_keep = 1\n");
    home.configure(&(planted(&home) + &more));
    let second = snapshot().await;
    assert_eq!(2, second["panes"].as_array().unwrap().len(), "{second}");
    assert_eq!(json!([first["directory"]]), second["removed"]);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_torn_line_and_a_broken_last_state_cost_no_more_than_themselves() {
    let home = Home::new();
    home.configure(&planted(&home));
    let directory = home.root().join("telemetry");
    let collect = async || bare(&home, &["telemetry", "collect"]).await.well().json();
    let first = collect().await;
    let metrics = directory.join("metrics.jsonl");
    let mut text = std::fs::read_to_string(&metrics).unwrap();
    text.push_str("{\"at\":\"2026-01-01T00:00:0");
    std::fs::write(&metrics, text).unwrap();
    std::fs::write(directory.join("last_state.json"), "{\"at\": nonsense").unwrap();
    let second = collect().await;
    assert_eq!(
        (json!(0), json!(1)),
        (first["begun_anew"].clone(), second["begun_anew"].clone())
    );
    let text = std::fs::read_to_string(&metrics).unwrap();
    let torn = text
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_err());
    assert_eq!(1, torn.count(), "{text}");
    assert!(directory.join("last_state.unreadable-1.json").exists());
    assert_eq!(json!(1), collect().await["begun_anew"]);
}

#[tokio::test]
async fn collectors_at_the_same_time_write_whole_lines_and_tell_each_change_once() {
    let home = Home::new();
    std::fs::write(home.beside("crontab"), "0 0 * * * root backup\n").unwrap();
    home.configure(&planted(&home));
    let collect = || here(&home, &["telemetry", "collect"]);
    let (one, two, three, four) = tokio::join!(collect(), collect(), collect(), collect());
    let told: usize = [one, two, three, four]
        .into_iter()
        .map(|ran| changes(&ran.well().json(), "timer.state"))
        .filter(|changes| changes.contains(&"cron:backup: - -> unknown".to_owned()))
        .count();
    assert_eq!(1, told);
    let directory = home.root().join("telemetry");
    let of_the_timer = |line: &Value| line["of"] == json!("cron:backup");
    let samples = lines(&directory.join("metrics.jsonl"));
    assert_eq!(4, samples.iter().filter(|line| of_the_timer(line)).count());
    let changed = lines(&directory.join("events.jsonl"));
    assert_eq!(1, changed.iter().filter(|line| of_the_timer(line)).count());
}

#[tokio::test]
async fn a_repository_that_would_take_the_files_in_is_refused() {
    let home = Home::new();
    home.configure(&planted(&home));
    let root = home.root();
    git(&["init", "--quiet", "--template=", &root.to_string_lossy()]).await;
    let refusal = home.json(&["telemetry", "collect"]).await.refusal();
    assert_eq!((78, "TIMMY-1021".to_owned()), refusal);
    home.assert_explained("TIMMY-1021").await;
    std::fs::write(root.join(".gitignore"), "telemetry/\n").unwrap();
    here(&home, &["telemetry", "collect"]).await.well();
}

#[tokio::test]
async fn a_loop_collects_while_it_runs_and_sees_its_own_run() {
    let stage = Stage::new().await;
    let more = planted(&stage.home) + "[telemetry]\nevery_s = 1\n" + QUICK;
    stage.configure(&more);
    stage.worker.set_held(true);
    std::fs::create_dir(stage.home.root().join("telemetry")).unwrap();
    let mut follower = Follower::start(&stage);
    let night = stage.start(&["--until-idle"]);
    stage.worker.reached().await;
    let started = follower.next("run_started").await;
    let run = started["run"].as_str().unwrap().to_owned();
    let events = stage.home.root().join("telemetry/events.jsonl");
    // The next look comes within seconds; whether it came, its file says.
    let held = |change: &Value| {
        let of = change["of"].as_str().unwrap_or_default();
        change["series"] == json!("run.lease") && run.ends_with(of) && change["to"] == json!("held")
    };
    until(&events, held).await;
    stage.worker.set_held(false);
    stage.worker.open(1);
    night.ended().await.well();
    let warned = stage.recorded("warned").await;
    assert!(warned.is_empty(), "{warned:?}");
    let tick = here(&stage.home, &["telemetry", "collect"])
        .await
        .well()
        .json();
    let left = tick["rows"].as_array().unwrap().iter();
    let left: Vec<&Value> = left
        .filter(|row| row["series"].as_str().unwrap().starts_with("run."))
        .collect();
    assert_eq!(Vec::<&Value>::new(), left);
}

#[tokio::test]
async fn a_loop_goes_on_when_it_cannot_collect_and_says_so_once() {
    let stage = Stage::new().await;
    let more = planted(&stage.home) + "[telemetry]\nevery_s = 1\n" + QUICK;
    stage.configure(&more);
    std::fs::write(stage.home.root().join("telemetry"), "in the way").unwrap();
    stage.until_idle().await.well();
    let warned = stage.recorded("warned").await;
    let codes: Vec<&Value> = warned
        .iter()
        .map(|event| &event["problem"]["code"])
        .collect();
    assert_eq!(vec![&json!("TIMMY-1020")], codes);
    assert_eq!(1, stage.pulls().await.len());
}

/// Waits until a file has a line of which something is true. The kernel says when its directory
/// changes.
async fn until(file: &Path, is: impl Fn(&Value) -> bool) {
    let directory = file.parent().unwrap().to_owned();
    let watched = async {
        loop {
            let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
            let changed = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
            inotify::add_watch(&watch, &directory, changed).unwrap();
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let whole = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            if whole.into_iter().any(|line| is(&line)) {
                return;
            }
            let waited = tokio::task::spawn_blocking(move || {
                let mut buffer = [MaybeUninit::uninit(); 4 << 10];
                let mut changes = inotify::Reader::new(&watch, &mut buffer);
                changes.next().map(|_| ()).unwrap();
            });
            waited.await.unwrap();
        }
    };
    let came = tokio::time::timeout(FOREVER, watched).await;
    assert!(came.is_ok(), "{} never has it", file.display());
}
