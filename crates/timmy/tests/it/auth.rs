//! Logins of Hermes, kept alive by the program, against a portal whose refresh tokens are used once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use timmy_core::SystemClock;
use timmy_testkit::portal::KEY_LIFE;
use timmy_testkit::portal::Mood;
use timmy_testkit::portal::Portal;
use timmy_testkit::portal::refresh_token;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::Command;

use crate::home::Home;
use crate::home::ran;

/// A home of timmy beside one of Hermes whose login has this much life left.
struct Stage {
    home: Home,
    portal: Portal,
}

impl Stage {
    async fn set(left: Duration) -> Self {
        let portal = Portal::start(Arc::new(SystemClock::new())).await;
        let stage = Self {
            home: Home::new(),
            portal,
        };
        stage.configure("");
        let hermes = stage.hermes();
        std::fs::create_dir(&hermes).unwrap();
        let left_over = SignedDuration::try_from(left).unwrap();
        let expires = Timestamp::now() + left_over;
        let obtained = expires - SignedDuration::try_from(KEY_LIFE).unwrap();
        let auth = json!({
            "version": 1,
            "providers": {"nous": {
                "portal_base_url": stage.portal.url(),
                "scope": "inference:invoke",
                "access_token": stage.portal.access_token(left),
                "refresh_token": refresh_token(0),
                "obtained_at": obtained.to_string(),
                "expires_at": expires.to_string(),
            }},
        });
        std::fs::write(stage.auth(), format!("{auth:#}")).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(stage.auth(), private).unwrap();
        stage
    }

    fn configure(&self, more: &str) {
        let hermes = self.hermes();
        self.home
            .configure(&format!("[hermes]\nhome = {hermes:?}\n{more}"));
    }

    fn hermes(&self) -> PathBuf {
        self.home.beside("hermes")
    }

    fn auth(&self) -> PathBuf {
        self.hermes().join("auth.json")
    }

    fn token(&self) -> Value {
        let text = std::fs::read_to_string(self.auth()).unwrap();
        let auth: Value = serde_json::from_str(&text).unwrap();
        auth["providers"]["nous"]["refresh_token"].clone()
    }
}

/// Holds a lock in another process until its input ends.
async fn hold(lock: &Path) -> Child {
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let mut holder = Command::new("flock")
        .arg(lock)
        .args(["sh", "-c", "echo held; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let told = holder.stdout.take().unwrap();
    BufReader::new(told).read_line(&mut line).await.unwrap();
    assert_eq!("held\n", line);
    holder
}

#[tokio::test]
async fn a_login_is_refreshed_and_the_log_knows() {
    let stage = Stage::set(Duration::from_secs(60)).await;
    let status = stage.home.json(&["auth", "status"]).await;
    let [login] = serde_json::from_value::<[Value; 1]>(status.json()).unwrap();
    assert_eq!(
        (1, json!("stale"), json!(true)),
        (status.code, login["state"].clone(), login["due"].clone())
    );

    let told = stage.home.run(&["auth", "refresh"]).await.well().stdout;
    assert!(told.starts_with("nous: refreshed, good until 20"), "{told}");
    assert_eq!(json!(refresh_token(1)), stage.token());
    let told = stage
        .home
        .run(&["auth", "refresh", "nous"])
        .await
        .well()
        .stdout;
    assert_eq!("nous: its key lives long enough\n", told);
    let table = stage.home.run(&["auth", "status"]).await.well().stdout;
    assert!(
        table.contains("good") && table.contains("auth.json"),
        "{table}"
    );

    let events = stage.home.events().await;
    let refreshed: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == json!("login_refreshed"))
        .collect();
    assert_eq!(
        (1, &json!("nous")),
        (refreshed.len(), &refreshed[0]["login"])
    );
    assert!(
        !format!("{events:?}{table}{told}").contains("rt-"),
        "a token is told"
    );
}

#[tokio::test]
async fn four_processes_at_once_exchange_the_tokens_once() {
    let stage = Stage::set(Duration::ZERO).await;
    let turn = || ran(stage.home.command(&["auth", "refresh", "--json"]));
    let (one, two, three, four) = tokio::join!(turn(), turn(), turn(), turn());
    let mut outcomes = Vec::new();
    for ran in [one, two, three, four] {
        outcomes.push(ran.well().json()[0]["outcome"].as_str().unwrap().to_owned());
    }
    outcomes.sort();
    assert_eq!(
        ["not_due", "not_due", "not_due", "refreshed"],
        outcomes.as_slice()
    );
    assert_eq!(
        (1, false),
        (stage.portal.exchanges(), stage.portal.is_revoked())
    );
    assert_eq!(json!(refresh_token(1)), stage.token());
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_respected() {
    let stage = Stage::set(Duration::ZERO).await;
    stage.configure("[auth]\nlock_wait_s = 0\n");
    for name in ["auth.lock", "shared/nous_auth.lock"] {
        let lock = stage.hermes().join(name);
        let mut holder = hold(&lock).await;
        let refused = stage.home.json(&["auth", "refresh", "nous"]).await;
        assert_eq!((75, "TIMMY-1040".to_owned()), refused.refusal());
        let place = refused.json()["error"]["place"].clone();
        assert!(place.as_str().unwrap().ends_with(name), "{refused:?}");
        assert_eq!(0, stage.portal.asked().len());
        holder.stdin.take().unwrap().shutdown().await.unwrap();
        holder.wait().await.unwrap();
    }
    // Somebody who lets go in time is waited for.
    stage.configure("");
    let mut holder = hold(&stage.hermes().join("auth.lock")).await;
    let waits = ran(stage.home.command(&["auth", "refresh"]));
    let lets_go = async {
        drop(holder.stdin.take());
        holder.wait().await
    };
    let (waited, let_go) = tokio::join!(waits, lets_go);
    assert!(let_go.unwrap().success());
    assert!(waited.well().stdout.contains("refreshed"));
}

#[tokio::test]
async fn a_process_that_is_killed_before_it_keeps_the_answer_leaves_a_note() {
    let stage = Stage::set(Duration::from_secs(300)).await;
    let before = std::fs::read(stage.auth()).unwrap();
    stage.portal.be(Mood::TakesAndHangs);
    let mut child = stage.home.command(&["auth", "refresh"]).spawn().unwrap();
    stage.portal.until_asked().await;
    child.kill().await.unwrap();
    // The portal has exchanged the token, and nobody has the new one.
    stage.portal.be(Mood::Good);
    assert_eq!(
        (1, before),
        (
            stage.portal.exchanges(),
            std::fs::read(stage.auth()).unwrap()
        )
    );

    let status = stage.home.json(&["auth", "status"]).await.json();
    let note = status[0]["notes"][0].as_str().unwrap();
    assert!(note.contains("the refresh token may be spent"), "{note}");
    let refused = stage.home.json(&["auth", "refresh", "nous"]).await;
    assert_eq!((75, "TIMMY-1043".to_owned()), refused.refusal());
    // The spent token was not shown again, so the key that is left goes on living.
    assert_eq!(
        (1, false),
        (stage.portal.asked().len(), stage.portal.is_revoked())
    );
}

#[tokio::test]
async fn a_login_that_ended_is_said_once_and_needs_a_person() {
    let stage = Stage::set(Duration::from_secs(60)).await;
    stage.portal.revoke();
    let ended = stage.home.json(&["auth", "refresh", "nous"]).await;
    assert_eq!((77, "TIMMY-1044".to_owned()), ended.refusal());
    let status = stage.home.run(&["auth", "status"]).await;
    assert_eq!(1, status.code);
    assert!(status.stdout.contains("DEAD: invalid_grant"), "{status:?}");
    let dead = stage.home.json(&["auth", "refresh"]).await;
    let told = dead.json();
    assert_eq!(
        (77, &json!("TIMMY-1042")),
        (dead.code, &told[0]["error"]["code"])
    );
    assert_eq!(1, stage.portal.asked().len());
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let home = Home::new();
    home.configure("[hermes]\nhome = \"/nowhere/hermes\"\n");
    let none = home.json(&["auth", "status"]).await.well().json();
    assert_eq!(json!([]), none);
    assert_eq!(
        json!([]),
        home.json(&["auth", "refresh"]).await.well().json()
    );
    let unknown = home.json(&["auth", "refresh", "nous"]).await;
    assert_eq!((66, "TIMMY-1041".to_owned()), unknown.refusal());
    for number in 1040..=1049 {
        home.assert_explained(&format!("TIMMY-{number}")).await;
    }
}
