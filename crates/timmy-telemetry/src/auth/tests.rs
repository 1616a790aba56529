//! A stage with a portal and the homes of Hermes.

mod endings;
mod homes;
mod kept;
mod owners;
mod rotation;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_model::hermes::homes::Homes;
use timmy_testkit::ManualClock;
use timmy_testkit::portal::KEY_LIFE;
use timmy_testkit::portal::Mood;
use timmy_testkit::portal::Portal;
use timmy_testkit::portal::REFRESH_HEADER;
use timmy_testkit::portal::refresh_token;

use super::*;
use crate::finding::LoginState;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = KEY_LIFE;
const DAY: Duration = Duration::from_hours(24);

struct Stage {
    place: TempDir,
    clock: Arc<ManualClock>,
    portal: Portal,
    settings: AuthSettings,
}

impl Stage {
    async fn set() -> Self {
        let clock = Arc::new(ManualClock::default());
        Self {
            place: tempfile::tempdir().unwrap(),
            portal: Portal::start(Arc::clone(&clock) as Arc<dyn Clock>).await,
            clock,
            settings: AuthSettings::default(),
        }
    }

    /// With a login at the root whose key lives for so long.
    async fn with_login(life: Duration) -> Self {
        let stage = Self::set().await;
        stage.write("auth.json", &stage.auth(stage.record(life)));
        stage
    }

    fn homes(&self) -> Homes {
        Homes::at(self.place.path().join("hermes"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("hermes").join(name)
    }

    fn memory(&self) -> PathBuf {
        self.place.path().join("logins")
    }

    fn write(&self, name: &str, value: &Value) {
        self.write_text(name, &format!("{value:#}"));
    }

    fn write_text(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
    }

    fn read(&self, name: &str) -> Value {
        read(&self.path(name))
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn time(&self, from_now: SignedDuration) -> String {
        (self.clock.now() + from_now)
            .strftime("%Y-%m-%dT%H:%M:%S+00:00")
            .to_string()
    }

    /// A login of Hermes 0.16 and later whose key lives for so long.
    fn record(&self, left: Duration) -> Value {
        let token = self.portal.access_token(left);
        let left = SignedDuration::try_from(left).unwrap();
        let expires = self.time(left);
        json!({
            "portal_base_url": self.portal.url(),
            "inference_base_url": "https://inference-api.nousresearch.com/v1",
            "client_id": "hermes-cli",
            "scope": "inference:invoke",
            "token_type": "Bearer",
            "access_token": token,
            "refresh_token": refresh_token(0),
            "obtained_at": self.time(left - SignedDuration::try_from(KEY_LIFE).unwrap()),
            "expires_in": KEY_LIFE.as_secs(),
            "expires_at": expires,
            "agent_key": token,
            "agent_key_id": null,
            "agent_key_expires_at": expires,
            "label": "mine",
            "tls": {"insecure": false, "ca_bundle": null},
        })
    }

    fn auth(&self, record: Value) -> Value {
        json!({
            "version": 1,
            "active_provider": "openrouter",
            "providers": {"other": {"access_token": "kept"}, "nous": record},
            "credential_pool": {
                "openrouter": [{"id": "a", "source": "env:X"}],
                "nous": [
                    {"id": "b1", "source": "device_code", "refresh_token": refresh_token(0),
                     "last_status": "exhausted", "request_count": 7, "priority": 0},
                    {"id": "b2", "source": "manual", "refresh_token": "of another login"},
                ],
            },
            "suppressed_sources": {"nous": []},
            "updated_at": "before",
        })
    }

    fn standings(&self) -> Vec<LoginStanding> {
        let homes = self.homes();
        let around = Surroundings {
            homes: Some(&homes),
            memory: &self.memory(),
            now: self.clock.now(),
        };
        examine(&self.settings, &around)
    }

    /// The only login.
    fn standing(&self) -> LoginStanding {
        let mut standings = self.standings();
        assert_eq!(1, standings.len(), "{standings:?}");
        standings.remove(0)
    }

    fn state(&self) -> LoginState {
        self.standing().login.state
    }

    async fn turns(&self) -> Vec<Turn> {
        let homes = self.homes();
        let memory = self.memory();
        let refresher = Refresher {
            settings: &self.settings,
            homes: Some(&homes),
            memory: &memory,
            portal: None,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        };
        refresher.refresh(None).await
    }

    /// Refreshes the only login.
    async fn refresh(&self) -> Result<Outcome, AuthError> {
        let mut turns = self.turns().await;
        assert_eq!(1, turns.len(), "{turns:?}");
        turns.remove(0).outcome
    }

    /// The refresh tokens of the login in the file, its entry in the pool and the shared file.
    fn tokens(&self) -> [Value; 3] {
        let auth = self.read("auth.json");
        let shared = self.read("shared/nous_auth.json");
        [
            auth["providers"]["nous"]["refresh_token"].clone(),
            auth["credential_pool"]["nous"][0]["refresh_token"].clone(),
            shared["refresh_token"].clone(),
        ]
    }

    /// Copies of files that lie beside them.
    fn copies(&self, directory: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut copies: Vec<PathBuf> = paths
            .filter(|path| path.to_string_lossy().contains(".timmy-"))
            .collect();
        copies.sort();
        copies
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn code(outcome: &Result<Outcome, AuthError>) -> u16 {
    let error = outcome.as_ref().expect_err("it went well");
    error.problem().code.number()
}
