use super::*;

fn timer(name: &str, last: Option<&str>) -> Timer {
    let at = |text: &str| text.parse().unwrap();
    Timer {
        source: TimerSource::Cron,
        name: name.to_owned(),
        schedule: None,
        due: Some(at("2026-11-20T12:00:00Z")),
        last: last.map(at),
        next: None,
    }
}

#[test]
fn late_needs_more_than_a_moment_and_somebody_who_knows() {
    let now = "2026-11-20T12:05:00Z".parse().unwrap();
    for (last, patience, expected) in [
        (Some("2026-11-19T12:00:01Z"), 299, "late"),
        (Some("2026-11-19T12:00:01Z"), 300, "on_time"),
        (Some("2026-11-20T12:00:01Z"), 0, "on_time"),
        (None, 0, "unknown"),
    ] {
        assert_eq!(expected, state(&timer("backup", last), now, patience));
    }
}

#[test]
fn timers_of_one_name_are_told_apart() {
    let mut timers = vec![timer("a", None), timer("a", None), timer("b", None)];
    tell_apart(&mut timers);
    let keys: Vec<String> = timers.iter().map(key).collect();
    assert_eq!(vec!["cron:a", "cron:a (2)", "cron:b"], keys);
}

#[tokio::test]
async fn a_planted_crontab_is_late_until_the_log_says_that_it_ran() {
    let place = tempfile::tempdir().unwrap();
    let (crontab, log) = (place.path().join("crontab"), place.path().join("log"));
    std::fs::write(
        &crontab,
        "0 12 * * * ada backup\n0 13 * * * ada timmy sprint\n",
    )
    .unwrap();
    std::fs::write(
        &log,
        "2026-11-19T12:00:01+00:00 n CRON[1]: (ada) CMD (backup)\n",
    )
    .unwrap();
    let settings = TimerSettings {
        crontabs: vec![crontab],
        cron_logs: vec![log.clone()],
        hermes_homes: vec![place.path().join("none")],
        late_after_s: 300,
    };
    let (known, mut started) = (BTreeMap::new(), BTreeMap::new());
    let now: Timestamp = "2026-11-20T14:00:00Z".parse().unwrap();
    started.insert("sprint".to_owned(), "2026-11-20T13:00:03Z".parse().unwrap());
    let states = async || {
        let moment = Moment {
            now,
            zone: TimeZone::UTC,
            known: &known,
            started: &started,
            looked: None,
        };
        let timers = read(&settings, &moment, &Redactor::default()).await;
        let planted = ["cron:backup", "cron:timmy sprint"];
        let states = timers
            .iter()
            .filter(|timer| planted.contains(&key(timer).as_str()));
        states
            .map(|timer| state(timer, now, 300))
            .collect::<Vec<_>>()
    };
    assert_eq!(vec!["late", "on_time"], states().await);
    std::fs::write(
        &log,
        "2026-11-20T12:00:01+00:00 n CRON[1]: (ada) CMD (backup)\n",
    )
    .unwrap();
    assert_eq!(vec!["on_time", "on_time"], states().await);
    // It was rotated since, and the last firing is known from an earlier look: it may have fired.
    let line = "2026-11-20T13:30:01+00:00 n CRON[1]: (ada) CMD (other)\n";
    std::fs::write(&log, line).unwrap();
    let known = BTreeMap::from([(
        "cron:backup".to_owned(),
        "2026-11-19T12:00:01Z".parse().unwrap(),
    )]);
    let moment = Moment {
        now,
        zone: TimeZone::UTC,
        known: &known,
        started: &started,
        looked: None,
    };
    let timers = read(&settings, &moment, &Redactor::default()).await;
    let backup = timers.iter().find(|timer| key(timer) == "cron:backup");
    assert_eq!("unknown", state(backup.unwrap(), now, 300));
}

#[test]
fn a_crontab_line_is_called_by_its_program_and_keeps_its_passwords() {
    let named = |command: &str| {
        let entry = Entry {
            schedule: "5 * * * *".to_owned(),
            user: None,
            command: command.to_owned(),
            zone: None,
        };
        entry.name()
    };
    let names = [
        "curl -s -u backup:Tr0ub4dor https://box/",
        "PGPASSWORD=hunter2 MODE=x /usr/bin/pg_dump all",
        "cd /srv/site && ./publish --key=abc",
        "TIMMY_HOME=/srv/t /usr/bin/timmy --config a.toml sprint --issue 3",
        "SECRET=only",
        "",
    ]
    .map(named);
    let expected = ["curl", "pg_dump", "publish", "timmy sprint", "", ""];
    assert_eq!(expected.map(str::to_owned), names);
}

#[test]
fn a_timer_that_died_is_late_since_the_first_time_it_did_not_fire() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let last = at("2026-01-01T18:00:01Z");
    for (schedule, missed) in [
        ("* * * * *", "2026-01-01T18:01:00Z"),
        ("*/5 * * * *", "2026-01-01T18:05:00Z"),
        ("0 9,10 * * *", "2026-01-02T09:00:00Z"),
    ] {
        let missed = at(missed);
        let found = schedule::after(schedule, last, &TimeZone::UTC);
        assert_eq!(Some(missed), found, "{schedule}");
    }
}
