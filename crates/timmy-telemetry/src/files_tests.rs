use tempfile::TempDir;

use super::*;

const NOW: i64 = 1_795_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn row(second: i64, value: f64) -> Row<'static> {
    Row {
        at: at(second),
        host: "night".into(),
        series: "load.1m".into(),
        of: "".into(),
        sample: Sample::Value(value),
    }
}

fn opened() -> (TempDir, Files) {
    let place = tempfile::tempdir().unwrap();
    let files = Files::open(&place.path().join("telemetry")).unwrap();
    (place, files)
}

fn names(files: &Files) -> Vec<String> {
    let entries = std::fs::read_dir(files.directory()).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let names = entries.map(|entry| name(entry).into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != LOCK).collect();
    names.sort();
    names
}

fn read(files: &Files, which: &str) -> String {
    std::fs::read_to_string(files.current(which)).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_private_and_whole() {
    let (_place, files) = opened();
    let writing = files.write().unwrap();
    writing
        .append_rows(&[row(NOW, 1.0), row(NOW, f64::NAN), row(NOW, 2.0)])
        .unwrap();
    writing.keep_state(&LastState::default()).unwrap();
    assert_eq!(0o700, mode(files.directory()));
    for file in ["metrics.jsonl", "last_state.json", LOCK] {
        assert_eq!(0o600, mode(&files.directory().join(file)), "{file}");
    }
    let text = read(&files, METRICS);
    let rows: Result<Vec<Row<'_>>, _> = text.lines().map(serde_json::from_str).collect();
    assert_eq!(vec![row(NOW, 1.0), row(NOW, 2.0)], rows.unwrap());
}

#[test]
fn a_torn_line_costs_that_line_only() {
    let (_place, files) = opened();
    std::fs::write(files.current(METRICS), "{\"at\":\"2026-").unwrap();
    let writing = files.write().unwrap();
    writing.append_rows(&[row(NOW, 1.0)]).unwrap();
    writing.append_rows(&[row(NOW + 1, 2.0)]).unwrap();
    let text = read(&files, METRICS);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(3, lines.len(), "{text}");
    assert_eq!(row(NOW, 1.0), serde_json::from_str(lines[1]).unwrap());
    assert_eq!(row(NOW + 1, 2.0), serde_json::from_str(lines[2]).unwrap());
}

#[test]
fn two_collectors_do_not_interleave() {
    let (_place, files) = opened();
    let rows: Vec<Row<'_>> = (0..200).map(|number| row(NOW, f64::from(number))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    files.write().unwrap().append_rows(&rows).unwrap();
                }
            });
        }
    });
    let text = read(&files, METRICS);
    let values = text.lines().map(|line| {
        let row: Row<'_> = serde_json::from_str(line).unwrap();
        row.sample
    });
    let one = rows.iter().map(|row| row.sample.clone());
    let expected: Vec<Sample<'_>> = std::iter::repeat_n(one, 20).flatten().collect();
    assert_eq!(expected, values.collect::<Vec<_>>());
}

#[test]
fn full_and_old_files_are_put_aside_and_only_ours_are_removed() {
    let (_place, files) = opened();
    let rotation = Rotation {
        bytes: 100,
        keep: Duration::from_hours(48),
    };
    let writing = files.write().unwrap();
    writing.append_rows(&[row(NOW, 1.0)]).unwrap();
    writing.rotate(rotation, at(NOW)).unwrap();
    assert_eq!(vec!["metrics.jsonl"], names(&files));
    writing.append_rows(&[row(NOW, 1.0)]).unwrap();
    writing.rotate(rotation, at(NOW)).unwrap();
    writing
        .append_rows(&[row(NOW, 1.0), row(NOW, 1.0)])
        .unwrap();
    // A second file within the same second.
    writing.rotate(rotation, at(NOW)).unwrap();
    assert_eq!(
        vec![
            "metrics-20261118T110640Z.jsonl",
            "metrics-20261118T110641Z.jsonl"
        ],
        names(&files)
    );
    writing.append_rows(&[row(NOW, 1.0)]).unwrap();
    for foreign in [
        "metrics-2020.jsonl",
        "notes-20200101T000000Z.jsonl",
        "metrics-20200101T000000Z.csv",
    ] {
        std::fs::write(files.directory().join(foreign), "theirs").unwrap();
    }
    let later = NOW + 3 * 24 * 3_600;
    for ours in ["last_state.json", "otlp.json"] {
        crate::replace::leave(&files.directory().join(ours), at(later));
    }
    writing.rotate(rotation, at(later)).unwrap();
    assert_eq!(
        vec![
            "metrics-2020.jsonl",
            "metrics-20200101T000000Z.csv",
            "metrics-20261121T110640Z.jsonl",
            "notes-20200101T000000Z.jsonl",
        ],
        names(&files)
    );
}

#[test]
fn a_last_state_that_cannot_be_read_is_kept_aside_and_counted() {
    let (_place, files) = opened();
    assert_eq!(LastState::default(), files.last_state().unwrap());
    let key = ("timer.state".to_owned(), "cron:a".to_owned());
    let standing = Standing {
        state: "late".to_owned(),
        since: at(NOW),
    };
    let state = LastState {
        at: Some(at(NOW)),
        states: [(key, standing)].into(),
        ..LastState::default()
    };
    files.write().unwrap().keep_state(&state).unwrap();
    assert_eq!(state, files.last_state().unwrap());
    std::fs::write(files.directory().join("last_state.json"), "{\"at\":").unwrap();
    // Whoever looks next is told as well.
    for _ in 0..2 {
        assert_eq!(1, files.last_state().unwrap().begun_anew);
    }
    std::fs::write(files.directory().join("last_state.json"), [255, 0]).unwrap();
    assert_eq!(2, files.last_state().unwrap().begun_anew);
    let expected = [
        "last_state.json",
        "last_state.unreadable-1.json",
        "last_state.unreadable-2.json",
    ];
    assert_eq!(expected.as_slice(), names(&files));
}

#[test]
fn a_repository_that_does_not_ignore_it_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        let status = command.args(arguments).current_dir(place.path()).status();
        assert!(status.unwrap().success());
    };
    git(&["init", "--quiet", "--template="]);
    let directory = place.path().join("home/telemetry");
    let refused = Files::open(&directory);
    assert!(matches!(refused, Err(TelemetryError::InRepository { .. })));
    std::fs::write(place.path().join(".gitignore"), "/home/\n").unwrap();
    Files::open(&directory).unwrap();
}
