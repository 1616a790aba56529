//! What lists of issues change.

use std::time::Duration;

use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::IssueState;

use super::action::Extent;
use super::backoff;
use super::brief::Brief;
use super::input::Listing;
use super::pause::LONGEST_PAUSE;
use super::state::Hold;
use super::state::Known;
use super::state::NEVER;
use super::state::Release;
use super::state::Scope;
use super::state::State;

impl State {
    pub(super) fn listed(&mut self, repo: &RepoName, listing: &Listing) {
        let (now, settings) = (self.now, &self.settings);
        let Some(repository) = self.repositories.get_mut(repo) else {
            return;
        };
        let mut new_terms = false;
        if let Some(Ok(terms)) = &listing.terms {
            new_terms = repository.terms != *terms;
            repository.terms = terms.clone();
        }
        let poll = settings.poll.max(repository.terms.poll);
        let first = !repository.listed;
        repository.listing = false;
        repository.listed = true;
        repository.failures = 0;
        repository.next_list = if repository.woken { now } else { now + poll };
        if listing.extent == Extent::Everything {
            let broken = matches!(listing.terms, Some(Err(_)));
            // A file that cannot be used is looked at again with every list until it is mended.
            repository.next_full = now + if broken { poll } else { settings.full };
        }
        if first || listing.pulls_changed {
            repository.attend_due = now;
        }
        let based = listing.base.is_some() && repository.base.is_some();
        let base_moved = based && repository.base != listing.base;
        if listing.base.is_some() {
            repository.base.clone_from(&listing.base);
        }
        self.resume(&Scope::Repository(repo.clone()));
        match &listing.terms {
            None => {}
            Some(Ok(_)) => self.resume(&Scope::Workflow(repo.clone())),
            Some(Err(problem)) => self.pause(Scope::Workflow(repo.clone()), problem, NEVER),
        }
        if new_terms {
            self.judge_again(repo);
        }
        if listing.extent == Extent::Everything {
            self.forget_others(repo, &listing.issues);
        }
        let mut changed = listing.pulls_changed || base_moved;
        for brief in &listing.issues {
            changed |= self.refresh(repo, brief);
        }
        self.thaw(repo, changed, base_moved);
    }

    /// Judges every issue of a repository by its new terms.
    pub(super) fn judge_again(&mut self, repo: &RepoName) {
        let keys = self.known.keys().filter(|key| key.repo == *repo);
        let keys: Vec<IssueName> = keys.cloned().collect();
        for key in keys {
            let Some(known) = self.known.get(&key).cloned() else {
                continue;
            };
            let rank = known.rank(&self.settings.selection);
            self.ready.remove(&(rank, key.clone()));
            self.note(key.repo, known);
        }
    }

    /// Brings one issue up to date. True when something about it changed.
    pub(super) fn refresh(&mut self, repo: &RepoName, brief: &Brief) -> bool {
        let key = IssueName {
            repo: repo.clone(),
            number: brief.number,
        };
        let same = |known: &Known| known.brief == *brief;
        if self.known.get(&key).is_some_and(same) {
            return false;
        }
        let before = self.forget(&key);
        if brief.state == IssueState::Closed {
            self.not_wanted(&key, "the issue was closed");
            return before.is_some();
        }
        let failures = before.as_ref().map_or(0, |known| known.failures);
        let hold = before.and_then(|known| known.hold);
        // A change of the issue ends what waited for one; a retry keeps its time.
        let hold = hold.filter(|hold| matches!(hold.release, Release::At(_)));
        if let Some(Hold {
            release: Release::At(due),
            ..
        }) = &hold
        {
            self.timers.insert((*due, key.clone()));
        }
        let known = Known {
            brief: brief.clone(),
            excluded: None,
            hold,
            failures,
        };
        self.note(repo.clone(), known);
        let known = self.known.get(&key);
        if let Some(reason) = known.and_then(|known| known.excluded.clone()) {
            self.not_wanted(&key, &reason);
        }
        true
    }

    /// After a list of everything: what is not in it is not open any more.
    pub(super) fn forget_others(&mut self, repo: &RepoName, listed: &[Brief]) {
        let numbers: std::collections::BTreeSet<_> = listed.iter().map(|b| b.number).collect();
        let known = self.known.keys().chain(self.running.keys());
        let gone = known.filter(|key| key.repo == *repo && !numbers.contains(&key.number));
        let gone: Vec<IssueName> = gone.cloned().collect();
        for key in gone {
            self.forget(&key);
            self.not_wanted(&key, "the issue is not open any more");
        }
    }

    /// Ends the holds of a repository that waited for a change.
    pub(super) fn thaw(&mut self, repo: &RepoName, changed: bool, base_moved: bool) {
        let of_repository = self.frozen.iter().filter(|key| key.repo == *repo);
        let over = of_repository.filter(|key| {
            let hold = self.known.get(*key).and_then(|known| known.hold.as_ref());
            let settled = hold.is_none_or(|hold| hold.settled <= self.now);
            match hold.map(|hold| hold.release) {
                Some(Release::IssueEdited | Release::PersonAsks) => false,
                Some(Release::RepositoryChanges) => changed,
                Some(Release::IssueChanges) => base_moved && settled,
                Some(Release::At(_)) | None => true,
            }
        });
        let over: Vec<IssueName> = over.cloned().collect();
        for key in over {
            self.release(&key);
        }
    }

    pub(super) fn list_failed(
        &mut self,
        repo: &RepoName,
        problem: &Problem,
        lasts: Option<Duration>,
    ) {
        let (now, poll) = (self.now, self.settings.poll);
        let Some(repository) = self.repositories.get_mut(repo) else {
            return;
        };
        repository.listing = false;
        repository.failures += 1;
        let wait = backoff::delay(poll, LONGEST_PAUSE.max(poll), repository.failures);
        let wait = wait.max(lasts.unwrap_or_default());
        repository.next_list = now + wait;
        self.pause(Scope::Repository(repo.clone()), problem, wait);
    }
}
