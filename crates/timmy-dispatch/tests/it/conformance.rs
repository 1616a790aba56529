//! The table of what the Symphony specification asks for is whole, and what it names exists.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

/// Sections of the specification's list, and how many points each has (draft 1).
const POINTS: [(&str, usize); 8] = [
    ("17.1", 17),
    ("17.2", 12),
    ("17.3", 12),
    ("17.4", 15),
    ("17.5", 22),
    ("17.6", 6),
    ("17.7", 6),
    ("17.8", 4),
];

/// One line of the table.
struct Point {
    section: String,
    number: usize,
    tests: Vec<String>,
    remark: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn table() -> Vec<Point> {
    let page = std::fs::read_to_string(root().join("docs/symphony.md")).unwrap();
    let lines = page.lines().filter(|line| line.starts_with("| 17."));
    lines.map(point).collect()
}

fn point(line: &str) -> Point {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [number, what, held] = cells[..] else {
        panic!("not three cells: {line}");
    };
    assert!(!what.is_empty(), "{line}");
    let (section, number) = number.rsplit_once('.').unwrap();
    let quoted = held.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| name.contains('_') && !name.contains(['.', ' ', '/', '-']);
    Point {
        section: section.to_owned(),
        number: number.parse().unwrap(),
        tests: quoted.filter(is_test).map(str::to_owned).collect(),
        remark: held.to_owned(),
    }
}

/// The names of all functions below the crates' sources and tests that are marked as tests.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    collect(&root().join("crates"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let (mut marked, mut listing) = (false, false);
        for line in text.lines().map(str::trim) {
            marked |= line == "#[test]" || line.starts_with("#[tokio::test");
            // A list of functions that a macro makes a test of for each database.
            listing = line.starts_with("on_both_databases!(") || (listing && line != ");");
            if listing {
                names.insert(line.trim_end_matches(',').to_owned());
            }
            let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) else {
                continue;
            };
            names.insert(rest.split('(').next().unwrap_or_default().to_owned());
            marked = false;
        }
    }
    names
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn every_point_of_the_list_has_its_line() {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for point in table() {
        found.entry(point.section).or_default().push(point.number);
    }
    let expected: BTreeMap<String, Vec<usize>> = POINTS
        .map(|(section, count)| (section.to_owned(), (1..=count).collect()))
        .into();
    assert_eq!(expected, found);
}

#[test]
fn every_point_names_tests_that_exist_or_says_why_there_is_none() {
    let known = tests();
    let mut missing = Vec::new();
    for point in table() {
        let place = format!("{}.{}", point.section, point.number);
        let gone = point.tests.iter().filter(|name| !known.contains(*name));
        missing.extend(gone.map(|name| format!("{place}: no test `{name}`")));
        if point.tests.is_empty() && !point.remark.starts_with("No: ") {
            missing.push(format!("{place}: neither a test nor a reason"));
        }
    }
    assert_eq!(Vec::<String>::new(), missing);
}
