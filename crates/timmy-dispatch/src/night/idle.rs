//! Whether a loop that ends when nothing is left to do is there.

use std::time::Duration;

use timmy_core::RepoName;

use super::state::Pause;
use super::state::Repository;
use super::state::Scope;
use super::state::State;

/// A pause that lasts longer than this is not waited for.
const LONG: Duration = Duration::from_secs(60);

impl Scope {
    /// The one repository it is about.
    pub(super) fn repository(&self) -> Option<&RepoName> {
        match self {
            Self::Repository(repo) | Self::Workflow(repo) | Self::BudgetOf(repo) => Some(repo),
            Self::Asked
            | Self::Forge
            | Self::Models
            | Self::Budget
            | Self::Disk
            | Self::Database
            | Self::Sandbox
            | Self::Settings => None,
        }
    }
}

impl State {
    /// Why nothing is left that could start before something changes, as a sentence; none while
    /// something is.
    pub(super) fn idle(&self) -> Option<String> {
        if !self.running.is_empty() {
            return None;
        }
        let long = self.pauses.iter().filter(|(_, pause)| self.is_long(pause));
        let held_back = long.clone().any(|(scope, _)| scope.repository().is_none());
        if !held_back && (self.something_waits() || !self.all_looked_at()) {
            return None;
        }
        let reasons: Vec<String> = long
            .map(|(scope, pause)| format!("{scope}: {}", pause.problem.what))
            .collect();
        Some(match reasons.as_slice() {
            [] => "there is nothing to do".to_owned(),
            held => format!("what is left is held back ({})", held.join("; ")),
        })
    }

    fn is_long(&self, pause: &Pause) -> bool {
        pause.until.saturating_sub(self.now) > LONG
    }

    /// Whether nothing in a repository can start for long.
    fn is_held_back(&self, repo: &RepoName) -> bool {
        let own = |scope: &Scope| scope.repository() == Some(repo);
        let mut pauses = self.pauses.iter();
        pauses.any(|(scope, pause)| own(scope) && self.is_long(pause))
    }

    /// Whether an issue could start now, or soon.
    fn something_waits(&self) -> bool {
        let ready = self.ready.iter().map(|(_, key)| key);
        let retries = self.timers.iter().map(|(_, key)| key).filter(|key| {
            let hold = self.known.get(*key).and_then(|known| known.hold.as_ref());
            hold.is_some_and(|hold| hold.retry.is_some())
        });
        let mut waiting = ready.chain(self.answers.keys()).chain(retries);
        waiting.any(|key| !self.is_held_back(&key.repo))
    }

    fn all_looked_at(&self) -> bool {
        let looked_at = |repository: &Repository| {
            repository.listed
                && !repository.listing
                && !repository.attending
                && !repository.merging
                && !repository.merge_due
                && repository.attend_due > self.now
        };
        let mut repositories = self.repositories.iter();
        repositories.all(|(repo, known)| self.is_held_back(repo) || looked_at(known))
    }
}
