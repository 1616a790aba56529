//! Removing what runs left behind.
//!
//! A run clears its directory itself; this is for what a killed process, a full disk or an old
//! version left. It gathers facts, asks [`facts`], and removes with the run's lock in
//! its hand. Killed in between, it leaves something that the next call finds again.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use serde::Serialize;
use timmy_core::Clock;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::RunId;
use timmy_git::RefName;
use timmy_store::EventLog;
use timmy_store::runs::RunSummary;

use super::error::WorkspaceError;
use super::facts;
use super::facts::Held;
use super::facts::Logged;
use super::facts::RunFacts;
use super::facts::Verdict;
use super::references::References;
use crate::sprint::Desk;
use crate::sprint::place::Liveness;
use crate::sprint::place::RunPlace;

/// Where the host keeps the commits of runs.
const RUN_REFS: &str = "refs/timmy/runs";

/// A directory younger than this may be on its way to be locked by its own process.
const SETTLED: Duration = Duration::from_secs(60);

/// What a sweep may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweeping {
    /// Only say what would be removed.
    DryRun,
    /// Remove it.
    Remove,
}

/// What a sweep did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sweep {
    /// What went, each with the two facts.
    pub removed: Vec<Removal>,
    /// What stayed, each with the reason.
    pub kept: Vec<Kept>,
    /// Bytes of what went.
    pub freed_bytes: u64,
}

/// Something that is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Below the private root. A ref stands after its repository.
    pub path: String,
    /// What it held, in bytes.
    pub bytes: u64,
    /// Two facts that do not depend on each other.
    pub facts: [String; 2],
}

/// Something that is not removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Below the private root.
    pub path: String,
    /// Why it stays.
    pub reason: String,
}

/// The reaper of a host.
pub struct Reaper<'a> {
    /// The private root.
    pub root: &'a Path,
    /// The log, for what it says about runs, and for what is removed.
    pub events: EventLog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The repositories of this host. What belongs to another one is not removed.
    pub desks: &'a [&'a Desk],
}

impl Reaper<'_> {
    /// Looks at everything that runs leave behind, and removes what two facts speak against.
    ///
    /// # Errors
    /// When the private root cannot be listed or a removal cannot be recorded. What cannot be
    /// removed, or not be found out, is in the answer.
    pub async fn sweep(&self, sweeping: Sweeping) -> Result<Sweep, WorkspaceError> {
        let mut sweep = Sweep::default();
        let mut references = References::of(self.desks);
        self.run_directories(sweeping, &mut references, &mut sweep)
            .await?;
        for desk in self.desks {
            self.run_refs(desk, sweeping, &mut references, &mut sweep)
                .await?;
        }
        self.half_made(sweeping, &mut sweep).await?;
        if sweeping == Sweeping::Remove {
            for desk in self.desks {
                desk.bare().await?.maintain().await?;
            }
        }
        Ok(sweep)
    }

    async fn run_directories(
        &self,
        sweeping: Sweeping,
        references: &mut References<'_>,
        sweep: &mut Sweep,
    ) -> Result<(), WorkspaceError> {
        for path in entries(&self.root.join("runs"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Ok(run) = name.parse::<RunId>() else {
                sweep.keep(self.shown(&path), "its name is not that of a run");
                continue;
            };
            if self.age(&run) < SETTLED {
                sweep.keep(self.shown(&path), "it was made a moment ago");
                continue;
            }
            let (held, place) = match RunPlace::look(self.root, &run) {
                Ok(Liveness::Dead(place)) => (Held::Nobody, Some(place)),
                Ok(Liveness::Alive) => (Held::Process, None),
                Ok(Liveness::Elsewhere) => continue,
                Err(_) => (Held::Unknown, None),
            };
            // Read under the lock: nobody changes it any more.
            let facts = self.facts_of(&run, held, references).await;
            match facts::judge_run(&facts) {
                Verdict::Keep(reason) => sweep.keep(self.shown(&path), reason),
                Verdict::Remove(facts) => {
                    self.remove(&path, facts, sweeping, sweep).await?;
                    drop(place);
                }
            }
        }
        Ok(())
    }

    async fn run_refs(
        &self,
        desk: &Desk,
        sweeping: Sweeping,
        references: &mut References<'_>,
        sweep: &mut Sweep,
    ) -> Result<(), WorkspaceError> {
        let bare = desk.bare().await?;
        let parent: RefName = RUN_REFS.parse().map_err(timmy_git::GitError::from)?;
        for (name, _) in bare.refs_below(&parent).await? {
            let shown = format!("{} {name}", self.shown(bare.path()));
            let run = name.as_str().rsplit('/').next().unwrap_or_default();
            let Ok(run) = run.parse::<RunId>() else {
                sweep.keep(shown, "its name is not that of a run");
                continue;
            };
            let directory = self.root.join("runs").join(run.as_str());
            let held = match (directory.try_exists(), RunPlace::look(self.root, &run)) {
                (Ok(false), _) | (Ok(true), Ok(Liveness::Dead(_))) => Held::Nobody,
                (Ok(true), Ok(Liveness::Alive)) => Held::Process,
                (Ok(true), Ok(Liveness::Elsewhere) | Err(_)) | (Err(_), _) => Held::Unknown,
            };
            let facts = self.facts_of(&run, held, references).await;
            match facts::judge_run(&facts) {
                Verdict::Keep(reason) => sweep.keep(shown, reason),
                Verdict::Remove(facts) => {
                    if sweeping == Sweeping::Remove {
                        bare.remove_ref(&name).await?;
                    }
                    self.told(shown, 0, facts, sweeping, sweep).await?;
                }
            }
        }
        Ok(())
    }

    async fn half_made(&self, sweeping: Sweeping, sweep: &mut Sweep) -> Result<(), WorkspaceError> {
        for path in self.unfinished()? {
            match facts::judge_half_made(untouched(&path)) {
                Verdict::Keep(reason) => sweep.keep(self.shown(&path), reason),
                Verdict::Remove(facts) => self.remove(&path, facts, sweeping, sweep).await?,
            }
        }
        Ok(())
    }

    /// What has a name that things only have until they are finished, or while they are removed.
    fn unfinished(&self) -> Result<Vec<PathBuf>, WorkspaceError> {
        let mut found = starting_with(".gone-", &self.root.join("workspaces"))?;
        for owner in entries(&self.root.join("repositories"))? {
            let (whole, parts): (Vec<PathBuf>, Vec<PathBuf>) = entries(&owner)?
                .into_iter()
                .partition(|path| is_whole(path));
            for repository in whole {
                found.extend(starting_with("index-", &repository)?);
            }
            let begun = |path: &PathBuf| file_name(path).starts_with("new-");
            found.extend(parts.into_iter().filter(begun));
        }
        for owner in entries(&self.root.join("caches"))? {
            for repository in entries(&owner)? {
                found.extend(starting_with("new-", &repository)?);
            }
        }
        Ok(found)
    }

    async fn facts_of(&self, run: &RunId, held: Held, references: &mut References<'_>) -> RunFacts {
        let (logged, summary) = match self.events.summary(run).await {
            Err(_) => (Logged::Unknown, None),
            Ok(None) => (Logged::Absent, None),
            Ok(Some(summary)) => (logged(&summary), Some(summary)),
        };
        RunFacts {
            logged,
            held,
            named: references.to(run, summary.as_ref()).await,
            age: self.age(run),
        }
    }

    fn age(&self, run: &RunId) -> Duration {
        let age = self.clock.now().as_millisecond() - begun_ms(run);
        Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }

    async fn remove(
        &self,
        path: &Path,
        facts: [String; 2],
        sweeping: Sweeping,
        sweep: &mut Sweep,
    ) -> Result<(), WorkspaceError> {
        let bytes = timmy_sandbox::footprint(path).bytes;
        if sweeping == Sweeping::Remove
            && let Err(error) = remove(path)
        {
            // The others can still go.
            sweep.keep(self.shown(path), format!("it cannot be removed: {error}"));
            return Ok(());
        }
        self.told(self.shown(path), bytes, facts, sweeping, sweep)
            .await
    }

    async fn told(
        &self,
        path: String,
        bytes: u64,
        facts: [String; 2],
        sweeping: Sweeping,
        sweep: &mut Sweep,
    ) -> Result<(), WorkspaceError> {
        if sweeping == Sweeping::Remove {
            let removed = EventKind::DirectoryRemoved {
                path: path.clone(),
                bytes,
                facts: facts.clone(),
            };
            self.events.append(None, removed).await?;
        }
        sweep.freed_bytes += bytes;
        sweep.removed.push(Removal { path, bytes, facts });
        Ok(())
    }

    fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        timmy_core::text::clean_line(&below.to_string_lossy())
    }
}

impl Sweep {
    fn keep(&mut self, path: String, reason: impl Into<String>) {
        let reason = reason.into();
        self.kept.push(Kept { path, reason });
    }
}

fn logged(summary: &RunSummary) -> Logged {
    match summary.outcome {
        Some(_) => Logged::Ended,
        None => Logged::Unended,
    }
}

fn remove(path: &Path) -> Result<(), timmy_sandbox::SandboxError> {
    timmy_sandbox::remove_tree(path)
}

/// When a run's id was made, in milliseconds of the Unix epoch: the first 48 bits (RFC 9562, 5.7).
fn begun_ms(run: &RunId) -> i64 {
    let digits: String = run
        .as_str()
        .chars()
        .filter(|c| *c != '-')
        .take(12)
        .collect();
    i64::from_str_radix(&digits, 16).unwrap_or(i64::MAX)
}

/// How long nothing was written in a directory or right below it.
fn untouched(path: &Path) -> Option<Duration> {
    let mut newest = changed(path)?;
    for entry in entries(path).ok()? {
        newest = newest.max(changed(&entry)?);
    }
    SystemTime::now().duration_since(newest).ok()
}

/// A repository gets this ending with its name, when it is finished.
fn is_whole(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "git")
}

fn starting_with(prefix: &str, directory: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let mut paths = entries(directory)?;
    paths.retain(|path| file_name(path).starts_with(prefix));
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// When an entry, not what it may link to, was last changed.
fn changed(path: &Path) -> Option<SystemTime> {
    let found = std::fs::symlink_metadata(path).ok()?;
    found.modified().ok()
}

/// What lies in a directory that may not exist. Of a plain file: nothing.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let failed = WorkspaceError::io("list", directory);
    let read = match std::fs::read_dir(directory) {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        read => read,
    };
    let mut paths = read
        .and_then(|entries| {
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[path = "reap_tests.rs"]
mod tests;
