//! Where git runs for a tool.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use async_trait::async_trait;
use timmy_core::Redactor;
use timmy_sandbox::Command;
use timmy_sandbox::End;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::program::Git;
use crate::program::Invocation;
use crate::program::Place;
use crate::program::shown;
use crate::stream::Overflow;

/// The most output that a tool reads on the host; in the sandbox its limits say.
const OUTPUT_LIMIT: usize = 4 << 20;

/// One call of git for a tool.
#[derive(Debug, Clone)]
pub struct GitCall {
    /// The repository, relative to where the runner works.
    pub directory: RepoPath,
    /// Everything after `git`. Made of literals and validated names only.
    pub arguments: Vec<OsString>,
    /// Standard input.
    pub input: Vec<u8>,
}

impl GitCall {
    pub(crate) fn new(directory: &RepoPath, arguments: &[&str]) -> Self {
        Self {
            directory: directory.clone(),
            arguments: arguments.iter().map(OsString::from).collect(),
            input: Vec::new(),
        }
    }

    pub(crate) fn and(mut self, arguments: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let more = arguments.into_iter();
        self.arguments
            .extend(more.map(|argument| OsString::from(argument.as_ref())));
        self
    }

    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    fn subcommand(&self) -> String {
        let first = self.arguments.first().cloned().unwrap_or_default();
        first.to_string_lossy().into_owned()
    }
}

/// What git printed for a tool.
#[derive(Debug, Clone)]
pub struct GitOutput {
    /// The subcommand, for messages.
    pub command: String,
    /// The exit code; `None` when a signal or a limit ended it.
    pub code: Option<i32>,
    /// Standard output, as it came.
    pub stdout: Vec<u8>,
    /// Standard error, cleaned, redacted and bounded.
    pub stderr: String,
    /// Whether something of the output is missing.
    pub truncated: bool,
}

impl GitOutput {
    pub(crate) fn failure(&self) -> GitError {
        let status = match self.code {
            Some(code) => format!("exit code {code}"),
            None => "ended early".to_owned(),
        };
        GitError::Failed {
            command: self.command.clone(),
            status,
            detail: self.stderr.clone(),
        }
    }

    /// Fails unless git succeeded.
    pub(crate) fn succeeded(self) -> Result<Self, GitError> {
        if self.code == Some(0) {
            return Ok(self);
        }
        Err(self.failure())
    }

    /// Fails unless git succeeded and everything it printed is here.
    pub(crate) fn whole(self) -> Result<Vec<u8>, GitError> {
        let output = self.succeeded()?;
        if output.truncated {
            return Err(GitError::TooLarge {
                what: format!("the output of git {}", output.command),
                limit: output.stdout.len() as u64,
            });
        }
        Ok(output.stdout)
    }

    pub(crate) fn unreadable(command: &str, record: &[u8]) -> GitError {
        let text = timmy_core::text::clean_line(&String::from_utf8_lossy(record));
        GitError::unreadable(command, timmy_core::text::bound(&text, 200).into_owned())
    }
}

/// Runs git for a tool.
#[async_trait]
pub trait GitRunner: Send + Sync {
    /// Runs git to its end. A failure of the command is not an error here.
    ///
    /// # Errors
    /// When git could not be run at all.
    async fn git(&self, call: GitCall) -> Result<GitOutput, GitError>;
}

/// Runs git on the host, below a directory that only timmy writes.
#[derive(Debug, Clone)]
pub struct HostRunner {
    git: Git,
    root: PathBuf,
}

impl HostRunner {
    /// `root` must never have been writable for an agent: git obeys what it finds there.
    #[must_use]
    pub fn new(git: &Git, root: &Path) -> Self {
        Self {
            git: git.clone(),
            root: root.to_owned(),
        }
    }
}

#[async_trait]
impl GitRunner for HostRunner {
    async fn git(&self, call: GitCall) -> Result<GitOutput, GitError> {
        let directory = self.root.join(call.directory.as_str());
        let identity = [
            ("GIT_AUTHOR_NAME", crate::bare::AUTHOR_NAME),
            ("GIT_AUTHOR_EMAIL", crate::bare::AUTHOR_EMAIL),
            ("GIT_COMMITTER_NAME", crate::bare::AUTHOR_NAME),
            ("GIT_COMMITTER_EMAIL", crate::bare::AUTHOR_EMAIL),
        ];
        let command = call.subcommand();
        let mut invocation = Invocation::new(&call.arguments)
            .at(Place::Tree(&directory))
            .limit(OUTPUT_LIMIT, Overflow::Cut)
            .input(call.input);
        for (key, value) in identity {
            invocation = invocation.variable(key, value);
        }
        let output = self.git.run(invocation).await?;
        Ok(GitOutput {
            command,
            code: if output.truncated {
                Some(0)
            } else {
                output.status.code()
            },
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: output.truncated,
        })
    }
}

/// Runs git in the sandbox, in an agent's workspace.
pub struct SandboxRunner<'a> {
    sandbox: &'a dyn Sandbox,
    policy: Policy,
    redactor: Redactor,
}

impl<'a> SandboxRunner<'a> {
    /// Runs under `policy`; error texts go through `redactor`.
    #[must_use]
    pub fn new(sandbox: &'a dyn Sandbox, policy: &Policy, redactor: &Redactor) -> Self {
        let mut policy = policy.clone();
        policy.environment.extend(sandbox_environment());
        Self {
            sandbox,
            policy,
            redactor: redactor.clone(),
        }
    }
}

/// What makes git predictable for whoever reads its output. It protects nothing: in the sandbox the
/// agent's own configuration counts.
pub(crate) fn sandbox_environment() -> impl Iterator<Item = (String, String)> {
    [
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_PAGER", "cat"),
        ("GIT_EDITOR", "true"),
        ("GIT_AUTHOR_NAME", "timmy agent"),
        ("GIT_AUTHOR_EMAIL", "agent@timmy.invalid"),
        ("GIT_COMMITTER_NAME", "timmy agent"),
        ("GIT_COMMITTER_EMAIL", "agent@timmy.invalid"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

const SETTINGS: [&str; 5] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "color.ui=false",
    "commit.gpgSign=false",
];

#[async_trait]
impl GitRunner for SandboxRunner<'_> {
    async fn git(&self, call: GitCall) -> Result<GitOutput, GitError> {
        let command = call.subcommand();
        let mut argv = vec![OsString::from("git")];
        for setting in SETTINGS {
            argv.extend([OsString::from("-c"), setting.into()]);
        }
        argv.extend(call.arguments);
        let directory = match call.directory.as_str() {
            "." => "",
            inside => inside,
        };
        let run = Command::new(argv).within(directory).with_input(call.input);
        let finished = self.sandbox.run(&self.policy, &run).await?;
        let code = match finished.end {
            End::Exited(code) => Some(code),
            End::Signalled(_) | End::OverLimit(_) => None,
        };
        let errors = String::from_utf8_lossy(&finished.stderr);
        Ok(GitOutput {
            command,
            code,
            stderr: shown(&errors, &self.redactor),
            stdout: finished.stdout,
            truncated: finished.truncated,
        })
    }
}
