//! Putting models back.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use serde::Serialize;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::Problem;
use timmy_store::EventLog;

use super::Expectation;
use super::Plan;
use super::Seen;
use super::Standing;
use super::Step;
use super::Surroundings;
use super::WatchdogError;
use super::WatchdogSettings;
use super::look::View;
use super::pane;
use super::plan;
use super::plan::Edit;
use super::server;
use crate::finding::Drift;
use crate::probe::machine::host_name;
use crate::replace;

/// The time between two repairs of one subject.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Repairs that are looked at for that, the newest ones.
const LOOKED_AT: u32 = 1_000;
/// How often and how long a pane is looked at until the program in it shows its model.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

/// Puts models back, one `timmy watchdog --fix` at a time.
pub struct Restorer<'a> {
    settings: &'a WatchdogSettings,
    around: Surroundings<'a>,
    log: EventLog,
    clock: Arc<dyn Clock>,
    host: String,
    // Held as long as it lives.
    _lock: File,
}

/// A model that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What drifted.
    pub subject: String,
    /// What was there.
    pub from: String,
    /// What is there now.
    pub to: String,
    /// The copy of the file as it was, where a file was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
}

impl<'a> Restorer<'a> {
    /// Begins, unless another one is at work. `directory` is where telemetry keeps its files.
    ///
    /// # Errors
    /// [`WatchdogError::Busy`] and [`WatchdogError::Unwritable`].
    pub fn begin(
        settings: &'a WatchdogSettings,
        around: Surroundings<'a>,
        directory: &Path,
        log: EventLog,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WatchdogError> {
        let path = directory.join("watchdog.lock");
        let unwritable = |error: std::io::Error| WatchdogError::Unwritable {
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut options = File::options();
        let lock = options.append(true).create(true).open(&path);
        let lock = lock.map_err(unwritable)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(WatchdogError::Busy(path)),
            Err(error) => return Err(unwritable(error.into())),
        }
        Ok(Self {
            settings,
            around,
            log,
            clock,
            host: host_name(),
            _lock: lock,
        })
    }

    /// Looks, and says what would be done about each drift. Nothing is changed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn plan(&self) -> Result<(Vec<Seen>, Vec<Plan>), WatchdogError> {
        let restored = self.restored().await?;
        let view = View::take(self.settings, &self.around).await;
        let (mut seen, mut plans) = (Vec::new(), Vec::new());
        for expectation in &self.settings.expect {
            let found = view.seen(expectation).await;
            if let Some(drift) = found.drift() {
                let step = self.step(&view, expectation, drift, &restored);
                plans.push(Plan::new(drift, step));
            }
            seen.push(found);
        }
        Ok((seen, plans))
    }

    fn step(
        &self,
        view: &View<'_>,
        expectation: &Expectation,
        drift: &Drift,
        restored: &BTreeMap<String, Timestamp>,
    ) -> Result<Step, WatchdogError> {
        let step = plan::step(view, expectation, drift)?;
        if let Some(last) = restored.get(&drift.subject)
            && self.clock.now().duration_since(*last) < EVERY
        {
            return Err(WatchdogError::TooSoon {
                subject: drift.subject.clone(),
                last: *last,
                again: last.saturating_add(EVERY).unwrap_or(Timestamp::MAX),
            });
        }
        Ok(step)
    }

    /// When each subject of this machine was last put back.
    async fn restored(&self) -> Result<BTreeMap<String, Timestamp>, WatchdogError> {
        let events = self
            .log
            .newest_up_to(&["model_restored"], EventLog::END, LOOKED_AT)
            .await?;
        let mut restored = BTreeMap::new();
        for event in events {
            if let EventKind::ModelRestored { subject, host, .. } = event.kind
                && host == self.host
            {
                restored.insert(subject, event.at);
            }
        }
        Ok(restored)
    }

    /// Does what a plan says, and looks whether it helped. Configurations come before programs, which
    /// may read them.
    pub async fn restore(&self, plans: &[Plan]) -> Vec<Result<Restored, Problem>> {
        let mut steps: Vec<(&Drift, &Step)> = Vec::new();
        for plan in plans {
            if let Ok(step) = &plan.step {
                steps.push((&plan.drift, step));
            }
        }
        steps.sort_by_key(|(_, step)| match step {
            Step::Edit(_) => 0,
            Step::Load { .. } => 1,
            Step::Respawn { .. } => 2,
        });
        let mut done = Vec::new();
        for (drift, step) in steps {
            let restored = self.one(drift, step).await;
            done.push(restored.map_err(|error| error.problem()));
        }
        done
    }

    async fn one(&self, planned: &Drift, step: &Step) -> Result<Restored, WatchdogError> {
        let subject = &planned.subject;
        let mut expected = self.settings.expect.iter();
        let expectation = expected.find(|expectation| expectation.subject() == *subject);
        let Some(expectation) = expectation else {
            return Err(self.not_touched(subject, "it is not expected any more"));
        };
        // Somebody may have come, or mended it, since the plan was made.
        let view = View::take(self.settings, &self.around).await;
        let seen = view.seen(expectation).await;
        let Some(drift) = seen.drift() else {
            return Err(self.not_touched(subject, "it does not drift any more"));
        };
        let now = plan::step(&view, expectation, drift)?;
        if now != *step {
            return Err(self.not_touched(subject, "it is not as it was when the plan was made"));
        }
        let from = drift.found.clone().unwrap_or_else(|| "nothing".to_owned());
        let done = self.carry_out(subject, step).await;
        let (backup, failed) = match done {
            Ok(backup) => (backup, None),
            // Nothing was tried.
            Err(error @ WatchdogError::Changed(_)) => return Err(error),
            Err(error) => (None, Some(error)),
        };
        let there = match failed {
            None => self.there_now(expectation, step).await,
            Some(_) => Some(from.clone()),
        };
        let restored = Restored {
            subject: subject.clone(),
            from,
            to: there.clone().unwrap_or_else(|| drift.expected.clone()),
            backup,
        };
        // What failed or did not help is noted too: it must not be done again and again.
        self.note(&restored).await?;
        if let Some(error) = failed {
            return Err(error);
        }
        match there {
            None => Ok(restored),
            Some(found) => Err(WatchdogError::StillDrifting {
                subject: restored.subject,
                found,
            }),
        }
    }

    fn not_touched(&self, subject: &str, reason: &str) -> WatchdogError {
        WatchdogError::NotTouched {
            subject: subject.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// Does what a step says, and gives the path of the copy of a file that was changed.
    async fn carry_out(&self, subject: &str, step: &Step) -> Result<Option<String>, WatchdogError> {
        let done = match step {
            Step::Edit(edit) => return change(edit, self.clock.now()).map(Some),
            Step::Load {
                address,
                model,
                keep_alive,
            } => server::load(address, model, keep_alive.as_deref()).await,
            Step::Respawn {
                socket,
                pane,
                command,
            } => pane::respawn(socket.as_deref(), pane, command).await,
        };
        done.map_err(|reason| WatchdogError::Refused {
            subject: subject.to_owned(),
            reason,
        })?;
        Ok(None)
    }

    /// Looks again: none when everything is as expected, else what is there. A program in a pane needs a
    /// moment until it shows.
    async fn there_now(&self, expectation: &Expectation, step: &Step) -> Option<String> {
        let looks = match step {
            Step::Respawn { .. } => LOOKS,
            Step::Edit(_) | Step::Load { .. } => 1,
        };
        let mut found = String::new();
        for look in 0..looks {
            if look > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            let view = View::take(self.settings, &self.around).await;
            match view.standing(expectation).await {
                Standing::AsExpected { .. } => return None,
                Standing::Drifting(drift) => {
                    found = drift.found.unwrap_or(drift.evidence);
                }
                Standing::NotPresent { reason } | Standing::NotAsked { reason } => found = reason,
            }
        }
        Some(found)
    }

    async fn note(&self, restored: &Restored) -> Result<(), WatchdogError> {
        let kind = EventKind::ModelRestored {
            subject: restored.subject.clone(),
            from: restored.from.clone(),
            to: restored.to.clone(),
            backup: restored.backup.clone(),
            host: self.host.clone(),
        };
        self.log.try_append(None, kind).await?;
        Ok(())
    }
}

/// Replaces a file and gives the path of the copy that was kept. None is kept of a file that stays.
fn change(edit: &Edit, now: Timestamp) -> Result<String, WatchdogError> {
    let not_replaced = |error: std::io::Error| WatchdogError::NotReplaced {
        path: edit.path.clone(),
        reason: error.to_string(),
    };
    let (path, rights) = (&edit.path, edit.rights);
    replace::remove_left(path, now);
    let replacement = replace::Replacement::prepare(path, rights, edit.after.as_bytes());
    let replacement = replacement.map_err(not_replaced)?;
    let copy = replace::keep_copy(path, rights, &edit.before, now);
    let copy = copy.map_err(not_replaced)?;
    // As late as can be.
    let replaced = match std::fs::read(path) {
        Ok(there) if there == edit.before => replacement.commit().map_err(not_replaced),
        Ok(_) => Err(WatchdogError::Changed(path.clone())),
        Err(error) => Err(not_replaced(error)),
    };
    if replaced.is_err() && !std::fs::read(path).is_ok_and(|there| there == edit.after.as_bytes()) {
        drop(std::fs::remove_file(&copy));
    }
    replaced.map(|()| copy.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replace::Rights;

    #[test]
    fn a_file_that_changed_meanwhile_stays_and_no_copy_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, "model: theirs\n").unwrap();
        let edit = Edit {
            diff: String::new(),
            rights: Rights::of(&path).unwrap(),
            before: b"model: a\n".to_vec(),
            after: "model: b\n".to_owned(),
            path: path.clone(),
        };
        let refused = change(&edit, Timestamp::UNIX_EPOCH);
        assert!(
            matches!(refused, Err(WatchdogError::Changed(_))),
            "{refused:?}"
        );
        assert_eq!("model: theirs\n", std::fs::read_to_string(&path).unwrap());
        assert_eq!(1, std::fs::read_dir(directory.path()).unwrap().count());
    }
}
