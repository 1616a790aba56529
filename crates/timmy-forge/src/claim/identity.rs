//! Who claims: this process, on this machine.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use uuid::Uuid;

use crate::claim::error::ClaimError;

/// A process of timmy. Host names and process ids are not part of it: both change or return.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Random for each start of a process.
    pub worker: String,
    /// Random for each private root.
    pub machine: String,
    presence: Option<Arc<Presence>>,
    held: Arc<Mutex<Held>>,
}

/// The claims that were won under an identity, whoever in the process did.
#[derive(Debug, Default)]
struct Held {
    /// Those that are acted under, for as long as what is here can be upgraded.
    live: BTreeMap<String, Weak<()>>,
    /// Those that were not given back.
    unreturned: BTreeSet<String>,
}

/// A lock that the kernel lets go of when the process ends, however it ends.
#[derive(Debug)]
struct Presence {
    directory: PathBuf,
    path: PathBuf,
    held: Arc<Mutex<Held>>,
    /// Locked as long as it is open.
    _lock: File,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever meets such a claim on the forge learns from the free lock that nobody is at it.
        if !held.unreturned.is_empty() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "cannot remove the lock of this process");
        }
    }
}

impl Identity {
    /// An identity that leaves no trace: others learn of its end only by waiting.
    #[must_use]
    pub fn new(worker: &str, machine: &str) -> Self {
        Self {
            worker: worker.to_owned(),
            machine: machine.to_owned(),
            presence: None,
            held: Arc::default(),
        }
    }

    /// The identity of this process under a private root. Other processes under the same root can
    /// tell whether it still runs, so they need not wait for its claims to lapse.
    ///
    /// # Errors
    /// [`ClaimError::Io`] when the directory cannot be used.
    pub fn of_this_process(private: &Path) -> Result<Self, ClaimError> {
        let directory = private.join("workers");
        fs::create_dir_all(&directory).map_err(ClaimError::io(&directory))?;
        let worker = Uuid::now_v7().to_string();
        let path = lock_path(&directory, &worker);
        let lock = File::create(&path).map_err(ClaimError::io(&path))?;
        lock.lock().map_err(ClaimError::io(&path))?;
        let held = Arc::<Mutex<Held>>::default();
        Ok(Self {
            worker,
            machine: machine_id(&directory)?,
            presence: Some(Arc::new(Presence {
                directory,
                path,
                held: Arc::clone(&held),
                _lock: lock,
            })),
            held,
        })
    }

    /// Takes note of a claim, which is held for as long as the answer lives.
    pub(crate) fn note_held(&self, claim: String) -> Arc<()> {
        let alive = Arc::new(());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.live.retain(|_, other| other.strong_count() > 0);
        held.live.insert(claim.clone(), Arc::downgrade(&alive));
        held.unreturned.insert(claim);
        alive
    }

    /// Takes note that a claim was given back.
    pub(crate) fn note_returned(&self, claim: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.unreturned.remove(claim);
    }

    /// Whether somebody in this process holds a claim.
    pub(crate) fn holds(&self, claim: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let claim = held.live.get(claim);
        claim.is_some_and(|alive| alive.strong_count() > 0)
    }

    /// Whether another process of this machine has certainly ended: its lock is there and free.
    pub(crate) fn knows_to_be_gone(&self, worker: &str, machine: &str) -> bool {
        let Some(presence) = &self.presence else {
            return false;
        };
        if machine != self.machine || worker == self.worker || Uuid::parse_str(worker).is_err() {
            return false;
        }
        let path = lock_path(&presence.directory, worker);
        match File::open(&path).map(|file| file.try_lock()) {
            Ok(Ok(())) => true,
            Ok(Err(TryLockError::WouldBlock)) => false,
            Ok(Err(TryLockError::Error(error))) | Err(error) => {
                tracing::debug!(%error, "cannot tell whether a process still runs");
                false
            }
        }
    }
}

fn lock_path(directory: &Path, worker: &str) -> PathBuf {
    directory.join(format!("{worker}.lock"))
}

/// The id of this private root, made by whichever process comes first.
fn machine_id(directory: &Path) -> Result<String, ClaimError> {
    let path = directory.join("machine-id");
    let fresh = Uuid::now_v7().to_string();
    let mut draft = tempfile::NamedTempFile::new_in(directory).map_err(ClaimError::io(&path))?;
    std::io::Write::write_all(&mut draft, fresh.as_bytes()).map_err(ClaimError::io(&path))?;
    match draft.persist_noclobber(&path) {
        Ok(_) => Ok(fresh),
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(&path).map_err(ClaimError::io(&path))?;
            Ok(text.trim().to_owned())
        }
        Err(refused) => Err(ClaimError::Io {
            path,
            source: refused.error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_kept_a_claim_leaves_its_lock() {
        let root = tempfile::tempdir().unwrap();
        let onlooker = Identity::of_this_process(root.path()).unwrap();
        let one = Identity::of_this_process(root.path()).unwrap();
        let (worker, machine) = (one.worker.clone(), one.machine.clone());
        drop(one.note_held("a claim".to_owned()));
        drop(one);
        assert!(onlooker.knows_to_be_gone(&worker, &machine));
        let other = Identity::of_this_process(root.path()).unwrap();
        let path = lock_path(&root.path().join("workers"), &other.worker);
        drop(other.note_held("a claim".to_owned()));
        other.note_returned("a claim");
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn an_ended_process_is_known_and_a_running_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let one = Identity::of_this_process(root.path()).unwrap();
        let other = Identity::of_this_process(root.path()).unwrap();
        assert_eq!(one.machine, other.machine);
        assert!(!one.knows_to_be_gone(&other.worker, &other.machine));
        // What a killed process leaves: the file without its lock.
        let killed = Uuid::now_v7().to_string();
        let file = lock_path(&root.path().join("workers"), &killed);
        fs::write(file, "").unwrap();
        assert!(one.knows_to_be_gone(&killed, &one.machine));
        assert!(!one.knows_to_be_gone(&killed, "another machine"));
        assert!(!one.knows_to_be_gone("../../etc/passwd", &one.machine));
        let unknown = Uuid::now_v7().to_string();
        assert!(!one.knows_to_be_gone(&unknown, &one.machine));
    }
}
