//! Starting the host's git with nothing but what is written here in its environment.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use timmy_core::Redactor;
use timmy_core::text;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::process::ChildStdin;
use tokio::process::Command;

use crate::error::GitError;
use crate::remote::Remote;
use crate::remote::Transport;
use crate::stream;
use crate::stream::Drained;
use crate::stream::Limits;
use crate::stream::Overflow;

/// How long git may say nothing before it is ended. There is no limit on the whole: a large clone
/// takes as long as it takes, as long as it moves.
pub const DEFAULT_IDLE_LIMIT: Duration = Duration::from_secs(300);

/// Under this many bytes a second for [`LOW_SPEED_SECONDS`] a transfer has failed.
const LOW_SPEED_BYTES: &str = "100";
const LOW_SPEED_SECONDS: &str = "120";
const OUTPUT_LIMIT: usize = 64 << 20;
const ERROR_TEXT_LIMIT: usize = 2000;

/// The host's git program with a clean environment.
///
/// Never point it at a directory that an agent can write: git obeys what it finds there.
#[derive(Debug, Clone)]
pub struct Git {
    settings: Arc<Settings>,
}

#[derive(Debug, Clone)]
struct Settings {
    program: PathBuf,
    search_path: OsString,
    home: PathBuf,
    configuration: PathBuf,
    idle_limit: Duration,
}

impl Git {
    /// Uses `private` for an empty home and an empty configuration file of its own.
    ///
    /// # Errors
    /// [`GitError::Io`] when the directory cannot be made.
    pub fn new(private: &Path) -> Result<Self, GitError> {
        let home = private.join("home");
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true).mode(0o700);
        directory
            .create(&home)
            .map_err(GitError::io("create", &home))?;
        let configuration = private.join("gitconfig");
        fs::write(&configuration, "").map_err(GitError::io("write", &configuration))?;
        Ok(Self {
            settings: Arc::new(Settings {
                program: PathBuf::from("git"),
                search_path: absolute_search_path(),
                home,
                configuration,
                idle_limit: DEFAULT_IDLE_LIMIT,
            }),
        })
    }

    /// The same with another limit on silence.
    #[must_use]
    pub fn with_idle_limit(&self, idle_limit: Duration) -> Self {
        Self {
            settings: Arc::new(Settings {
                idle_limit,
                ..(*self.settings).clone()
            }),
        }
    }

    /// The installed version, such as `2.39.5`.
    ///
    /// # Errors
    /// [`GitError::ProgramMissing`] when there is no git.
    pub async fn version(&self) -> Result<String, GitError> {
        let output = self.run(Invocation::new(["version"])).await?;
        let text = output.into_text("version")?;
        let version = text.trim().strip_prefix("git version ").unwrap_or(&text);
        Ok(version.trim().to_owned())
    }

    /// Runs git to its end. A failure of the command is not an error here.
    pub(crate) async fn run(&self, invocation: Invocation<'_>) -> Result<Output, GitError> {
        let subcommand = invocation.subcommand();
        let redactor = invocation.remote.map(Remote::redactor).unwrap_or_default();
        let mut command = self.command(&invocation);
        let mut child = command.spawn().map_err(|source| GitError::ProgramMissing {
            program: self.settings.program.clone(),
            source,
        })?;
        let mut group = ProcessGroup::of(&child);
        let limits = Limits {
            idle: self.settings.idle_limit,
            output: invocation.output_limit,
            overflow: invocation.overflow,
        };
        let input = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(GitError::unreadable(&subcommand, "its output is not piped"));
        };
        let (drained, ()) = tokio::join!(
            stream::drain(stdout, stderr, &limits),
            feed(input, &invocation.input)
        );
        let drained = drained.map_err(|stop| stop.into_error(&subcommand, &limits))?;
        if drained.truncated {
            group.end();
        }
        let status = child
            .wait()
            .await
            .map_err(GitError::io("wait for", &self.settings.program))?;
        group.ended();
        Ok(Output::new(status, drained, &redactor))
    }

    /// [`Self::run`], and an exit code other than 0 is an error.
    pub(crate) async fn succeed(&self, invocation: Invocation<'_>) -> Result<Output, GitError> {
        let subcommand = invocation.subcommand();
        let output = self.run(invocation).await?;
        if output.success() || output.truncated {
            return Ok(output);
        }
        Err(output.failure(&subcommand))
    }

    /// A call in a bare repository of the host's own, not started yet, its three streams piped:
    /// for a server that speaks git's protocols. Limits and the end of the process are the
    /// caller's. Dropping the child ends it.
    #[must_use]
    pub fn command_in<I, A>(&self, bare: &Path, arguments: I) -> Command
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let invocation = Invocation::new(arguments).at(Place::Bare(bare));
        self.command(&invocation.input([]))
    }

    fn command(&self, invocation: &Invocation<'_>) -> Command {
        let mut command = Command::new(&self.settings.program);
        command
            .env_clear()
            .env("PATH", &self.settings.search_path)
            .env("HOME", &self.settings.home)
            .env("TMPDIR", &self.settings.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", &self.settings.configuration)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_DEFAULT_HASH", "sha1")
            .env("GIT_LITERAL_PATHSPECS", "1");
        for (key, value) in configuration_environment(invocation.remote) {
            command.env(key, value);
        }
        for (key, value) in &invocation.environment {
            command.env(key, value);
        }
        match invocation.place {
            Place::Nowhere => command.current_dir(&self.settings.home),
            Place::Bare(path) => command.env("GIT_DIR", path).current_dir(path),
            Place::Tree(path) => command
                .env("GIT_CEILING_DIRECTORIES", path.parent().unwrap_or(path))
                .current_dir(path),
        };
        command
            .args(&invocation.arguments)
            .stdin(match invocation.input {
                Input::Nothing => Stdio::null(),
                Input::Bytes(_) => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Relative entries would let the working directory choose the program.
fn absolute_search_path() -> OsString {
    const FALLBACK: &str = "/usr/local/bin:/usr/bin:/bin";
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let absolute = std::env::split_paths(&inherited).filter(|entry| entry.is_absolute());
    match std::env::join_paths(absolute) {
        Ok(path) if !path.is_empty() => path,
        Ok(_) | Err(_) => OsString::from(FALLBACK),
    }
}

/// The settings that stand above every configuration file, and the credential, scoped to its URL.
///
/// With this set a poisoned repository ran nothing and sent nothing (`tests/it/poison.rs`).
fn configuration_environment(remote: Option<&Remote>) -> Vec<(String, OsString)> {
    let mut settings: Vec<(String, String)> = [
        ("http.followRedirects", "false"),
        ("http.proxy", ""),
        ("http.lowSpeedLimit", LOW_SPEED_BYTES),
        ("http.lowSpeedTime", LOW_SPEED_SECONDS),
        ("credential.helper", ""),
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("core.quotePath", "false"),
        ("core.pager", "cat"),
        ("submodule.recurse", "false"),
        ("fetch.recurseSubmodules", "false"),
        ("transfer.fsckObjects", "true"),
        ("protocol.version", "2"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("commit.gpgSign", "false"),
        ("init.defaultBranch", "main"),
        ("advice.detachedHead", "false"),
        ("protocol.allow", "never"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    if let Some(remote) = remote {
        let protocol = remote.url.transport().protocol();
        settings.push((format!("protocol.{protocol}.allow"), "always".to_owned()));
        if let (Some(credential), Transport::Http | Transport::Https) =
            (&remote.credential, remote.url.transport())
        {
            let header = credential.header().expose_secret().to_owned();
            settings.push((format!("http.{}.extraHeader", remote.url), header));
        }
    }
    let mut environment = vec![(
        "GIT_CONFIG_COUNT".to_owned(),
        OsString::from(settings.len().to_string()),
    )];
    for (index, (key, value)) in settings.into_iter().enumerate() {
        environment.push((format!("GIT_CONFIG_KEY_{index}"), key.into()));
        environment.push((format!("GIT_CONFIG_VALUE_{index}"), value.into()));
    }
    environment
}

/// Ends a child together with the programs that it started, unless it ended by itself.
struct ProcessGroup {
    leader: Option<rustix::process::Pid>,
}

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        Self { leader }
    }

    fn end(&mut self) {
        if let Some(leader) = self.leader {
            let signal = rustix::process::Signal::KILL;
            if let Err(error) = rustix::process::kill_process_group(leader, signal) {
                tracing::debug!(%error, "git had ended already");
            }
        }
    }

    fn ended(&mut self) {
        self.leader = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.end();
    }
}

async fn feed(pipe: Option<ChildStdin>, input: &Input) {
    if let (Some(mut pipe), Input::Bytes(bytes)) = (pipe, input)
        && let Err(error) = pipe.write_all(bytes).await
    {
        tracing::debug!(%error, "git did not read all of its input");
    }
}

/// Where git runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Nowhere,
    Bare(&'a Path),
    Tree(&'a Path),
}

#[derive(Debug, Clone)]
pub(crate) enum Input {
    Nothing,
    Bytes(Vec<u8>),
}

/// One call of git.
#[derive(Debug, Clone)]
pub(crate) struct Invocation<'a> {
    place: Place<'a>,
    arguments: Vec<OsString>,
    input: Input,
    remote: Option<&'a Remote>,
    environment: Vec<(&'static str, OsString)>,
    output_limit: usize,
    overflow: Overflow,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new<I, A>(arguments: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        Self {
            place: Place::Nowhere,
            arguments: arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned())
                .collect(),
            input: Input::Nothing,
            remote: None,
            environment: Vec::new(),
            output_limit: OUTPUT_LIMIT,
            overflow: Overflow::Refuse,
        }
    }

    pub(crate) fn at(mut self, place: Place<'a>) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    pub(crate) fn remote(mut self, remote: &'a Remote) -> Self {
        self.remote = Some(remote);
        self
    }

    pub(crate) fn variable(mut self, key: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((key, value.into()));
        self
    }

    pub(crate) fn limit(mut self, bytes: usize, overflow: Overflow) -> Self {
        self.output_limit = bytes;
        self.overflow = overflow;
        self
    }

    fn subcommand(&self) -> String {
        let first = self.arguments.first().cloned().unwrap_or_default();
        first.to_string_lossy().into_owned()
    }
}

/// What git printed and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// Cleaned, redacted, bounded.
    pub(crate) stderr: String,
    pub(crate) truncated: bool,
}

impl Output {
    fn new(status: ExitStatus, drained: Drained, redactor: &Redactor) -> Self {
        let said = String::from_utf8_lossy(&drained.stderr);
        Self {
            status,
            stdout: drained.stdout,
            stderr: shown(&said, redactor),
            truncated: drained.truncated,
        }
    }

    pub(crate) fn success(&self) -> bool {
        self.status.success()
    }

    pub(crate) fn failure(&self, subcommand: &str) -> GitError {
        GitError::Failed {
            command: subcommand.to_owned(),
            status: self.status.to_string(),
            detail: self.stderr.clone(),
        }
    }

    pub(crate) fn into_text(self, subcommand: &str) -> Result<String, GitError> {
        String::from_utf8(self.stdout)
            .map_err(|_| GitError::unreadable(subcommand, "it is not UTF-8"))
    }
}

/// Text of git as it may be stored and shown: without progress lines, control sequences, secrets.
pub(crate) fn shown(said: &str, redactor: &Redactor) -> String {
    let cleaned = redactor.redact(&text::clean(said));
    text::tail(cleaned.trim(), ERROR_TEXT_LIMIT).into_owned()
}
