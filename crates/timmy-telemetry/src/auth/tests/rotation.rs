//! What an exchange writes.

use super::*;

/// Places that an exchange has no business with.
const KEPT: [&str; 9] = [
    "/active_provider",
    "/providers/other",
    "/credential_pool/openrouter",
    "/credential_pool/nous/1",
    "/credential_pool/nous/0/request_count",
    "/suppressed_sources",
    "/providers/nous/label",
    "/providers/nous/tls",
    "/providers/nous/portal_base_url",
];

#[tokio::test]
async fn tokens_rotate_through_every_file_and_nothing_else_changes() {
    let stage = Stage::with_login(10 * MINUTE).await;
    assert_eq!(
        (LoginState::Good, true),
        (stage.state(), stage.standing().due)
    );
    let outcome = stage.refresh().await.unwrap();
    let expires = stage.clock.now() + SignedDuration::from_secs(3_599);
    assert_eq!(
        Outcome::Refreshed {
            expires: Some(expires)
        },
        outcome
    );
    assert_eq!([0; 3].map(|_| json!(refresh_token(1))), stage.tokens());

    let after = stage.read("auth.json");
    let record = &after["providers"]["nous"];
    assert_eq!(record["access_token"], record["agent_key"]);
    assert_eq!(
        record["access_token"],
        after["credential_pool"]["nous"][0]["agent_key"]
    );
    assert_eq!(
        json!("2026-01-01T00:59:59+00:00"),
        record["agent_key_expires_at"]
    );
    assert_eq!(json!(3_599), record["expires_in"]);
    assert_eq!(
        Value::Null,
        after["credential_pool"]["nous"][0]["last_status"]
    );
    let before = stage.auth(stage.record(10 * MINUTE));
    for place in KEPT {
        assert_eq!(before.pointer(place), after.pointer(place), "{place}");
    }
    for name in [
        "auth.json",
        "shared/nous_auth.json",
        "auth.lock",
        "shared/nous_auth.lock",
    ] {
        assert_eq!(0o600, mode(&stage.path(name)), "{name}");
    }
    assert_eq!(0o600, mode(&stage.memory().join("nous.json")));

    assert_eq!(Ok(Outcome::NotDue), stage.refresh().await);
    stage.clock.advance(50 * MINUTE);
    assert!(matches!(
        stage.refresh().await,
        Ok(Outcome::Refreshed { .. })
    ));
    assert_eq!([0; 3].map(|_| json!(refresh_token(2))), stage.tokens());
    assert_eq!(
        (2, false),
        (stage.portal.exchanges(), stage.portal.is_revoked())
    );
}

#[tokio::test]
async fn a_refresh_token_travels_in_its_header_alone() {
    let stage = Stage::with_login(MINUTE).await;
    stage.refresh().await.unwrap();
    let [asked] = stage.portal.asked().try_into().unwrap();
    let token = refresh_token(0);
    assert_eq!("POST /api/oauth/token", asked.line);
    assert_eq!("grant_type=refresh_token&client_id=hermes-cli", asked.body);
    let with_token = asked
        .headers
        .iter()
        .filter(|(_, value)| value.contains(&token));
    let names: Vec<&str> = with_token.map(|(name, _)| name.as_str()).collect();
    assert_eq!(vec![REFRESH_HEADER], names);
    let remembered = std::fs::read_to_string(stage.memory().join("nous.json")).unwrap();
    assert!(!remembered.contains("rt-"), "{remembered}");
}

#[tokio::test]
async fn a_file_that_others_can_read_is_tightened_and_said() {
    let stage = Stage::with_login(MINUTE).await;
    let path = stage.path("auth.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let notes = stage.standing().notes;
    assert!(notes[0].contains("mode 0644"), "{notes:?}");
    let turns = stage.turns().await;
    let mut notes = turns[0].notes.iter();
    assert!(notes.any(|note| note.ends_with("is 0600 now")), "{turns:?}");
    assert_eq!(0o600, mode(&path));
}

#[tokio::test]
async fn a_link_to_the_file_stays_a_link() {
    let stage = Stage::with_login(MINUTE).await;
    let real = stage.place.path().join("real.json");
    std::fs::rename(stage.path("auth.json"), &real).unwrap();
    std::os::unix::fs::symlink(&real, stage.path("auth.json")).unwrap();
    stage.refresh().await.unwrap();
    assert!(stage.path("auth.json").is_symlink());
    assert_eq!(
        json!(refresh_token(1)),
        read(&real)["providers"]["nous"]["refresh_token"]
    );
}

#[tokio::test]
async fn tokens_that_a_killed_process_left_are_removed() {
    let stage = Stage::with_login(MINUTE).await;
    stage.write("shared/nous_auth.json", &stage.record(MINUTE));
    std::fs::create_dir(stage.memory()).unwrap();
    let places = [
        stage.path("auth.json"),
        stage.path("shared/nous_auth.json"),
        stage.memory().join("nous.json"),
    ];
    let left = places.map(|place| crate::replace::leave(&place, stage.clock.now()));
    stage.refresh().await.unwrap();
    assert_eq!([false; 3], left.map(|path| path.exists()));
}

#[tokio::test]
async fn what_cannot_be_read_is_dead_and_left_alone() {
    for text in [
        "{\"providers\": {\"nous\": {\"refresh_token\": \"x\"",
        "",
        "[]",
        "\u{0}",
    ] {
        let stage = Stage::set().await;
        stage.write_text("auth.json", text);
        let LoginState::Dead { reason } = stage.state() else {
            panic!("{text}");
        };
        assert!(reason.contains("auth.json is not readable"), "{reason}");
        assert_eq!(1042, code(&stage.refresh().await));
        assert_eq!(text, stage.text("auth.json"));
    }
    let stage = Stage::set().await;
    assert_eq!(Vec::<LoginStanding>::new(), stage.standings());
    stage.write("auth.json", &json!({"providers": {"openrouter": {}}}));
    assert_eq!(Vec::<LoginStanding>::new(), stage.standings());
    stage.write(
        "auth.json",
        &json!({"providers": {"nous": {"access_token": " "}}}),
    );
    let dead = |reason: &str| LoginState::Dead {
        reason: reason.to_owned(),
    };
    assert_eq!(dead("it holds no tokens"), stage.state());
}

#[tokio::test]
async fn a_number_that_would_be_rounded_keeps_the_file_from_being_written() {
    let stage = Stage::with_login(MINUTE).await;
    let text = stage
        .text("auth.json")
        .replace("\"version\": 1", "\"version\": 123456789012345678901");
    stage.write_text("auth.json", &text);
    assert_eq!(1046, code(&stage.refresh().await));
    assert_eq!(
        (text, 0),
        (stage.text("auth.json"), stage.portal.asked().len())
    );
}
