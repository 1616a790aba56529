//! What of this machine is looked at.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timmy_core::Code;
use timmy_model::hermes::homes::Homes;
use timmy_store::EventLog;
use timmy_telemetry::auth;
use timmy_telemetry::files;
use timmy_telemetry::files::Files;
use timmy_telemetry::files::LastState;
use timmy_telemetry::finding::Login;
use timmy_telemetry::finding::code;
use timmy_telemetry::health::Evidence;
use timmy_telemetry::health::Look;
use timmy_telemetry::health::Unseen;
use timmy_telemetry::health::gather;
use timmy_telemetry::health::gather::Aside;
use timmy_telemetry::health::gather::PastOfDisks;
use timmy_telemetry::probe::timers;
use timmy_telemetry::probe::timers::Moment;
use timmy_telemetry::watchdog;
use timmy_telemetry::watchdog::Standing;

use crate::host::Host;

/// Starts of subcommands that are looked through for when a timer last fired.
const STARTS: u32 = 1_000;
/// How long file systems may take.
const FILES_PATIENCE: Duration = Duration::from_secs(5);
/// How long whole files, programs and model servers may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How long what was read of the past of disks is good for.
const PAST_IS_GOOD_FOR: Duration = Duration::from_secs(600);

/// Where `timmy auth` keeps what it remembers, below the telemetry directory.
const LOGINS: &str = "logins";

/// Looks at disks, timers, models and logins, each away from the thread of the loop.
pub(super) struct Machine {
    disks: Aside,
    pasts: Aside,
    timers: Aside,
    models: Aside,
    logins: Aside,
    /// When the past of disks was read, and what it was.
    past: Option<(Duration, PastOfDisks)>,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            disks: Aside::within(FILES_PATIENCE),
            pasts: Aside::within(ANSWER_PATIENCE),
            timers: Aside::within(ANSWER_PATIENCE),
            models: Aside::within(ANSWER_PATIENCE),
            logins: Aside::within(FILES_PATIENCE),
            past: None,
        }
    }

    /// Looks at everything. What does not answer is said.
    pub(super) async fn look(
        &mut self,
        host: &Arc<Host>,
        log: &EventLog,
        evidence: &mut Evidence,
        now: Timestamp,
    ) {
        self.disks(host, evidence, now).await;
        let started = log.commands_started(STARTS).await.unwrap_or_default();
        let own = Arc::clone(host);
        let timers = async move || timers_of(&own, &started, now).await;
        let own = Arc::clone(host);
        let models = async move || models_of(&own).await;
        let own = Arc::clone(host);
        let logins = move || logins_of(&own, now);
        let (timers, models, logins) = tokio::join!(
            self.timers.look_and_wait(timers),
            self.models.look_and_wait(models),
            self.logins.look(logins),
        );
        if let Some(seen) = seen(evidence, code::LATE_TIMER, timers) {
            evidence.timers = seen.timers;
            for unseen in seen.unseen {
                note(evidence, code::LATE_TIMER, &unseen.what, unseen.why);
            }
        }
        if let Some(seen) = seen(evidence, code::MODEL_DRIFT, models) {
            models_into(evidence, seen);
        }
        evidence.logins = seen(evidence, code::LOGIN, logins).unwrap_or_default();
    }

    async fn disks(&mut self, host: &Arc<Host>, evidence: &mut Evidence, now: Timestamp) {
        self.remember(host, evidence, now).await;
        let past = self.past.as_ref().map(|(_, past)| past.clone());
        let own = Arc::clone(host);
        let look = move || {
            let settings = &own.loaded.config.telemetry;
            let metrics = telemetry(&own).join(format!("{}.jsonl", files::METRICS));
            let collector = settings.in_loop.then_some(settings.every());
            let collector = collector.and_then(|every| gather::collector(&metrics, every));
            let past = past.unwrap_or_default();
            (
                gather::disks(&own.root, &settings.disk_paths, &past),
                collector,
            )
        };
        match self.disks.look(look).await {
            Ok((disks, collector)) => (evidence.disks, evidence.collector) = (disks, collector),
            Err(why) => {
                note(evidence, code::NO_TELEMETRY, "", why.clone());
                note(evidence, code::DISK, "", why);
            }
        }
    }

    /// Reads the past of disks, unless that was done of late.
    async fn remember(&mut self, host: &Arc<Host>, evidence: &mut Evidence, now: Timestamp) {
        let since = host.clock.monotonic();
        let fresh = |(read, _): &(Duration, _)| since.saturating_sub(*read) < PAST_IS_GOOD_FOR;
        if self.past.as_ref().is_some_and(fresh) {
            return;
        }
        let (telemetry, name) = (telemetry(host), evidence.host.clone());
        let read = move || gather::past_of_disks(&telemetry, &name, now);
        let past = self.pasts.look(read).await;
        if let Some(past) = seen(evidence, code::DISK, past) {
            self.past = Some((since, past));
        }
    }
}

fn telemetry(host: &Host) -> PathBuf {
    host.root.join(files::DIRECTORY)
}

async fn timers_of(
    host: &Host,
    started: &BTreeMap<String, Timestamp>,
    now: Timestamp,
) -> timers::Seen {
    let last = last_state(&telemetry(host));
    let moment = Moment {
        now,
        zone: TimeZone::system(),
        known: &last.timers,
        started,
        looked: last.at,
    };
    let settings = &host.loaded.config.telemetry.timers;
    timers::look(settings, &moment, &host.every_secret()).await
}

/// What the collector remembers of timers. Without one there is nothing, and nothing is made.
fn last_state(telemetry: &Path) -> LastState {
    if !telemetry.is_dir() {
        return LastState::default();
    }
    let state = Files::open(telemetry).and_then(|files| files.last_state());
    state.unwrap_or_default()
}

async fn models_of(host: &Host) -> Vec<watchdog::Seen> {
    let config = &host.loaded.config;
    let homes = Homes::find(&config.hermes);
    let own_sockets = host.root.join("tmux");
    let around = watchdog::Surroundings {
        homes: homes.as_ref(),
        providers: &config.provider,
        own_sockets: &own_sockets,
    };
    watchdog::examine(&config.watchdog, &around).await
}

fn models_into(evidence: &mut Evidence, seen: Vec<watchdog::Seen>) {
    for seen in seen {
        match seen.standing {
            Standing::Drifting(drift) => evidence.drifts.push(drift),
            Standing::NotAsked { reason } => {
                note(evidence, code::MODEL_DRIFT, &seen.subject, reason);
            }
            Standing::AsExpected { .. } | Standing::NotPresent { .. } => {}
        }
    }
}

fn logins_of(host: &Host, now: Timestamp) -> Vec<Login> {
    let config = &host.loaded.config;
    let homes = Homes::find(&config.hermes);
    let around = auth::Surroundings {
        homes: homes.as_ref(),
        memory: &telemetry(host).join(LOGINS),
        now,
    };
    auth::look(&config.auth, &around)
}

/// What was seen; otherwise it is noted that nobody could tell.
fn seen<T>(evidence: &mut Evidence, code: Code, look: Look<T>) -> Option<T> {
    look.map_err(|why| note(evidence, code, "", why)).ok()
}

fn note(evidence: &mut Evidence, code: Code, what: &str, why: String) {
    evidence.unseen.push(Unseen {
        code,
        about: format!("{}:{what}", evidence.host),
        why,
    });
}
