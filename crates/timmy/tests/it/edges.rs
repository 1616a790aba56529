//! Crate edges: dependencies point down one list, and some libraries stay where they are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;

/// From the top to the bottom, as docs/architecture.md has it.
const ORDER: [&str; 11] = [
    "timmy",
    "timmy-dispatch",
    "timmy-telemetry",
    "timmy-agent",
    "timmy-forge",
    "timmy-model",
    "timmy-git",
    "timmy-sandbox",
    "timmy-store",
    "timmy-loopback",
    "timmy-core",
];

/// Libraries and the crates that may use them.
const HELD: [(&str, &[&str]); 5] = [
    ("sqlx", &["timmy-store"]),
    ("reqwest", &["timmy-forge", "timmy-model"]),
    ("landlock", &["timmy-sandbox"]),
    ("axum", &["timmy-web"]),
    ("rmcp", &["timmy-agent"]),
];

/// The direct dependencies of each crate of the workspace, without those that only tests use.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            (
                name(package),
                used.filter(|used| used["kind"].is_null())
                    .map(name)
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn dependencies_point_down_the_list() {
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    for (package, used) in dependencies() {
        if package == "timmy-testkit" {
            continue;
        }
        let own = place(&package).unwrap_or_else(|| panic!("{package} is not on the list"));
        for other in used.iter().filter(|other| other.starts_with("timmy")) {
            let other_place = place(other).unwrap_or_else(|| panic!("{package} uses {other}"));
            assert!(other_place > own, "{package} must not use {other}");
        }
    }
}

#[test]
fn only_tests_use_the_testkit() {
    for (package, used) in dependencies() {
        assert!(
            !used.contains("timmy-testkit"),
            "{package} uses the testkit"
        );
    }
}

#[test]
fn some_libraries_stay_where_they_are() {
    for (package, used) in dependencies() {
        for (library, holders) in HELD {
            let allowed = holders.contains(&package.as_str());
            assert!(
                allowed || !used.contains(library),
                "{package} must not use {library}"
            );
        }
    }
}
