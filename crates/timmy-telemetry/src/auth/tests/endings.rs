//! Keys that run out, logins that end, and portals that do not answer.

use super::*;

#[tokio::test]
async fn the_portals_last_word_takes_the_spent_token_away_and_nothing_more() {
    let stage = Stage::with_login(10 * MINUTE).await;
    let record = stage.record(10 * MINUTE);
    stage.write("shared/nous_auth.json", &record);
    stage.portal.revoke();
    let (auth, shared) = (stage.text("auth.json"), stage.text("shared/nous_auth.json"));
    let ended = stage.refresh().await;
    let Err(AuthError::Ended { reason, copies, .. }) = &ended else {
        panic!("{ended:?}");
    };
    assert_eq!("invalid_grant: no session for [redacted]", reason);
    let found = [stage.copies(""), stage.copies("shared")].concat();
    assert_eq!((copies, 1044), (&found, code(&ended)));
    assert_eq!(auth, std::fs::read_to_string(&copies[0]).unwrap());
    assert_eq!(shared, std::fs::read_to_string(&copies[1]).unwrap());
    assert_eq!([0o600; 2], [mode(&copies[0]), mode(&copies[1])]);

    let after = stage.read("auth.json");
    let left = &after["providers"]["nous"];
    assert_eq!(
        (Value::Null, &record["access_token"]),
        (left["refresh_token"].clone(), &left["access_token"])
    );
    assert_eq!(json!(true), left["last_auth_error"]["relogin_required"]);
    assert_eq!(
        Value::Null,
        after["credential_pool"]["nous"][0]["refresh_token"]
    );
    assert_eq!(
        json!("of another login"),
        after["credential_pool"]["nous"][1]["refresh_token"]
    );
    assert!(!stage.path("shared/nous_auth.json").exists());

    assert_eq!(
        LoginState::Dead {
            reason: reason.clone()
        },
        stage.state()
    );
    assert_eq!(1042, code(&stage.refresh().await));
    assert_eq!(1, stage.portal.asked().len());
}

#[tokio::test]
async fn a_question_without_an_answer_is_not_asked_again_while_the_key_lives() {
    let stage = Stage::with_login(10 * MINUTE).await;
    let before = stage.text("auth.json");
    stage.portal.be(Mood::Status(502));
    assert_eq!(1043, code(&stage.refresh().await));
    let notes = stage.standing().notes;
    assert!(
        notes[0].contains("the refresh token may be spent"),
        "{notes:?}"
    );
    // Nobody knows whether it is spent, so it stays and is not shown again.
    stage.portal.be(Mood::Good);
    let Err(AuthError::Uncertain { again, .. }) = stage.refresh().await else {
        panic!("it was asked again");
    };
    let runs_out = stage.clock.now() + SignedDuration::from_mins(10);
    assert_eq!((Some(runs_out), 1), (again, stage.portal.asked().len()));
    assert_eq!(before, stage.text("auth.json"));
    // When the key has run out, there is nothing left to lose.
    stage.clock.advance(11 * MINUTE);
    assert!(matches!(
        stage.refresh().await,
        Ok(Outcome::Refreshed { .. })
    ));
    assert_eq!(Vec::<String>::new(), stage.standing().notes);
}

#[tokio::test]
async fn a_token_that_was_taken_without_an_answer_is_lost_and_that_is_said() {
    let stage = Stage::with_login(10 * MINUTE).await;
    stage.portal.be(Mood::TakesAndDrops);
    assert_eq!(1043, code(&stage.refresh().await));
    stage.portal.be(Mood::Good);
    stage.clock.advance(11 * MINUTE);
    let ended = stage.refresh().await;
    assert_eq!(1044, code(&ended), "{ended:?}");
    assert!(
        ended
            .unwrap_err()
            .to_string()
            .contains("refresh_token_reused")
    );
    assert!(matches!(stage.state(), LoginState::Dead { .. }));
}

#[tokio::test]
async fn a_portal_that_took_nothing_is_asked_again() {
    let stage = Stage::with_login(10 * MINUTE).await;
    for status in [429, 404] {
        stage.portal.be(Mood::Status(status));
        assert_eq!(1048, code(&stage.refresh().await));
        assert_eq!(Vec::<String>::new(), stage.standing().notes);
    }
    stage.portal.be(Mood::Good);
    assert!(matches!(
        stage.refresh().await,
        Ok(Outcome::Refreshed { .. })
    ));
}

#[tokio::test]
async fn the_end_of_a_login_is_told_in_time() {
    let stage = Stage::with_login(HOUR).await;
    let begun = stage.clock.now();
    let ends = begun + SignedDuration::from_hours(720);
    assert_eq!(Some(ends), stage.standing().login.login_ends);
    // Tokens are exchanged day by day, and the login grows old all the same.
    for day in 1..=26 {
        stage.clock.advance(DAY);
        stage.refresh().await.unwrap();
        assert_eq!(
            (LoginState::Good, Some(ends)),
            (stage.state(), stage.standing().login.login_ends),
            "{day}"
        );
    }
    stage.clock.advance(2 * DAY);
    stage.refresh().await.unwrap();
    assert_eq!(LoginState::Ending { within: 2 * DAY }, stage.state());
    // It was renewed, or it would not have been taken any more.
    stage.clock.advance(3 * DAY);
    stage.refresh().await.unwrap();
    assert_eq!(LoginState::Good, stage.state());
}

#[tokio::test]
async fn states_follow_the_life_of_the_key() {
    let stage = Stage::with_login(20 * MINUTE).await;
    assert_eq!(
        (LoginState::Good, false),
        (stage.state(), stage.standing().due)
    );
    stage.clock.advance(11 * MINUTE);
    assert_eq!(
        (LoginState::Good, true),
        (stage.state(), stage.standing().due)
    );
    stage.clock.advance(7 * MINUTE);
    assert_eq!(LoginState::Stale, stage.state());
    let mut record = stage.read("auth.json")["providers"]["nous"].clone();
    record["refresh_token"] = Value::Null;
    stage.write("auth.json", &stage.auth(record));
    assert!(matches!(stage.state(), LoginState::Dead { .. }));
}

#[tokio::test]
async fn a_clock_that_is_behind_makes_no_key_live_longer() {
    let stage = Stage::set().await;
    // The portal's clock is two hours ahead: the token was issued and expires then.
    let mut record = stage.record(HOUR);
    stage.clock.advance(2 * HOUR);
    let token = stage.portal.access_token(HOUR);
    record["access_token"] = json!(token);
    record["agent_key"] = json!(token);
    let slow = ManualClock::default();
    slow.advance(59 * MINUTE);
    stage.write("auth.json", &stage.auth(record));
    let homes = stage.homes();
    let around = Surroundings {
        homes: Some(&homes),
        memory: &stage.memory(),
        now: slow.now(),
    };
    let [standing] = examine(&stage.settings, &around).try_into().unwrap();
    assert_eq!(
        (LoginState::Stale, true),
        (standing.login.state, standing.due)
    );
    assert!(
        standing.notes[0].contains("7198 s behind"),
        "{:?}",
        standing.notes
    );
}
