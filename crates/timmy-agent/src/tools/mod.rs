//! What a model may ask for, each a type of its own.
//!
//! A tool declares its arguments as a Rust type; the JSON Schema the model sees is made from that
//! type, and arguments that do not fit it come back to the model as an error it can mend.

mod command;
mod files;
mod finish;
mod forge;
mod git;
mod search;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::Value;
use timmy_core::IssueNumber;
use timmy_core::Redactor;
use timmy_core::RepoName;
use timmy_core::text;
use timmy_forge::Forge;
use timmy_model::Arguments;
use timmy_model::ToolCall;
use timmy_model::ToolSpec;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Tree;

use crate::presentable::presentable;
use crate::presentable::presentable_json;

/// The tool that ends the work.
pub(crate) const FINISH: &str = <finish::FinishWork as Tool>::NAME;
/// The most characters of an unknown tool's name that are shown.
const LONGEST_NAME: usize = 64;
/// The most bytes of one proposed text that are kept.
const PROPOSAL_BYTES: usize = 16 << 10;

/// Where tools work: one workspace, reached through one sandbox.
pub struct Workbench {
    /// Runs commands.
    pub sandbox: Arc<dyn Sandbox>,
    /// Under these rules.
    pub policy: Policy,
    /// Reads and writes files without following anything out of the workspace.
    pub tree: Tree,
    /// Knows what must not be shown.
    pub redactor: Redactor,
    /// The forge, for reading; absent when the work has none.
    pub forge: Option<ForgeDesk>,
    /// The most time that the model may ask for one command.
    pub longest_command: Duration,
    proposals: Mutex<Proposals>,
}

/// The one repository and issue that a run may read on the forge.
pub struct ForgeDesk {
    /// The forge.
    pub forge: Arc<dyn Forge>,
    /// The repository.
    pub repo: RepoName,
    /// The issue the run is about.
    pub issue: IssueNumber,
}

/// What the agent wants the forge to be told, each text cleaned, redacted and bounded. Policy
/// decides; the sprint does it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proposals {
    /// A title for the pull request.
    pub title: Option<String>,
    /// A description for the pull request.
    pub description: Option<String>,
    /// A comment for the issue.
    pub comment: Option<String>,
}

impl Workbench {
    /// A workbench with nothing proposed yet.
    #[must_use]
    pub fn new(
        sandbox: Arc<dyn Sandbox>,
        policy: Policy,
        tree: Tree,
        redactor: Redactor,
        longest_command: Duration,
    ) -> Self {
        let proposals = Mutex::default();
        Self {
            sandbox,
            policy,
            tree,
            redactor,
            forge: None,
            longest_command,
            proposals,
        }
    }

    /// The same, with a forge to read from.
    #[must_use]
    pub fn with_forge(self, desk: ForgeDesk) -> Self {
        Self {
            forge: Some(desk),
            ..self
        }
    }

    /// A text of others, safe to show.
    fn presentable(&self, text: &str, limit: usize) -> String {
        presentable(&self.redactor, text, limit)
    }

    /// A result that has a JSON form.
    fn json(&self, value: &impl Serialize) -> Answer {
        match serde_json::to_value(value) {
            Ok(value) => {
                let shown = presentable_json(&self.redactor, value, usize::MAX);
                Answer::ok(format!("{shown:#}"))
            }
            Err(error) => Answer::error(error.to_string()),
        }
    }

    fn proposal(&self, text: &str) -> Option<String> {
        Some(self.presentable(text, PROPOSAL_BYTES))
    }

    fn propose(&self, change: impl FnOnce(&mut Proposals)) {
        change(
            &mut self
                .proposals
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For the model. Cleaned, redacted and bounded by the loop.
    pub text: String,
    /// Whether the tool did what was asked.
    pub ok: bool,
    /// Set by `finish`: the model's own account of its work.
    pub finished: Option<String>,
}

impl Answer {
    fn ok(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ok: true,
            finished: None,
        }
    }

    fn error(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ok: false,
            finished: None,
        }
    }
}

impl<E: std::fmt::Display> From<Result<Self, E>> for Answer {
    fn from(result: Result<Self, E>) -> Self {
        result.unwrap_or_else(|error| Self::error(error.to_string()))
    }
}

/// A tool with typed arguments.
#[async_trait]
trait Tool: Send + Sync {
    /// What the model fills in.
    type Arguments: DeserializeOwned + JsonSchema + Send;
    /// The name the model calls.
    const NAME: &'static str;
    /// What the model is told about it.
    const DESCRIPTION: &'static str;

    async fn run(bench: &Workbench, arguments: Self::Arguments) -> Answer;
}

/// A tool whose argument type has been forgotten, so that different ones fit into one list.
struct Entry {
    spec: ToolSpec,
    run: Box<Runner>,
}

type Runner = dyn for<'a> Fn(&'a Workbench, Value) -> Running<'a> + Send + Sync;
type Running<'a> = std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

impl Entry {
    fn of<T: Tool + 'static>() -> Self {
        let spec = ToolSpec {
            name: T::NAME.to_owned(),
            description: T::DESCRIPTION.to_owned(),
            parameters: schema::<T::Arguments>(),
        };
        Self {
            spec,
            run: Box::new(|bench, arguments| Box::pin(run::<T>(bench, arguments))),
        }
    }
}

async fn run<T: Tool>(bench: &Workbench, arguments: Value) -> Answer {
    match serde_json::from_value(arguments) {
        Ok(arguments) => T::run(bench, arguments).await,
        Err(error) => Answer::error(format!("The arguments do not fit {}: {error}", T::NAME)),
    }
}

/// The JSON Schema of an argument type, without what only tools for people read.
fn schema<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.remove("description");
    let mut value = schema.to_value();
    if let Some(object) = value.as_object_mut() {
        object
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
    }
    value
}

/// The tools of one run.
pub struct ToolBox {
    bench: Workbench,
    entries: Vec<Entry>,
}

impl ToolBox {
    /// Every tool a run on an issue has. Without a forge, those that read one are missing.
    #[must_use]
    pub fn new(bench: Workbench) -> Self {
        let mut entries = vec![
            Entry::of::<command::RunCommand>(),
            Entry::of::<files::ReadFile>(),
            Entry::of::<files::WriteFile>(),
            Entry::of::<files::EditFile>(),
            Entry::of::<files::ListFiles>(),
            Entry::of::<search::Search>(),
            Entry::of::<finish::FinishWork>(),
        ];
        entries.extend(git::entries());
        if bench.forge.is_some() {
            entries.extend(forge::entries());
        }
        Self { bench, entries }
    }

    /// What the model is told it can call.
    #[must_use]
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.entries
            .iter()
            .map(|entry| entry.spec.clone())
            .collect()
    }

    /// Runs a call, whatever the model made of it.
    pub async fn run(&self, call: &ToolCall) -> Answer {
        let Some(entry) = self
            .entries
            .iter()
            .find(|entry| entry.spec.name == call.name)
        else {
            return self.unknown(&call.name);
        };
        match &call.arguments {
            Arguments::Object(object) => {
                (entry.run)(&self.bench, Value::Object(object.clone())).await
            }
            Arguments::Invalid { error, .. } => Answer::error(format!(
                "The arguments of {} are not a JSON object: {error}. Send them again as one.",
                call.name
            )),
        }
    }

    /// What the agent wants the forge to be told.
    #[must_use]
    pub fn proposals(&self) -> Proposals {
        self.bench
            .proposals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn unknown(&self, name: &str) -> Answer {
        let names: Vec<&str> = self
            .entries
            .iter()
            .map(|entry| entry.spec.name.as_str())
            .collect();
        let name = self.bench.redactor.redact(&text::clean_line(name));
        let name: String = name.chars().take(LONGEST_NAME).collect();
        Answer::error(format!(
            "There is no tool `{name}`. There are: {}.",
            names.join(", ")
        ))
    }
}
