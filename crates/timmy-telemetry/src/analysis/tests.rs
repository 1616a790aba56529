use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;
use proptest::prelude::*;

use super::pipeline::Shape;
use super::*;
use crate::rows::Row;
use crate::rows::Sample;

const EVER: Period = Period {
    since: Timestamp::MIN,
    until: Timestamp::MAX,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn row(second: i64, series: &str, of: &str, sample: Sample<'_>) -> String {
    let row = Row {
        at: at(second),
        host: "night".into(),
        series: series.into(),
        of: of.into(),
        sample,
    };
    serde_json::to_string(&row).unwrap()
}

fn value(second: i64, of: &str, value: f64) -> String {
    row(second, "disk.free_bytes", of, Sample::Value(value))
}

fn state(second: i64, state: &str) -> String {
    row(second, "run.phase", "r1", Sample::State(state.into()))
}

fn write(dir: &Path, name: &str, lines: &[String]) {
    std::fs::write(dir.join(name), lines.join("\n") + "\n").unwrap();
}

fn counted(lines: &Lines) -> u64 {
    let usable = lines.samples + lines.changes + lines.outside + lines.blank;
    let unusable = Fault::ALL.iter().filter(|one| **one != Fault::OutOfOrder);
    usable + unusable.map(|fault| lines.faulty(*fault)).sum::<u64>()
}

#[test]
fn every_line_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rotated = [value(0, "/", 10.0), value(60, "/", 20.0), state(0, "agent")];
    write(dir.path(), "metrics-20260101T000200Z.jsonl", &rotated);
    let current = [
        value(120, "/", 30.0),
        value(120, "/", 30.0),
        value(90, "/", 5.0),
        value(90, "/", 5.0),
        value(180, "/", 40.0)[..50].to_owned(),
        String::new(),
        format!("\u{1b}[31mhello ghp_{}", "a1".repeat(18)),
        state(60, "check"),
        state(90, "check"),
        state(90_000, "agent"),
        value(120, "/data", 1e19),
    ];
    write(dir.path(), "metrics.jsonl", &current);
    let changes = [
        r#"{"at":"2026-01-01T00:01:00Z","host":"night","series":"run.phase","of":"r1","from":"agent","to":"check"}"#,
        r#"{"at":"2026-01-01T00:01:00Z","host":"night","series":"timer.state","of":"cron:a","to":"late"}"#,
        &value(0, "/", 10.0),
    ];
    write(dir.path(), "events.jsonl", &changes.map(str::to_owned));
    let analysis = read(dir.path(), EVER.since, EVER.until);
    assert_eq!(analysis.lines.total, counted(&analysis.lines));
    insta::assert_json_snapshot!(analysis);
}

#[test]
fn only_the_time_that_was_asked_for_counts() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..10).map(|n| value(n * 60, "/", 1.0)).collect();
    write(dir.path(), "metrics.jsonl", &lines);
    let analysis = read(dir.path(), at(60), at(180));
    assert_eq!((3, 7), (analysis.lines.samples, analysis.lines.outside));
    let series = &analysis.values[0];
    assert_eq!((at(60), at(180)), (series.first_at, series.last_at));
}

#[test]
fn nothing_is_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let missing = read(&dir.path().join("missing"), EVER.since, EVER.until);
    assert_eq!((0, 0), (missing.lines.total, missing.files.len()));
    std::fs::create_dir(dir.path().join("metrics.jsonl")).unwrap();
    let no_file = read(dir.path(), EVER.since, EVER.until);
    assert_eq!(
        Some("it is no ordinary file"),
        no_file.files[0].problem.as_deref()
    );
}

#[test]
fn a_month_has_no_more_buckets_than_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..20_000).map(|n| value(n * 130, "/", 1.0)).collect();
    write(dir.path(), "metrics.jsonl", &lines);
    let analysis = read(dir.path(), EVER.since, EVER.until);
    let buckets = &analysis.values[0].buckets;
    assert_eq!(16_384, analysis.bucket_s);
    assert!((120..=240).contains(&buckets.len()), "{}", buckets.len());
    assert_eq!(20_000, buckets.iter().map(|one| one.count).sum::<u64>());
    let length = SignedDuration::from_secs(analysis.bucket_s);
    for pair in buckets.windows(2) {
        assert_eq!(length, pair[1].at.duration_since(pair[0].at));
    }
}

#[test]
fn a_line_without_end_takes_no_memory_and_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(700_000);
    let spaces = " ".repeat(70_000);
    write(
        dir.path(),
        "metrics.jsonl",
        &[
            value(0, "/", 1.0),
            long.clone(),
            spaces,
            value(60, "/", 2.0),
            long,
        ],
    );
    for block in [1_000, 65_536, 512 << 10] {
        let analysis = pipeline::read(dir.path(), EVER, Shape { workers: 2, block });
        assert_eq!(2, analysis.lines.samples);
        assert_eq!(3, analysis.lines.faulty(Fault::Absurd));
        let places: Vec<u64> = analysis.lines.faults[Fault::Absurd as usize]
            .examples
            .iter()
            .map(|example| example.line)
            .collect();
        assert_eq!([2, 3, 5], *places);
    }
}

/// Lines as they come: of ours, damaged ones, and anything.
fn some_line() -> impl Strategy<Value = Vec<u8>> {
    let ours = (0_i64..4_000, 0_u8..3, -1e6_f64..1e6)
        .prop_map(|(second, of, figure)| value(second, &of.to_string(), figure).into_bytes());
    let states =
        (0_i64..4_000, "[a-c]").prop_map(|(second, word)| state(second, &word).into_bytes());
    let far = (0_i64..4_000_000_000, any::<f64>())
        .prop_map(|(second, figure)| value(second, "/", figure).into_bytes());
    let torn = (0_i64..4_000, 0_usize..90).prop_map(|(second, length)| {
        value(second, "/", 1.0).into_bytes()[..length.min(80)].to_vec()
    });
    prop_oneof![
        6 => ours,
        3 => states,
        1 => far,
        1 => torn,
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn put(dir: &Path, name: &str, lines: &[Vec<u8>]) {
    std::fs::write(dir.join(name), lines.join(&b'\n')).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the work is divided, the result is the same to the last bit, and no line is lost.
    #[test]
    fn the_division_of_work_cannot_be_seen(
        first in proptest::collection::vec(some_line(), 0..60),
        second in proptest::collection::vec(some_line(), 0..60),
        workers in 1_usize..6,
        block in 1_usize..5_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "metrics-20260101T000200Z.jsonl", &first);
        put(dir.path(), "metrics.jsonl", &second);
        put(dir.path(), "events.jsonl", &second);
        let divided = pipeline::read(dir.path(), EVER, Shape { workers, block });
        let alone = pipeline::read(dir.path(), EVER, Shape { workers: 1, block: 1 << 20 });
        prop_assert_eq!(counted(&alone.lines), alone.lines.total);
        prop_assert_eq!(
            serde_json::to_string(&divided).unwrap(),
            serde_json::to_string(&alone).unwrap()
        );
    }

    /// The figures are those that a reader without buckets and threads finds.
    #[test]
    fn figures_are_those_of_a_plain_reader(
        samples in proptest::collection::vec((0_u8..3, -1_000_000_i32..1_000_000), 1..200),
        step in 1_i64..100_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = Vec::new();
        let mut plain: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (number, (of, figure)) in samples.iter().enumerate() {
            let figure = f64::from(*figure) / 4.0;
            let second = i64::try_from(number).unwrap() * step;
            lines.push(value(second, &of.to_string(), figure));
            plain.entry(of.to_string()).or_default().push(figure);
        }
        write(dir.path(), "metrics.jsonl", &lines);
        let analysis = read(dir.path(), EVER.since, EVER.until);
        prop_assert_eq!(plain.len(), analysis.values.len());
        for (series, (of, figures)) in analysis.values.iter().zip(plain) {
            let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(&of, &series.of);
            prop_assert_eq!(figures.len() as u64, series.count);
            prop_assert_eq!((least, most), (series.min, series.max));
            prop_assert_eq!((figures[0], figures[figures.len() - 1]), (series.first, series.last));
            let in_buckets: u64 = series.buckets.iter().map(|bucket| bucket.count).sum();
            prop_assert_eq!(series.count, in_buckets);
            let sum: f64 = series.buckets.iter().map(|one| one.mean * one.count as f64).sum();
            prop_assert!((sum - series.mean * series.count as f64).abs() < 1.0);
        }
    }
}
