//! A project at one commit: its instructions, and the command that checks it.
//!
//! Everything is read from the base commit in timmy's own repository, never from a work tree.

use timmy_core::ObjectName;
use timmy_core::text;
use timmy_git::BareRepository;
use timmy_git::GitError;

use super::Workflow;
use super::error::WorkflowError;

/// The largest file that is looked at, in bytes.
const LARGEST_FILE: u64 = 256 << 10;
const WORKFLOW_FILE: &str = super::source::DEFAULT_FILE;
/// Where projects keep what has to be done once in a new clone.
const SET_UP_SCRIPT: &str = "script/bootstrap";
/// Where a project keeps what other agents are told, when its workflow says nothing to them.
const OTHER_INSTRUCTIONS: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

/// What is known about a project at one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// The command that decides, for `sh -c`.
    pub check: String,
    /// Where the command comes from, as a sentence.
    pub check_source: String,
    /// The file the instructions come from and their text. That of a workflow may be a template:
    /// see [`super::Template`].
    pub instructions: Option<(String, String)>,
    /// The workflow file; every default where there is none.
    pub workflow: Workflow,
}

/// What the operator says about a project, which wins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// The check command.
    pub check: Option<&'a str>,
    /// The workflow that stands in for the project's own.
    pub workflow: Option<&'a Workflow>,
}

/// Reads a project at a commit.
///
/// # Errors
/// See [`WorkflowError`].
pub async fn read_project(
    bare: &BareRepository,
    commit: &ObjectName,
    said: Said<'_>,
) -> Result<Project, WorkflowError> {
    let workflow = match said.workflow {
        Some(workflow) => workflow.clone(),
        None => {
            let text = read_text(bare, commit, WORKFLOW_FILE).await?;
            Workflow::parse(&text.unwrap_or_default())?
        }
    };
    let mut instructions = None;
    if !workflow.body.is_empty() {
        instructions = Some((WORKFLOW_FILE.to_owned(), workflow.body.clone()));
    }
    for file in OTHER_INSTRUCTIONS {
        if instructions.is_some() {
            break;
        }
        let text = read_text(bare, commit, file).await?.unwrap_or_default();
        instructions = (!text.trim().is_empty()).then(|| (file.to_owned(), text));
    }
    let (check, check_source) = match (said.check, workflow.timmy.check.clone()) {
        (Some(check), _) => (check.to_owned(), "timmy.toml names it".to_owned()),
        (None, Some(check)) => (check, "WORKFLOW.md names it".to_owned()),
        (None, None) => detect(bare, commit).await?.ok_or(WorkflowError::NoCheck)?,
    };
    Ok(Project {
        check,
        check_source,
        instructions,
        workflow,
    })
}

/// What a repository wants done once after it was cloned: the hook `after_create` of its
/// `WORKFLOW.md`, or else its `script/bootstrap`.
///
/// # Errors
/// See [`WorkflowError`].
pub async fn set_up_command(
    bare: &BareRepository,
    commit: &ObjectName,
) -> Result<Option<String>, WorkflowError> {
    let text = read_text(bare, commit, WORKFLOW_FILE)
        .await?
        .unwrap_or_default();
    if let Some(hook) = Workflow::parse(&text)?.hooks.after_create {
        return Ok(Some(hook));
    }
    let script = read_text(bare, commit, SET_UP_SCRIPT).await?;
    Ok(script.map(|_| format!("./{SET_UP_SCRIPT}")))
}

async fn read_text(
    bare: &BareRepository,
    commit: &ObjectName,
    path: &str,
) -> Result<Option<String>, GitError> {
    let blob = bare.blob(commit, path, LARGEST_FILE).await?;
    Ok(blob.map(|bytes| text::clean(&String::from_utf8_lossy(&bytes))))
}

/// A file that tells what kind of project this is.
struct Sign {
    file: &'static str,
    /// Text that must stand in the file, for files that exist for other reasons too.
    contains: &'static str,
    check: &'static str,
}

/// The first sign that is found decides: a project's own script before a tool's default.
const SIGNS: [Sign; 9] = [
    Sign {
        file: "script/test",
        contains: "",
        check: "./script/test",
    },
    Sign {
        file: "Makefile",
        contains: "\ntest:",
        check: "make test",
    },
    Sign {
        file: "justfile",
        contains: "\ntest",
        check: "just test",
    },
    Sign {
        file: "Cargo.toml",
        contains: "",
        check: "cargo test --offline",
    },
    Sign {
        file: "go.mod",
        contains: "",
        check: "go test ./...",
    },
    Sign {
        file: "package.json",
        contains: "\"test\"",
        check: "npm test",
    },
    Sign {
        file: "pyproject.toml",
        contains: "pytest",
        check: "python3 -m pytest -q",
    },
    Sign {
        file: "pytest.ini",
        contains: "",
        check: "python3 -m pytest -q",
    },
    Sign {
        file: "mix.exs",
        contains: "",
        check: "mix test",
    },
];

async fn detect(
    bare: &BareRepository,
    commit: &ObjectName,
) -> Result<Option<(String, String)>, GitError> {
    for sign in &SIGNS {
        let Some(text) = read_text(bare, commit, sign.file).await? else {
            continue;
        };
        if format!("\n{text}").contains(sign.contains) {
            let source = format!("{} suggests it", sign.file);
            return Ok(Some((sign.check.to_owned(), source)));
        }
    }
    Ok(None)
}
