//! How the operator's command is judged, and what becomes of it.

use std::path::Path;
use std::process::Command as Blocking;

use super::*;

/// Runs a script as the command for alerts, in a directory of its own.
async fn told(place: &Path, timeout_s: u64, script: &str) -> Result<(), Problem> {
    let script = format!("cd '{}'; {script}", place.display());
    let settings = AlertSettings {
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        timeout_s,
        ..AlertSettings::default()
    };
    deliver(&settings, "night", Timestamp::UNIX_EPOCH, &[]).await
}

const LETTER: &str = "{\"host\":\"night\",\"at\":\"1970-01-01T00:00:00Z\",\"news\":[]}\n";

#[tokio::test]
async fn a_command_is_judged_by_how_it_ends_and_not_by_what_it_leaves_running() {
    let place = tempfile::tempdir().unwrap();
    let script = "cat > got; sleep 77 & echo $! > left; exit 0";
    let judged = told(place.path(), 60, script).await;
    let left = std::fs::read_to_string(place.path().join("left")).unwrap();
    let ended = Blocking::new("kill").arg(left.trim()).status().unwrap();
    assert_eq!(Ok(()), judged);
    assert!(ended.success(), "it goes on");
    let got = std::fs::read_to_string(place.path().join("got")).unwrap();
    assert_eq!(LETTER, got);
    let refused = told(place.path(), 60, "echo no route >&2; exit 75").await;
    let what = refused.unwrap_err().what;
    assert!(what.ends_with("exit status: 75, no route"), "{what}");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended() {
    let place = tempfile::tempdir().unwrap();
    let refused = told(place.path(), 1, "sleep 7777").await;
    let what = refused.unwrap_err().what;
    assert!(what.ends_with("it took longer than 1 s"), "{what}");
}

#[tokio::test]
async fn a_command_is_told_nothing_of_keys() {
    // Cargo sets it for every test.
    const KEY: &str = "CARGO_PKG_NAME";
    assert!(std::env::var_os(KEY).is_some() && std::env::var_os("PATH").is_some());
    let place = tempfile::tempdir().unwrap();
    told(place.path(), 60, "env > got").await.unwrap();
    let got = std::fs::read_to_string(place.path().join("got")).unwrap();
    let has = |name: &str| {
        got.lines()
            .any(|line| line.starts_with(&format!("{name}=")))
    };
    assert_eq!((true, false), (has("PATH"), has(KEY)));
}
