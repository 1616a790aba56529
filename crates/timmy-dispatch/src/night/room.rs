//! How many more attempts may start, and beside which others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use timmy_core::IssueName;
use timmy_core::RepoName;

use super::overlap;
use super::state::Scope;
use super::state::State;

impl State {
    /// The room there is now.
    pub(super) fn room(&self) -> Room {
        let left = self.settings.slots.min(self.settings.per_provider);
        let left = left.saturating_sub(u32::try_from(self.running.len()).unwrap_or(u32::MAX));
        let global = |scope: &Scope| !matches!(scope, Scope::Repository(_) | Scope::Workflow(_));
        let mut pauses = self.pauses.iter().filter(|(scope, _)| global(scope));
        let left = match pauses.clone().next() {
            None => left,
            // One attempt finds out whether it is over.
            Some(_) if pauses.all(|(_, p)| p.until <= self.now && p.trial.is_none()) => left.min(1),
            Some(_) => 0,
        };
        let mut room = Room {
            left,
            per_repository: BTreeMap::new(),
            per_state: BTreeMap::new(),
            files: Vec::new(),
        };
        for (key, running) in &self.running {
            room.count(key, &running.state, running.files.clone());
        }
        room
    }
}

/// How many more attempts may start, and beside which others.
#[derive(Debug, Clone)]
pub(super) struct Room {
    left: u32,
    per_repository: BTreeMap<RepoName, u32>,
    per_state: BTreeMap<String, u32>,
    files: Vec<(IssueName, BTreeSet<String>)>,
}

impl Room {
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    fn count(&mut self, key: &IssueName, state: &str, files: BTreeSet<String>) {
        *self.per_repository.entry(key.repo.clone()).or_default() += 1;
        *self.per_state.entry(state.to_owned()).or_default() += 1;
        self.files.push((key.clone(), files));
    }

    /// Takes a place for an issue, if there is one for it.
    pub(super) fn take(&mut self, state: &State, key: &IssueName) -> bool {
        if self.left == 0 || self.obstacle(state, key).is_some() {
            return false;
        }
        self.left -= 1;
        self.count(key, &state.state_of(key), state.files_of(key));
        true
    }

    /// What keeps an issue from starting now, as a sentence.
    pub(super) fn obstacle(&mut self, state: &State, key: &IssueName) -> Option<String> {
        let settings = &state.settings;
        let here = self.per_repository.get(&key.repo).copied().unwrap_or(0);
        let terms = &state.repositories.get(&key.repo)?.terms;
        let most = settings.per_repository.min(terms.slots.unwrap_or(u32::MAX));
        if here >= most {
            return Some(format!("{here} attempts run in {} already", key.repo));
        }
        let name = state.state_of(key);
        let such = self.per_state.get(&name).copied().unwrap_or(0);
        let limits = [settings.per_state.get(&name), terms.per_state.get(&name)];
        if limits.into_iter().flatten().any(|most| such >= *most) {
            return Some(format!("{such} attempts run on {name} issues already"));
        }
        if !settings.keep_apart {
            return None;
        }
        let files = &state.known.get(key)?.brief.files;
        self.files.iter().find_map(|(other, taken)| {
            let same_repository = other.repo == key.repo;
            let path = same_repository.then(|| overlap::collision(files, taken))??;
            let number = other.number;
            Some(format!("it names {path}, which #{number} works on"))
        })
    }
}
