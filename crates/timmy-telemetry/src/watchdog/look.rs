//! Looking at everything that is expected, without changing it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct;
use timmy_model::ProviderSettings;
use timmy_model::hermes::homes::Homes;

use super::Expectation;
use super::WatchdogSettings;
use super::pane;
use super::pane::Listed;
use super::pane::Pane;
use super::pane::PanePlace;
use super::person;
use super::processes::Processes;
use super::profile;
use super::server;
use crate::finding::Drift;

/// Where the watchdog looks.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The homes of Hermes, when it is known where they would be.
    pub homes: Option<&'a Homes>,
    /// The `[[provider]]`s of timmy.toml.
    pub providers: &'a [ProviderSettings],
    /// Where the sockets of timmy's own tmux servers are.
    pub own_sockets: &'a Path,
}

/// What was found at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// What findings and events call it.
    pub subject: String,
    /// The model that is expected.
    pub expected: String,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// A drift beside what names it already.
fn without_names<S: Serializer>(drift: &Drift, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Drift", 4)?;
    fields.serialize_field("found", &drift.found)?;
    fields.serialize_field("evidence", &drift.evidence)?;
    fields.serialize_field("fixable", &drift.fixable.is_ok())?;
    fields.serialize_field("why_not", &drift.fixable.as_ref().err())?;
    fields.end()
}

/// How a place stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// The expected model is there.
    AsExpected {
        /// What it was read from.
        evidence: String,
    },
    /// Another one is there, or none.
    Drifting(#[serde(serialize_with = "without_names")] Drift),
    /// There is nothing to look at.
    NotPresent {
        /// What is missing.
        reason: String,
    },
    /// It did not answer, so nobody knows.
    NotAsked {
        /// Why.
        reason: String,
    },
}

/// What was found there.
#[derive(Debug)]
pub(super) struct Found {
    /// The model.
    pub(super) model: Option<String>,
    /// What it was read from.
    pub(super) evidence: String,
    /// Why it would not be put back.
    pub(super) fixable: Result<(), String>,
}

impl Seen {
    /// The drift, if it is one.
    #[must_use]
    pub fn drift(&self) -> Option<&Drift> {
        match &self.standing {
            Standing::Drifting(drift) => Some(drift),
            Standing::AsExpected { .. }
            | Standing::NotPresent { .. }
            | Standing::NotAsked { .. } => None,
        }
    }
}

/// Looks at everything that is expected, and tells what drifts.
pub async fn look(settings: &WatchdogSettings, around: &Surroundings<'_>) -> Vec<Drift> {
    let seen = examine(settings, around).await;
    seen.iter().filter_map(Seen::drift).cloned().collect()
}

/// Looks at everything that is expected, in the order of the configuration.
pub async fn examine(settings: &WatchdogSettings, around: &Surroundings<'_>) -> Vec<Seen> {
    let view = View::take(settings, around).await;
    let mut seen = Vec::new();
    for expectation in &settings.expect {
        seen.push(view.seen(expectation).await);
    }
    seen
}

/// What several expectations look at, read once.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) around: Surroundings<'a>,
    pub(super) processes: Processes,
    tmuxes: BTreeMap<Option<PathBuf>, Listed>,
    own_terminals: BTreeSet<u64>,
}

impl<'a> View<'a> {
    pub(super) async fn take(settings: &WatchdogSettings, around: &Surroundings<'a>) -> Self {
        let mut view = Self {
            around: *around,
            processes: Processes::read(Path::new("/proc")),
            tmuxes: BTreeMap::new(),
            own_terminals: BTreeSet::new(),
        };
        for expectation in &settings.expect {
            let Expectation::Pane {
                place,
                socket,
                command,
                ..
            } = expectation
            else {
                continue;
            };
            if !view.tmuxes.contains_key(socket) {
                let listed = pane::list(socket.as_deref()).await;
                view.tmuxes.insert(socket.clone(), listed);
            }
            let found = view.pane(place, socket.as_deref()).ok().flatten();
            let ours =
                found.filter(|pane| view.may_respawn(pane, socket.as_deref(), command).is_ok());
            let terminal = ours.and_then(|pane| pane.terminal);
            view.own_terminals.extend(terminal);
        }
        view
    }

    /// What is there, for one expectation.
    pub(super) async fn seen(&self, expectation: &Expectation) -> Seen {
        Seen {
            subject: expectation.subject(),
            expected: self.expected(expectation),
            standing: self.standing(expectation).await,
        }
    }

    /// What is expected, in words.
    fn expected(&self, expectation: &Expectation) -> String {
        match expectation {
            Expectation::Profile {
                model,
                provider: Some(provider),
                ..
            } => format!("{model} of {provider}"),
            Expectation::Profile { model, .. }
            | Expectation::Ollama { model, .. }
            | Expectation::Pane { model, .. } => model.clone(),
            Expectation::Provider { name, model } => {
                let configured = self.provider(name).and_then(|found| found.model.clone());
                let model = model.clone().or(configured);
                model.unwrap_or_else(|| "any model".to_owned())
            }
        }
    }

    pub(super) async fn standing(&self, expectation: &Expectation) -> Standing {
        let found = match expectation {
            Expectation::Profile {
                name,
                model,
                provider,
            } => profile::found(self, name, model, provider.as_deref()),
            Expectation::Ollama { address, model, .. } => server::loaded(address, model).await,
            Expectation::Provider { name, model } => match self.provider(name) {
                None => Err(Standing::NotAsked {
                    reason: format!("timmy.toml has no [[provider]] {name:?}"),
                }),
                Some(provider) => server::listed(provider, model.as_deref()).await,
            },
            Expectation::Pane {
                place,
                model,
                socket,
                command,
            } => self.in_pane(place, model, socket.as_deref(), command),
        };
        match found {
            Err(standing) => standing,
            Ok(found) => Standing::Drifting(Drift {
                subject: expectation.subject(),
                expected: self.expected(expectation),
                found: found.model,
                evidence: found.evidence,
                fixable: found.fixable,
            }),
        }
    }

    fn provider(&self, name: &str) -> Option<&'a ProviderSettings> {
        let mut providers = self.around.providers.iter();
        providers.find(|provider| provider.name == name)
    }

    /// Why a home belongs to a person now.
    pub(super) fn person_at(&self, home: &Path, homes: &Homes) -> Option<String> {
        person::at_home(home, homes, &self.processes, &self.own_terminals)
    }

    /// The pane at a place; none when the tmux has no such pane.
    pub(super) fn pane(
        &self,
        place: &PanePlace,
        socket: Option<&Path>,
    ) -> Result<Option<&Pane>, Standing> {
        match self.tmuxes.get(&socket.map(Path::to_owned)) {
            None => Ok(None),
            Some(Listed::Panes(panes)) => Ok(panes.iter().find(|pane| pane.is_at(place))),
            Some(Listed::NotPresent(reason)) => Err(Standing::NotPresent {
                reason: reason.clone(),
            }),
            Some(Listed::Failed(reason)) => Err(Standing::NotAsked {
                reason: reason.clone(),
            }),
        }
    }

    fn in_pane(
        &self,
        place: &PanePlace,
        expected: &str,
        socket: Option<&Path>,
        command: &[String],
    ) -> Result<Found, Standing> {
        let Some(pane) = self.pane(place, socket)? else {
            let reason = format!("tmux has no pane {place}");
            return Err(Standing::NotPresent { reason });
        };
        let found = pane.model(&self.processes, self.around.homes);
        if pane::as_expected(&found, expected) {
            return Err(Standing::AsExpected {
                evidence: found.evidence,
            });
        }
        Ok(Found {
            model: found.model,
            evidence: found.evidence,
            fixable: self.may_respawn(pane, socket, command),
        })
    }

    /// Whether what runs in a pane may be ended and started again.
    fn may_respawn(
        &self,
        pane: &Pane,
        socket: Option<&Path>,
        command: &[String],
    ) -> Result<(), String> {
        if pane.attached {
            return Err("somebody is attached to the pane's session".to_owned());
        }
        let own = socket.is_some_and(|socket| socket.starts_with(self.around.own_sockets));
        if !own && command.is_empty() {
            return Err(
                "the pane is on a tmux that is not timmy's, and no `command` is set for it"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Whether a program that says `found` uses the model that is called `expected`. Ollama leaves the tag
/// `latest` out, and llama-server names files.
pub(super) fn same_model(found: &str, expected: &str) -> bool {
    let plain = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
    if plain(found) == plain(expected) {
        return true;
    }
    let file = Path::new(found);
    let name = file.file_name().and_then(|name| name.to_str());
    let is_weights = file
        .extension()
        .is_some_and(|extension| extension == "gguf");
    let stem = name.and_then(|name| name.strip_suffix(".gguf"));
    is_weights && (name == Some(expected) || stem == Some(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_model_has_several_spellings() {
        for (found, expected, same) in [
            ("qwen3:8b", "qwen3:8b", true),
            ("llama3:latest", "llama3", true),
            ("llama3", "llama3:latest", true),
            ("/models/q4.gguf", "q4", true),
            ("/models/q4.gguf", "q4.gguf", true),
            ("/models/q4.gguf", "/models/q4.gguf", true),
            ("vendor/q4", "q4", false),
            ("qwen3:8b", "qwen3:4b", false),
            ("qwen3:8b", "qwen3", false),
            ("", "q", false),
        ] {
            assert_eq!(same, same_model(found, expected), "{found} {expected}");
        }
    }
}
