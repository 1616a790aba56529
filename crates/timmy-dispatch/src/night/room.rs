//! How many more attempts may start, and beside which others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::RepoName;

use super::state::Scope;
use super::state::State;
use super::taken::Taken;

impl State {
    /// The room there is now.
    pub(super) fn room(&self) -> Room {
        let left = self.settings.slots.min(self.settings.per_provider);
        let left = left.saturating_sub(u32::try_from(self.running.len()).unwrap_or(u32::MAX));
        let global = |scope: &Scope| scope.repository().is_none();
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
            files: BTreeMap::new(),
        };
        for (key, running) in &self.running {
            room.count(key, &running.state, &running.files);
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
    files: BTreeMap<RepoName, Taken>,
}

/// What keeps an issue from starting now. Many issues are asked in each turn: it is a sentence only
/// where somebody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle<'a> {
    /// So many attempts run in its repository.
    Repository(&'a RepoName, u32),
    /// So many attempts run on issues in its state.
    State(&'static str, u32),
    /// It names a file that another one works on.
    File(&'a str, IssueNumber),
}

impl fmt::Display for Obstacle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repo, here) => write!(f, "{here} attempts run in {repo} already"),
            Self::State(name, such) => write!(f, "{such} attempts run on {name} issues already"),
            Self::File(path, other) => write!(f, "it names {path}, which #{other} works on"),
        }
    }
}

impl Room {
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    fn count(&mut self, key: &IssueName, state: &str, files: &BTreeSet<String>) {
        *self.per_repository.entry(key.repo.clone()).or_default() += 1;
        *self.per_state.entry(state.to_owned()).or_default() += 1;
        let taken = self.files.entry(key.repo.clone()).or_default();
        taken.insert(key.number, files);
    }

    /// Takes a place for an issue, if there is one for it.
    pub(super) fn take(&mut self, state: &State, key: &IssueName) -> bool {
        if self.left == 0 || self.obstacle(state, key).is_some() {
            return false;
        }
        self.left -= 1;
        self.count(key, state.state_of(key), state.files_of(key));
        true
    }

    /// What keeps an issue from starting now.
    pub(super) fn obstacle<'a>(
        &self,
        state: &'a State,
        key: &'a IssueName,
    ) -> Option<Obstacle<'a>> {
        let settings = &state.settings;
        let here = self.per_repository.get(&key.repo).copied().unwrap_or(0);
        let terms = &state.repositories.get(&key.repo)?.terms;
        let most = settings.per_repository.min(terms.slots.unwrap_or(u32::MAX));
        if here >= most {
            return Some(Obstacle::Repository(&key.repo, here));
        }
        let name = state.state_of(key);
        let such = self.per_state.get(name).copied().unwrap_or(0);
        let limits = [settings.per_state.get(name), terms.per_state.get(name)];
        if limits.into_iter().flatten().any(|most| such >= *most) {
            return Some(Obstacle::State(name, such));
        }
        if !settings.keep_apart {
            return None;
        }
        let taken = self.files.get(&key.repo)?;
        let (path, other) = taken.collision(state.files_of(key))?;
        Some(Obstacle::File(path, other))
    }
}
