//! How inputs change what the core knows.

use std::time::Duration;

use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::event::Outcome;
use timmy_forge::IssueState;

use super::action::Extent;
use super::action::Purpose;
use super::backoff;
use super::brief::Brief;
use super::brief::IssueKey;
use super::failure;
use super::failure::Fault;
use super::input::Attended;
use super::input::Declined;
use super::input::Ended;
use super::input::Input;
use super::input::Listing;
use super::input::Recheck;
use super::input::Stop;
use super::pause::LONGEST_PAUSE;
use super::settings::Settings;
use super::state::Hold;
use super::state::Known;
use super::state::NEVER;
use super::state::Release;
use super::state::Scope;
use super::state::Stage;
use super::state::State;
use crate::selection;

/// After a run that ended with a result its issue is looked at again. Section 8.4 of the Symphony
/// specification.
const CONTINUATION: Duration = Duration::from_secs(1);
/// After a claim was lost.
const AFTER_LOSS: Duration = Duration::from_secs(60);

impl State {
    /// Takes note of an input. Time never goes back: an earlier `at` counts as now.
    pub(super) fn learn(&mut self, at: Duration, input: &Input) {
        self.now = self.now.max(at);
        self.let_go();
        self.unsettled |= match input {
            Input::Tick | Input::Began { .. } | Input::Heard { .. } | Input::Woken { .. } => false,
            _ => true,
        };
        match input {
            Input::Tick => {}
            Input::Configured(settings) => self.configure(settings),
            Input::Woken { repo } => {
                let now = self.now;
                if let Some(repository) = self.repositories.get_mut(repo) {
                    repository.woken = repository.listing;
                    repository.next_list = repository.next_list.min(now);
                }
            }
            Input::Listed { repo, listing } => self.listed(repo, listing),
            Input::ListFailed {
                repo,
                problem,
                lasts,
            } => self.list_failed(repo, problem, *lasts),
            Input::Began { key } => {
                let (now, stall) = (self.now, self.stall(&key.repo));
                if let Some(running) = self.running.get_mut(key) {
                    (running.heard, running.patience) = (now, stall);
                    if running.stage == Stage::Starting {
                        running.stage = Stage::Working;
                    }
                }
            }
            Input::Heard { key, patience } => {
                let now = self.now;
                if let Some(running) = self.running.get_mut(key) {
                    (running.heard, running.patience) = (now, *patience);
                }
            }
            Input::Unwanted { key, reason } => {
                if let Some(running) = self.running.get_mut(key) {
                    running.unwanted = Some(reason.clone());
                }
            }
            Input::Declined { key, declined } => self.declined(key, declined),
            Input::Ended { key, ended } => self.ended(key, ended),
            Input::Attended { repo, attended } => self.attended(repo, attended),
            Input::MergeTurnEnded { repo, more } => {
                let now = self.now;
                if let Some(repository) = self.repositories.get_mut(repo) {
                    repository.merging = false;
                    repository.merge_due = *more;
                    repository.attend_due = now;
                }
            }
            Input::Troubled {
                scope,
                problem,
                lasts,
            } => self.pause(scope.clone(), problem, lasts.unwrap_or(NEVER)),
            Input::Relieved { scope } => self.resume(scope),
            Input::Stop(stop) => {
                let harder = self.stop == Some(Stop::Now);
                self.stop = Some(if harder { Stop::Now } else { *stop });
            }
        }
    }

    /// Ends the holds whose time is over.
    fn let_go(&mut self) {
        while let Some((due, key)) = self.timers.first().cloned() {
            if due > self.now {
                return;
            }
            self.timers.remove(&(due, key.clone()));
            self.unsettled = true;
            self.release(&key);
        }
    }

    fn configure(&mut self, settings: &Settings) {
        self.settings = settings.clone();
        let wanted = &settings.repositories;
        self.repositories.retain(|repo, _| wanted.contains(repo));
        for repo in wanted {
            self.repositories.entry(repo.clone()).or_default();
        }
        let gone = |key: &IssueKey| !wanted.contains(&key.repo);
        for (key, running) in &mut self.running {
            if gone(key) {
                running.unwanted = Some("its repository is not configured any more".to_owned());
            }
        }
        for repository in self.repositories.values_mut() {
            repository.next_list = repository.next_list.min(self.now + settings.poll);
        }
        self.answers.retain(|key, _| !gone(key));
        self.ready.clear();
        for (key, known) in std::mem::take(&mut self.known) {
            if !gone(&key) {
                self.note(key.repo.clone(), known.brief, known.hold);
            }
        }
        self.timers.retain(|(_, key)| self.known.contains_key(key));
        self.frozen.retain(|key| self.known.contains_key(key));
    }

    /// Remembers an issue, with its hold, and makes it ready when nothing keeps it.
    fn note(&mut self, repo: RepoName, brief: Brief, hold: Option<Hold>) {
        let key = IssueKey {
            repo,
            number: brief.number,
        };
        let rules = &self.settings.selection;
        let answers = selection::judge_subject(brief.subject(), rules, &self.settings.login);
        let excluded = selection::failure(&answers).map(str::to_owned);
        let excluded = excluded.or_else(|| {
            let terms = &self.repositories.get(&key.repo)?.terms;
            terms.excludes(state_name(&brief), &brief.labels)
        });
        if let Some(running) = self.running.get_mut(&key)
            && running.purpose == Purpose::Resolve
            && let Some(reason) = &excluded
        {
            running.unwanted = Some(reason.clone());
        }
        let rank = brief.rank(rules);
        let runs = self.running.contains_key(&key);
        if excluded.is_none() && hold.is_none() && !runs {
            self.ready.insert((rank, key.clone()));
        }
        let known = Known {
            brief,
            excluded,
            hold,
        };
        self.known.insert(key, known);
    }

    /// Forgets an issue, with everything that waits for it.
    fn forget(&mut self, key: &IssueKey) -> Option<Known> {
        let known = self.known.remove(key)?;
        let rank = known.brief.rank(&self.settings.selection);
        self.ready.remove(&(rank, key.clone()));
        if let Some(Hold {
            release: Release::At(due),
            ..
        }) = &known.hold
        {
            self.timers.remove(&(*due, key.clone()));
        }
        self.frozen.remove(key);
        Some(known)
    }

    fn listed(&mut self, repo: &RepoName, listing: &Listing) {
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
    fn judge_again(&mut self, repo: &RepoName) {
        let keys = self.known.keys().filter(|key| key.repo == *repo);
        let keys: Vec<IssueKey> = keys.cloned().collect();
        for key in keys {
            let Some(known) = self.known.get(&key).cloned() else {
                continue;
            };
            let rank = known.brief.rank(&self.settings.selection);
            self.ready.remove(&(rank, key.clone()));
            self.note(key.repo, known.brief, known.hold);
        }
    }

    /// Brings one issue up to date. True when something about it changed.
    fn refresh(&mut self, repo: &RepoName, brief: &Brief) -> bool {
        let key = IssueKey {
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
        self.note(repo.clone(), brief.clone(), hold);
        let known = self.known.get(&key);
        if let Some(reason) = known.and_then(|known| known.excluded.clone()) {
            self.not_wanted(&key, &reason);
        }
        true
    }

    /// After a list of everything: what is not in it is not open any more.
    fn forget_others(&mut self, repo: &RepoName, listed: &[Brief]) {
        let numbers: std::collections::BTreeSet<_> = listed.iter().map(|b| b.number).collect();
        let known = self.known.keys().chain(self.running.keys());
        let gone = known.filter(|key| key.repo == *repo && !numbers.contains(&key.number));
        let gone: Vec<IssueKey> = gone.cloned().collect();
        for key in gone {
            self.forget(&key);
            self.not_wanted(&key, "the issue is not open any more");
        }
    }

    fn not_wanted(&mut self, key: &IssueKey, reason: &str) {
        if let Some(running) = self.running.get_mut(key)
            && running.purpose == Purpose::Resolve
        {
            running.unwanted = Some(reason.to_owned());
        }
    }

    /// Ends the holds of a repository that waited for a change.
    fn thaw(&mut self, repo: &RepoName, changed: bool, base_moved: bool) {
        let of_repository = self.frozen.iter().filter(|key| key.repo == *repo);
        let over = of_repository.filter(|key| {
            let hold = self.known.get(*key).and_then(|known| known.hold.as_ref());
            match hold.map(|hold| hold.release) {
                Some(Release::RepositoryChanges) => changed,
                Some(Release::IssueChanges) => base_moved,
                Some(Release::At(_)) | None => true,
            }
        });
        let over: Vec<IssueKey> = over.cloned().collect();
        for key in over {
            self.release(&key);
        }
    }

    fn release(&mut self, key: &IssueKey) {
        self.frozen.remove(key);
        let runs = self.running.contains_key(key);
        let Some(known) = self.known.get_mut(key) else {
            return;
        };
        known.hold = None;
        if known.excluded.is_none() && !runs {
            let rank = known.brief.rank(&self.settings.selection);
            self.ready.insert((rank, key.clone()));
        }
    }

    fn hold(&mut self, key: &IssueKey, hold: Hold) {
        let Some(known) = self.forget(key) else {
            return;
        };
        match hold.release {
            Release::At(due) => drop(self.timers.insert((due, key.clone()))),
            Release::IssueChanges | Release::RepositoryChanges => {
                self.frozen.insert(key.clone());
            }
        }
        self.note(key.repo.clone(), known.brief, Some(hold));
    }

    fn list_failed(&mut self, repo: &RepoName, problem: &Problem, lasts: Option<Duration>) {
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

    fn declined(&mut self, key: &IssueKey, declined: &Declined) {
        self.running.remove(key);
        self.end_trials(key);
        let release = match declined.recheck {
            Recheck::After(wait) => Release::At(self.now + wait),
            Recheck::IssueChanges => Release::IssueChanges,
            Recheck::RepositoryChanges => Release::RepositoryChanges,
        };
        let hold = Hold {
            reason: declined.reason.clone(),
            release,
            retry: None,
        };
        self.hold(key, hold);
    }

    fn ended(&mut self, key: &IssueKey, ended: &Ended) {
        let ran = self.running.remove(key);
        let answered_feedback = ran.is_some_and(|running| running.purpose != Purpose::Resolve);
        if answered_feedback && let Some(repository) = self.repositories.get_mut(&key.repo) {
            repository.attend_due = self.now;
        }
        match failure::fault(&ended.outcome) {
            // Its pull request stays, and so does the feedback that was taken: nothing to repeat.
            Fault::Agent if answered_feedback => {
                self.platforms_worked(key);
                self.release(key);
            }
            Fault::Answered => {
                self.platforms_worked(key);
                let due = self.now + CONTINUATION;
                self.retry(key, 1, due, "to see whether more is to be done");
            }
            Fault::Agent => {
                self.platforms_worked(key);
                self.failed(key, ended);
            }
            Fault::Repository => {
                self.end_trials(key);
                let problem = problem_of(&ended.outcome);
                self.pause(Scope::Workflow(key.repo.clone()), &problem, NEVER);
                if let Some(repository) = self.repositories.get_mut(&key.repo) {
                    repository.next_full = self.now;
                }
                self.release(key);
            }
            Fault::Platform(scope) => {
                let problem = problem_of(&ended.outcome);
                let lasts = ended.lasts;
                let others = self.pauses.iter_mut().filter(|(other, _)| **other != scope);
                for (_, pause) in others.filter(|(_, pause)| pause.trial.as_ref() == Some(key)) {
                    pause.trial = None;
                }
                self.platform_failed(key, scope, &problem, lasts);
                self.release(key);
            }
            Fault::Nobody => {
                self.end_trials(key);
                let lost = ended.outcome == Outcome::ClaimLost;
                let hold = Hold {
                    reason: "its claim was lost to somebody else".to_owned(),
                    release: Release::At(self.now + AFTER_LOSS),
                    retry: None,
                };
                if lost {
                    self.hold(key, hold);
                } else {
                    self.release(key);
                }
            }
        }
    }

    /// An attempt that the agent or the issue is to blame for.
    fn failed(&mut self, key: &IssueKey, ended: &Ended) {
        let failures = ended.failed_attempts.max(1);
        let reason = format!(
            "the last attempt ended: {}",
            ended.outcome.word().replace('_', " ")
        );
        if failures >= self.settings.selection.attempts {
            if let Some(fingerprint) = ended.fingerprint.clone() {
                self.notices.push(EventKind::IssueQuarantined {
                    repo: key.repo.clone(),
                    issue: key.number,
                    attempts: failures,
                    fingerprint,
                });
            }
            let hold = Hold {
                reason: format!("{failures} attempts failed from the same beginnings"),
                release: Release::IssueChanges,
                retry: None,
            };
            self.hold(key, hold);
            return;
        }
        let settings = &self.settings;
        let terms = self.repositories.get(&key.repo).map(|known| &known.terms);
        let own = terms.map(|terms| terms.longest_backoff).unwrap_or_default();
        let longest = settings.longest_backoff.max(own);
        let wait = backoff::delay(settings.first_backoff, longest, failures);
        self.notices.push(EventKind::RetryScheduled {
            repo: key.repo.clone(),
            issue: key.number,
            attempt: failures + 1,
            delay_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason: reason.clone(),
        });
        self.retry(key, failures + 1, self.now + wait, &reason);
    }

    fn retry(&mut self, key: &IssueKey, attempt: u32, due: Duration, reason: &str) {
        let hold = Hold {
            reason: reason.to_owned(),
            release: Release::At(due),
            retry: Some(attempt),
        };
        self.hold(key, hold);
    }

    fn attended(&mut self, repo: &RepoName, attended: &Attended) {
        let (now, wait) = (self.now, self.settings.attend);
        let Some(repository) = self.repositories.get_mut(repo) else {
            return;
        };
        repository.attending = false;
        repository.attend_due = if attended.open > 0 { now + wait } else { NEVER };
        repository.merge_due = attended.queued;
        self.answers.retain(|key, _| key.repo != *repo);
        for (issue, pull) in &attended.answers {
            let key = IssueKey {
                repo: repo.clone(),
                number: *issue,
            };
            if !self.running.contains_key(&key) {
                self.answers.insert(key, *pull);
            }
        }
    }
}

fn state_name(brief: &Brief) -> &'static str {
    match brief.state {
        IssueState::Open => "open",
        IssueState::Closed => "closed",
    }
}

fn problem_of(outcome: &Outcome) -> Problem {
    match outcome {
        Outcome::Failed { problem } => problem.clone(),
        other => Problem::new(Code::new(916), ExitStatus::Later, other.word()),
    }
}
