//! Answers about repositories that are good for some time.

use std::collections::BTreeMap;
use std::time::Duration;

use timmy_core::RepoName;
use timmy_telemetry::health::Look;

/// When each repository was asked about, and what the answer was.
pub(super) struct Answers<T>(BTreeMap<RepoName, (Duration, T)>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone> Answers<T> {
    /// The answer, if it is younger than this.
    pub(super) fn get(&self, repo: &RepoName, now: Duration, good_for: Duration) -> Option<T> {
        let (asked, answer) = self.0.get(repo)?;
        (now.saturating_sub(*asked) < good_for).then(|| answer.clone())
    }

    /// Keeps an answer; why there is none is not kept.
    pub(super) fn keep(&mut self, repo: &RepoName, now: Duration, look: Look<T>) -> Look<T> {
        let answer = look?;
        self.0.insert(repo.clone(), (now, answer.clone()));
        Ok(answer)
    }

    /// The answer is not good any more.
    pub(super) fn forget(&mut self, repo: &RepoName) {
        self.0.remove(repo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_until_it_is_old_or_something_happened() {
        let repo: RepoName = "me/project".parse().unwrap();
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let mut answers = Answers::default();
        assert_eq!(None, answers.get(&repo, minutes(0), minutes(10)));
        assert_eq!(Ok(7), answers.keep(&repo, minutes(0), Ok(7)));
        assert_eq!(Some(7), answers.get(&repo, minutes(9), minutes(10)));
        assert_eq!(None, answers.get(&repo, minutes(10), minutes(10)));
        let dark = Err("it is dark".to_owned());
        assert_eq!(dark, answers.keep(&repo, minutes(9), dark.clone()));
        assert_eq!(Some(7), answers.get(&repo, minutes(9), minutes(10)));
        answers.forget(&repo);
        assert_eq!(None, answers.get(&repo, minutes(9), minutes(10)));
    }
}
