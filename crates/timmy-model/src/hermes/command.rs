//! The `hermes chat` command.
//!
//! The conversation goes through a file (`HERMES_PREFILL_MESSAGES_FILE`), since everybody on the
//! machine may read an argument list, and a list holds no more than 128 KiB. `--toolsets none` names
//! a toolset that does not exist, which leaves Hermes none at all (observed with 0.19.0: no `tools`
//! in its request), so that it executes nothing.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use timmy_core::Clock;
use timmy_core::Redactor;
use timmy_core::receipt::Provenance;
use timmy_core::text;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::process::Command;
use uuid::Uuid;

use crate::chat::ChatModel;
use crate::chat::ChatRequest;
use crate::chat::Reply;
use crate::classify::ErrorAnswer;
use crate::error::Failure;
use crate::error::ModelError;
use crate::hermes::verdict;
use crate::recording;
use crate::recording::Exchange;
use crate::recording::Recorder;
use crate::settings::DEFAULT_CONTEXT_TOKENS;
use crate::settings::ProviderKind;
use crate::settings::ProviderSettings;
use crate::wire::dialect::Dialect;
use crate::wire::draft::Draft;
use crate::wire::draft::Ending;
use crate::wire::stream::Fault;
use crate::wire::text_calls;

/// Stands in the argument list in the place of the conversation.
const QUERY: &str = "Go on with the conversation above: give the next reply to its last message.";
/// What Hermes puts before a conversation when it has no tools, in tokens (2.5 kB of text).
const ADDED_TOKENS: u64 = 1_500;
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Variables that Hermes may see. Its keys stand in its own `.env`.
const ENVIRONMENT: [&str; 17] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HERMES_HOME",
    "XDG_CONFIG_HOME",
];
/// Lines that Hermes prints before the answer.
const CHATTER: [&str; 5] = [
    "Warning: Unknown toolsets:",
    "⚠ tirith",
    "🔧 Auto-repaired",
    "⟳ compacting",
    "⚠ Unknown toolsets",
];

/// The model that Hermes is set up with, through its command.
pub struct HermesCommand {
    settings: ProviderSettings,
    program: PathBuf,
    private: PathBuf,
    recorder: Option<Arc<Recorder>>,
    clock: Arc<dyn Clock>,
}

impl HermesCommand {
    /// The command that the settings name, or `hermes` on the PATH. `private` is a directory of
    /// ours, where conversations lie while they are asked.
    #[must_use]
    pub fn new(
        settings: &ProviderSettings,
        private: &Path,
        recorder: Option<Arc<Recorder>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let program = settings.program.clone();
        Self {
            settings: settings.clone(),
            program: program.unwrap_or_else(|| PathBuf::from("hermes")),
            private: private.to_owned(),
            recorder,
            clock,
        }
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
        if let Some(profile) = &self.settings.hermes_profile {
            add(&["-p", profile]);
        }
        add(&["chat", "--quiet", "--query", QUERY, "--toolsets", "none"]);
        add(&["--max-turns", "1", "--ignore-rules", "--source", "tool"]);
        if let Some(model) = &self.settings.model {
            add(&["--model", model]);
        }
        arguments
    }

    fn command(&self, desk: &Desk) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments())
            .env_clear()
            .env("NO_COLOR", "1")
            .env("HERMES_PREFILL_MESSAGES_FILE", desk.conversation())
            .current_dir(&desk.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(home) = &self.settings.hermes_home {
            command.env("HERMES_HOME", home);
        }
        command
    }

    async fn ask(&self, request: &ChatRequest) -> Result<Answer, ModelError> {
        let desk = Desk::lay(&self.private, &conversation(request)).map_err(|error| {
            self.settings
                .wrong(format!("cannot write to the private directory: {error}"))
        })?;
        let child = self.command(&desk).spawn();
        let child = child.map_err(|error| {
            ModelError::Unreachable(
                self.failure(&format!("the program cannot be started: {error}")),
            )
        })?;
        let patience = self.settings.idle_timeout();
        match tokio::time::timeout(patience, Running::new(child).finish()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ModelError::CutOff(self.failure(&error.to_string()))),
            Err(_) => Err(ModelError::TooSlow(self.failure(&format!(
                "no answer for {} seconds; the program was ended",
                patience.as_secs()
            )))),
        }
    }

    fn read(&self, request: &ChatRequest, answer: &Answer) -> Result<Reply, ModelError> {
        let said = without_chatter(&answer.output);
        if !answer.success || verdict::is_failure(said) {
            let words = if said.trim().is_empty() {
                &answer.errors
            } else {
                said
            };
            return Err(self.fault(verdict::of_failure(words)));
        }
        let mut draft = Draft::default();
        let model = self.settings.model.as_deref().unwrap_or("hermes");
        draft.take_completion(&json!({"model": model,
            "choices": [{"message": {"content": said.trim()}, "finish_reason": "stop"}]}));
        let ending = Ending {
            text_calls: true,
            tools: &request.tools,
            turn: request.messages.len(),
        };
        draft.finish(&ending).map_err(|_| {
            ModelError::Malformed(self.failure("the reply has neither text nor tool calls"))
        })
    }

    fn fault(&self, fault: Fault) -> ModelError {
        match fault {
            Fault::Reported(body) => ErrorAnswer {
                provider: &self.settings.name,
                place: &self.program.display().to_string(),
                status: 0,
                headers: &HeaderMap::new(),
                body: &body.to_string(),
                now: self.clock.now(),
                redactor: &Redactor::default(),
            }
            .classify(),
            Fault::Unreadable(detail) | Fault::Cut(detail) => {
                ModelError::Malformed(self.failure(&detail))
            }
            Fault::Silent => ModelError::TooSlow(self.failure("no answer")),
        }
    }

    fn failure(&self, detail: &str) -> Failure {
        const SHOWN: usize = 400;
        Failure {
            provider: self.settings.name.clone(),
            place: format!("{} chat", self.program.display()),
            detail: text::clean_line(&text::bound(detail, SHOWN)),
        }
    }

    /// The answer as the completion that a server would have sent.
    fn keep(&self, request: &ChatRequest, reply: &Reply, took: Duration) -> Result<(), ModelError> {
        let Some(recorder) = &self.recorder else {
            return Ok(());
        };
        let dialect = Dialect::of(ProviderKind::HermesCli);
        let body = json!({"model": reply.model, "messages": conversation(request)});
        let exchange = Exchange::of(ProviderKind::HermesCli, dialect, request, &body);
        let completion = recording::whole(ProviderKind::Generic, reply);
        let mut exchange = exchange.answered(200, &HeaderMap::new(), completion, took);
        exchange.reply = Some(reply.clone());
        recorder.keep(&exchange)
    }
}

/// The conversation as Hermes takes it: roles that alternate, rules in the first message, since
/// Hermes puts a system message of its own before it.
fn conversation(request: &ChatRequest) -> Value {
    let mut messages: Vec<(&str, String)> = Vec::new();
    for plain in text_calls::flatten(&request.messages, &request.tools) {
        let role = match plain.role {
            "system" => "user",
            other => other,
        };
        match messages.last_mut() {
            Some((last, text)) if *last == role => {
                text.push_str("\n\n");
                text.push_str(&plain.text);
            }
            _ => messages.push((role, plain.text)),
        }
    }
    let messages = messages.into_iter();
    messages
        .map(|(role, text)| json!({"role": role, "content": text}))
        .collect()
}

/// A private directory for one call; it goes when the call is over.
struct Desk {
    directory: PathBuf,
}

impl Desk {
    fn lay(private: &Path, conversation: &Value) -> std::io::Result<Self> {
        let desk = Self {
            directory: private.join(format!("hermes-{}", Uuid::now_v7())),
        };
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&desk.directory)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(desk.conversation());
        file?.write_all(conversation.to_string().as_bytes())?;
        Ok(desk)
    }

    fn conversation(&self) -> PathBuf {
        self.directory.join("conversation.json")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, "a conversation with Hermes was left behind");
        }
    }
}

struct Answer {
    success: bool,
    output: String,
    errors: String,
}

/// A running program whose whole process group ends with it.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn new(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            child,
            group: id.and_then(Pid::from_raw),
        }
    }

    async fn finish(mut self) -> std::io::Result<Answer> {
        let (output, errors) = (self.child.stdout.take(), self.child.stderr.take());
        let (output, errors, status) = tokio::join!(read(output), read(errors), self.child.wait());
        Ok(Answer {
            success: status?.success(),
            output: output?,
            errors: errors?,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Nobody is left when it ended by itself.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LONGEST_ANSWER).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn without_chatter(output: &str) -> &str {
    let mut rest = output;
    while let Some((line, after)) = rest.split_once('\n') {
        let line = line.trim_start();
        let chatter = CHATTER.iter().any(|start| line.starts_with(start));
        if !line.is_empty() && !chatter {
            break;
        }
        rest = after;
    }
    rest
}

#[async_trait]
impl ChatModel for HermesCommand {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn provenance(&self) -> Provenance {
        Provenance::Live
    }

    fn context_tokens(&self) -> u64 {
        self.settings
            .context_tokens
            .unwrap_or(DEFAULT_CONTEXT_TOKENS)
    }

    fn added_input_tokens(&self) -> u64 {
        ADDED_TOKENS
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Reply, ModelError> {
        let started = self.clock.monotonic();
        let answer = self.ask(request).await?;
        let reply = self.read(request, &answer)?;
        let took = self.clock.monotonic().saturating_sub(started);
        self.keep(request, &reply, took)?;
        Ok(reply)
    }
}
