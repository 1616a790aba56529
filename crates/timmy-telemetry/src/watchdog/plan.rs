//! What would be done about a drift, before anything is done.

use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Serialize;
use serde_yaml_ng::Value;
use timmy_core::Coded;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::text;
use url::Url;

use super::Expectation;
use super::WatchdogError;
use super::diff;
use super::look::View;
use super::yaml;
use super::yaml::Wanted;
use crate::finding::Drift;
use crate::replace::Rights;

/// Configurations are short; a longer file is something else.
const LONGEST_FILE: u64 = 4 << 20;
/// Names of settings whose values are not shown.
const SECRETS: [&str; 5] = ["key", "token", "secret", "password", "authorization"];

/// What is to be done about one drift.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// What drifts.
    pub drift: Drift,
    /// What is to be done, or why nothing.
    pub step: Result<Step, Problem>,
}

/// One way of putting a model back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Change a file.
    Edit(Edit),
    /// Have an Ollama load a model.
    Load {
        /// Where it listens.
        address: Url,
        /// The model.
        model: String,
        /// For how long.
        keep_alive: Option<String>,
    },
    /// Start a pane of tmux again.
    Respawn {
        /// The socket of its tmux.
        socket: Option<PathBuf>,
        /// How tmux names it.
        pane: String,
        /// What is run; what it was made with when this is empty.
        command: Vec<String>,
    },
}

/// The change of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The file, after all links.
    pub path: PathBuf,
    /// The change, for people: without secrets.
    pub diff: String,
    #[serde(skip)]
    pub(super) rights: Rights,
    #[serde(skip)]
    pub(super) before: Vec<u8>,
    #[serde(skip)]
    pub(super) after: String,
}

/// What to do about a drift of an expectation.
pub(super) fn step(
    view: &View<'_>,
    expectation: &Expectation,
    drift: &Drift,
) -> Result<Step, WatchdogError> {
    let not_touched = |reason: &str| WatchdogError::NotTouched {
        subject: drift.subject.clone(),
        reason: reason.to_owned(),
    };
    if let Err(reason) = &drift.fixable {
        return Err(not_touched(reason));
    }
    match expectation {
        Expectation::Profile {
            name,
            model,
            provider,
        } => {
            let home = view.around.homes.and_then(|homes| homes.profile(name));
            let home = home.ok_or_else(|| not_touched("it has no home"))?;
            let wanted = Wanted {
                model,
                provider: provider.as_deref(),
            };
            edit(&home.join("config.yaml"), wanted).map(Step::Edit)
        }
        Expectation::Ollama {
            address,
            model,
            keep_alive,
        } => Ok(Step::Load {
            address: address.clone(),
            model: model.clone(),
            keep_alive: keep_alive.clone(),
        }),
        Expectation::Provider { .. } => Err(not_touched("it is another program's server")),
        Expectation::Pane {
            place,
            socket,
            command,
            ..
        } => {
            let pane = view.pane(place, socket.as_deref()).ok().flatten();
            let pane = pane.ok_or_else(|| not_touched("the pane is gone"))?;
            Ok(Step::Respawn {
                socket: socket.clone(),
                pane: pane.id.clone(),
                command: command.clone(),
            })
        }
    }
}

fn edit(path: &Path, wanted: Wanted<'_>) -> Result<Edit, WatchdogError> {
    let not_editable = |reason: String| WatchdogError::NotEditable {
        path: path.to_owned(),
        reason,
    };
    let unreadable = |error: std::io::Error| not_editable(error.to_string());
    // A link is kept: what it leads to is changed.
    let path = std::fs::canonicalize(path).map_err(unreadable)?;
    let length = std::fs::metadata(&path).map_err(unreadable)?.len();
    if length > LONGEST_FILE {
        return Err(not_editable(format!("it has {length} bytes")));
    }
    let rights = Rights::of(&path).map_err(unreadable)?;
    let before = std::fs::read_to_string(&path).map_err(unreadable)?;
    let after =
        yaml::edited(&before, wanted).map_err(|reason| not_editable(text::clean_line(&reason)))?;
    let shown = diff::unified(&path.display().to_string(), &before, &after);
    Ok(Edit {
        diff: text::clean(&redactor(&before).redact(&shown)),
        path,
        rights,
        before: before.into_bytes(),
        after,
    })
}

/// Knows the values of settings that are called like secrets, whatever form they have.
fn redactor(yaml: &str) -> Redactor {
    let mut redactor = Redactor::default();
    if let Ok(value) = serde_yaml_ng::from_str::<Value>(yaml) {
        learn(&value, &mut redactor);
    }
    redactor
}

fn learn(value: &Value, redactor: &mut Redactor) {
    match value {
        Value::Mapping(fields) => {
            for (name, value) in fields {
                let name = name.as_str().unwrap_or_default().to_ascii_lowercase();
                match value {
                    Value::String(text) if SECRETS.iter().any(|word| name.contains(word)) => {
                        redactor.learn(&SecretString::from(text.as_str()));
                    }
                    inner => learn(inner, redactor),
                }
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| learn(item, redactor)),
        Value::Tagged(tagged) => learn(&tagged.value, redactor),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Plan {
    pub(super) fn new(drift: &Drift, step: Result<Step, WatchdogError>) -> Self {
        Self {
            drift: drift.clone(),
            step: step.map_err(|error| error.problem()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_shows_the_change_and_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let key = ["not", "a", "known", "form"].join("_");
        let before = format!("model: {{default: a, api_key: {key}}}\nmore: 1\n");
        std::fs::write(&path, &before).unwrap();
        let wanted = Wanted {
            model: "b",
            provider: None,
        };
        let edit = edit(&path, wanted).unwrap();
        assert!(
            !edit.diff.contains(&key) && edit.after.contains(&key),
            "{edit:?}"
        );
        let diff = edit.diff.replace(&edit.path.display().to_string(), "FILE");
        insta::assert_snapshot!(diff, @r"
        --- FILE
        +++ FILE
        @@ -1,2 +1,2 @@
        -model: {default: a, api_key: [redacted]}
        +model: {default: b, api_key: [redacted]}
         more: 1
        ");
    }
}
