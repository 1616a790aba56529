//! An embedded forge on a free port, with two users, and a way to talk to it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use timmy_core::SystemClock;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::Faults;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_loopback::Server;
use timmy_store::Store;
use timmy_store::forge::ForgeTables;

pub(crate) const ALL_SCOPES: [Scope; 3] =
    [Scope::WriteIssue, Scope::WriteRepository, Scope::WriteUser];

/// A running forge. The owner is `bot`, who owns the private repository `bot/project` with one
/// commit; `alice` owns nothing.
pub(crate) struct ForgeServer {
    pub(crate) forge: EmbeddedForge,
    pub(crate) faults: Arc<Faults>,
    pub(crate) tables: ForgeTables,
    pub(crate) bot: String,
    pub(crate) alice: String,
    pub(crate) directory: TempDir,
    server: Server,
    client: reqwest::Client,
}

/// What the forge answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The numbers of a list of issues or pull requests.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let list = self.json();
        let list = list.as_array().expect("a list");
        list.iter()
            .map(|item| item["number"].as_u64().unwrap())
            .collect()
    }
}

impl ForgeServer {
    pub(crate) async fn start() -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("home");
        let store = Store::open(&root).await.unwrap();
        let faults = Arc::new(Faults::default());
        let clock = Arc::new(SystemClock::new());
        let tables = ForgeTables::new(store.clone(), clock);
        let forge = EmbeddedForge::with_faults(
            store,
            &root.join("forge"),
            Arc::new(SystemClock::new()),
            Arc::clone(&faults),
        )
        .unwrap();
        let mut tokens = Vec::new();
        for user in ["bot", "alice"] {
            forge.create_user(user).await.unwrap();
            let token = forge.create_token(user, "test", &ALL_SCOPES).await.unwrap();
            tokens.push(token.expose_secret().to_owned());
        }
        let files = [
            ("README.md", "# project\n"),
            ("src/lib.rs", "// nothing yet\n"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let new = NewRepository {
            name: "bot/project".parse().unwrap(),
            description: "A project".to_owned(),
            private: true,
            content: InitialCommit::Files(files.into()),
        };
        forge.create_repository(&new).await.unwrap();
        let server = Server::start(forge.clone()).await.unwrap();
        let alice = tokens.pop().unwrap();
        let bot = tokens.pop().unwrap();
        Self {
            forge,
            faults,
            tables,
            bot,
            alice,
            directory,
            server,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// A request as somebody; without a token when it is empty.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Answered {
        self.try_ask(method, path, token, body).await.unwrap()
    }

    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<Answered, reqwest::Error> {
        let url = format!("{}/api/v1{path}", self.url());
        let mut request = self.client.request(method, url);
        if !token.is_empty() {
            request = request.header("authorization", format!("token {token}"));
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        Ok(Answered {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.ask(Method::GET, path, &self.bot, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answered {
        self.ask(Method::POST, path, &self.bot, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answered {
        self.ask(Method::PATCH, path, &self.bot, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answered {
        self.ask(Method::DELETE, path, &self.bot, Value::Null).await
    }

    /// A clone of `bot/project` in a directory of this name.
    pub(crate) async fn clone_project(&self, directory: &str) -> Clone {
        let path = self.directory.path().join(directory);
        let url = format!("{}/bot/project.git", self.url());
        let to = path.to_string_lossy().into_owned();
        let cloned = git(
            self.directory.path(),
            &self.bot,
            &["clone", "-q", &url, &to],
        )
        .await;
        assert!(cloned.ok, "{}", cloned.said);
        Clone {
            path,
            token: self.bot.clone(),
        }
    }
}

/// How a git command ended and everything it printed.
#[derive(Debug)]
pub(crate) struct GitEnd {
    pub(crate) ok: bool,
    pub(crate) said: String,
}

/// A clone on disk, acting with a token.
pub(crate) struct Clone {
    pub(crate) path: std::path::PathBuf,
    pub(crate) token: String,
}

impl Clone {
    pub(crate) async fn git(&self, arguments: &[&str]) -> GitEnd {
        git(&self.path, &self.token, arguments).await
    }

    /// A git command that must succeed; what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let end = self.git(arguments).await;
        assert!(end.ok, "git {arguments:?}: {}", end.said);
        end.said.trim().to_owned()
    }

    /// Writes a file on a new branch that starts at `main`, commits, pushes; the commit.
    pub(crate) async fn push_branch(&self, branch: &str, file: &str, text: &str) -> String {
        self.run(&["checkout", "-q", "-B", branch, "origin/main"])
            .await;
        self.push_more(branch, file, text).await
    }

    /// Writes a file on the checked-out branch, commits, pushes; the commit.
    pub(crate) async fn push_more(&self, branch: &str, file: &str, text: &str) -> String {
        std::fs::write(self.path.join(file), text).unwrap();
        self.run(&["add", "-A"]).await;
        self.run(&["commit", "-q", "-m", &format!("Write {file}")])
            .await;
        self.run(&["push", "-q", "origin", branch]).await;
        self.run(&["rev-parse", "HEAD"]).await
    }
}

/// git as a client with nothing of this machine's configuration; no token when it is empty.
pub(crate) async fn git(directory: &Path, token: &str, arguments: &[&str]) -> GitEnd {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "/bin/false")
        .args([
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.invalid",
        ])
        .current_dir(directory);
    if !token.is_empty() {
        let pair = STANDARD.encode(format!("anybody:{token}"));
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {pair}"));
    }
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    GitEnd {
        ok: output.status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    }
}
