use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::RunId;
use timmy_core::event::AlertKey;
use timmy_core::event::Outcome;
use timmy_core::event::Severity;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_testkit::ManualClock;

use super::*;
use crate::export::measure::LABEL_SETS;
use crate::rows::Row;
use crate::rows::Sample;

const HOSTILE: &str = "a\"b\\c\n{d=\"e\"} 1\u{202e}";

struct Stage {
    root: TempDir,
    store: Store,
    clock: Arc<ManualClock>,
}

impl Stage {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(root.path(), private).unwrap();
        let store = Store::open(root.path()).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        Self { root, store, clock }
    }

    fn scrapes(&self) -> Scrapes {
        Scrapes::new(Sources {
            store: self.store.clone(),
            dir: self.root.path().to_owned(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        })
        .unwrap()
    }

    async fn say(&self, run: Option<&RunId>, kind: EventKind) {
        let log = self.store.log(Arc::clone(&self.clock) as Arc<dyn Clock>);
        log.append(run, kind).await.unwrap();
    }

    async fn settle(&self, model: &str) {
        let settled = EventKind::ModelCallSettled {
            call: 1,
            provider: "local".to_owned(),
            model: model.to_owned(),
            usage: Usage {
                input_tokens: 1_000,
                output_tokens: 20,
                cost: MicroUsd(7),
            },
            measured: true,
            duration_ms: 1_500,
        };
        self.say(None, settled).await;
    }

    async fn end(&self) {
        let run = RunId::generate();
        let ended = EventKind::RunEnded {
            outcome: Outcome::NoChange,
            duration_ms: 60_000,
        };
        self.say(Some(&run), ended).await;
    }
}

/// Samples by name and labels, after every line was held against the grammar of the text format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut typed = BTreeSet::new();
    let mut family = String::new();
    assert!(text.ends_with('\n'), "{text}");
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(is_name(name), "{line}");
            match kind {
                "HELP" => assert!(!words.next().unwrap().is_empty(), "{line}"),
                "TYPE" => {
                    let word = words.next().unwrap();
                    assert!(["counter", "gauge", "histogram"].contains(&word), "{line}");
                    assert_eq!(word == "counter", name.ends_with("_total"), "{line}");
                    assert!(typed.insert(name.to_owned()), "twice: {line}");
                    name.clone_into(&mut family);
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(is_name(name) && name.starts_with(&family), "{line}");
        assert_labels(labels.strip_suffix('}').unwrap(), line);
        let value = value.parse().unwrap();
        let before = samples.insert(series.to_owned(), value);
        assert_eq!(None, before, "twice: {line}");
    }
    samples
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|one| one.is_ascii_alphanumeric() || one == '_')
}

fn assert_labels(mut rest: &str, line: &str) {
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(name), "{line}");
        let mut escaped = false;
        let end = value.find(|one| {
            let ends = one == '"' && !escaped;
            assert!(!escaped || ['"', '\\', 'n'].contains(&one), "{line}");
            escaped = one == '\\' && !escaped;
            ends
        });
        let after = &value[end.unwrap() + 1..];
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// What the tool of Prometheus says; none where it is not installed.
fn promtool(text: &str) -> Option<(bool, String)> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    Some((output.status.success() && told.is_empty(), told))
}

async fn busy_stage() -> Stage {
    let stage = Stage::new().await;
    stage.settle("model").await;
    stage.settle(HOSTILE).await;
    stage.end().await;
    for severity in [Severity::Warning, Severity::Critical] {
        let key = AlertKey {
            code: timmy_core::Code::new(1008),
            subject: "night:/".to_owned(),
        };
        let raised = EventKind::AlertRaised {
            key,
            severity,
            what: "full".to_owned(),
        };
        stage.say(None, raised).await;
    }
    let row = |series: &'static str, of: &'static str, minutes: i64, value| {
        let row = Row {
            at: stage.clock.now() - jiff::SignedDuration::from_mins(minutes),
            host: HOSTILE.into(),
            series: series.into(),
            of: of.into(),
            sample: Sample::Value(value),
        };
        serde_json::to_string(&row).unwrap()
    };
    let rows = [
        row("disk.free_bytes", "/", 2, 10.0),
        row("disk.free_bytes", "/", 1, 20.0),
        row("disk.free_bytes", "/gone", 20, 10.0),
        row("run.steps", "r1", 1, 5.0),
        "torn".to_owned(),
    ];
    let path = stage.root.path().join("metrics.jsonl");
    std::fs::write(path, rows.join("\n")).unwrap();
    stage
}

#[tokio::test]
async fn a_scrape_tells_how_things_stand() {
    let stage = busy_stage().await;
    let text = stage.scrapes().text().await.unwrap();
    samples(&text);
    match promtool(&text) {
        Some((good, told)) => assert!(good, "{told}"),
        None => eprintln!("skipped: there is no promtool"),
    }
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("_bucket"))
        .collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn counters_go_on_where_they_were_and_never_back() {
    let stage = busy_stage().await;
    let scrapes = stage.scrapes();
    let first = samples(&scrapes.text().await.unwrap());
    stage.settle("model").await;
    stage.end().await;
    let second = samples(&scrapes.text().await.unwrap());
    let counted = |name: &str| name.contains("_total") || name.contains("_count");
    for (series, value) in first.iter().filter(|(series, _)| counted(series)) {
        assert!(second[series] >= *value, "{series}");
    }
    let calls = r#"timmy_model_calls_total{provider="local",model="model"}"#;
    assert_eq!((1.0, 2.0), (first[calls], second[calls]));
    let restarted = samples(&stage.scrapes().text().await.unwrap());
    assert_eq!(second, restarted);
}

#[tokio::test]
async fn names_without_end_are_counted_together() {
    let stage = Stage::new().await;
    let models = LABEL_SETS + 20;
    for number in 0..models {
        stage.settle(&format!("model-{number}")).await;
    }
    let samples = samples(&stage.scrapes().text().await.unwrap());
    let calls: Vec<(&String, &f64)> = samples
        .iter()
        .filter(|(series, _)| series.starts_with("timmy_model_calls_total"))
        .collect();
    assert_eq!(LABEL_SETS + 1, calls.len());
    let other = r#"timmy_model_calls_total{provider="other",model="other"}"#;
    assert_eq!(20.0, samples[other]);
}

#[tokio::test]
async fn only_metrics_are_served_and_only_here() {
    let stage = Stage::new().await;
    let scrapes = stage.scrapes();
    for (method, path, status) in [
        (Method::GET, "/metrics", StatusCode::OK),
        (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/", StatusCode::NOT_FOUND),
    ] {
        let mut request = Request::default();
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let Reply::Whole(reply) = scrapes.handle(request).await else {
            panic!("a whole reply");
        };
        assert_eq!(status, reply.status(), "{path}");
    }
    let sources = Sources {
        store: stage.store.clone(),
        dir: stage.root.path().to_owned(),
        clock: stage.clock,
    };
    let refused = serve("0.0.0.0:0".parse().unwrap(), sources).await;
    assert_eq!(
        timmy_core::Code::new(1050),
        refused.unwrap_err().problem().code
    );
}
