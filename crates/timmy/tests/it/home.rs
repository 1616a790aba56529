//! What every test of the program begins with: a private root of its own, and a small project whose
//! check is one line of shell.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::process::Command;

/// The program under test.
pub(crate) const TIMMY: &str = env!("CARGO_BIN_EXE_timmy");
/// The repository of the small project.
pub(crate) const REPO: &str = "timmy/small";

/// The check of the small project.
pub(crate) const CHECK: &str = "sh test.sh";

/// A private root with a place beside it for what belongs to nobody.
pub(crate) struct Home {
    directory: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The same, after it ended well.
    pub(crate) fn well(self) -> Self {
        assert_eq!(0, self.code, "{self:?}");
        self
    }

    /// The last line of the output, as JSON. Every line must be whole.
    pub(crate) fn json(&self) -> Value {
        self.lines().pop().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// Every line of the output, as JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert!(
            self.stdout.is_empty() || self.stdout.ends_with('\n'),
            "half a line: {self:?}"
        );
        let lines = self.stdout.lines();
        let value = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"));
        lines.map(value).collect()
    }

    /// Exit code and error code of a refusal in JSON, which is all that was printed.
    pub(crate) fn refusal(&self) -> (i32, String) {
        let lines = self.lines();
        let [only] = lines.as_slice() else {
            panic!("{self:?}");
        };
        let problem = &only["error"];
        for part in ["code", "what", "fix"] {
            assert!(problem[part].is_string(), "no {part}: {self:?}");
        }
        (self.code, problem["code"].as_str().unwrap().to_owned())
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::create_dir(directory.path().join("home")).unwrap();
        std::fs::set_permissions(directory.path().join("home"), private).unwrap();
        Self { directory }
    }

    /// A home whose embedded forge has the small project with one issue.
    pub(crate) async fn with_project() -> Self {
        let home = Self::new();
        home.create_project(&small_project()).await;
        home.issue("The state is broken", "It should be fixed.")
            .await;
        home
    }

    /// The private root.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// A path beside the private root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with arguments, in an environment that says nothing but where its home is.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(TIMMY);
        command.args(arguments);
        self.settle(command)
    }

    /// The same, started by a program that becomes it.
    pub(crate) fn command_under(&self, program: &[String], arguments: &[&str]) -> Command {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).arg(TIMMY).args(arguments);
        self.settle(command)
    }

    /// An environment that says nothing but where the home is.
    fn settle(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["TIMMY", "HERMES", "RUST_LOG", "GIT_"]
                .iter()
                .any(|p| text.starts_with(p))
            {
                command.env_remove(name);
            }
        }
        command
            .env("TIMMY_HOME", self.root())
            .env("XDG_CONFIG_HOME", self.beside("config"))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        ran(self.command(arguments)).await
    }

    /// Runs `timmy ARGUMENTS --json`.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Ran {
        self.run(&[arguments, &["--json"]].concat()).await
    }

    /// Writes timmy.toml.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.root().join("timmy.toml"), text).unwrap();
    }

    /// Settings for the embedded forge, the small project and these further tables.
    pub(crate) fn configure_small(&self, more: &str) {
        self.configure(&format!(
            "[forge]\nkind = \"embedded\"\nrepositories = [\"{REPO}\"]\n\
             [repository.\"{REPO}\"]\ncheck = \"{CHECK}\"\n{more}"
        ));
    }

    /// A git repository beside the private root with these files, on the embedded forge as [`REPO`].
    pub(crate) async fn create_project(&self, files: &[(&str, Vec<u8>)]) {
        let source = self.beside("source");
        commit(&source, files).await;
        self.configure_small("");
        let source = source.to_string_lossy();
        self.run(&["forge", "create", REPO, "--from", &source])
            .await
            .well();
    }

    pub(crate) async fn issue(&self, title: &str, body: &str) {
        self.run(&["forge", "issue", REPO, title, "--body", body])
            .await
            .well();
    }

    pub(crate) async fn labelled_issue(&self, title: &str, label: &str) {
        self.run(&["forge", "issue", REPO, title, "--label", label])
            .await
            .well();
    }

    /// Every event of the log.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.json(&["events"]).await.well().lines()
    }

    /// The open pull requests.
    pub(crate) async fn pulls(&self) -> Vec<Value> {
        let listed = self.json(&["pr", "list"]).await.well().json();
        listed.as_array().unwrap().clone()
    }

    /// The refs of the embedded forge's first repository, by name.
    pub(crate) async fn refs(&self) -> Vec<String> {
        refs(&self.root().join("forge/repositories/1.git")).await
    }

    /// What is left of runs: their directories.
    pub(crate) fn run_directories(&self) -> Vec<PathBuf> {
        entries(&self.root().join("runs"))
    }

    /// Asserts what holds after every sprint, whatever became of it: no claim, no directory of a
    /// run, and no run without an end.
    pub(crate) async fn assert_nothing_is_left(&self) {
        assert_eq!(Vec::<PathBuf>::new(), self.run_directories());
        let refs = self.refs().await;
        assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
        let runs = self.json(&["runs"]).await.well().json();
        for run in runs.as_array().unwrap() {
            assert!(run["outcome"].is_object(), "{run}");
        }
    }

    /// Asserts that an error code has a page that the program shows.
    pub(crate) async fn assert_explained(&self, code: &str) {
        let page = self.run(&["explain", code]).await.well().stdout;
        assert!(
            page.contains(code) && page.contains("## What to do"),
            "{page}"
        );
    }
}

/// Runs a command to its end.
pub(crate) async fn ran(mut command: Command) -> Ran {
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// What lies in a directory that may not exist.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Every file below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// git in a place of the test's own, where nobody's settings are read.
pub(crate) async fn git(arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) async fn refs(repository: &Path) -> Vec<String> {
    let path = repository.to_string_lossy();
    let listed = git(&["-C", &path, "for-each-ref", "--format=%(refname)"]).await;
    listed.lines().map(str::to_owned).collect()
}

/// Makes a git repository with one commit of these files.
pub(crate) async fn commit(directory: &Path, files: &[(&str, Vec<u8>)]) {
    let path = directory.to_string_lossy();
    git(&[
        "init",
        "--quiet",
        "--initial-branch=main",
        "--template=",
        &path,
    ])
    .await;
    for (name, content) in files {
        let file = directory.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    git(&["-C", &path, "add", "--all"]).await;
    git(&["-C", &path, "commit", "--quiet", "--message=Start"]).await;
}

/// A project whose check fails until `state.txt` says `fixed`.
pub(crate) fn small_project() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("state.txt", b"broken\n".to_vec()),
        ("test.sh", b"grep -q fixed state.txt\n".to_vec()),
    ]
}

/// The calls that mend the small project.
pub(crate) fn mending() -> [(&'static str, Value); 3] {
    [
        ("run_command", json!({"command": "cat state.txt"})),
        (
            "write_file",
            json!({"path": "state.txt", "contents": "fixed\n"}),
        ),
        ("finish", json!({"summary": "The state is fixed."})),
    ]
}

/// A model that mends the small project.
pub(crate) async fn mender() -> ModelServer {
    let turns = mending().map(|(tool, arguments)| Turn::call(tool, arguments));
    ModelServer::start(turns.into()).await
}

/// A model that writes one file and says that it is done.
pub(crate) async fn writer(path: &str, contents: &str) -> ModelServer {
    ModelServer::start(vec![
        Turn::call("write_file", json!({"path": path, "contents": contents})),
        Turn::call("finish", json!({"summary": "Done."})),
    ])
    .await
}

/// Settings of a provider at a scripted model.
pub(crate) fn provider(kind: &str, base_url: &str) -> String {
    format!(
        "[[provider]]\nname = \"scripted\"\nkind = \"{kind}\"\nbase_url = \"{base_url}\"\n\
         model = \"scripted\"\n"
    )
}
