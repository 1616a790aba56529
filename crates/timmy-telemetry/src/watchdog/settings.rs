//! `[watchdog]`: which model is expected where.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use url::Url;

use super::PanePlace;

/// `[watchdog]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchdogSettings {
    /// `[[watchdog.expect]]`: what is expected, one entry a place.
    #[serde(deserialize_with = "each_once")]
    pub expect: Vec<Expectation>,
}

/// A model that is expected somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Line", into = "Line")]
pub enum Expectation {
    /// In the configuration of a Hermes profile; `default` is the home at the root.
    Profile {
        /// The profile.
        name: String,
        /// The model.
        model: String,
        /// The provider, when it matters too.
        provider: Option<String>,
    },
    /// In the memory of an Ollama.
    Ollama {
        /// Where it listens, without `/api`.
        address: Url,
        /// The model.
        model: String,
        /// How long it stays when it is loaded again, as Ollama writes it: `"30m"`, `"-1"` for ever.
        /// The server decides when nothing is said.
        keep_alive: Option<String>,
    },
    /// In the list of models of a `[[provider]]`.
    Provider {
        /// The provider's name in timmy.toml.
        name: String,
        /// The model; the one of that `[[provider]]` when nothing is said.
        model: Option<String>,
    },
    /// In a program that runs in a tmux pane.
    Pane {
        /// Which pane.
        place: PanePlace,
        /// The model.
        model: String,
        /// The socket of its tmux server; the user's usual one when nothing is said.
        socket: Option<PathBuf>,
        /// What to run in the pane again. What the pane was made with when nothing is said.
        command: Vec<String>,
    },
}

/// An entry as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ollama: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pane: Option<PanePlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
}

impl Expectation {
    /// What findings and events call it.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Profile { name, .. } => format!("hermes:{name}"),
            Self::Ollama { address, model, .. } => {
                let address = address.as_str().trim_end_matches('/');
                format!("ollama:{address}/{model}")
            }
            Self::Provider { name, .. } => format!("provider:{name}"),
            Self::Pane {
                place,
                socket: None,
                ..
            } => format!("pane:{place}"),
            Self::Pane {
                place,
                socket: Some(socket),
                ..
            } => format!("pane:{place}@{}", socket.display()),
        }
    }
}

impl TryFrom<Line> for Expectation {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, &'static str> {
        const NO_MODEL: &str = "an entry of watchdog.expect needs a model";
        let Line {
            profile,
            ollama,
            pane,
            provider,
            model,
            keep_alive,
            socket,
            command,
        } = line;
        if keep_alive.is_some() && ollama.is_none() {
            return Err("keep_alive belongs to an entry with ollama");
        }
        if (socket.is_some() || !command.is_empty()) && pane.is_none() {
            return Err("socket and command belong to an entry with pane");
        }
        let model = model.filter(|model| !model.trim().is_empty());
        match (profile, ollama, pane, provider) {
            (Some(name), None, None, provider) => Ok(Self::Profile {
                name,
                model: model.ok_or(NO_MODEL)?,
                provider,
            }),
            (None, Some(address), None, None) => Ok(Self::Ollama {
                address,
                model: model.ok_or(NO_MODEL)?,
                keep_alive,
            }),
            (None, None, Some(place), None) => Ok(Self::Pane {
                place,
                model: model.ok_or(NO_MODEL)?,
                socket,
                command,
            }),
            (None, None, None, Some(name)) => Ok(Self::Provider { name, model }),
            _ => Err("an entry of watchdog.expect names one of profile, ollama, pane and provider"),
        }
    }
}

impl From<Expectation> for Line {
    fn from(expectation: Expectation) -> Self {
        match expectation {
            Expectation::Profile {
                name,
                model,
                provider,
            } => Self {
                profile: Some(name),
                model: Some(model),
                provider,
                ..Self::default()
            },
            Expectation::Ollama {
                address,
                model,
                keep_alive,
            } => Self {
                ollama: Some(address),
                model: Some(model),
                keep_alive,
                ..Self::default()
            },
            Expectation::Provider { name, model } => Self {
                provider: Some(name),
                model,
                ..Self::default()
            },
            Expectation::Pane {
                place,
                model,
                socket,
                command,
            } => Self {
                pane: Some(place),
                model: Some(model),
                socket,
                command,
                ..Self::default()
            },
        }
    }
}

/// Two entries for one place would be put back against each other.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Expectation>, D::Error> {
    let expected = Vec::<Expectation>::deserialize(deserializer)?;
    let mut seen = BTreeSet::new();
    for expectation in &expected {
        let subject = expectation.subject();
        if !seen.insert(subject.clone()) {
            let message = format!("watchdog.expect names {subject} twice");
            return Err(serde::de::Error::custom(message));
        }
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn read(entries: Value) -> Result<WatchdogSettings, String> {
        let read = serde_json::from_value(json!({ "expect": entries }));
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn entries_read_back_as_they_were_written() {
        let entries = json!([
            {"profile": "default", "provider": "nous", "model": "a"},
            {"ollama": "http://127.0.0.1:11434/", "model": "b", "keep_alive": "30m"},
            {"pane": "night:0.1", "model": "c", "socket": "/s", "command": ["hermes"]},
            {"provider": "local"},
        ]);
        let settings = read(entries.clone()).unwrap();
        let subjects: Vec<String> = settings.expect.iter().map(Expectation::subject).collect();
        let expected = [
            "hermes:default",
            "ollama:http://127.0.0.1:11434/b",
            "pane:night:0.1@/s",
            "provider:local",
        ];
        assert_eq!(expected, subjects.as_slice());
        assert_eq!(json!({ "expect": entries }), json!(settings));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (entry, said) in [
            (json!({}), "names one of"),
            (
                json!({"profile": "a", "pane": "b:0.0", "model": "m"}),
                "names one of",
            ),
            (json!({"profile": "a"}), "needs a model"),
            (json!({"ollama": "http://a", "model": " "}), "needs a model"),
            (
                json!({"profile": "a", "model": "m", "keep_alive": "1m"}),
                "keep_alive",
            ),
            (json!({"provider": "a", "command": ["x"]}), "command"),
            (json!({"pane": "b", "model": "m"}), "SESSION:WINDOW.PANE"),
            (json!({"profil": "a"}), "unknown field"),
        ] {
            let refused = read(json!([entry.clone()])).unwrap_err();
            assert!(refused.contains(said), "{entry}: {refused}");
        }
        let twice = read(json!([{"provider": "a"}, {"provider": "a", "model": "b"}]));
        assert!(twice.unwrap_err().contains("provider:a twice"));
    }
}
