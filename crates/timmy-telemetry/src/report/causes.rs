//! Failures grouped by their cause.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use timmy_core::Code;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::fault::Fault;
use timmy_core::fault::Platform;
use timmy_core::fault::fault;
use timmy_store::runs::RunSummary;

use super::words::short;

/// Digits of a number in hexadecimal from which on it is taken for a name of something.
const NAME_DIGITS: usize = 7;

/// Whose fault a failure is; see [`timmy_core::fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// A platform's: a person or time mends it, and no issue is to blame.
    Platform(Platform),
    /// The repository's own settings'.
    Repository,
    /// The agent's, or the issue's.
    Agent,
    /// Nobody's.
    Nobody,
}

impl Whose {
    /// Whose fault, in words.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Platform(platform) => format!("platform: {}", platform.word()),
            Self::Repository => "repository".to_owned(),
            Self::Agent => "agent".to_owned(),
            Self::Nobody => "nobody".to_owned(),
        }
    }

    /// Whose fault an outcome is; none for a pull request whose check passed. A draft is a result for
    /// the loop, but its check failed.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        if matches!(outcome, Outcome::Draft { .. }) {
            return Some(Self::Agent);
        }
        match fault(outcome) {
            Fault::Answered => None,
            Fault::Agent => Some(Self::Agent),
            Fault::Repository => Some(Self::Repository),
            Fault::Platform(platform) => Some(Self::Platform(platform)),
            Fault::Nobody => Some(Self::Nobody),
        }
    }
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Whose fault it is.
    pub whose: Whose,
    /// The code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// How the runs ended, in a word.
    pub outcome: String,
    /// What happened, in the words of the newest run.
    pub what: String,
    /// What to do about it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// How many runs.
    pub count: u64,
    /// The issues they were on.
    pub issues: BTreeSet<IssueName>,
    /// The newest of the runs.
    pub newest: RunId,
}

/// The runs that ended without a passed check in a pull request, for which the agent or the issue is to
/// blame.
pub(super) fn failed(runs: &[RunSummary]) -> impl Iterator<Item = &RunSummary> {
    runs.iter().filter(|run| {
        let outcome = run.outcome.as_ref();
        outcome.and_then(Whose::of) == Some(Whose::Agent)
    })
}

/// Groups the failures of runs, which come oldest first. The largest group comes first; of equally
/// large ones that of platforms, which hold everybody up.
#[must_use]
pub(super) fn group(runs: &[RunSummary]) -> Vec<Cause> {
    let mut groups: BTreeMap<(Whose, Option<Code>, &'static str, String), Cause> = BTreeMap::new();
    for run in runs {
        let Some(outcome) = &run.outcome else {
            continue;
        };
        let Some(whose) = Whose::of(outcome) else {
            continue;
        };
        let told = Told::of(run, outcome);
        let word = match outcome {
            Outcome::Draft { .. } => Outcome::CheckFailed.word(),
            other => other.word(),
        };
        let key = (whose, told.code, word, normalised(&told.what));
        let issue = IssueName {
            repo: run.repo.clone(),
            number: run.issue,
        };
        let cause = groups.entry(key).or_insert_with(|| Cause {
            whose,
            code: told.code,
            outcome: word.to_owned(),
            what: String::new(),
            fix: None,
            count: 0,
            issues: BTreeSet::new(),
            newest: run.run.clone(),
        });
        cause.count += 1;
        cause.issues.insert(issue);
        cause.newest = run.run.clone();
        (cause.what, cause.fix) = (told.what, told.fix);
    }
    let mut causes: Vec<Cause> = groups.into_values().collect();
    causes.sort_by_key(|cause| (std::cmp::Reverse(cause.count), cause.whose));
    causes
}

/// What a failure says of itself.
struct Told {
    code: Option<Code>,
    what: String,
    fix: Option<String>,
}

impl Told {
    fn of(run: &RunSummary, outcome: &Outcome) -> Self {
        let plain = |what: String| Self {
            code: None,
            what,
            fix: None,
        };
        match outcome {
            Outcome::Failed { problem } => Self::of_problem(problem),
            Outcome::Stopped { code } => Self {
                code: Some(*code),
                what: "a limit or the loop detector stopped the agent".to_owned(),
                fix: None,
            },
            Outcome::CheckFailed | Outcome::Draft { .. } => plain(check_failure(run)),
            Outcome::NoChange => plain("the agent changed nothing".to_owned()),
            Outcome::Blocked => plain("publication was refused".to_owned()),
            Outcome::ClaimLost => plain("the claim was lost to another host".to_owned()),
            Outcome::Abandoned => plain("its process was killed".to_owned()),
            Outcome::Cancelled { reason } => plain(short(reason)),
            Outcome::Stalled { .. } => plain("nothing was heard of it for too long".to_owned()),
            Outcome::PullRequest { .. } => plain(String::new()),
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        Self {
            code: Some(problem.code),
            what: short(&problem.what),
            fix: problem.fix.as_deref().map(short),
        }
    }
}

/// How a check failed: the last line it printed, which in most test runners names the failure.
#[must_use]
pub(super) fn check_failure(run: &RunSummary) -> String {
    let Some(receipt) = &run.receipt else {
        return "the check failed".to_owned();
    };
    let lines = receipt.output_tail.lines().rev();
    let last = lines.map(short).find(|line| !line.is_empty());
    let how = match receipt.exit_code {
        Some(code) => format!("exit {code}"),
        None => "no exit code".to_owned(),
    };
    match last {
        Some(line) => short(&format!("the check failed ({how}): {line}")),
        None => format!("the check failed ({how}) and printed nothing"),
    }
}

/// A message without what differs from one time to the next: numbers, hashes, ids.
#[must_use]
pub(super) fn normalised(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|character: char| !character.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        if end == 0 {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        kept.push_str(&of_word(word));
        rest = after;
    }
    kept
}

fn of_word(word: &str) -> String {
    let digits = word.bytes().any(|byte| byte.is_ascii_digit());
    let hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && hexadecimal && word.len() >= NAME_DIGITS {
        return "N".to_owned();
    }
    let mut kept = String::with_capacity(word.len());
    for character in word.chars() {
        match character {
            '0'..='9' if kept.ends_with('N') => {}
            '0'..='9' => kept.push('N'),
            other => kept.push(other.to_ascii_lowercase()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_each_time_is_left_out() {
        for (one, other) in [
            ("took 12 s", "took 7000 s"),
            ("run 019abc12 is gone", "run 77aa0011 is gone"),
            ("at 1a2b3c4d5e6f", "at 99887766554433"),
            ("Line 3: Failed", "line 44: failed"),
        ] {
            assert_eq!(normalised(one), normalised(other));
        }
        assert_ne!(normalised("a deed failed"), normalised("a face failed"));
    }

    proptest! {
        #[test]
        fn what_is_normalised_stays_so(text in any::<String>()) {
            let once = normalised(&text);
            prop_assert!(!once.bytes().any(|byte| byte.is_ascii_digit()));
            prop_assert!(once.chars().count() <= text.chars().count());
        }
    }
}
