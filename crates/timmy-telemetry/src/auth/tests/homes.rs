//! Several homes, older forms, other providers.

use super::*;

#[tokio::test]
async fn a_profile_without_a_login_uses_that_of_the_root() {
    let stage = Stage::with_login(MINUTE).await;
    stage.write(
        "profiles/coder/auth.json",
        &json!({"providers": {"other": {}}}),
    );
    assert_eq!("nous", stage.standing().login.name);
    stage.refresh().await.unwrap();
    assert_eq!(
        json!({"providers": {"other": {}}}),
        stage.read("profiles/coder/auth.json")
    );
}

#[tokio::test]
async fn profiles_share_one_chain_of_tokens() {
    let stage = Stage::with_login(MINUTE).await;
    stage.write(
        "profiles/coder/auth.json",
        &stage.auth(stage.record(MINUTE)),
    );
    let names: Vec<String> = stage
        .standings()
        .into_iter()
        .map(|one| one.login.name)
        .collect();
    assert_eq!(["nous", "nous@coder"], names.as_slice());
    let outcomes: Vec<_> = stage
        .turns()
        .await
        .into_iter()
        .map(|turn| turn.outcome)
        .collect();
    // The root is refreshed; what the shared file has then is good for the profile too.
    assert!(
        matches!(outcomes[0], Ok(Outcome::Refreshed { .. })),
        "{outcomes:?}"
    );
    assert_eq!(
        (Ok(Outcome::NotDue), 1),
        (outcomes[1].clone(), stage.portal.exchanges())
    );
    stage.clock.advance(50 * MINUTE);
    let [first, second] = stage.turns().await.try_into().unwrap();
    assert!(
        matches!(first.outcome, Ok(Outcome::Refreshed { .. })),
        "{first:?}"
    );
    assert_eq!(
        (Ok(Outcome::NotDue), 2),
        (second.outcome, stage.portal.exchanges())
    );
    assert!(!stage.portal.is_revoked());
}

#[tokio::test]
async fn the_later_of_two_tokens_is_the_living_one() {
    let stage = Stage::set().await;
    let mut older = stage.record(MINUTE);
    older["refresh_token"] = json!("rt-that-was-spent-long-ago");
    stage.write("shared/nous_auth.json", &older);
    stage.clock.advance(MINUTE);
    stage.write("auth.json", &stage.auth(stage.record(MINUTE)));
    assert!(matches!(
        stage.refresh().await,
        Ok(Outcome::Refreshed { .. })
    ));
    assert_eq!([0; 3].map(|_| json!(refresh_token(1))), stage.tokens());
}

#[tokio::test]
async fn older_hermes_has_keys_made_for_its_tokens() {
    let stage = Stage::set().await;
    let mint = "inference:mint_agent_key";
    stage.portal.give_scope(mint);
    let mut record = stage.record(HOUR);
    record["scope"] = json!(mint);
    record["agent_key"] = json!("sk-old-key-of-a-test");
    record["agent_key_id"] = json!("key-0");
    record["agent_key_expires_at"] = json!(stage.time(SignedDuration::from_secs(60)));
    stage.write("auth.json", &json!({"systems": {"nous_portal": record}}));
    assert_eq!(LoginState::Stale, stage.state());

    // The access token lives: only a key is made.
    stage.refresh().await.unwrap();
    let asked = stage.portal.asked();
    assert_eq!(
        vec!["POST /api/oauth/agent-key"],
        asked.iter().map(|asked| &asked.line).collect::<Vec<_>>()
    );
    assert_eq!("{\"min_ttl_seconds\":1800}", asked[0].body);
    let after = stage.read("auth.json");
    let made = &after["systems"]["nous_portal"];
    assert_eq!(json!("sk-made-for-a-test-1"), made["agent_key"]);
    assert_eq!(
        (json!("key-1"), json!(refresh_token(0))),
        (made["agent_key_id"].clone(), made["refresh_token"].clone())
    );

    // Both have run out: tokens first, then a key.
    stage.clock.advance(2 * HOUR);
    stage.refresh().await.unwrap();
    let lines: Vec<String> = stage
        .portal
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .collect();
    assert_eq!(
        ["POST /api/oauth/token", "POST /api/oauth/agent-key"],
        lines[1..]
    );
    let after = stage.read("auth.json");
    let made = &after["systems"]["nous_portal"];
    assert_eq!(
        (json!("sk-made-for-a-test-3"), json!(refresh_token(1))),
        (made["agent_key"].clone(), made["refresh_token"].clone())
    );
    assert!(!stage.path("shared/nous_auth.json").exists());
    assert_eq!(LoginState::Good, stage.state());
}

#[tokio::test]
async fn another_provider_is_only_data() {
    let mut stage = Stage::set().await;
    let file = stage.place.path().join("tool/tokens.json");
    let table = format!(
        "[[provider]]\nname = \"made-up\"\nfile = {file:?}\nrecords = [\"/accounts/main\"]\n\
         access_token = \"/tokens/access\"\nrefresh_token = \"/tokens/refresh\"\n\
         expires_at = \"/tokens/until\"\nexpires_form = \"unix_ms\"\nobtained_at = \"/at\"\n\
         endpoint = \"{}/oauth\"\nclient_id = \"tool & co\"\n\
         refresh_token_in = {{ form = \"refresh\" }}\nwrite = {{ scope = \"/scopes\" }}\n",
        stage.portal.url()
    );
    stage.settings = toml::from_str(&table).unwrap();
    let dead = stage.state();
    assert!(
        matches!(&dead, LoginState::Dead { reason } if reason.ends_with("does not exist")),
        "{dead:?}"
    );
    let until = stage.clock.now().as_millisecond() + 1_000;
    let before = json!({"x": 1, "accounts": {"main": {
        "who": "me", "tokens": {"access": "opaque", "refresh": refresh_token(0), "until": until},
    }}});
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, before.to_string()).unwrap();
    assert_eq!(LoginState::Stale, stage.state());
    stage.refresh().await.unwrap();
    let [asked] = stage.portal.asked().try_into().unwrap();
    let expected = format!(
        "grant_type=refresh_token&client_id=tool+%26+co&refresh={}",
        refresh_token(0)
    );
    assert_eq!(("POST /oauth", expected), (asked.line.as_str(), asked.body));
    let after = read(&file);
    let mut expected = before;
    let access = after["accounts"]["main"]["tokens"]["access"].clone();
    expected["accounts"]["main"]["tokens"] = json!({
        "access": access, "refresh": refresh_token(1), "until": until - 1_000 + 3_599_000,
    });
    expected["accounts"]["main"]["scopes"] = json!("inference:invoke");
    expected["accounts"]["main"]["at"] = json!("2026-01-01T00:00:00+00:00");
    assert_eq!((expected, 0o600), (after, mode(&file)));
    assert_eq!(LoginState::Good, stage.state());

    // Its last word is remembered; the file of a stranger is not touched for it.
    stage.clock.advance(HOUR);
    stage.portal.revoke();
    let before = std::fs::read(&file).unwrap();
    assert_eq!(1044, code(&stage.refresh().await));
    assert_eq!(before, std::fs::read(&file).unwrap());
    assert!(matches!(stage.state(), LoginState::Dead { .. }));
    assert_eq!(
        (1042, 2),
        (code(&stage.refresh().await), stage.portal.asked().len())
    );
}

/// A login of another provider whose key says nothing of its life, and a table that names it.
fn opaque(stage: &mut Stage, more: &str, record: &Value) {
    let file = stage.place.path().join("tokens.json");
    let table = format!(
        "[[provider]]\nname = \"tool\"\nfile = {file:?}\nendpoint = \"{}/oauth\"\n\
         refresh_token_in = {{ form = \"refresh\" }}\n{more}",
        stage.portal.url()
    );
    stage.settings = toml::from_str(&table).unwrap();
    stage.portal.hide_life();
    std::fs::write(&file, record.to_string()).unwrap();
}

#[tokio::test]
async fn a_key_of_unknown_life_is_exchanged_once_a_day() {
    for (more, obtained) in [("", None), ("obtained_at = \"/at\"\n", Some("at"))] {
        let mut stage = Stage::set().await;
        let stale = stage.time(-SignedDuration::from_hours(1));
        let record = json!({"access_token": "opaque", "refresh_token": refresh_token(0), "expires_at": stale});
        opaque(&mut stage, more, &record);
        assert_eq!(
            Ok(Outcome::Refreshed { expires: None }),
            stage.refresh().await
        );
        let after = read(&stage.place.path().join("tokens.json"));
        assert_eq!(Value::Null, after["expires_at"], "{after}");
        assert_eq!(obtained.is_some(), after["at"].is_string(), "{after}");
        // Nothing says when it expires: that is no reason to exchange it each time somebody looks.
        for _ in 0..23 {
            assert_eq!(Ok(Outcome::NotDue), stage.refresh().await);
            stage.clock.advance(HOUR);
        }
        assert_eq!(LoginState::Good, stage.state());
        stage.clock.advance(HOUR);
        assert!(stage.standing().due, "{more}");
        stage.refresh().await.unwrap();
        assert_eq!(2, stage.portal.exchanges());
    }
}

#[tokio::test]
async fn a_token_of_unknown_life_that_may_be_spent_is_not_shown_for_a_day() {
    let mut stage = Stage::set().await;
    let record = json!({"access_token": "opaque", "refresh_token": refresh_token(0)});
    opaque(&mut stage, "", &record);
    let until = stage.clock.now() + SignedDuration::from_hours(24);
    stage.portal.be(Mood::Status(502));
    for _ in 0..24 {
        let outcome = stage.refresh().await;
        let Err(AuthError::Uncertain { again, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!((Some(until), 1), (again, stage.portal.asked().len()));
        stage.portal.be(Mood::Good);
        stage.clock.advance(HOUR);
    }
    stage.clock.advance(MINUTE);
    stage.refresh().await.unwrap();
    assert_eq!(2, stage.portal.asked().len());
}

#[tokio::test]
async fn tokens_are_not_sent_to_a_portal_that_the_file_makes_up() {
    for portal in [
        "https://portal.nousresearch.com.evil",
        "http://portal.nousresearch.com",
        "https://10.0.0.1/",
        "no address",
    ] {
        let stage = Stage::set().await;
        let mut record = stage.record(MINUTE);
        record["portal_base_url"] = json!(portal);
        stage.write("auth.json", &stage.auth(record));
        assert_eq!(1045, code(&stage.refresh().await), "{portal}");
    }
}
