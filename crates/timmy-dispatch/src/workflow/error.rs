//! What can be wrong with a workflow file, each with the name that the specification gives it.

use std::io;
use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_git::GitError;
use timmy_sandbox::SandboxError;

/// The kinds of trackers that timmy reads.
pub(super) const KINDS: [&str; 3] = ["gitea", "forgejo", "embedded"];

/// A workflow that cannot be used. No variant holds the value of a secret.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// Nothing says how to check the project. Refused before anything is spent; the operator names
    /// the command.
    #[error("nothing says how to check this project")]
    NoCheck,
    /// The front matter is not YAML. The project's people mend it.
    #[error("the front matter of {file} cannot be read: {reason}")]
    FrontMatter {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no file where one was named, or it cannot be read.
    #[error("there is no workflow file to read: {source}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The front matter is YAML, but a list or a single value.
    #[error("the front matter is {found}, not a mapping of keys to values")]
    NotAMapping {
        /// What it is instead.
        found: &'static str,
    },
    /// A known key has a value that it cannot have.
    #[error("{key} must be {expected}, not {found}")]
    Value {
        /// The key with the names of the mappings around it.
        key: String,
        /// What it can be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
    /// A key below `timmy:` is not known.
    #[error("`{key}` is not a key of timmy's")]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that is nearest to it.
        nearest: Option<&'static str>,
    },
    /// `tracker.kind` is absent, or names a tracker that timmy does not read.
    #[error("tracker.kind {}; timmy reads {}", said(.kind), KINDS.join(", "))]
    UnsupportedTracker {
        /// What it says, if anything.
        kind: Option<String>,
    },
    /// `tracker.provider` is not what the tracker's adapter needs.
    #[error("tracker.provider.{key} {reason}")]
    TrackerSettings {
        /// The key.
        key: &'static str,
        /// What is wrong with it. Never a secret.
        reason: String,
    },
    /// The variable that holds the tracker's secret is not set, or is empty.
    #[error("tracker.provider.{key} names ${variable}, which is not set or empty")]
    MissingSecret {
        /// The key.
        key: &'static str,
        /// The variable's name.
        variable: String,
    },
    /// The body is not a template. Only the attempt that would use it fails.
    #[error("the prompt template cannot be read: {reason}")]
    TemplateParse {
        /// What is wrong with it.
        reason: String,
    },
    /// The template asked for something that is not there, or for too much. Only the attempt fails.
    #[error("the prompt template cannot be rendered: {reason}")]
    TemplateRender {
        /// What is wrong with it.
        reason: String,
    },
    /// A hook failed that must not fail. The attempt ends.
    #[error("the hook {hook} {how}")]
    HookFailed {
        /// `after_create`, `before_run`, `after_run` or `before_remove`.
        hook: &'static str,
        /// How it ended, as the rest of the sentence.
        how: String,
        /// The end of what it printed: cleaned, redacted, bounded.
        output: String,
    },
    /// A hook was still running at its limit and was killed.
    #[error("the hook {hook} ran longer than {milliseconds} ms and was killed")]
    HookTimedOut {
        /// The hook.
        hook: &'static str,
        /// hooks.timeout_ms.
        milliseconds: u64,
    },
    /// A workspace would lie outside of its root.
    #[error("the workspace {path} would not lie directly below {root}")]
    OutsideRoot {
        /// Where it would be.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// The repository could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The sandbox could not be applied.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

fn said(kind: &Option<String>) -> String {
    match kind {
        Some(kind) => format!("is `{kind}`"),
        None => "is not set".to_owned(),
    }
}

impl WorkflowError {
    /// The class of the error, by the specification's name where it has one.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::NoCheck => "no_check",
            Self::FrontMatter { .. } | Self::Value { .. } | Self::UnknownKey { .. } => {
                "workflow_parse_error"
            }
            Self::Missing { .. } => "missing_workflow_file",
            Self::NotAMapping { .. } => "workflow_front_matter_not_a_map",
            Self::UnsupportedTracker { .. } => "unsupported_tracker_kind",
            Self::TrackerSettings { .. } => "invalid_tracker_config",
            Self::MissingSecret { .. } => "missing_tracker_secret",
            Self::TemplateParse { .. } => "template_parse_error",
            Self::TemplateRender { .. } => "template_render_error",
            Self::HookFailed { .. } => "hook_failed",
            Self::HookTimedOut { .. } => "hook_timeout",
            Self::OutsideRoot { .. } => "invalid_workspace_cwd",
            Self::Git(_) | Self::Sandbox(_) => "workspace_error",
        }
    }

    fn code(&self) -> (u16, ExitStatus) {
        match self {
            Self::NoCheck => (801, ExitStatus::Refused),
            Self::FrontMatter { .. } => (802, ExitStatus::Data),
            Self::Missing { .. } => (803, ExitStatus::NotFound),
            Self::NotAMapping { .. } => (804, ExitStatus::Data),
            Self::Value { .. } => (805, ExitStatus::Data),
            Self::UnknownKey { .. } => (806, ExitStatus::Data),
            Self::UnsupportedTracker { .. } => (807, ExitStatus::Refused),
            Self::TrackerSettings { .. } => (808, ExitStatus::Refused),
            Self::MissingSecret { .. } => (809, ExitStatus::Refused),
            Self::TemplateParse { .. } => (810, ExitStatus::Data),
            Self::TemplateRender { .. } => (811, ExitStatus::Data),
            Self::HookFailed { .. } => (812, ExitStatus::Data),
            Self::HookTimedOut { .. } => (813, ExitStatus::Data),
            Self::OutsideRoot { .. } => (814, ExitStatus::Refused),
            Self::Git(_) | Self::Sandbox(_) => (0, ExitStatus::Internal),
        }
    }

    fn place(&self) -> String {
        let below = |key: &str| format!("WORKFLOW.md, {key}");
        match self {
            Self::NoCheck => {
                "timmy.toml, [repository.\"owner/name\"] check; WORKFLOW.md, timmy.check".to_owned()
            }
            Self::FrontMatter { file, .. } => file.clone(),
            Self::Missing { path, .. } => path.display().to_string(),
            Self::NotAMapping { .. } | Self::TemplateParse { .. } | Self::TemplateRender { .. } => {
                "WORKFLOW.md".to_owned()
            }
            Self::Value { key, .. } => below(key),
            Self::UnknownKey { key, .. } => below(&format!("timmy.{key}")),
            Self::UnsupportedTracker { .. } => below("tracker.kind"),
            Self::TrackerSettings { key, .. } | Self::MissingSecret { key, .. } => {
                below(&format!("tracker.provider.{key}"))
            }
            Self::HookFailed { hook, .. } => below(&format!("hooks.{hook}")),
            Self::HookTimedOut { .. } => below("hooks.timeout_ms"),
            Self::OutsideRoot { .. } => below("workspace.root"),
            Self::Git(_) | Self::Sandbox(_) => String::new(),
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::NoCheck => {
                "set the command that must pass, for example check = \"make test\"".to_owned()
            }
            Self::FrontMatter { .. } => "mend the YAML between the two lines of dashes".to_owned(),
            Self::Missing { .. } => "name the file, or write one; it may be empty".to_owned(),
            Self::NotAMapping { .. } => {
                "write `key: value` lines between the two lines of dashes; text that begins with \
                 a line of dashes needs front matter, which may be empty"
                    .to_owned()
            }
            Self::Value { expected, .. } => format!("give it {expected}, or leave it out"),
            Self::UnknownKey { nearest, .. } => match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "timmy's keys: check".to_owned(),
            },
            Self::UnsupportedTracker { .. } => format!("set it to one of {}", KINDS.join(", ")),
            Self::TrackerSettings { key, .. } => {
                format!("set tracker.provider.{key}; docs/symphony.md has every key")
            }
            Self::MissingSecret { variable, .. } => {
                format!("set {variable} in the environment of timmy")
            }
            Self::TemplateParse { .. } | Self::TemplateRender { .. } => {
                "mend the text below the front matter; `timmy workflow` renders it for a made-up \
                 issue, docs/symphony.md has every variable and filter"
                    .to_owned()
            }
            Self::HookFailed { output, .. } if !output.is_empty() => {
                format!("mend the script; it said: {output}")
            }
            Self::HookFailed { .. } => "mend the script, or leave it out".to_owned(),
            Self::HookTimedOut { .. } => "make the script faster, or raise the limit".to_owned(),
            Self::OutsideRoot { .. } => "set workspace.root to a directory of timmy's".to_owned(),
            Self::Git(_) | Self::Sandbox(_) => String::new(),
        }
    }
}

impl Coded for WorkflowError {
    fn problem(&self) -> Problem {
        match self {
            Self::Git(error) => return error.problem(),
            Self::Sandbox(error) => return error.problem(),
            _ => {}
        }
        let (code, exit) = self.code();
        Problem::new(Code::new(code), exit, self.to_string())
            .at(self.place())
            .fix(self.fix())
    }
}
