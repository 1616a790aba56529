//! `timmy top` in a real terminal: that of a tmux pane.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustix::process::pidfd_open;
use serde_json::json;

use crate::home::Home;
use crate::home::TIMMY;
use crate::home::ran;
use crate::kill::FOREVER;
use crate::loop_stage::Follower;
use crate::loop_stage::Stage;
use crate::watch::Panes;

const PANE: &str = "top";
/// Between two looks at a pane.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A shell in a pane that becomes the view, and says afterwards what it left of the terminal.
async fn open(home: &Home) -> Panes {
    let socket = home.beside("top.sock");
    let after =
        "echo left with $?; stty -a | tr ' ;' '\\n\\n' | grep -x -e icanon -e -icanon; exec cat";
    let script = format!("{TIMMY} top; {after}");
    let place = socket.to_string_lossy().into_owned();
    let program = [
        "tmux",
        "-u",
        "-S",
        &place,
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-s",
        PANE,
        "-x",
        "100",
        "-y",
        "30",
        "sh",
        "-c",
        &script,
    ];
    let program: Vec<String> = program.iter().map(|one| (*one).to_owned()).collect();
    let mut command = home.command_under(&program, &[]);
    command
        .env("LANG", "C.UTF-8")
        .env_remove("LC_ALL")
        .env_remove("TMUX");
    ran(command).await.well();
    Panes { socket }
}

async fn press(panes: &Panes, keys: &[&str]) {
    let command = [&["send-keys", "-t", PANE], keys].concat();
    panes.tmux(&command).await;
}

/// Waits until the pane shows a text. A client that told of changes would change its size.
async fn shown(panes: &Panes, text: &str) {
    let mut screen = String::new();
    let waiting = async {
        loop {
            screen = panes.tmux(&["capture-pane", "-p", "-t", PANE]).await;
            if screen.contains(text) {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    let in_time = tokio::time::timeout(FOREVER, waiting).await;
    assert!(in_time.is_ok(), "no {text} in:\n{screen}");
}

/// The terminal is as it was.
async fn left(panes: &Panes) {
    shown(panes, "left with 0").await;
    shown(panes, "icanon").await;
    let screen = panes.tmux(&["capture-pane", "-p", "-t", PANE]).await;
    assert!(!screen.contains("-icanon"), "{screen}");
    let other = panes.tmux(&["display-message", "-p", "-t", PANE, "#{alternate_on}"]);
    assert_eq!("0", other.await.trim());
}

/// The process of the view.
async fn process(panes: &Panes) -> Pid {
    let shell = panes
        .tmux(&["display-message", "-p", "-t", PANE, "#{pane_pid}"])
        .await;
    let shell = shell.trim();
    let children = format!("/proc/{shell}/task/{shell}/children");
    let children = std::fs::read_to_string(children).unwrap();
    Pid::from_raw(children.trim().parse().unwrap()).unwrap()
}

/// Waits until a process is gone.
async fn ended(process: Pid) {
    let handle = pidfd_open(process, PidfdFlags::empty()).unwrap();
    let waiting = tokio::task::spawn_blocking(move || {
        let limit = Timespec::try_from(FOREVER).unwrap();
        let mut watched = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
        poll(&mut watched, Some(&limit)).unwrap()
    });
    assert_eq!(1, waiting.await.unwrap(), "it does not end");
}

#[tokio::test]
async fn a_person_looks_stops_and_pauses_from_the_view() {
    let stage = Stage::new().await;
    stage.worker.set_held(true);
    let night = stage.start(&[]);
    let mut log = Follower::start(&stage);
    stage.worker.reached().await;
    let panes = open(&stage.home).await;
    shown(&panes, "timmy/small#1").await;
    shown(&panes, "working  1 run, 1 loop").await;
    press(&panes, &["Enter"]).await;
    shown(&panes, "claimed as").await;
    shown(&panes, "follows").await;
    press(&panes, &["Escape"]).await;
    shown(&panes, "Providers").await;

    press(&panes, &["s"]).await;
    shown(&panes, "Stop run").await;
    press(&panes, &["y"]).await;
    let ended = log.next("run_ended").await;
    assert_eq!(json!("a person asked for it"), ended["outcome"]["reason"]);
    shown(&panes, "stopped by a person").await;
    shown(&panes, "idle  0 runs").await;

    press(&panes, &["p"]).await;
    shown(&panes, "Pause every host").await;
    press(&panes, &["y"]).await;
    shown(&panes, "Why?").await;
    press(&panes, &["-l", "the power is cut"]).await;
    press(&panes, &["Enter"]).await;
    shown(&panes, "ago: the power is cut").await;
    log.next_that("dispatch_paused", |event| event["scope"] == json!("fleet"))
        .await;
    stage.forge.issue("Another one").await;
    let seen = stage.front.count("/issues?state=open");
    stage.front.until("/issues?state=open", seen + 2).await;
    assert_eq!(1, stage.count("run_started").await);

    stage.worker.set_held(false);
    press(&panes, &["p"]).await;
    shown(&panes, "Let the fleet go on?").await;
    press(&panes, &["y"]).await;
    log.next("run_started").await;
    log.next("run_ended").await;
    log.next("run_ended").await;

    panes
        .tmux(&["resize-window", "-t", PANE, "-x", "40", "-y", "12"])
        .await;
    shown(&panes, "arrows select  Enter log  s stop  p pau…").await;
    press(&panes, &["q"]).await;
    left(&panes).await;
    night.interrupted().await;
    assert_eq!(2, stage.pulls().await.len());
    stage.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_terminated_view_gives_the_terminal_back() {
    let home = Home::new();
    let panes = open(&home).await;
    shown(&panes, "nothing runs").await;
    kill_process(process(&panes).await, Signal::TERM).unwrap();
    left(&panes).await;
}

#[tokio::test]
async fn a_view_ends_with_its_terminal() {
    let home = Home::new();
    let panes = open(&home).await;
    shown(&panes, "nothing runs").await;
    let process = process(&panes).await;
    panes.tmux(&["kill-server"]).await;
    ended(process).await;
}

#[tokio::test]
async fn a_view_without_its_database_says_so_and_returns_with_it() {
    let home = Home::new();
    // A directory where the database should be.
    let database = home.root().join("timmy.db");
    std::fs::create_dir(&database).unwrap();
    let panes = open(&home).await;
    shown(&panes, "NO DATABASE").await;
    shown(&panes, "trying again").await;
    press(&panes, &["p"]).await;
    shown(&panes, "the log was not read yet").await;
    std::fs::remove_dir(&database).unwrap();
    shown(&panes, "nothing runs").await;
    press(&panes, &["C-c"]).await;
    left(&panes).await;
}

#[tokio::test]
async fn a_frame_is_printed_where_there_is_no_terminal() {
    let home = Home::with_project().await;
    let refused = home.run(&["top"]).await;
    assert_eq!(2, refused.code);
    assert!(refused.stderr.contains("TIMMY-1071"), "{refused:?}");
    assert!(refused.stderr.contains("timmy watch"), "{refused:?}");
    for code in ["TIMMY-1071", "TIMMY-1072"] {
        home.assert_explained(code).await;
    }
    home.json(&["pause", "for the test"]).await.well();
    let mut command = home.command(&["top", "--once"]);
    command.env("COLUMNS", "60").env("LINES", "14");
    let printed = ran(command).await.well().stdout;
    assert!(
        printed.contains("PAUSED") && printed.contains("for the test"),
        "{printed}"
    );
    assert!(printed.lines().count() <= 14, "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
    let data = home.json(&["top", "--once"]).await.well().json();
    assert_eq!(json!("for the test"), data["paused"]["reason"], "{data}");
    assert_eq!(json!([]), data["running"]);
}
