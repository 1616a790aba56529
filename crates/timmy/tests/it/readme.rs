//! The command lines of the README are accepted by the program, and those about the demo are run.

use std::path::Path;

use crate::home::Home;
use crate::home::provider;

/// Every command line of the README's shell blocks that starts with `timmy`, and every one that its
/// text quotes: continued lines joined, comments left out.
fn command_lines() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(path).unwrap().replace("\\\n", " ");
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            in_block = !in_block && line == "```sh";
        } else if in_block {
            found.extend(words(line));
        } else {
            let quoted = line.split('`').skip(1).step_by(2);
            found.extend(quoted.filter_map(words));
        }
    }
    found
}

/// The words after `timmy`, when that is what a line runs.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.split(" # ").next().unwrap_or(line);
    let rest = line.strip_prefix("timmy ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Fills in what the README leaves to the reader.
fn filled(words: &[String]) -> Vec<String> {
    let fill = |word: &String| match word.as_str() {
        "URL" => "https://git.example.org".to_owned(),
        "NAME" | "FILE" => "stand-in".to_owned(),
        "SHELL" => "bash".to_owned(),
        _ => word.clone(),
    };
    words.iter().map(fill).collect()
}

#[tokio::test]
async fn every_command_line_of_the_readme_is_accepted() {
    let home = Home::new();
    let lines = command_lines();
    for wanted in [
        "init",
        "doctor",
        "sprint",
        "loop",
        "watch",
        "units",
        "verify",
        "forge",
        "completions",
    ] {
        assert!(
            lines.iter().any(|line| line[0] == wanted),
            "no `timmy {wanted}`: {lines:?}"
        );
    }
    for line in lines {
        // With --help behind it a line is parsed up to the end, and nothing is done.
        let ran = home
            .run(&[filled(&line), vec!["--help".to_owned()]].concat())
            .await;
        assert_eq!(0, ran.code, "timmy {}: {}", line.join(" "), ran.stderr);
        assert!(ran.stdout.contains("Usage: timmy"), "{}", ran.stdout);
    }
}

#[tokio::test]
async fn what_the_readme_says_about_the_demo_can_be_done() {
    let home = Home::new();
    home.run(&["demo"]).await.well();
    let mut done = 0;
    for line in command_lines() {
        let about_demo = line.iter().any(|word| word.starts_with("timmy/tally#"));
        if about_demo || matches!(line.as_slice(), [only] if only == "report" || only == "runs") {
            let ran = home.run(&line).await.well();
            assert!(!ran.stdout.is_empty(), "{line:?}");
            done += 1;
        }
    }
    assert!(done >= 5, "{done} lines of the README are about the demo");
    for line in [["explain", "TIMMY-0301"], ["config", "explain"]] {
        assert!(!home.run(&line).await.well().stdout.is_empty());
    }
}

#[tokio::test]
async fn the_first_sprint_of_the_readme_can_be_prepared_and_chosen() {
    let home = Home::new();
    let mut lines = command_lines().into_iter();
    let mut line = lines
        .find(|line| line[0] == "init" && line.len() > 1)
        .unwrap();
    let file = line.iter().position(|word| word == "--token-file").unwrap();
    line[file + 1] = home.beside("token").to_str().unwrap().to_owned();
    std::fs::write(home.beside("token"), "0\n").unwrap();
    // Nobody listens there; what is written is checked, and the findings are told.
    let url = line.iter().position(|word| word == "--url").unwrap();
    line[url + 1] = "http://127.0.0.1:9/".to_owned();
    let told = home.run(&line).await;
    assert!(told.stdout.contains("TIMMY-0511"), "{told:?}");
    let written = std::fs::read_to_string(home.root().join("timmy.toml")).unwrap();
    for part in ["http://127.0.0.1:9/", "me/project", "ollama", "qwen3-coder"] {
        assert!(written.contains(part), "no {part}: {written}");
    }
    let home = Home::with_project().await;
    home.configure_small(&provider("ollama", "http://127.0.0.1:9"));
    for line in command_lines() {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        if matches!(line.as_slice(), ["issues"] | ["sprint", "--dry-run"]) {
            let said = home.run(&line).await.well().stdout;
            assert!(said.contains("The state is broken"), "{line:?}: {said}");
        }
    }
}

#[tokio::test]
async fn the_night_of_the_readme_can_be_had() {
    let home = Home::with_project().await;
    let _model = crate::together::configured(&home).await;
    let mut done = 0;
    for line in command_lines() {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        match line.as_slice() {
            ["loop", "--until-idle"] | ["report"] | ["units"] => {
                assert!(!home.run(&line).await.well().stdout.is_empty(), "{line:?}");
                done += 1;
            }
            // These two would go on for ever.
            ["watch"] => {
                let told = home.run(&["watch", "--once"]).await.well().stdout;
                assert_eq!("nothing runs\n", told);
                done += 1;
            }
            ["loop", "--tmux", number] => {
                let ended = ["loop", "--until-idle", "--tmux", number];
                home.run(&ended).await.well();
                done += 1;
            }
            _ => {}
        }
    }
    assert!(done >= 5, "{done} lines");
    assert_eq!(1, home.pulls().await.len());
}
