//! Build caches: what the second sprint does not compile again, and who may fill them.

use std::path::Path;

use serde_json::Value;
use serde_json::json;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

use crate::home::Home;
use crate::home::REPO;
use crate::home::files;
use crate::home::provider;

const CACHES: &str = "[workspace.caches]\ncargo = \"CARGO_TARGET_DIR\"\n";
const CHECK: &str = "cargo build --offline";

/// A package with one dependency. Where that lies is the same for every run, as with cargo's own
/// registry: cargo compiles anew what it finds in another place.
fn rust_project(crates: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let vendored = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\
         [source.vendored]\ndirectory = \"{}\"\n",
        crates.display()
    );
    let files = [
        (".cargo/config.toml", vendored.as_str()),
        (
            "Cargo.toml",
            "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
             [dependencies]\ntiny = \"1\"\n",
        ),
        (
            "Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"project\"\nversion = \"0.1.0\"\n\
             dependencies = [\n \"tiny\",\n]\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n\
             source = \"registry+https://github.com/rust-lang/crates.io-index\"\n",
        ),
        ("src/lib.rs", "pub use tiny::one;\n"),
        (".gitignore", "target\n"),
        ("README.md", "project\n"),
    ];
    files
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .into()
}

/// The dependency, as `cargo vendor` leaves it.
fn write_crates(directory: &Path) {
    let tiny = directory.join("tiny");
    std::fs::create_dir_all(tiny.join("src")).unwrap();
    let manifest = "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    for (name, text) in [
        (".cargo-checksum.json", "{\"files\":{},\"package\":null}"),
        ("Cargo.toml", manifest),
        ("src/lib.rs", "pub fn one() -> u8 { 1 }\n"),
    ] {
        std::fs::write(tiny.join(name), text).unwrap();
    }
}

impl Home {
    async fn with_rust_project() -> Self {
        let home = Self::new();
        let crates = home.beside("crates");
        write_crates(&crates);
        home.create_project(&rust_project(&crates)).await;
        for title in ["One", "Two", "Three"] {
            home.issue(title, "Add a line.").await;
        }
        home
    }

    fn configure_rust(&self, more: &str) {
        self.configure(&format!(
            "[forge]\nkind = \"embedded\"\nrepositories = [\"{REPO}\"]\n\
             [repository.\"{REPO}\"]\ncheck = \"{CHECK}\"\n\
             [sandbox]\nread_only = [\"{}\"]\n{more}",
            self.beside("crates").display()
        ));
    }

    /// One sprint whose agent runs this command; gives what its check printed.
    async fn sprint_with(&self, command: &str) -> String {
        let model = ModelServer::start(vec![
            Turn::call("run_command", json!({"command": command})),
            Turn::call(
                "write_file",
                json!({"path": "README.md", "contents": "more\n"}),
            ),
            Turn::call("finish", json!({"summary": "A line."})),
        ])
        .await;
        self.configure_rust(&(provider("generic", &model.base_url()) + CACHES));
        let report = self.json(&["sprint"]).await.well().json();
        report["check"]["output_tail"].as_str().unwrap().to_owned()
    }

    fn seed_files(&self) -> usize {
        files(&self.root().join("caches")).len()
    }
}

/// The crates that cargo compiled, by name.
fn compiled(output: &str) -> Vec<&str> {
    let lines = output.lines().map(str::trim);
    let compiling = lines.filter_map(|line| line.strip_prefix("Compiling "));
    compiling
        .filter_map(|rest| rest.split(' ').next())
        .collect()
}

#[tokio::test]
async fn the_second_sprint_compiles_only_what_changed_and_no_agent_fills_the_cache() {
    let home = Home::with_rust_project().await;
    let cold = home.sprint_with("true").await;
    assert_eq!(vec!["tiny", "project"], compiled(&cold), "{cold}");
    assert_eq!(
        0,
        home.seed_files() - locks(&home),
        "a sprint fills no cache"
    );

    let warmed = home.json(&["workspace", "warm"]).await.well().json();
    assert_eq!("filled", warmed["result"], "{warmed}");
    assert!(warmed["bytes"].as_u64().unwrap() > 0);
    let again = home.json(&["workspace", "warm"]).await.well().json();
    assert_eq!("up_to_date", again["result"]);
    let seeds = home.seed_files();

    // The agent finds a copy, and spoils it.
    let spoil = "find $CARGO_TARGET_DIR -name '*tiny*' -type f -exec sh -c 'echo poison > $0' {} ';'; \
                 echo poison > $CARGO_TARGET_DIR/poison; test -n \"$(ls $CARGO_TARGET_DIR/debug)\"";
    let second = home.sprint_with(spoil).await;
    assert_eq!(vec!["project"], compiled(&second), "{second}");
    assert_eq!(seeds, home.seed_files());
    let third = home.sprint_with("test ! -e $CARGO_TARGET_DIR/poison").await;
    assert_eq!(vec!["project"], compiled(&third), "{third}");
    for file in files(&home.root().join("caches")) {
        let poison = b"poison\n".to_vec();
        assert_ne!(poison, std::fs::read(&file).unwrap(), "{}", file.display());
    }
    println!("crates compiled by the check: cold 2, warm 1");
    assert!(home.run_directories().is_empty());
}

fn locks(home: &Home) -> usize {
    let all = files(&home.root().join("caches"));
    all.iter()
        .filter(|file| file.extension().is_some_and(|e| e == "lock"))
        .count()
}

#[tokio::test]
async fn a_check_that_fails_fills_nothing_and_is_not_repeated() {
    let home = Home::with_project().await;
    home.configure_small(CACHES);
    for _ in 0..2 {
        let failed = home.json(&["workspace", "warm"]).await;
        assert_eq!(1, failed.code, "{failed:?}");
        assert_eq!("check_failed", failed.json()["result"]);
    }
    let repository = home.root().join("caches").join(REPO);
    let names: Vec<String> = crate::home::entries(&repository)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(vec!["failed".to_owned()], names);
    home.configure_small("");
    let none = home.json(&["workspace", "warm"]).await.well().json();
    assert_eq!("none_configured", none["result"]);
}

#[tokio::test]
async fn an_impossible_cache_is_refused_before_anything_runs() {
    let home = Home::with_project().await;
    home.configure_small("[workspace.caches]\n\"../x\" = \"CARGO_TARGET_DIR\"\n");
    let refused = home.json(&["workspace", "warm"]).await.refusal();
    assert_eq!((78, "TIMMY-0942".to_owned()), refused);
    home.assert_explained("TIMMY-0942").await;
}

#[tokio::test]
async fn what_a_base_commit_left_goes_when_a_newer_one_is_kept() {
    let home = Home::new();
    let text = b"echo built > $BUILD_CACHE/one\n".to_vec();
    home.create_project(&[("test.sh", text)]).await;
    home.configure_small("[workspace.caches]\nbuild = \"BUILD_CACHE\"\n");
    home.json(&["workspace", "warm"]).await.well();
    let source = home.beside("source");
    let path = source.to_string_lossy();
    std::fs::write(
        source.join("test.sh"),
        "cp $BUILD_CACHE/one $BUILD_CACHE/two\n",
    )
    .unwrap();
    crate::home::git(&["-C", &path, "commit", "--quiet", "--all", "--message=Two"]).await;
    let forge = home.root().join("forge/repositories/1.git");
    crate::home::git(&[
        "-C",
        &path,
        "push",
        "--quiet",
        &forge.to_string_lossy(),
        "main",
    ])
    .await;
    home.json(&["workspace", "warm"]).await.well();
    let caches = files(&home.root().join("caches"));
    let ends = |name: &str| caches.iter().filter(|file| file.ends_with(name)).count();
    assert_eq!((1, 1), (ends("build/one"), ends("build/two")), "{caches:?}");
    let events = home.events().await;
    let removed: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "directory_removed")
        .collect();
    assert_eq!(1, removed.len(), "{removed:?}");
    assert_ne!(removed[0]["facts"][0], removed[0]["facts"][1]);
}
