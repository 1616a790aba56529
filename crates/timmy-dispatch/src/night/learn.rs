//! How inputs change what the core knows.

use std::time::Duration;

use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::event::Outcome;
use timmy_core::fault::Platform;
use timmy_forge::IssueState;

use super::action::Purpose;
use super::backoff;
use super::brief::Brief;
use super::failure;
use super::failure::Fault;
use super::input::Attended;
use super::input::Declined;
use super::input::Ended;
use super::input::Input;
use super::input::Recheck;
use super::input::Stop;
use super::pause::LONGEST_PAUSE;
use super::settings::Settings;
use super::state::Hold;
use super::state::Known;
use super::state::NEVER;
use super::state::Pause;
use super::state::Release;
use super::state::Scope;
use super::state::Stage;
use super::state::State;
use crate::selection;

/// After a run that ended with a result its issue is looked at again. Section 8.4 of the Symphony
/// specification.
const CONTINUATION: Duration = Duration::from_secs(1);
/// How long a quarantine lasts at least when nothing but the base changes; doubled each time.
const FIRST_QUARANTINE: Duration = Duration::from_secs(1_800);
const LONGEST_QUARANTINE: Duration = Duration::from_secs(8 * 3_600);
/// After a claim was lost.
const AFTER_LOSS: Duration = Duration::from_secs(60);

impl State {
    /// Takes note of an input. Time never goes back: an earlier `at` counts as now.
    pub(super) fn learn(&mut self, at: Duration, input: &Input) {
        self.now = self.now.max(at);
        self.let_go();
        self.unsettled |= !matches!(
            input,
            Input::Tick | Input::Began { .. } | Input::Heard { .. } | Input::Woken { .. }
        );
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
            Input::Asked(asked) => self.asked(asked),
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
                break;
            }
            self.timers.remove(&(due, key.clone()));
            self.unsettled = true;
            self.release(&key);
        }
        let over = |(scope, pause): &(&Scope, &Pause)| {
            matches!(scope, Scope::BudgetOf(_)) && pause.until <= self.now
        };
        let over = self.pauses.iter().filter(over).map(|(scope, _)| scope);
        for scope in over.cloned().collect::<Vec<_>>() {
            self.unsettled = true;
            self.resume(&scope);
        }
    }

    fn configure(&mut self, settings: &Settings) {
        self.settings = settings.clone();
        // Whoever edits the settings may have raised a budget: the next attempt finds out.
        let budget = |scope: &&Scope| matches!(scope, Scope::Budget | Scope::BudgetOf(_));
        let budgets: Vec<Scope> = self.pauses.keys().filter(budget).cloned().collect();
        for scope in budgets {
            self.resume(&scope);
        }
        let wanted = &settings.repositories;
        self.repositories.retain(|repo, _| wanted.contains(repo));
        for repo in wanted {
            self.repositories.entry(repo.clone()).or_default();
        }
        let left = |scope: &&Scope| {
            scope
                .repository()
                .is_some_and(|repo| !wanted.contains(repo))
        };
        let left: Vec<Scope> = self.pauses.keys().filter(left).cloned().collect();
        for scope in left {
            self.resume(&scope);
        }
        let gone = |key: &IssueName| !wanted.contains(&key.repo);
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
                self.note(key.repo.clone(), known);
            }
        }
        self.timers.retain(|(_, key)| self.known.contains_key(key));
        self.frozen.retain(|key| self.known.contains_key(key));
    }

    /// Remembers an issue, with its hold, and makes it ready when nothing keeps it.
    pub(super) fn note(&mut self, repo: RepoName, known: Known) {
        let key = IssueName {
            repo,
            number: known.brief.number,
        };
        let rules = &self.settings.selection;
        let subject = known.brief.subject();
        let answers = selection::judge_subject(subject, rules, &self.settings.login);
        let excluded = selection::failure(&answers).map(str::to_owned);
        let excluded = excluded.or_else(|| {
            let terms = &self.repositories.get(&key.repo)?.terms;
            terms.excludes(state_name(&known.brief), &known.brief.labels)
        });
        if let Some(running) = self.running.get_mut(&key)
            && running.purpose == Purpose::Resolve
            && let Some(reason) = &excluded
        {
            running.unwanted = Some(reason.clone());
        }
        let rank = known.rank(rules);
        let runs = self.running.contains_key(&key);
        if excluded.is_none() && known.hold.is_none() && !runs {
            self.ready.insert((rank, key.clone()));
        }
        self.known.insert(key, Known { excluded, ..known });
    }

    /// Forgets an issue, with everything that waits for it.
    pub(super) fn forget(&mut self, key: &IssueName) -> Option<Known> {
        let known = self.known.remove(key)?;
        let rank = known.rank(&self.settings.selection);
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

    pub(super) fn not_wanted(&mut self, key: &IssueName, reason: &str) {
        if let Some(running) = self.running.get_mut(key)
            && running.purpose == Purpose::Resolve
        {
            running.unwanted = Some(reason.to_owned());
        }
    }

    pub(super) fn release(&mut self, key: &IssueName) {
        self.frozen.remove(key);
        let runs = self.running.contains_key(key);
        let Some(known) = self.known.get_mut(key) else {
            return;
        };
        known.hold = None;
        if known.excluded.is_none() && !runs {
            let rank = known.rank(&self.settings.selection);
            self.ready.insert((rank, key.clone()));
        }
    }

    pub(super) fn hold(&mut self, key: &IssueName, hold: Hold) {
        let Some(known) = self.forget(key) else {
            return;
        };
        match hold.release {
            Release::At(due) => drop(self.timers.insert((due, key.clone()))),
            Release::IssueEdited
            | Release::IssueChanges
            | Release::RepositoryChanges
            | Release::PersonAsks => drop(self.frozen.insert(key.clone())),
        }
        let hold = Some(hold);
        self.note(key.repo.clone(), Known { hold, ..known });
    }

    fn declined(&mut self, key: &IssueName, declined: &Declined) {
        self.running.remove(key);
        self.end_trials(key);
        let release = match declined.recheck {
            Recheck::After(wait) => Release::At(self.now + wait),
            Recheck::IssueEdited => Release::IssueEdited,
            Recheck::IssueChanges => Release::IssueChanges,
            Recheck::RepositoryChanges => Release::RepositoryChanges,
            Recheck::PersonAsks => Release::PersonAsks,
        };
        let hold = Hold {
            reason: declined.reason.clone(),
            release,
            retry: None,
            settled: Duration::ZERO,
        };
        self.hold(key, hold);
    }

    fn ended(&mut self, key: &IssueName, ended: &Ended) {
        let ran = self.running.remove(key);
        let asked_to_stop = ran.as_ref().is_some_and(|running| running.asked_to_stop);
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
            Fault::Platform(Platform::Budget) if of_repository(&ended.outcome) => {
                self.end_trials(key);
                let problem = problem_of(&ended.outcome);
                let wait = ended.lasts.unwrap_or(LONGEST_PAUSE);
                self.pause(Scope::BudgetOf(key.repo.clone()), &problem, wait);
                self.release(key);
            }
            Fault::Platform(platform) => {
                let scope = Scope::from(platform);
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
                    settled: Duration::ZERO,
                };
                if lost {
                    self.hold(key, hold);
                } else if asked_to_stop {
                    self.hold_for_a_person(key);
                } else {
                    self.release(key);
                }
            }
        }
    }

    /// An attempt that the agent or the issue is to blame for.
    fn failed(&mut self, key: &IssueName, ended: &Ended) {
        if let Some(mut known) = self.forget(key) {
            known.failures += 1;
            self.note(key.repo.clone(), known);
        }
        let failures = ended.failed_attempts.max(1);
        let reason = format!(
            "the last attempt ended: {}",
            ended.outcome.word().replace('_', " ")
        );
        let most = self.settings.selection.attempts;
        if failures >= most {
            let all = self.known.get(key).map_or(failures, |known| known.failures);
            let times = all.div_ceil(most.max(1));
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
                settled: self.now + backoff::delay(FIRST_QUARANTINE, LONGEST_QUARANTINE, times),
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

    fn retry(&mut self, key: &IssueName, attempt: u32, due: Duration, reason: &str) {
        let hold = Hold {
            reason: reason.to_owned(),
            release: Release::At(due),
            retry: Some(attempt),
            settled: Duration::ZERO,
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
            let key = IssueName {
                repo: repo.clone(),
                number: *issue,
            };
            // While the issue itself is looked at its answer waits; one that is being given does not
            // begin again.
            let running = self.running.get(&key).map(|running| running.purpose);
            if matches!(running, None | Some(Purpose::Resolve)) {
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

/// Whether a spent budget is that of one repository.
fn of_repository(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { problem } => problem.place.as_deref() == Some("budget.per_repository"),
        _ => false,
    }
}

fn problem_of(outcome: &Outcome) -> Problem {
    match outcome {
        Outcome::Failed { problem } => problem.clone(),
        other => Problem::new(Code::new(916), ExitStatus::Later, other.word()),
    }
}
