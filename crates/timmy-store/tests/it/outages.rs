//! A server that goes away and comes back, a database that somebody holds, a disk that is full.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Connection;
use sqlx::Executor;
use tempfile::TempDir;
use timmy_core::Coded;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::RunId;
use timmy_core::money::Usage;
use timmy_store::Account;
use timmy_store::EventLog;
use timmy_store::Query;
use timmy_store::SpendError;
use timmy_store::SpendLimits;
use timmy_store::Store;
use timmy_store::StoreError;
use timmy_testkit::ManualClock;

use crate::cluster::Cluster;

/// Where the process inside the namespace finds its tiny disk.
const TINY_DISK: &str = "TIMMY_TEST_TINY_DISK";
/// A server that is down is given up after this; one that is restarted is back long before the other.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);
/// Tasks that append while the server crashes, and what each of them has done before and after.
const WRITERS: u64 = 4;
const BEFORE: u64 = 20;

fn numbered(issue: u64) -> EventKind {
    EventKind::IssueCommented { issue }
}

fn log(store: &Store) -> EventLog {
    store.log(Arc::new(ManualClock::default()))
}

async fn all(log: &EventLog) -> Vec<Event> {
    let query = Query {
        limit: u32::MAX,
        ..Query::default()
    };
    log.events(&query).await.unwrap()
}

fn assert_passes(error: &StoreError, code: &str) {
    let problem = error.problem();
    assert_eq!(
        (code.to_owned(), ExitStatus::Unavailable),
        (problem.code.to_string(), problem.exit)
    );
    assert!(error.passes(), "{error:?}");
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn cluster() -> Option<Cluster> {
    let cluster = Cluster::start_new();
    if cluster.is_none() {
        eprintln!("SKIPPED: no PostgreSQL programs are installed");
    }
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_away_is_told_and_used_again_when_it_is_back() {
    let Some(cluster) = cluster() else { return };
    let store = Store::connect_within(cluster.address(), SHORT)
        .await
        .unwrap();
    let (log, spending) = (
        log(&store),
        store.spending(Arc::new(ManualClock::default())),
    );
    let account = Account {
        run: RunId::generate(),
        issue: None,
    };
    let first = log.try_append(None, numbered(1)).await.unwrap();
    cluster.crash();
    assert_passes(
        &log.try_append(None, numbered(2)).await.unwrap_err(),
        "TIMMY-0212",
    );
    assert_passes(&log.newest().await.unwrap_err(), "TIMMY-0212");
    let limits = SpendLimits::default();
    let refused = spending
        .reserve(&account, "local", Usage::default(), &limits)
        .await;
    let Err(SpendError::Store(error)) = refused else {
        panic!("{refused:?}");
    };
    assert_passes(&error, "TIMMY-0212");
    let absent = Store::connect_within(cluster.address(), LONG)
        .await
        .unwrap_err();
    assert_eq!("TIMMY-0201", absent.problem().code.to_string());
    cluster.start();
    let second = log.try_append(None, numbered(3)).await.unwrap();
    assert_eq!(vec![first, second], all(&log).await);
    spending
        .reserve(&account, "local", Usage::default(), &limits)
        .await
        .unwrap();
}

/// What became of one append, as its caller knows it.
#[derive(Debug)]
enum Became {
    Kept(Box<Event>),
    Refused(u64),
    Unknown(Box<Event>),
}

async fn append(log: &EventLog, number: u64) -> Became {
    match log.try_append(None, numbered(number)).await {
        Ok(event) => Became::Kept(Box::new(event)),
        Err(StoreError::Unconfirmed { event, .. }) => Became::Unknown(event),
        Err(error) => {
            assert!(error.passes(), "{error:?}");
            Became::Refused(number)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_append_is_lost_or_done_twice_when_the_server_crashes() {
    let Some(cluster) = cluster() else { return };
    let store = Store::connect_within(cluster.address(), LONG)
        .await
        .unwrap();
    let log = log(&store);
    let over = Arc::new(AtomicBool::new(false));
    let (done, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let writers = (0..WRITERS).map(|writer| {
        let (log, over, done) = (log.clone(), Arc::clone(&over), done.clone());
        tokio::spawn(async move {
            let mut became = Vec::new();
            for number in 0.. {
                let finished = over.load(Ordering::SeqCst);
                became.push(append(&log, writer * 1_000_000 + number).await);
                done.send(()).unwrap();
                if finished {
                    break;
                }
            }
            became
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..BEFORE * WRITERS {
        begun.recv().await.unwrap();
    }
    let cluster = tokio::task::spawn_blocking(|| {
        cluster.crash();
        cluster.start();
        cluster
    })
    .await
    .unwrap();
    over.store(true, Ordering::SeqCst);
    let mut became = Vec::new();
    for writer in writers {
        became.extend(writer.await.unwrap());
    }
    let found = all(&log).await;
    let times = |kind: &EventKind| found.iter().filter(|event| event.kind == *kind).count();
    for became in &became {
        match became {
            Became::Kept(event) => assert_eq!(1, times(&event.kind), "{event:?}"),
            Became::Refused(number) => assert_eq!(0, times(&numbered(*number)), "{number}"),
            Became::Unknown(event) => {
                let kept = log.confirm(event).await.unwrap();
                assert_eq!(usize::from(kept.is_some()), times(&event.kind), "{event:?}");
            }
        }
    }
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_not_kept_is_not_confirmed() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("home")).await.unwrap();
    let log = log(&store);
    let kept = log.try_append(None, numbered(1)).await.unwrap();
    assert_eq!(Some(kept.clone()), log.confirm(&kept).await.unwrap());
    let other = Event {
        kind: numbered(2),
        ..kept.clone()
    };
    assert_eq!(None, log.confirm(&other).await.unwrap());
    let later = Event { seq: 2, ..kept };
    assert_eq!(None, log.confirm(&later).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_somebody_holds_is_busy() {
    let directory = TempDir::new().unwrap();
    let home = directory.path().join("home");
    let store = Store::open_within(&home, Duration::from_millis(50))
        .await
        .unwrap();
    let log = log(&store);
    let address = format!("sqlite://{}", home.join("timmy.db").display());
    let mut other = sqlx::AnyConnection::connect(&address).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    assert_passes(
        &log.try_append(None, numbered(1)).await.unwrap_err(),
        "TIMMY-0213",
    );
    other.execute("ROLLBACK").await.unwrap();
    let event = log.try_append(None, numbered(2)).await.unwrap();
    assert_eq!(vec![event], all(&log).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_lock_somebody_holds_is_busy() {
    let Some(cluster) = cluster() else { return };
    let store = Store::connect_within(cluster.address(), Duration::from_millis(200))
        .await
        .unwrap();
    let log = log(&store);
    let mut other = sqlx::AnyConnection::connect(cluster.address().as_str())
        .await
        .unwrap();
    other.execute("BEGIN").await.unwrap();
    other
        .execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    assert_passes(
        &log.try_append(None, numbered(1)).await.unwrap_err(),
        "TIMMY-0213",
    );
    other.execute("ROLLBACK").await.unwrap();
    log.try_append(None, numbered(2)).await.unwrap();
}

/// Runs itself again with a disk of two megabytes, in a namespace of its own.
#[test]
fn a_full_disk_loses_nothing_and_passes() {
    if let Some(disk) = std::env::var_os(TINY_DISK) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(fill_up(Path::new(&disk)));
        return;
    }
    let directory = TempDir::new().unwrap();
    let program = std::env::current_exe().unwrap();
    let mounted = "mount -t tmpfs -o size=2m,mode=0700 tmpfs \"$1\" && exec \"$2\" --exact \"$3\"";
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            mounted,
            "sh",
        ])
        .arg(directory.path())
        .arg(program)
        .arg("outages::a_full_disk_loses_nothing_and_passes")
        .env(TINY_DISK, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}\n{output:?}"
    );
}

async fn fill_up(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 512 << 10]).unwrap();
    let store = Store::open(&disk.join("home")).await.unwrap();
    let (log, spending) = (
        log(&store),
        store.spending(Arc::new(ManualClock::default())),
    );
    let mut kept = Vec::new();
    let full = loop {
        let spoke = EventKind::ModelSpoke {
            step: 1,
            text: "much ado ".repeat(2_000),
        };
        match log.try_append(None, spoke).await {
            Ok(event) => kept.push(event),
            Err(error) => break error,
        }
    };
    assert_passes(&full, "TIMMY-0214");
    assert!(kept.len() > 3, "the disk was full from the start");
    std::fs::remove_file(&ballast).unwrap();
    kept.push(log.try_append(None, numbered(1)).await.unwrap());
    assert_eq!(kept, all(&log).await);
    let account = Account {
        run: RunId::generate(),
        issue: None,
    };
    let limits = SpendLimits::default();
    spending
        .reserve(&account, "local", Usage::default(), &limits)
        .await
        .unwrap();
    store.close().await;
    let again = Store::open(&disk.join("home")).await.unwrap();
    assert_eq!(kept, all(&self::log(&again)).await);
}
