//! What a repository says about itself: its instructions, and the command that checks it.
//!
//! `WORKFLOW.md` is read as the Symphony specification has it: YAML front matter, then a prompt
//! body. timmy takes its own keys from the mapping `timmy` and leaves every other one alone.
//! Everything is read from the base commit in timmy's own repository, never from a work tree.

use serde::Deserialize;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::text;
use timmy_git::BareRepository;
use timmy_git::GitError;

/// The largest file that is looked at, in bytes.
const LARGEST_FILE: u64 = 256 << 10;
/// The files that may hold instructions; the first that exists is used.
const INSTRUCTION_FILES: [&str; 3] = ["WORKFLOW.md", "AGENTS.md", "CLAUDE.md"];

const WORKFLOW_FILE: &str = "WORKFLOW.md";
/// Where projects keep what has to be done once in a new clone.
const SET_UP_SCRIPT: &str = "script/bootstrap";

/// What is known about a project at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The command that decides, for `sh -c`.
    pub check: String,
    /// Where the command comes from, as a sentence.
    pub check_source: String,
    /// The file the instructions come from and their text.
    pub instructions: Option<(String, String)>,
}

/// What timmy reads from a workflow file's front matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct FrontMatter {
    timmy: OwnKeys,
}

/// The keys under `timmy:`. Unknown ones are errors: a misspelt policy must not be silently lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OwnKeys {
    check: Option<String>,
}

/// A project that cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// Nothing says how to check the project. Refused before anything is spent; the operator names
    /// the command.
    #[error("nothing says how to check this project")]
    NoCheck,
    /// The front matter is not what timmy can read. The project's people mend it.
    #[error("the front matter of {file} cannot be read: {reason}")]
    FrontMatter {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Coded for WorkflowError {
    fn problem(&self) -> Problem {
        match self {
            Self::NoCheck => Problem::new(Code::new(801), ExitStatus::Refused, self.to_string())
                .at("timmy.toml, [repository.\"owner/name\"] check; WORKFLOW.md, timmy.check")
                .fix("set the command that must pass, for example check = \"make test\""),
            Self::FrontMatter { file, .. } => {
                Problem::new(Code::new(802), ExitStatus::Data, self.to_string())
                    .at(file.clone())
                    .fix("mend the YAML between the two lines of dashes; timmy's keys: check")
            }
            Self::Git(error) => error.problem(),
        }
    }
}

/// Reads a project at a commit. `configured` is the operator's own check command, which wins.
///
/// # Errors
/// See [`WorkflowError`].
pub async fn read_project(
    bare: &BareRepository,
    commit: &ObjectName,
    configured: Option<&str>,
) -> Result<Project, WorkflowError> {
    let mut instructions = None;
    let mut own = OwnKeys::default();
    for file in INSTRUCTION_FILES {
        let Some(text) = read_text(bare, commit, file).await? else {
            continue;
        };
        let (front, body) = split_front_matter(&text);
        if file == WORKFLOW_FILE {
            own = parse_front_matter(file, front)?;
        }
        if !body.trim().is_empty() {
            instructions = Some((file.to_owned(), body.to_owned()));
            break;
        }
    }
    let (check, check_source) = match (configured, own.check) {
        (Some(check), _) => (check.to_owned(), "timmy.toml names it".to_owned()),
        (None, Some(check)) => (check, "WORKFLOW.md names it".to_owned()),
        (None, None) => detect(bare, commit).await?.ok_or(WorkflowError::NoCheck)?,
    };
    Ok(Project {
        check,
        check_source,
        instructions,
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
    if let Some(text) = read_text(bare, commit, WORKFLOW_FILE).await? {
        let (front, _) = split_front_matter(&text);
        let hook = after_create(WORKFLOW_FILE, front)?;
        if hook.is_some() {
            return Ok(hook);
        }
    }
    let script = read_text(bare, commit, SET_UP_SCRIPT).await?;
    Ok(script.map(|_| format!("./{SET_UP_SCRIPT}")))
}

fn after_create(file: &str, front: &str) -> Result<Option<String>, WorkflowError> {
    if front.trim().is_empty() {
        return Ok(None);
    }
    let parsed: HookMatter = serde_yaml_ng::from_str(front).map_err(|error| {
        let reason = text::clean_line(&error.to_string());
        WorkflowError::FrontMatter {
            file: file.to_owned(),
            reason,
        }
    })?;
    let hook = parsed.hooks.after_create;
    Ok(hook.filter(|script| !script.trim().is_empty()))
}

/// The hooks of the Symphony specification that timmy runs itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct HookMatter {
    hooks: Hooks,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Hooks {
    after_create: Option<String>,
}

async fn read_text(
    bare: &BareRepository,
    commit: &ObjectName,
    path: &str,
) -> Result<Option<String>, GitError> {
    let blob = bare.blob(commit, path, LARGEST_FILE).await?;
    Ok(blob.map(|bytes| text::clean(&String::from_utf8_lossy(&bytes))))
}

/// Splits off what stands between a first line `---` and the next one.
fn split_front_matter(text: &str) -> (&str, &str) {
    let Some(rest) = text.strip_prefix("---\n") else {
        return ("", text);
    };
    match rest.find("\n---\n") {
        Some(end) => (&rest[..=end], &rest[end + "\n---\n".len()..]),
        None => match rest.strip_suffix("\n---") {
            Some(front) => (front, ""),
            None => ("", text),
        },
    }
}

fn parse_front_matter(file: &str, front: &str) -> Result<OwnKeys, WorkflowError> {
    if front.trim().is_empty() {
        return Ok(OwnKeys::default());
    }
    let parsed: FrontMatter = serde_yaml_ng::from_str(front).map_err(|error| {
        let reason = text::clean_line(&error.to_string());
        WorkflowError::FrontMatter {
            file: file.to_owned(),
            reason,
        }
    })?;
    Ok(parsed.timmy)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn symphony_keys_are_left_alone_and_ours_are_read() {
        let text = "---\ntracker:\n  kind: linear\nagent:\n  max_turns: 3\ntimmy:\n  check: make ci\n---\nBody.\n";
        let (front, body) = split_front_matter(text);
        assert_eq!("Body.\n", body);
        let own = parse_front_matter("WORKFLOW.md", front).unwrap();
        assert_eq!(Some("make ci".to_owned()), own.check);
    }

    #[test]
    fn the_hook_for_a_new_clone_is_read() {
        let front = "hooks:\n  after_create: |\n    npm ci\n  before_run: x\n";
        let hook = after_create("WORKFLOW.md", front).unwrap();
        assert_eq!(Some("npm ci\n".to_owned()), hook);
        for none in [
            "",
            "tracker:\n  kind: gitea\n",
            "hooks:\n  after_create: ''\n",
        ] {
            assert_eq!(None, after_create("WORKFLOW.md", none).unwrap());
        }
        assert!(after_create("WORKFLOW.md", "hooks: [").is_err());
    }

    #[test]
    fn a_misspelt_key_of_ours_is_an_error_with_a_code() {
        let error = parse_front_matter("WORKFLOW.md", "timmy:\n  chek: x\n").unwrap_err();
        insta::assert_snapshot!(error.problem());
    }

    #[test]
    fn text_without_front_matter_is_all_body() {
        for text in ["", "# Title\n", "---\nnever closed\n", "----\nx\n----\n"] {
            assert_eq!(("", text), split_front_matter(text));
        }
        assert_eq!(("a: 1", ""), split_front_matter("---\na: 1\n---"));
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_panic(text in "(?s)(---\n)?.{0,60}(\n---\n)?.{0,60}") {
            let (front, body) = split_front_matter(&text);
            prop_assert!(front.len() + body.len() <= text.len());
            let _ = parse_front_matter("WORKFLOW.md", front);
        }
    }
}
