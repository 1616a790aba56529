//! Eight processes race for two hundred issues of the embedded forge over HTTP; one is killed in another test.
//!
//! The processes are this very test binary, started again for the one ignored test below.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use timmy_core::RunId;
use timmy_core::SystemClock;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Identity;
use timmy_forge::claim::LapseReason;
use timmy_git::Credential;
use timmy_git::Remote;

use crate::claim::stage::Stage;
use crate::claim::stage::bare;
use crate::forge_server::ForgeServer;

const PROCESSES: usize = 8;
const ISSUES: u64 = 200;
/// How many of the lowest free issues a process chooses from: far fewer than there are processes.
const CHOICE: usize = 4;
const CONTENDER: &str = "claim::race::contender";
const URL: &str = "TIMMY_TEST_RACE_URL";
const TOKEN: &str = "TIMMY_TEST_RACE_TOKEN";
const ROOT: &str = "TIMMY_TEST_RACE_ROOT";
const LAST_ISSUE: &str = "TIMMY_TEST_RACE_ISSUES";

fn start(url: &str, token: &str, private: &Path, issues: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CONTENDER, "--ignored", "--nocapture", "--quiet"])
        .env(URL, url)
        .env(TOKEN, token)
        .env(ROOT, private)
        .env(LAST_ISSUE, issues.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn claims_of(url: &str, token: &str, private: &Path, name: &str) -> Claims {
    let identity = Identity::of_this_process(private).unwrap();
    let bare = bare(&private.join(name)).await;
    let credential = Credential {
        user: "bot".to_owned(),
        token: SecretString::from(token),
    };
    let remote = Remote {
        url: url.parse().unwrap(),
        credential: Some(credential),
    };
    let clock = Arc::new(SystemClock::new());
    Claims::new(bare, remote, identity, Duration::from_secs(600), clock)
}

/// Takes one of the lowest free issues again and again, as a dispatcher would, and says which it
/// won.
#[tokio::test]
#[ignore = "a process of the race, started by the tests below"]
async fn contender() {
    let variable = |name| std::env::var(name).unwrap();
    let (url, last) = (variable(URL), variable(LAST_ISSUE).parse().unwrap());
    let private = std::path::PathBuf::from(variable(ROOT));
    let name = format!("process-{}", std::process::id());
    let claims = claims_of(&url, &variable(TOKEN), &private, &name).await;
    println!("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    let mut won = Vec::new();
    let run = RunId::generate();
    loop {
        let taken = claims.list().await.unwrap();
        let free = |issue: &u64| taken.iter().all(|(held, _)| held != issue);
        let window: Vec<u64> = (1..=last).filter(free).take(CHOICE).collect();
        let Some(issue) = window.get(won.len() % window.len().max(1)).copied() else {
            break;
        };
        if let Acquired::Won(claim) = claims.acquire(issue, &run).await.unwrap() {
            println!("won {issue}");
            won.push(claim);
        }
    }
    println!("end");
    // Holds everything until it is told to end.
    std::io::stdin().read_line(&mut go).unwrap();
}

/// Reads the lines of a contender up to a mark, and gives the issues it won.
fn read_until(lines: &mut impl BufRead, mark: &str) -> Vec<u64> {
    let mut won = Vec::new();
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if let Some(issue) = line.trim().strip_prefix("won ") {
            won.push(issue.parse().unwrap());
        }
        if line.trim() == mark {
            return won;
        }
        line.clear();
    }
    panic!("a contender ended before it said {mark:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_win_each_of_two_hundred_issues_once() {
    let server = ForgeServer::start().await;
    let url = format!("{}/bot/project.git", server.url());
    let (token, root) = (server.bot.clone(), TempDir::new().unwrap());
    let private = root.path().to_owned();
    let winners = tokio::task::spawn_blocking(move || race(&url, &token, &private));
    let winners = winners.await.unwrap();
    let mut wins: BTreeMap<u64, usize> = BTreeMap::new();
    for issue in winners.iter().flatten() {
        *wins.entry(*issue).or_default() += 1;
    }
    let expected: BTreeMap<u64, usize> = (1..=ISSUES).map(|issue| (issue, 1)).collect();
    assert_eq!(expected, wins);
    let busy = winners.iter().filter(|won| !won.is_empty()).count();
    assert!(busy > 1, "only one process won anything: that was no race");
}

fn race(url: &str, token: &str, root: &Path) -> Vec<Vec<u64>> {
    let mut processes: Vec<Child> = (0..PROCESSES)
        .map(|_| start(url, token, root, ISSUES))
        .collect();
    let mut outputs: Vec<_> = processes
        .iter_mut()
        .map(|process| BufReader::new(process.stdout.take().unwrap()))
        .collect();
    for output in &mut outputs {
        read_until(output, "ready");
    }
    for process in &mut processes {
        writeln!(process.stdin.as_mut().unwrap(), "go").unwrap();
    }
    let readers: Vec<_> = outputs
        .into_iter()
        .map(|mut output| std::thread::spawn(move || read_until(&mut output, "end")))
        .collect();
    let winners = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .collect();
    for mut process in processes {
        drop(process.stdin.take());
        process.kill().unwrap();
        process.wait().unwrap();
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_a_claim_that_its_machine_takes_at_once() {
    let stage = Stage::new().await;
    let url = stage.remote.url.as_str().to_owned();
    let root = stage.root.path().to_owned();
    let mut process = start(&url, "unused", &root, 1);
    let output = process.stdout.take().unwrap();
    writeln!(process.stdin.as_mut().unwrap(), "go").unwrap();
    let won = tokio::task::spawn_blocking(move || read_until(&mut BufReader::new(output), "end"));
    assert_eq!(vec![1], won.await.unwrap());
    let claims = claims_of(&url, "unused", &root, "survivor").await;
    let run = RunId::generate();
    let held = claims.acquire(1, &run).await.unwrap();
    assert!(matches!(held, Acquired::Held(_)), "{held:?}");
    process.kill().unwrap();
    process.wait().unwrap();
    let Acquired::Lapsed(lapsed) = claims.acquire(1, &run).await.unwrap() else {
        panic!("the end of the process was not noticed");
    };
    assert_eq!(LapseReason::ProcessEnded, lapsed.reason);
    let taken = claims.takeover(&lapsed, &run).await.unwrap();
    assert!(matches!(taken, Acquired::Won(claim) if claim.epoch == 2));
}
