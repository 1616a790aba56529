//! What the core of the night costs as the number of open issues grows.
//!
//! `tick ISSUES` holds so many open issues of one repository and prints one line of JSON. A process
//! measures one size, so that its peak memory is that size's:
//!
//! - `brief_us`: what is remembered of an issue, made from the issue as a forge tells it;
//! - `learn_ms`: a list of everything, the first time; `relearn_ms`: the same list again;
//! - `changes_ms`: a list of what changed, one issue in a hundred;
//! - `tick_ms`: time passing with every slot taken, median; `crowded_tick_ms`: with slots left that
//!   no issue may take, because the limit of the repository is reached; `apart_tick_ms`: with slots
//!   left and the free issues kept apart by the files they name as far as they are;
//! - `told_mb`: peak memory with the whole list of the forge, texts included, beside what is
//!   remembered, as the loop has them at the moment it learns a list;
//! - `kept_mb`: resident memory when the list is gone, `peak_mb`: the most there ever was.
//!
//! Of the issues, one in ten is left out by its label, one in twenty by its assignee, and one in ten
//! of the others is held: declined, or waiting for another attempt.

use std::error::Error;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::json;
use timmy_core::IssueName;
use timmy_core::RepoName;
use timmy_core::event::Outcome;
use timmy_dispatch::night::Action;
use timmy_dispatch::night::Brief;
use timmy_dispatch::night::Declined;
use timmy_dispatch::night::Ended;
use timmy_dispatch::night::Extent;
use timmy_dispatch::night::Input;
use timmy_dispatch::night::Listing;
use timmy_dispatch::night::Night;
use timmy_dispatch::night::Recheck;
use timmy_dispatch::night::Settings;
use timmy_forge::Issue;
use timmy_forge::IssueState;

/// Attempts at once.
const SLOTS: u32 = 50;
/// Every tick is repeated so often.
const REPETITIONS: usize = 31;
/// The least text of an issue, in bytes.
const TEXT_BYTES: usize = 2_000;
/// One issue in so many is held.
const ONE_IN_HELD: usize = 10;
/// One issue in so many changes before a list of changes.
const ONE_IN_CHANGED: usize = 100;
/// Pairs of files that issues name: fewer than slots, so that some stay free.
const FILES: u64 = 40;

type Outcomes<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcomes<()> {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .map(|size| size.parse())
        .collect::<Result<_, _>>()?;
    let [size] = sizes.as_slice() else {
        return Err("name how many issues are open".into());
    };
    let repo: RepoName = "operator/project".parse()?;
    let settings = |slots, per_repository| Settings {
        repositories: vec![repo.clone()],
        slots,
        per_repository,
        ..Settings::default()
    };
    let issues: Vec<Issue> = (1..=*size).map(issue).collect::<Result<_, _>>()?;
    let started = Instant::now();
    let briefs: Vec<Brief> = issues.iter().map(|issue| Brief::of(issue, None)).collect();
    let brief_us = started.elapsed().as_secs_f64() * 1e6 / issues.len().max(1) as f64;

    let everything = listed(&repo, Extent::Everything, briefs.clone());
    let mut bench = Bench::new(settings(SLOTS, SLOTS));
    let learn = bench.handle(&everything);
    let told_mb = memory("VmHWM")?;
    drop(issues);
    bench.hold(briefs.len() / ONE_IN_HELD);
    let changed = briefs.iter().step_by(ONE_IN_CHANGED).cloned().map(retitled);
    let changes = bench.handle(&listed(&repo, Extent::Changes, changed.collect()));
    let relearn = bench.handle(&everything);
    drop(everything);
    let apart = bench.median_tick();
    let running = bench.night.state().running();
    // With no more slots than are taken, nothing is looked at.
    let full = u32::try_from(running)?;
    bench.handle(&Input::Configured(Box::new(settings(full, full))));
    let tick = bench.median_tick();
    bench.handle(&Input::Configured(Box::new(settings(SLOTS * 2, full))));
    let crowded = bench.median_tick();
    let snapshot = bench.night.state().snapshot();
    drop(briefs);
    let figures = json!({
        "issues": size,
        "ready": snapshot.ready,
        "retries": snapshot.retries.len(),
        "running": running,
        "brief_us": rounded(brief_us),
        "learn_ms": milliseconds(learn),
        "relearn_ms": milliseconds(relearn),
        "changes_ms": milliseconds(changes),
        "tick_ms": milliseconds(tick),
        "crowded_tick_ms": milliseconds(crowded),
        "apart_tick_ms": milliseconds(apart),
        "told_mb": told_mb,
        "kept_mb": memory("VmRSS")?,
        "peak_mb": memory("VmHWM")?,
    });
    writeln!(std::io::stdout().lock(), "{figures}")?;
    Ok(())
}

/// A night and its clock.
struct Bench {
    night: Night,
    at: Duration,
    started: Vec<IssueName>,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Self {
            night: Night::new(settings),
            at: Duration::ZERO,
            started: Vec::new(),
        }
    }

    /// How long an input takes. A millisecond of the night passes with each.
    fn handle(&mut self, input: &Input) -> Duration {
        self.at += Duration::from_millis(1);
        let started = Instant::now();
        let actions = self.night.handle(self.at, input);
        let taken = started.elapsed();
        for action in actions {
            if let Action::Start { key, .. } = action {
                self.started.push(key);
            }
        }
        taken
    }

    fn median_tick(&mut self) -> Duration {
        let mut times: Vec<Duration> = (0..REPETITIONS)
            .map(|_| self.handle(&Input::Tick))
            .collect();
        times.sort();
        times[times.len() / 2]
    }

    /// Ends attempts until so many issues wait: for a time, a change, or their next attempt.
    fn hold(&mut self, count: usize) {
        for number in 0..count {
            let Some(key) = self.started.pop() else {
                return;
            };
            let recheck = match number % 4 {
                0 => Recheck::After(Duration::from_secs(600)),
                1 => Recheck::IssueChanges,
                2 => Recheck::RepositoryChanges,
                _ => {
                    self.handle(&failed(key));
                    continue;
                }
            };
            let reason = "run 0198 of machine 1 works on it".to_owned();
            let declined = Declined { reason, recheck };
            self.handle(&Input::Declined { key, declined });
        }
    }
}

fn failed(key: IssueName) -> Input {
    let ended = Ended {
        outcome: Outcome::CheckFailed,
        failed_attempts: 1,
        fingerprint: None,
        lasts: None,
    };
    Input::Ended { key, ended }
}

fn listed(repo: &RepoName, extent: Extent, issues: Vec<Brief>) -> Input {
    let listing = Listing {
        extent,
        issues,
        pulls_changed: false,
        base: None,
        terms: None,
    };
    let repo = repo.clone();
    Input::Listed { repo, listing }
}

fn retitled(brief: Brief) -> Brief {
    let title = format!("{} (again)", brief.title);
    Brief { title, ..brief }
}

/// An issue as a forge tells it.
fn issue(number: u64) -> Result<Issue, jiff::Error> {
    let mut labels = vec![format!("P{}", number % 4), "kind/bug".to_owned()];
    if number.is_multiple_of(10) {
        labels.push("epic".to_owned());
    }
    let assignees = if number % 20 == 1 { "ada" } else { "" };
    let file = number % FILES;
    let mut body = format!(
        "The sum in `src/part-{}/amounts-{file}.rs` is wrong when one of them is negative, see \
         lib/format-{file}.py and the test.\n\n",
        number % 20,
    );
    while body.len() < TEXT_BYTES {
        body.push_str("It was seen on Tuesday; steps to see it again and what was expected. ");
    }
    let created = Timestamp::from_second(1_750_000_000 + i64::try_from(number).unwrap_or(0))?;
    Ok(Issue {
        number,
        title: format!("The sum of two numbers is wrong, case {number}"),
        body_bytes: u64::try_from(body.len()).unwrap_or(0),
        body,
        state: IssueState::Open,
        labels,
        assignees: assignees.split_whitespace().map(str::to_owned).collect(),
        author: "bob".to_owned(),
        created,
        updated: created,
        comment_count: 2,
        web_url: format!("http://127.0.0.1/operator/project/issues/{number}"),
    })
}

/// A field of this process's status in megabytes of 2^20 bytes (proc_pid_status(5)).
fn memory(field: &str) -> Outcomes<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field));
    let words = line.unwrap_or_default().split_whitespace();
    let kilobytes: f64 = words.skip(1).take(1).collect::<String>().parse()?;
    Ok(rounded(kilobytes / 1024.0))
}

fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
