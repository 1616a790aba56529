//! One look at everything: sampled all at once, appended, compared, and the comparison kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::Redactor;
use timmy_core::RepoName;
use timmy_forge::Forge;
use timmy_model::ProviderSettings;
use timmy_store::Length;
use timmy_store::Store;
use timmy_store::StoreError;

use crate::compare;
use crate::error::TelemetryError;
use crate::files::DIRECTORY;
use crate::files::Files;
use crate::files::LastState;
use crate::files::Progress;
use crate::files::Rotation;
use crate::off_thread;
use crate::probe::Unseen;
use crate::probe::disk;
use crate::probe::disk::Disk;
use crate::probe::forge;
use crate::probe::gpu;
use crate::probe::machine;
use crate::probe::models;
use crate::probe::runs;
use crate::probe::timers;
use crate::probe::timers::Moment;
use crate::probe::tmux;
use crate::readings::Readings;
use crate::rows::Change;
use crate::rows::Row;
use crate::settings::TelemetrySettings;

/// How long the database may take.
const LOG_PATIENCE: Duration = Duration::from_secs(10);
/// Starts of timmy that are looked through for those of its subcommands.
const STARTS_LOOKED_AT: u32 = 200;
const SECONDS_A_DAY: u64 = 86_400;

/// What is looked at, and with what.
pub struct Subject {
    /// The private root.
    pub root: PathBuf,
    /// `[telemetry]`
    pub settings: TelemetrySettings,
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The repositories of the forge.
    pub repositories: Vec<RepoName>,
    /// The model providers.
    pub providers: Vec<ProviderSettings>,
    /// Knows every secret of this host.
    pub redactor: Redactor,
}

/// Looks, and keeps what it sees.
pub struct Collector {
    subject: Subject,
    files: Files,
    host: String,
}

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tick {
    /// When it was.
    pub at: Timestamp,
    /// On which machine.
    pub host: String,
    /// The samples.
    pub rows: Vec<Row<'static>>,
    /// What changed since the last look.
    pub changes: Vec<Change<'static>>,
    /// What is there and could not be looked at.
    pub unseen: Vec<Unseen>,
    /// How often the last state could not be read, and everything began anew.
    pub begun_anew: u64,
}

/// What the next look wants to know of this one, beside the states.
struct Kept {
    forge: forge::Seen,
    runs: Option<Progress>,
    timers: BTreeMap<String, Timestamp>,
}

impl Collector {
    /// Opens the files below the private root.
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn new(subject: Subject) -> Result<Self, TelemetryError> {
        let files = Files::open(&subject.root.join(DIRECTORY))?;
        Ok(Self {
            subject,
            files,
            host: machine::host_name(),
        })
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The repositories whose figures are old, for whom the next look wants the forge.
    ///
    /// # Errors
    /// [`TelemetryError::Files`] when the last state can neither be read nor put aside.
    pub fn wants_of_forge(&self) -> Result<Vec<RepoName>, TelemetryError> {
        let last = self.files.last_state()?;
        Ok(self.due(&last, self.subject.clock.now()))
    }

    /// Looks at everything once. Without a forge it is left out.
    ///
    /// # Errors
    /// When what was seen cannot be kept. What cannot be looked at is in the answer instead.
    pub async fn tick(&self, forge: Option<&dyn Forge>) -> Result<Tick, TelemetryError> {
        let now = self.subject.clock.now();
        let last = self.files.last_state()?;
        let (readings, kept) = Box::pin(self.look(forge, &last, now)).await;
        let files = self.files.clone();
        let rotation = Rotation {
            bytes: self.subject.settings.rotate_bytes,
            keep: Duration::from_secs(u64::from(self.subject.settings.keep_days) * SECONDS_A_DAY),
        };
        let host = self.host.clone();
        let keep = move || keep(&files, rotation, readings.of(now, host), kept);
        match tokio::task::spawn_blocking(keep).await {
            Ok(kept) => kept,
            Err(error) => Err(TelemetryError::files(
                "keep what it saw",
                self.files.directory(),
            )(std::io::Error::other(error))),
        }
    }

    fn due(&self, last: &LastState, now: Timestamp) -> Vec<RepoName> {
        let every = Duration::from_secs(self.subject.settings.forge_every_s);
        forge::due(&self.subject.repositories, &last.forge, every, now)
    }

    /// Everything at once, each within its own time.
    async fn look(
        &self,
        forge: Option<&dyn Forge>,
        last: &LastState,
        now: Timestamp,
    ) -> (Readings, Kept) {
        let subject = &self.subject;
        let ((disks, panes), log, forge, models, (gpus, no_gpus)) = tokio::join!(
            self.local(),
            self.log(last, now),
            self.forge(forge, last, now),
            models::read(&subject.providers, &subject.redactor),
            gpu::read(),
        );
        let mut readings = Readings::default();
        readings.machine(&machine::read());
        readings.gpus(&gpus, no_gpus);
        match disks {
            Ok(disks) => readings.disks(&disks),
            Err(unseen) => readings.unseen(unseen),
        }
        readings.tmux(&panes);
        let late_after = subject.settings.timers.late_after_s;
        readings.timers(&log.timers, now, late_after);
        match &log.read {
            Ok(logged) => readings.runs(&logged.runs, &logged.queue, now),
            Err(unseen) => readings.unseen(unseen.clone()),
        }
        readings.forge(&subject.repositories, &forge);
        readings.models(&models);
        let fired = log.timers.timers.iter();
        let fired = fired.filter_map(|timer| Some((timers::key(timer), timer.last?)));
        let kept = Kept {
            forge,
            timers: fired.collect(),
            runs: log.read.ok().map(|logged| logged.progress),
        };
        (readings, kept)
    }

    /// Disks and panes. A file system that hangs holds up neither the rest nor the program.
    async fn local(&self) -> (Result<Vec<Disk>, Unseen>, tmux::Seen) {
        let root = self.subject.root.clone();
        let settings = &self.subject.settings;
        let mut paths = vec![root.clone(), root.join("runs"), root.join("workspaces")];
        paths.extend(settings.disk_paths.iter().cloned());
        let further = settings.tmux_sockets.clone();
        let disks = off_thread::DISKS.look(move || disk::read(&paths));
        let panes = async {
            let found = tmux::sockets(&root, &further).await;
            tmux::read(&found, &self.subject.redactor).await
        };
        tokio::join!(disks, panes)
    }

    /// What the log knows, and timers, some of which are in it.
    async fn log(&self, last: &LastState, now: Timestamp) -> FromLog {
        let log = self.subject.store.log(Arc::clone(&self.subject.clock));
        let starts = in_time(log.commands_started(STARTS_LOOKED_AT)).await;
        let started = starts.unwrap_or_default();
        let moment = Moment {
            now,
            zone: TimeZone::system(),
            known: &last.timers,
            started: &started,
            looked: last.at,
        };
        let read = async {
            let (runs, progress) = runs::read(&log, &self.subject.root, &last.runs).await?;
            let queue = self.subject.store.queue(Arc::clone(&self.subject.clock));
            let queue = queue.await?.lengths().await?;
            Ok(Logged {
                runs,
                progress,
                queue,
            })
        };
        let settings = &self.subject.settings.timers;
        let (read, timers) = tokio::join!(
            in_time(read),
            timers::look(settings, &moment, &self.subject.redactor)
        );
        FromLog { read, timers }
    }

    async fn forge(
        &self,
        forge: Option<&dyn Forge>,
        last: &LastState,
        now: Timestamp,
    ) -> forge::Seen {
        let due = self.due(last, now);
        match forge {
            Some(forge) if !due.is_empty() => forge::read(forge, &due, now).await,
            Some(_) | None => forge::Seen::default(),
        }
    }
}

/// What was read with the help of the log.
struct FromLog {
    read: Result<Logged, Unseen>,
    timers: timers::Seen,
}

/// What the database says.
struct Logged {
    runs: Vec<runs::Run>,
    progress: Progress,
    queue: BTreeMap<String, Length>,
}

async fn in_time<T>(read: impl Future<Output = Result<T, StoreError>>) -> Result<T, Unseen> {
    match tokio::time::timeout(LOG_PATIENCE, read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(Unseen::new("log", &error.problem().what)),
        Err(_) => Err(Unseen::new("log", "the database does not answer")),
    }
}

/// Rows, then changes, then the state they lead to: a process that is killed in between tells the
/// changes again, and none is lost.
fn keep(
    files: &Files,
    rotation: Rotation,
    (rows, seen, unseen): (Vec<Row<'static>>, compare::Seen, Vec<Unseen>),
    kept: Kept,
) -> Result<Tick, TelemetryError> {
    let writing = files.write()?;
    writing.rotate(rotation, seen.at)?;
    writing.append_rows(&rows)?;
    // Another collector may have been here while this one looked.
    let mut state = files.last_state()?;
    let changes = compare::diff(&state.states, &seen);
    writing.append_changes(&changes)?;
    compare::apply(&mut state.states, &changes);
    state.at = Some(seen.at);
    state.host.clone_from(&seen.host);
    state.forge.extend(kept.forge.counted);
    if let Some(runs) = kept.runs {
        state.runs = runs;
    }
    state.timers = kept.timers;
    writing.keep_state(&state)?;
    Ok(Tick {
        at: seen.at,
        host: seen.host,
        rows,
        changes,
        unseen,
        begun_anew: state.begun_anew,
    })
}
