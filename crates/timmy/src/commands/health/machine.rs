//! What of this machine is looked at.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timmy_core::Code;
use timmy_model::hermes::homes::Homes;
use timmy_store::EventLog;
use timmy_telemetry::auth;
use timmy_telemetry::files;
use timmy_telemetry::files::Files;
use timmy_telemetry::files::LastState;
use timmy_telemetry::finding::code;
use timmy_telemetry::health::Evidence;
use timmy_telemetry::health::Unseen;
use timmy_telemetry::probe::timers;
use timmy_telemetry::probe::timers::Moment;
use timmy_telemetry::watchdog;
use timmy_telemetry::watchdog::Standing;

use crate::host::Host;

/// Starts of subcommands that are looked through for when a timer last fired.
const STARTS: u32 = 1_000;

/// Where `timmy auth` keeps what it remembers, below the telemetry directory.
const LOGINS: &str = "logins";

/// Looks at timers, models and logins.
pub(super) async fn look(host: &Host, log: &EventLog, evidence: &mut Evidence, now: Timestamp) {
    let telemetry = host.root.join(files::DIRECTORY);
    timers_into(host, log, &telemetry, evidence, now).await;
    let homes = Homes::find(&host.loaded.config.hermes);
    models_into(host, homes.as_ref(), evidence).await;
    let around = auth::Surroundings {
        homes: homes.as_ref(),
        memory: &telemetry.join(LOGINS),
        now,
    };
    evidence.logins = auth::look(&host.loaded.config.auth, &around);
}

async fn timers_into(
    host: &Host,
    log: &EventLog,
    telemetry: &Path,
    evidence: &mut Evidence,
    now: Timestamp,
) {
    let last = last_state(telemetry);
    let started = log.commands_started(STARTS).await.unwrap_or_default();
    let moment = Moment {
        now,
        zone: TimeZone::system(),
        known: &last.timers,
        started: &started,
        looked: last.at,
    };
    let settings = &host.loaded.config.telemetry.timers;
    let seen = timers::look(settings, &moment, &host.every_secret()).await;
    evidence.timers = seen.timers;
    for unseen in seen.unseen {
        note(evidence, code::LATE_TIMER, &unseen.what, unseen.why);
    }
}

/// What the collector remembers of timers. Without one there is nothing, and nothing is made.
fn last_state(telemetry: &Path) -> LastState {
    if !telemetry.is_dir() {
        return LastState::default();
    }
    let state = Files::open(telemetry).and_then(|files| files.last_state());
    state.unwrap_or_default()
}

async fn models_into(host: &Host, homes: Option<&Homes>, evidence: &mut Evidence) {
    let config = &host.loaded.config;
    let own_sockets = host.root.join("tmux");
    let around = watchdog::Surroundings {
        homes,
        providers: &config.provider,
        own_sockets: &own_sockets,
    };
    for seen in watchdog::examine(&config.watchdog, &around).await {
        match seen.standing {
            Standing::Drifting(drift) => evidence.drifts.push(drift),
            Standing::NotAsked { reason } => {
                note(evidence, code::MODEL_DRIFT, &seen.subject, reason);
            }
            Standing::AsExpected { .. } | Standing::NotPresent { .. } => {}
        }
    }
}

fn note(evidence: &mut Evidence, code: Code, what: &str, why: String) {
    evidence.unseen.push(Unseen {
        code,
        about: format!("{}:{what}", evidence.host),
        why,
    });
}
