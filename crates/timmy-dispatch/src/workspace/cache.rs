//! Build caches: what the check of the base branch built, given to every run as a copy.
//!
//! `[workspace.caches]` names them: `cargo = "CARGO_TARGET_DIR"`. [`warm`] runs the project's check on
//! the newest base commit and keeps what it left in the caches; each work tree and each check begins
//! with a copy of that, in a directory beside it that its environment points to.
//!
//! # Rules
//! - Only a check that passed on a commit of the base branch fills a cache. What an agent writes
//!   stays in its own copy and goes with the run.
//! - No cache is needed: without one, or with one that cannot be copied, the tool builds anew.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;

use super::copy::copy_tree;
use super::error::WorkspaceError;
use super::reap::entries;
use super::settings::WorkspaceSettings;
use crate::sprint::Desk;

/// Below the private root.
const DIRECTORY: &str = "caches";
/// Held by who fills the cache of a repository.
const FILLING: &str = "filling.lock";
/// Shared by who copies from it.
const COPYING: &str = "copying.lock";
/// Holds the commit whose check did not pass: it is not tried again.
const FAILED: &str = "failed";

/// A cache that takes up more than one part in this many of the total begins anew: tools add to
/// their caches, and seldom take anything away.
const LARGEST_SHARE: u64 = 4;

/// Variables that the sandbox decides alone, or leaves out because they sound like a secret.
const NO_VARIABLES: [&str; 3] = ["HOME", "PATH", "TMPDIR"];

/// What came of filling the caches of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Warmed {
    /// The configuration names no cache.
    NoneConfigured,
    /// Another process is at it.
    Busy,
    /// They are from this commit already.
    UpToDate {
        /// The newest commit of the base branch.
        base: ObjectName,
    },
    /// The check of this commit does not pass, so there is nothing to keep.
    CheckFailed {
        /// The newest commit of the base branch.
        base: ObjectName,
    },
    /// They were filled.
    Filled {
        /// The newest commit of the base branch.
        base: ObjectName,
        /// What they hold, in bytes.
        bytes: u64,
    },
}

/// Fills the caches of a repository by running its check on the newest commit of the base branch.
/// Once for each commit, whatever came of it.
///
/// # Errors
/// TIMMY-0942 when the configuration names an impossible cache, and what fetching and checking can
/// fail with.
pub async fn warm(desk: &Desk, sandbox: &dyn Sandbox) -> Result<Warmed, WorkspaceError> {
    let settings = &desk.settings.workspace;
    check_settings(settings)?;
    if settings.caches.is_empty() {
        return Ok(Warmed::NoneConfigured);
    }
    let shelf = Shelf::of(&desk.root, &desk.repo)?;
    let Some(_filling) = try_lock(&shelf.path.join(FILLING))? else {
        return Ok(Warmed::Busy);
    };
    let base = desk.newest_base().await?;
    if shelf.seed(&base).exists() {
        return Ok(Warmed::UpToDate { base });
    }
    let failed = shelf.path.join(FAILED);
    if std::fs::read_to_string(&failed).is_ok_and(|known| known == base.as_str()) {
        return Ok(Warmed::CheckFailed { base });
    }
    let fresh = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&shelf.path);
    let fresh = fresh.map_err(WorkspaceError::io("create", &shelf.path))?;
    open_to_agent(fresh.path())?;
    let project = desk.read_project(&base).await?;
    let checkout = fresh.path().join("check");
    let receipt = desk
        .check(sandbox, &base, &project.check, &checkout)
        .await?;
    let filled = beside(&checkout).filter(|_| receipt.passed());
    let answer = match filled {
        None => {
            let written = std::fs::write(&failed, base.as_str());
            written.map_err(WorkspaceError::io("write", &failed))?;
            Warmed::CheckFailed { base }
        }
        Some(filled) => {
            let bytes = timmy_sandbox::footprint(&filled).bytes;
            let seed = shelf.seed(&base);
            // The newest is the one that is lent.
            let now = File::open(&filled).and_then(|seed| seed.set_modified(SystemTime::now()));
            now.map_err(WorkspaceError::io("set the time of", &filled))?;
            let kept = std::fs::rename(&filled, &seed);
            kept.map_err(WorkspaceError::io("rename", &filled))?;
            shelf.remove_older(desk, &base).await?;
            Warmed::Filled { base, bytes }
        }
    };
    // What is left of it may have been closed by the check.
    timmy_sandbox::remove_tree(&fresh.keep())?;
    Ok(answer)
}

/// Gives a work tree its copy of the caches, in a directory beside it. Call it before the first
/// command runs there; [`open_to`] then opens them to commands.
///
/// # Errors
/// TIMMY-0942 when the configuration names an impossible cache, TIMMY-0940 when the disk refuses.
pub(crate) async fn lend(
    desk: &Desk,
    sandbox: &dyn Sandbox,
    tree: &Path,
) -> Result<(), WorkspaceError> {
    let settings = &desk.settings.workspace;
    check_settings(settings)?;
    if settings.caches.is_empty() {
        return Ok(());
    }
    let shelf = Shelf::of(&desk.root, &desk.repo)?;
    let target = place_beside(tree);
    let names: Vec<String> = settings.caches.keys().cloned().collect();
    let largest = settings.total_bytes / LARGEST_SHARE;
    let given = target.clone();
    let copied = tokio::task::spawn_blocking(move || shelf.copy(&names, largest, &target)).await;
    copied.map_err(|error| WorkspaceError::io("fill", &given)(std::io::Error::other(error)))??;
    Ok(sandbox.hand_over(&given)?)
}

/// Opens the caches that lie beside a policy's workspace to its commands.
pub(crate) fn open_to(policy: &mut Policy, settings: &WorkspaceSettings) {
    let Some(caches) = beside(&policy.workspace) else {
        return;
    };
    for (name, variable) in &settings.caches {
        let path = caches.join(name).to_string_lossy().into_owned();
        policy.environment.insert(variable.clone(), path);
    }
    policy.writable.push(caches);
}

/// Where the caches of a work tree lie, if it has some.
fn beside(tree: &Path) -> Option<PathBuf> {
    let place = place_beside(tree);
    place.is_dir().then_some(place)
}

fn place_beside(tree: &Path) -> PathBuf {
    let name = tree.file_name().unwrap_or_default().to_string_lossy();
    tree.with_file_name(format!("{name}-caches"))
}

/// The caches of one repository.
struct Shelf {
    path: PathBuf,
}

impl Shelf {
    fn of(root: &Path, repo: &RepoName) -> Result<Self, WorkspaceError> {
        let path = root.join(DIRECTORY).join(repo.owner()).join(repo.name());
        open_to_agent(&path)?;
        Ok(Self { path })
    }

    fn seed(&self, commit: &ObjectName) -> PathBuf {
        self.path.join(commit.as_str())
    }

    fn seeds(&self) -> Result<Vec<PathBuf>, WorkspaceError> {
        let is_commit = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.parse::<ObjectName>().is_ok()
        };
        Ok(entries(&self.path)?.into_iter().filter(is_commit).collect())
    }

    /// Copies the newest seed; without one the caches are empty.
    fn copy(&self, names: &[String], largest: u64, target: &Path) -> Result<(), WorkspaceError> {
        let lock = open_lock(&self.path.join(COPYING))?;
        lock.lock_shared()
            .map_err(WorkspaceError::io("lock", &self.path))?;
        // Half a copy, of a process that was killed.
        timmy_sandbox::remove_tree(target)?;
        let made = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
        let newest = self.seeds()?.into_iter().max_by_key(|path| made(path));
        let seed = newest.filter(|seed| timmy_sandbox::footprint(seed).bytes <= largest);
        for name in names {
            let cache = target.join(name);
            open_to_agent(&cache)?;
            let Some(from) = seed
                .as_ref()
                .map(|seed| seed.join(name))
                .filter(|p| p.is_dir())
            else {
                continue;
            };
            copy_tree(&from, &cache).map_err(WorkspaceError::io("copy to", &cache))?;
        }
        Ok(())
    }

    /// Removes the seeds of other commits, unless somebody copies from them now.
    async fn remove_older(&self, desk: &Desk, newest: &ObjectName) -> Result<(), WorkspaceError> {
        let Some(_copying) = try_lock(&self.path.join(COPYING))? else {
            return Ok(());
        };
        for seed in self.seeds()? {
            if seed == self.seed(newest) {
                continue;
            }
            let bytes = timmy_sandbox::footprint(&seed).bytes;
            timmy_sandbox::remove_tree(&seed)?;
            let below = seed.strip_prefix(&desk.root).unwrap_or(&seed);
            let removed = EventKind::DirectoryRemoved {
                path: below.to_string_lossy().into_owned(),
                bytes,
                facts: [
                    "a newer commit of the base branch has a cache".to_owned(),
                    "nobody copies from it: its lock is free".to_owned(),
                ],
            };
            desk.events().append(None, removed).await?;
        }
        Ok(())
    }
}

fn check_settings(settings: &WorkspaceSettings) -> Result<(), WorkspaceError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    for (name, variable) in &settings.caches {
        let refuse = |reason| {
            Err(WorkspaceError::Cache {
                name: name.clone(),
                variable: variable.clone(),
                reason,
            })
        };
        if !name.starts_with(plain) || !name.chars().all(|c| plain(c) || "_-".contains(c)) {
            return refuse("its name is not a plain one");
        }
        let well_formed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !variable.starts_with(|c: char| c.is_ascii_uppercase())
            || !variable.chars().all(well_formed)
        {
            return refuse("its variable is not one of capitals, digits and '_'");
        }
        if NO_VARIABLES.contains(&variable.as_str()) {
            return refuse("the sandbox decides about this variable");
        }
    }
    Ok(())
}

/// Makes a directory that the agent's own user can pass through.
fn open_to_agent(directory: &Path) -> Result<(), WorkspaceError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o711).create(directory);
    made.map_err(WorkspaceError::io("create", directory))
}

fn open_lock(path: &Path) -> Result<File, WorkspaceError> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false).mode(0o600);
    options.open(path).map_err(WorkspaceError::io("open", path))
}

fn try_lock(path: &Path) -> Result<Option<File>, WorkspaceError> {
    let lock = open_lock(path)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(WorkspaceError::io("lock", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_caches_are_refused() {
        let settings = |name: &str, variable: &str| WorkspaceSettings {
            caches: [(name.to_owned(), variable.to_owned())].into(),
            ..WorkspaceSettings::default()
        };
        for (name, variable) in [
            ("../x", "X"),
            ("", "X"),
            ("a/b", "X"),
            ("cargo", "HOME"),
            ("cargo", "A=B"),
            ("cargo", ""),
            ("cargo", "1X"),
        ] {
            let refused = check_settings(&settings(name, variable));
            assert!(refused.is_err(), "{name} = {variable}");
        }
        check_settings(&settings("cargo", "CARGO_TARGET_DIR")).unwrap();
        check_settings(&WorkspaceSettings::default()).unwrap();
    }

    #[test]
    fn the_newest_seed_is_copied_unless_it_grew_too_large() {
        let root = tempfile::TempDir::new().unwrap();
        let shelf = Shelf::of(root.path(), &"a/b".parse().unwrap()).unwrap();
        let names = ["cargo".to_owned(), "other".to_owned()];
        for commit in ["1", "2"] {
            let seed = shelf.seed(&commit.repeat(40).parse().unwrap());
            std::fs::create_dir_all(seed.join("cargo")).unwrap();
            std::fs::write(seed.join("cargo/from"), commit).unwrap();
            let now = SystemTime::now();
            File::open(&seed).unwrap().set_modified(now).unwrap();
        }
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        std::fs::create_dir_all(one.join("cargo/half")).unwrap();
        shelf.copy(&names, u64::MAX, &one).unwrap();
        assert!(!one.join("cargo/half").exists());
        assert_eq!(
            "2",
            std::fs::read_to_string(one.join("cargo/from")).unwrap()
        );
        assert!(one.join("other").is_dir());
        shelf.copy(&names, 0, &two).unwrap();
        assert!(two.join("cargo").is_dir() && !two.join("cargo/from").exists());
    }
}
