//! For how long a claim has been seen unchanged.
//!
//! Within a process the monotonic clock decides. Between processes (a timer starts a new one every
//! few minutes) the first sighting is kept in a file with the wall clock's time and the boot it
//! belongs to: a reboot starts the wait anew, and so does a wall clock that went backwards. A wall
//! clock that is set forward shortens the wait; the lease on the exact commit still lets one taker
//! win, and the dispossessed holder learns of it at its next renewal.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::Clock;
use timmy_core::ObjectName;

use crate::claim::error::ClaimError;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    object: ObjectName,
    first_seen: Timestamp,
    boot: String,
}

#[derive(Debug, Clone)]
struct Watched {
    object: ObjectName,
    /// How long it had been seen when this process first saw it.
    before: Duration,
    /// When this process first saw it, on its monotonic clock.
    since: Duration,
}

/// First sightings, in memory and in a file.
#[derive(Debug)]
pub(crate) struct Sightings {
    path: PathBuf,
    boot: Option<String>,
    watched: Mutex<BTreeMap<String, Watched>>,
}

impl Sightings {
    pub(crate) fn new(path: &Path) -> Self {
        let boot = fs::read_to_string(BOOT_ID).ok();
        Self {
            path: path.to_owned(),
            boot: boot.map(|id| id.trim().to_owned()),
            watched: Mutex::default(),
        }
    }

    /// Notes that `reference` is at `object` now, and gives the time it has certainly been there.
    pub(crate) fn see(
        &self,
        reference: &str,
        object: &ObjectName,
        clock: &dyn Clock,
    ) -> Result<Duration, ClaimError> {
        let now = clock.monotonic();
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = watched.get(reference)
            && seen.object == *object
        {
            return Ok(seen.before + now.saturating_sub(seen.since));
        }
        let before = self.remember(reference, object, clock.now())?;
        let entry = Watched {
            object: object.clone(),
            before,
            since: now,
        };
        watched.insert(reference.to_owned(), entry);
        Ok(before)
    }

    pub(crate) fn forget(&self, reference: &str) -> Result<(), ClaimError> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.remove(reference);
        let mut written = self.read();
        if written.remove(reference).is_some() {
            self.write(&written)?;
        }
        Ok(())
    }

    /// The time since an earlier process saw the same, or zero and a note for later ones.
    fn remember(
        &self,
        reference: &str,
        object: &ObjectName,
        now: Timestamp,
    ) -> Result<Duration, ClaimError> {
        let Some(boot) = &self.boot else {
            return Ok(Duration::ZERO);
        };
        let mut written = self.read();
        let known = written
            .get(reference)
            .filter(|known| known.object == *object && known.boot == *boot);
        let elapsed =
            known.and_then(|known| Duration::try_from(now.duration_since(known.first_seen)).ok());
        if let Some(elapsed) = elapsed {
            return Ok(elapsed);
        }
        let entry = Written {
            object: object.clone(),
            first_seen: now,
            boot: boot.clone(),
        };
        written.insert(reference.to_owned(), entry);
        self.write(&written)?;
        Ok(Duration::ZERO)
    }

    /// A file that is missing or broken only means that the wait starts anew.
    fn read(&self) -> BTreeMap<String, Written> {
        let text = fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, written: &BTreeMap<String, Written>) -> Result<(), ClaimError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(ClaimError::io(directory))?;
        let mut draft =
            tempfile::NamedTempFile::new_in(directory).map_err(ClaimError::io(directory))?;
        let text = serde_json::to_vec_pretty(written).unwrap_or_default();
        draft.write_all(&text).map_err(ClaimError::io(&self.path))?;
        draft
            .persist(&self.path)
            .map_err(|refused| ClaimError::io(&self.path)(refused.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use timmy_testkit::ManualClock;

    use super::*;

    const REFERENCE: &str = "refs/timmy/claims/7";

    fn object(digit: char) -> ObjectName {
        digit.to_string().repeat(40).parse().unwrap()
    }

    #[test]
    fn the_wait_starts_anew_with_every_change() {
        let root = tempfile::tempdir().unwrap();
        let sightings = Sightings::new(&root.path().join("seen.json"));
        let clock = ManualClock::default();
        let see = |digit| sightings.see(REFERENCE, &object(digit), &clock).unwrap();
        assert_eq!(Duration::ZERO, see('a'));
        clock.advance(Duration::from_secs(700));
        assert_eq!(Duration::from_secs(700), see('a'));
        assert_eq!(Duration::ZERO, see('b'));
        clock.advance(Duration::from_secs(5));
        assert_eq!(Duration::from_secs(5), see('b'));
        sightings.forget(REFERENCE).unwrap();
        assert_eq!(Duration::ZERO, see('b'));
    }

    #[test]
    fn another_process_goes_on_counting() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("seen.json");
        let clock = ManualClock::default();
        let see = |sightings: &Sightings| sightings.see(REFERENCE, &object('a'), &clock).unwrap();
        assert_eq!(Duration::ZERO, see(&Sightings::new(&path)));
        clock.advance(Duration::from_secs(300));
        let second = Sightings::new(&path);
        assert_eq!(Duration::from_secs(300), see(&second));
        clock.advance(Duration::from_secs(60));
        assert_eq!(Duration::from_secs(360), see(&second));
        let rebooted = Sightings {
            boot: Some("another boot".to_owned()),
            ..Sightings::new(&path)
        };
        assert_eq!(Duration::ZERO, see(&rebooted));
    }

    #[test]
    fn a_broken_file_starts_the_wait_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("seen.json");
        fs::write(&path, "{broken").unwrap();
        let clock = ManualClock::default();
        let seen = Sightings::new(&path).see(REFERENCE, &object('a'), &clock);
        assert_eq!(Duration::ZERO, seen.unwrap());
        clock.advance(Duration::from_secs(9));
        let seen = Sightings::new(&path).see(REFERENCE, &object('a'), &clock);
        assert_eq!(Duration::from_secs(9), seen.unwrap());
    }
}
