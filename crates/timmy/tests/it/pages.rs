//! Every error code has a page, every page a code, and the pages have one form.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What stands before a code's number in the sources.
const BEFORE_A_NUMBER: [&str; 4] = ["Code::new(", "told(", "=> (", "TIMMY-0"];

/// The numbers of the codes in the sources, outside of tests.
fn codes() -> BTreeSet<u16> {
    let mut files = Vec::new();
    for package in fs::read_dir(root().join("crates")).unwrap() {
        sources(&package.unwrap().path().join("src"), &mut files);
    }
    let mut codes = BTreeSet::new();
    let is_test = |file: &PathBuf| file.to_string_lossy().ends_with("tests.rs");
    files.retain(|file| !is_test(file));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("\nmod tests {").next().unwrap();
        if !code.contains("Code::new(") && !code.contains("TIMMY-0") {
            continue;
        }
        for mark in BEFORE_A_NUMBER {
            let numbers = code.split(mark).skip(1).map(|rest| {
                rest.chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
            });
            // Numbers of four digits are written out; elsewhere such a number may be anything.
            let whole = mark == "Code::new(";
            codes.extend(
                numbers
                    .filter(|n| n.len() == 3 || (whole && n.len() == 4))
                    .map(|n| n.parse::<u16>().unwrap()),
            );
        }
    }
    codes
}

fn pages() -> BTreeSet<u16> {
    let number = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_prefix("TIMMY-")
            .unwrap()
            .strip_suffix(".md")
            .unwrap()
            .parse()
            .unwrap()
    };
    fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .map(number)
        .collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    assert_eq!(codes(), pages());
}

#[test]
fn every_page_has_the_same_form() {
    for number in pages() {
        let path = root().join(format!("docs/errors/TIMMY-{number:04}.md"));
        let text = fs::read_to_string(&path).unwrap();
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert!(
            headings[0].starts_with(&format!("# TIMMY-{number:04}: ")),
            "{}",
            path.display()
        );
        let expected = ["## What happened", "## Why", "## What to do"];
        assert_eq!(expected, headings[1..], "{}", path.display());
    }
}

#[test]
fn the_repository_speaks_of_timmy_alone() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    for directory in ["docs", "docs/errors", "docs/decisions", "script"] {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        files.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file()),
        );
    }
    // Spelt in two parts, so that this file does not find itself.
    let forbidden = [
        concat!("/wo", "rk/main"),
        concat!("/wo", "rk/shared"),
        concat!("/wo", "rk/wt"),
        concat!("/var/tmp/", "timmy"),
        concat!("/opt/", "forgejo"),
    ];
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in forbidden {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
}

/// The sections whose every setting has a row in docs/night.md.
const OF_THE_NIGHT: [&str; 3] = ["night.", "follow_up.", "merge_queue."];

#[tokio::test]
async fn the_settings_of_the_night_are_told_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/night.md");
    let text = std::fs::read_to_string(path).unwrap();
    let told: BTreeMap<String, String> = text.lines().filter_map(setting).collect();
    let home = crate::home::Home::new();
    let explained = home.json(&["config", "explain"]).await.well().json();
    let mut real = BTreeMap::new();
    for row in explained.as_array().unwrap() {
        let (name, value) = (row["setting"].as_str().unwrap(), &row["value"]);
        let wanted = OF_THE_NIGHT.iter().any(|section| name.starts_with(section));
        if wanted || told.contains_key(name) {
            real.insert(name.to_owned(), value.as_str().unwrap().to_owned());
        }
    }
    assert!(real.len() > 15, "{real:?}");
    assert_eq!(real, told);
}

/// A row such as `` | `night.slots` | `2` | ... | ``.
fn setting(line: &str) -> Option<(String, String)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?;
    let value = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    name.contains('.')
        .then(|| (name.to_owned(), value.to_owned()))
}
