//! The units that start the night, and both ways of starting it at once.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use tokio::process::Command;

use crate::home::Home;
use crate::home::TIMMY;
use crate::home::ran;
use crate::together::configured;

/// A unit file: its settings as (section, name, value).
type Settings = Vec<(String, String, String)>;

/// Reads a unit file, and takes nothing but sections, settings, comments and empty lines.
fn parse(text: &str) -> Settings {
    let mut section = String::new();
    let mut settings = Settings::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(
            plain && !value.is_empty() && !section.is_empty(),
            "{line:?}"
        );
        assert_eq!(value.trim(), value, "{line:?}");
        settings.push((section.clone(), name.to_owned(), value.to_owned()));
    }
    settings
}

fn values<'a>(settings: &'a Settings, name: &str) -> Vec<&'a str> {
    let named = settings.iter().filter(|(_, setting, _)| setting == name);
    named.map(|(_, _, value)| value.as_str()).collect()
}

/// The units that `timmy units` prints, by name.
async fn units(home: &Home, arguments: &[&str]) -> Vec<(String, Settings)> {
    let told = home.json(&[&["units"], arguments].concat()).await;
    let told = told.well().json();
    let unit = |unit: &Value| {
        let text = unit["text"].as_str().unwrap();
        (unit["name"].as_str().unwrap().to_owned(), parse(text))
    };
    told.as_array().unwrap().iter().map(unit).collect()
}

/// Runs the command line of a unit with `--help` behind it, as far as a path without spaces goes.
async fn assert_command_is_known(line: &str) {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    assert_eq!(TIMMY, words[0]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg("--help");
    assert!(ran(command).await.well().stdout.contains("Usage: timmy"));
}

#[tokio::test]
async fn the_units_name_this_installation() {
    let home = Home::new();
    home.configure_small("");
    let root = home.root();
    let config = root.join("timmy.toml");
    let expected =
        |command: &str| format!("\"{TIMMY}\" --config \"{}\" {command}", config.display());
    for (arguments, command, names) in [
        (&[][..], "loop", &["timmy.service"][..]),
        (&["--loop"], "loop", &["timmy.service"]),
        (
            &["--timer"],
            "sprint",
            &["timmy-sprint.service", "timmy-sprint.timer"],
        ),
        (
            &["--collect"],
            "telemetry collect",
            &["timmy-collect.service", "timmy-collect.timer"],
        ),
    ] {
        let units = units(&home, arguments).await;
        let found: Vec<&str> = units.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, found);
        let service = &units[0].1;
        assert_eq!(vec![expected(command)], values(service, "ExecStart"));
        assert_command_is_known(values(service, "ExecStart")[0]).await;
        let home_variable = format!("\"TIMMY_HOME={}\"", root.display());
        assert_eq!(vec![home_variable], values(service, "Environment"));
        assert_eq!(vec!["SIGTERM"], values(service, "KillSignal"));
        assert_eq!(vec!["yes"], values(service, "NoNewPrivileges"));
        // Whatever mounts would take proc away from the sandbox, or its namespaces.
        for (_, name, _) in service {
            let mounts = name.starts_with("Protect") || name.starts_with("Private");
            assert!(!mounts && name != "RestrictNamespaces", "{name}");
        }
    }
    let night = &units(&home, &[]).await[0].1;
    assert_eq!(vec!["exec"], values(night, "Type"));
    assert_eq!(vec!["on-failure"], values(night, "Restart"));
    let timer = &units(&home, &["--timer"]).await[1].1;
    assert_eq!(1, values(timer, "OnCalendar").len());
}

#[tokio::test]
async fn a_path_with_everything_in_it_stays_one_word() {
    let home = Home::new();
    let root = home.beside("50% \"of\" $HOME");
    let mut command = home.command(&["units"]);
    command.env("TIMMY_HOME", &root);
    let told = ran(command).await.well().stdout;
    let settings = parse(&told);
    let place = home.beside("50%% \\\"of\\\" ");
    let config = format!("--config \"{}$$HOME/timmy.toml\" loop", place.display());
    assert!(
        values(&settings, "ExecStart")[0].ends_with(&config),
        "{told}"
    );
    let variable = format!("\"TIMMY_HOME={}$HOME\"", place.display());
    assert_eq!(vec![variable], values(&settings, "Environment"));
}

#[tokio::test]
async fn systemd_takes_the_units() {
    let home = Home::new();
    home.configure_small("");
    let written = home.beside("units");
    let directory = written.to_str().unwrap();
    for arguments in [
        ["units", "--loop"],
        ["units", "--timer"],
        ["units", "--collect"],
    ] {
        let wrote = home
            .run(&[&arguments[..], &["--write", directory]].concat())
            .await
            .well();
        for path in wrote.stdout.lines() {
            assert!(!parse(&std::fs::read_to_string(path).unwrap()).is_empty());
        }
    }
    let program = Path::new("/usr/bin/systemd-analyze");
    if !program.exists() {
        // Parsed above; nobody else is here to ask.
        return;
    }
    let runtime = home.beside("runtime");
    std::fs::create_dir(&runtime).unwrap();
    for name in [
        "timmy.service",
        "timmy-sprint.service",
        "timmy-sprint.timer",
        "timmy-collect.service",
        "timmy-collect.timer",
    ] {
        let mut command = Command::new(program);
        command
            .args(["verify", "--user", "--man=no"])
            .arg(written.join(name))
            .env("XDG_RUNTIME_DIR", &runtime);
        let verified = ran(command).await.well();
        assert!(!verified.stderr.contains(name), "{}", verified.stderr);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    let home = Home::new();
    home.configure_small("");
    let file = home.beside("file");
    std::fs::write(&file, "").unwrap();
    let refusal = home
        .json(&["units", "--write", file.to_str().unwrap()])
        .await
        .refusal();
    assert_eq!((78, "TIMMY-0120".to_owned()), refusal);
    home.assert_explained("TIMMY-0120").await;
}

#[tokio::test]
async fn a_loop_and_sprints_at_the_same_time_never_take_the_same_issue() {
    let home = Home::with_project().await;
    home.issue("Another one", "").await;
    home.issue("And another one", "").await;
    let _model = configured(&home).await;
    let (night, one, other) = tokio::join!(
        home.json(&["loop", "--until-idle", "--slots", "1"]),
        home.json(&["sprint"]),
        home.json(&["sprint"]),
    );
    night.well();
    one.well();
    other.well();
    let runs = home.json(&["runs"]).await.well().json();
    let runs = runs.as_array().unwrap();
    let issues: BTreeSet<u64> = runs
        .iter()
        .map(|run| run["issue"].as_u64().unwrap())
        .collect();
    assert_eq!(3, runs.len(), "{runs:?}");
    assert_eq!(BTreeSet::from([1, 2, 3]), issues);
    for run in runs {
        assert_eq!(json!("pull_request"), run["outcome"]["outcome"], "{run}");
    }
    assert_eq!(3, home.pulls().await.len());
    home.assert_nothing_is_left().await;
}
