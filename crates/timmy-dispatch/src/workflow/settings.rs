//! A workflow file as typed values, with the specification's defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_yaml_ng::Mapping;
use serde_yaml_ng::Value;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::text;

use super::error::WorkflowError;
use super::front_matter;
use super::section::Section;
use super::section::as_count;

/// The keys below `timmy:`.
const OWN_KEYS: [&str; 1] = ["check"];

/// A workflow file. Values that depend on the machine (`$NAME`, `~`, relative paths) are as they are
/// written; [`super::Surroundings`] resolves them.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Where issues come from.
    pub tracker: TrackerSection,
    /// How often the tracker is asked: `polling.interval_ms`, 30 s unless said otherwise.
    pub poll_interval: Duration,
    /// `workspace.root` as it is written.
    pub workspace_root: Option<String>,
    /// Scripts around an attempt.
    pub hooks: HooksSection,
    /// How much runs at once, and how long a failed attempt waits.
    pub agent: AgentSection,
    /// What belongs to another agent. timmy keeps it and runs none of it.
    pub codex: CodexSection,
    /// timmy's own keys.
    pub timmy: TimmySection,
    /// The body, without the space around it.
    pub body: String,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
}

/// `tracker`: where issues come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackerSection {
    /// Which adapter.
    pub kind: Option<String>,
    /// The adapter's own keys, all of them.
    pub provider: Provider,
    /// Labels an issue must all have. Compared without case and the space around them.
    pub required_labels: Vec<String>,
    /// States in which an issue is worked on: `open` for timmy's adapters.
    pub active_states: Vec<String>,
    /// States in which an issue is done: `closed` for timmy's adapters.
    pub terminal_states: Vec<String>,
}

/// What a tracker's adapter is told. May hold a secret: what is printed of it is its keys.
#[derive(Clone, Default, PartialEq)]
pub struct Provider(pub(super) Mapping);

impl Provider {
    /// The names of all keys, known or not.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|key| key.as_str().unwrap_or("?"))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

/// `hooks`: scripts of the project that run in the workspace, in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HooksSection {
    /// After a workspace was made. A failure ends the attempt.
    pub after_create: Option<String>,
    /// Before the agent begins. A failure ends the attempt.
    pub before_run: Option<String>,
    /// After the agent ended, however it did. A failure is recorded.
    pub after_run: Option<String>,
    /// Before the workspace is removed. A failure is recorded.
    pub before_remove: Option<String>,
    /// What each of them may take: `hooks.timeout_ms`, 60 s unless said otherwise.
    pub timeout: Duration,
}

/// `agent`: how much runs at once, and how long a failed attempt waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSection {
    /// Attempts at once.
    pub max_concurrent_agents: u32,
    /// Turns of one session.
    pub max_turns: u32,
    /// The longest wait before another attempt.
    pub max_retry_backoff: Duration,
    /// Attempts at once on issues in a state, by state without case and the space around it.
    pub max_concurrent_agents_by_state: BTreeMap<String, u32>,
}

impl AgentSection {
    /// How many attempts may run at once on issues in this state.
    #[must_use]
    pub fn limit_for(&self, state: &str) -> u32 {
        let own = self.max_concurrent_agents_by_state.get(&normalised(state));
        *own.unwrap_or(&self.max_concurrent_agents)
    }
}

/// `codex`: what belongs to another agent.
#[derive(Debug, Clone, PartialEq)]
pub struct CodexSection {
    /// A command line for a shell, as it is written.
    pub command: String,
    /// As it is written.
    pub approval_policy: Option<Value>,
    /// As it is written.
    pub thread_sandbox: Option<Value>,
    /// As it is written.
    pub turn_sandbox_policy: Option<Value>,
    /// The longest silence of a turn.
    pub turn_timeout: Duration,
    /// The longest wait for an answer.
    pub read_timeout: Duration,
    /// The longest time without an event before an attempt counts as stalled; none switches it off.
    pub stall_timeout: Option<Duration>,
}

/// `timmy`: what no other program reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimmySection {
    /// The command that checks the project.
    pub check: Option<String>,
}

impl Workflow {
    /// Reads the text of a workflow file.
    ///
    /// # Errors
    /// When the front matter is no YAML, is no mapping, or a known key has a value it cannot have.
    pub fn parse(text: &str) -> Result<Self, WorkflowError> {
        let sha256 = text::hexadecimal(&Sha256::digest(text.as_bytes()));
        let text = text::clean(text);
        let (front, body) = front_matter::split(&text);
        let root = front_matter::parse("WORKFLOW.md", front)?;
        let section = |name| Section::of(&root, name);
        Ok(Self {
            tracker: tracker(&section("tracker")?)?,
            poll_interval: section("polling")?.milliseconds("interval_ms", 30_000)?,
            workspace_root: section("workspace")?.text("root")?,
            hooks: hooks(&section("hooks")?)?,
            agent: agent(&section("agent")?)?,
            codex: codex(&section("codex")?)?,
            timmy: own(&section("timmy")?)?,
            body: body.to_owned(),
            sha256,
        })
    }
}

/// A state as it is compared: without case and the space around it.
#[must_use]
pub(super) fn normalised(state: &str) -> String {
    state.trim().to_lowercase()
}

fn tracker(section: &Section<'_>) -> Result<TrackerSection, WorkflowError> {
    let provider = match section.value("provider") {
        None => Mapping::new(),
        Some(Value::Mapping(mapping)) => mapping.clone(),
        Some(other) => return Err(section.wrong("provider", "a mapping", other)),
    };
    let states = |key, default: &str| -> Result<Vec<String>, WorkflowError> {
        Ok(section
            .texts(key)?
            .unwrap_or_else(|| vec![default.to_owned()]))
    };
    Ok(TrackerSection {
        kind: section.text("kind")?.map(|kind| kind.trim().to_owned()),
        provider: Provider(provider),
        required_labels: section.texts("required_labels")?.unwrap_or_default(),
        active_states: states("active_states", "open")?,
        terminal_states: states("terminal_states", "closed")?,
    })
}

fn hooks(section: &Section<'_>) -> Result<HooksSection, WorkflowError> {
    let script = |key| -> Result<Option<String>, WorkflowError> {
        Ok(section
            .text(key)?
            .filter(|script| !script.trim().is_empty()))
    };
    Ok(HooksSection {
        after_create: script("after_create")?,
        before_run: script("before_run")?,
        after_run: script("after_run")?,
        before_remove: script("before_remove")?,
        timeout: section.milliseconds("timeout_ms", 60_000)?,
    })
}

fn agent(section: &Section<'_>) -> Result<AgentSection, WorkflowError> {
    let by_state = match section.value("max_concurrent_agents_by_state") {
        Some(Value::Mapping(mapping)) => mapping
            .iter()
            .filter_map(|(state, limit)| Some((normalised(state.as_str()?), as_count(limit)?)))
            .collect(),
        Some(_) | None => BTreeMap::new(),
    };
    Ok(AgentSection {
        max_concurrent_agents: section.count("max_concurrent_agents", 10)?,
        max_turns: section.count("max_turns", 20)?,
        max_retry_backoff: section.milliseconds("max_retry_backoff_ms", 300_000)?,
        max_concurrent_agents_by_state: by_state,
    })
}

fn codex(section: &Section<'_>) -> Result<CodexSection, WorkflowError> {
    let stall = section.integer("stall_timeout_ms")?.unwrap_or(300_000);
    let stall = u64::try_from(stall).ok().filter(|stall| *stall > 0);
    let command = section.text("command")?;
    if command
        .as_deref()
        .is_some_and(|command| command.trim().is_empty())
    {
        let empty = Value::String(String::new());
        return Err(section.wrong("command", "a command", &empty));
    }
    Ok(CodexSection {
        command: command.unwrap_or_else(|| "codex app-server".to_owned()),
        approval_policy: section.value("approval_policy").cloned(),
        thread_sandbox: section.value("thread_sandbox").cloned(),
        turn_sandbox_policy: section.value("turn_sandbox_policy").cloned(),
        turn_timeout: section.milliseconds("turn_timeout_ms", 3_600_000)?,
        read_timeout: section.milliseconds("read_timeout_ms", 5_000)?,
        stall_timeout: stall.map(Duration::from_millis),
    })
}

fn own(section: &Section<'_>) -> Result<TimmySection, WorkflowError> {
    if let Some(key) = section.keys().find(|key| !OWN_KEYS.contains(key)) {
        let near = |own: &&str| strsim::damerau_levenshtein(key, own) <= 2;
        return Err(WorkflowError::UnknownKey {
            nearest: OWN_KEYS.into_iter().find(near),
            key: text::clean_line(&text::bound(key, 60)),
        });
    }
    Ok(TimmySection {
        check: section.text("check")?,
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
