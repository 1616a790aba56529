//! kill -9 on both sides of every record of a sprint: each time the next sprint leaves exactly one
//! pull request and one comment, and nothing else. Writes docs/kill-matrix.md when it is told to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use timmy_loopback::Server;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::task::LocalSet;
use url::Url;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::Ran;
use crate::home::provider;
use crate::kill::FOREVER;
use crate::kill::all_ended;
use crate::kill::kill;
use crate::postgres::Database;
use crate::postgres::log_at;
use crate::served::NEEDED;
use crate::served::Served;
use crate::tap::Side;
use crate::tap::Stop;
use crate::tap::Tap;
use crate::together::Mender;

/// Writes the table instead of comparing it.
const UPDATE: &str = "TIMMY_UPDATE_KILL_MATRIX";
/// Sprints after the killed one, until everything is as it should be.
const MOST_SPRINTS: usize = 2;

const HEAD: &str = "\
# Kill matrix

A sprint is killed with SIGKILL on both sides of every record it makes, in the log and in the books:
*before* means that what the record tells of has happened and the record has not reached the
database; *after* means that the record is durable and nothing further was done. Then sprints are
started as a timer would start them. Whatever the point, the end is the same: one open pull request
whose check passed, one comment on the issue, no claim, no directory of a run, no run without an end,
nothing set aside in the books.

This page is written and compared by `crates/timmy/tests/it/matrix.rs`; to write it again:
`TIMMY_UPDATE_KILL_MATRIX=1 script/test`. The forge is the embedded one behind HTTP, the database
PostgreSQL, the program the real one, the model a script.

| | record | killed | the dead run | what the next sprint did | pull requests | comments |
|---|---|---|---|---|---|---|
";

/// A home, a forge and a database for one point.
struct Stage {
    home: Home,
    forge: Served,
    database: Database,
    model: Arc<Server>,
}

impl Stage {
    async fn new(model: &Arc<Server>) -> Self {
        let (home, forge) = (Home::new(), Served::start().await);
        forge.let_in(&home, &NEEDED).await;
        Self {
            home,
            forge,
            database: Database::create().await,
            model: Arc::clone(model),
        }
    }

    fn configure(&self, database: &Url) {
        let base_url = format!("{}/v1", self.model.url());
        let more =
            provider("generic", &base_url) + "stream = false\n" + &log_at(&self.home, database);
        self.forge.configure(&self.home, CHECK, &more);
    }

    /// A sprint whose every record is seen; stopped and killed when that is asked for.
    async fn killed_at(&self, stop: Stop) -> Vec<String> {
        let tap = Tap::stopping(self.database.server(), stop).await;
        self.configure(&self.database.url_through(tap.address()));
        let mut command = self.home.command(&["sprint"]);
        let sprint = command.stdout(Stdio::null()).spawn().unwrap();
        let stopped = tokio::time::timeout(FOREVER, tap.stopped()).await;
        assert!(stopped.is_ok(), "never came to {stop:?}: {:?}", tap.seen());
        all_ended(kill(sprint).await).await;
        tap.seen()
    }

    async fn sprint(&self) -> Ran {
        self.configure(&self.database.url());
        self.home.json(&["sprint"]).await
    }

    /// What is not as it should be.
    async fn defects(&self) -> Vec<String> {
        let mut defects = self.forge.defects(&self.home).await;
        let open = self.database.open_reservations().await;
        if open != 0 {
            defects.push(format!("{open} open reservations"));
        }
        defects
    }
}

/// One line of the table, and what is wrong with it.
struct Row {
    cells: String,
    defects: Vec<String>,
}

/// One point of the matrix: a sprint that dies there, and those that follow.
async fn point(model: Arc<Server>, names: Arc<Vec<String>>, stop: Stop) -> Row {
    let stage = Stage::new(&model).await;
    let seen = stage.killed_at(stop).await;
    assert_eq!(
        names[..=stop.record],
        seen,
        "another sprint than the one watched first"
    );
    let mut ran = Vec::new();
    let mut defects = vec![String::new()];
    while !defects.is_empty() && ran.len() < MOST_SPRINTS {
        ran.push(stage.sprint().await);
        defects = stage.defects().await;
    }
    let refused = ran.iter().filter(|ran| ran.code != 0);
    defects.extend(refused.map(|ran| format!("{ran:?}")));
    let durable = match stop.side {
        Side::Before => &names[..stop.record],
        Side::After => &names[..=stop.record],
    };
    let recorded = durable.iter().filter(|name| is_event(name)).count();
    let told = Told::of(&stage.home.events().await, recorded);
    let sprints = if ran.len() == 1 { "" } else { " (two sprints)" };
    let cells = format!(
        "| {} | {} | {} | {} | {}{sprints} | {} | {} |",
        stop.record + 1,
        numbered(&names, stop.record),
        match stop.side {
            Side::Before => "before",
            Side::After => "after",
        },
        told.dead_run,
        told.follower,
        stage.forge.pulls().await.len(),
        stage.forge.comments().await,
    );
    Row { cells, defects }
}

/// What the log says about the dead run, and about what came after it.
struct Told {
    dead_run: String,
    follower: String,
}

impl Told {
    /// From all events, of which so many were recorded when the process was killed.
    fn of(events: &[Value], recorded: usize) -> Self {
        let (before, after) = events.split_at(recorded);
        let dead = before
            .iter()
            .find(|event| event["type"] == json!("run_started"));
        let dead = dead.map(|event| &event["run"]);
        let anew = after
            .iter()
            .any(|event| event["type"] == json!("run_started"));
        let Some(dead) = dead else {
            let follower = if anew { "did the issue" } else { "nothing" };
            return Self {
                dead_run: "had not begun".to_owned(),
                follower: follower.to_owned(),
            };
        };
        let ended_by_itself = outcome(before, dead);
        let dead_run = match (&ended_by_itself, outcome(after, dead)) {
            (Some(outcome), _) => format!("had ended: {outcome}"),
            (None, Some(outcome)) => outcome,
            (None, None) => "has no end".to_owned(),
        };
        let carried_on = after.iter().filter(|event| event["run"] == *dead);
        let carried_on = carried_on.filter_map(|event| step(event["type"].as_str()?));
        let mut follower: Vec<String> = carried_on.collect();
        if ended_by_itself.is_none() && follower.is_empty() {
            follower.push("closed it".to_owned());
        }
        if anew {
            follower.push("did the issue anew".to_owned());
        }
        if follower.is_empty() {
            follower.push("cleared up".to_owned());
        }
        Self {
            dead_run,
            follower: follower.join(", "),
        }
    }
}

/// How a run ended, if its end is among these events.
fn outcome(events: &[Value], run: &Value) -> Option<String> {
    let end = |event: &&Value| event["run"] == *run && event["type"] == json!("run_ended");
    let ended = events.iter().find(end)?;
    Some(ended["outcome"]["outcome"].as_str()?.replace('_', " "))
}

/// What was done for a run after its process was killed, in words; nothing for what is always done.
fn step(kind: &str) -> Option<String> {
    let words = match kind {
        "run_ended" | "claim_acquired" | "claim_released" => return None,
        "check_finished" => "ran the check",
        "branch_pushed" => "pushed the branch or saw it there",
        "pull_request_opened" => "opened the pull request or found it",
        "issue_commented" => "told the issue or saw that it was told",
        other => other,
    };
    Some(words.to_owned())
}

/// Whether a record is one of the log; the others are of the books.
fn is_event(name: &str) -> bool {
    !name.starts_with("books: ")
}

/// The name of a record, with its number among those of the same name when there are several.
fn numbered(names: &[String], at: usize) -> String {
    let name = &names[at];
    let of_name = |names: &[String]| names.iter().filter(|other| *other == name).count();
    match of_name(names) {
        1 => format!("`{name}`"),
        _ => format!("`{name}` {}", of_name(&names[..=at])),
    }
}

/// The records of a sprint that nobody disturbs.
async fn undisturbed(model: &Arc<Server>) -> Vec<String> {
    let stage = Stage::new(model).await;
    let tap = Tap::open(stage.database.server()).await;
    stage.configure(&stage.database.url_through(tap.address()));
    stage.home.json(&["sprint"]).await.well();
    assert_eq!(Vec::<String>::new(), stage.defects().await);
    let logged = stage.home.events().await;
    let logged = logged.iter().map(|event| event["type"].as_str().unwrap());
    let seen = tap.seen();
    let events = seen.iter().filter(|name| is_event(name));
    assert!(logged.eq(events), "records went past unseen: {seen:?}");
    seen
}

/// Every point of the matrix in order, as many at once as there are processors.
async fn every_point(model: &Arc<Server>, names: &Arc<Vec<String>>) -> BTreeMap<Stop, Row> {
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    let places = Arc::new(Semaphore::new(at_once));
    let here = LocalSet::new();
    let mut points = JoinSet::new();
    for record in 0..names.len() {
        for side in [Side::Before, Side::After] {
            let (model, names) = (Arc::clone(model), Arc::clone(names));
            let places = Arc::clone(&places);
            let one = async move {
                let _place = places.acquire_owned().await.unwrap();
                let stop = Stop { record, side };
                (stop, point(model, names, stop).await)
            };
            points.spawn_local_on(one, &here);
        }
    }
    let rows = here.run_until(points.join_all()).await;
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sprint_may_be_killed_on_either_side_of_every_record() {
    let model = Arc::new(Server::start(Mender).await.unwrap());
    let names = Arc::new(undisturbed(&model).await);
    let rows = every_point(&model, &names).await;
    let mut page = HEAD.to_owned();
    let mut wrong = String::new();
    for row in rows.values() {
        writeln!(page, "{}", row.cells).unwrap();
        if !row.defects.is_empty() {
            writeln!(wrong, "{}\n    {}", row.cells, row.defects.join("\n    ")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/kill-matrix.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/kill-matrix.md is out of date; set {UPDATE}=1 to write:\n{page}"
    );
}
