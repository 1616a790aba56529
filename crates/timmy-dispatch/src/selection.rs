//! Which issue comes next, and why the others do not.
//!
//! Pure: what has to be known about an issue is gathered first ([`Candidate`]), then every rule is
//! asked. The same answers choose the issue of a sprint and fill `timmy explain REPO#N`.

use serde::Deserialize;
use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::event::PassedOver;
use timmy_core::text;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_telemetry::report::post::TITLE_MARK;

/// What an operator decides about selection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionSettings {
    /// Labels an issue must all have. Compared without case and the space around them.
    pub require_labels: Vec<String>,
    /// Labels an issue must not have. Compared without case; what follows a `/` or `:` counts too,
    /// so `kind/epic` is an epic.
    pub exclude_labels: Vec<String>,
    /// Words that mark a title when they stand at its start: `[EPIC] ...`, `Study: ...`.
    pub exclude_titles: Vec<String>,
    /// Labels from the most urgent to the least. An issue without any comes after the second.
    pub priority_labels: Vec<String>,
    /// Attempts from the same text, base, model and prompt after which an issue is left alone until
    /// one of them changes.
    pub attempts: u32,
    /// Attempts from whatever beginnings after which an issue waits for a person.
    pub attempts_in_all: u32,
}

impl Default for SelectionSettings {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            require_labels: Vec::new(),
            exclude_labels: words(&[
                "epic",
                "study",
                "blocked",
                "wontfix",
                "duplicate",
                "invalid",
                "question",
                "hold",
            ]),
            exclude_titles: words(&["epic", "study", "wip"]),
            priority_labels: words(&["P0", "P1", "P2", "P3"]),
            attempts: 3,
            attempts_in_all: 12,
        }
    }
}

/// The part of an issue that the rules read which need nothing looked up.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its title.
    pub title: &'a str,
    /// The names of its labels.
    pub labels: &'a [String],
    /// The logins of those it is assigned to.
    pub assignees: &'a [String],
    /// Whether it is open.
    pub state: IssueState,
}

impl<'a> From<&'a Issue> for Subject<'a> {
    fn from(issue: &'a Issue) -> Self {
        Self {
            title: &issue.title,
            labels: &issue.labels,
            assignees: &issue.assignees,
            state: issue.state,
        }
    }
}

/// A blocker of an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// Its number.
    pub number: IssueNumber,
    /// Whether it is still open.
    pub open: bool,
}

/// What timmy did or people decided about an issue before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Past {
    /// An open pull request for the issue.
    pub open_pull: Option<IssueNumber>,
    /// A pull request for the issue that a person closed without merging.
    pub refused_pull: Option<IssueNumber>,
    /// A pull request for the issue that was merged.
    pub merged_pull: Option<IssueNumber>,
    /// The newest run, as people name it, when a person stopped it and nothing changed since.
    pub stopped_run: Option<String>,
    /// Runs that began from the same text, base, model and prompt and ended without a pull request.
    pub failed_attempts: u32,
    /// All runs that ended without one and said something about the issue.
    pub failed_in_all: u32,
}

/// An issue and everything the rules ask about it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The issue.
    pub issue: Issue,
    /// What must be closed before it. `None` when that was not looked up.
    pub blockers: Option<Vec<Blocker>>,
    /// Who holds its claim, if anybody does: a sentence.
    pub claim: Option<String>,
    /// What happened before.
    pub past: Past,
}

/// One rule's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The rule.
    pub rule: &'static str,
    /// Whether the issue passes it. `None` when it was not asked.
    pub passed: Option<bool>,
    /// What it found, as a sentence.
    pub finding: String,
}

impl Answer {
    fn of(rule: &'static str, failure: Option<String>, success: &str) -> Self {
        let passed = Some(failure.is_none());
        Self {
            rule,
            passed,
            finding: failure.unwrap_or_else(|| success.to_owned()),
        }
    }
}

/// Asks every rule about an issue, in the order in which they are told to people.
#[must_use]
pub fn judge(candidate: &Candidate, settings: &SelectionSettings, own_login: &str) -> Vec<Answer> {
    let subject = Subject::from(&candidate.issue);
    let mut answers = judge_subject(subject, settings, own_login).to_vec();
    answers.extend([
        Answer::of(
            "pull request",
            pull(&candidate.past),
            "no pull request answers it yet",
        ),
        Answer::of(
            "stopped",
            stopped(&candidate.past),
            "no person stopped its last run",
        ),
        Answer::of(
            "attempts",
            tried_too_often(&candidate.past, settings),
            "it was not tried too often",
        ),
        blocked(candidate),
        Answer::of("claim", candidate.claim.clone(), "nobody works on it"),
    ]);
    answers
}

/// Asks the rules that need nothing looked up, in the same order.
#[must_use]
pub fn judge_subject(
    subject: Subject<'_>,
    settings: &SelectionSettings,
    own_login: &str,
) -> [Answer; 4] {
    [
        Answer::of("open", closed(subject), "it is open"),
        Answer::of(
            "kind",
            excluded_kind(subject, settings),
            "it is neither epic nor study",
        ),
        Answer::of(
            "labels",
            missing_labels(subject, settings),
            "it has the labels asked for",
        ),
        Answer::of(
            "assignee",
            assigned(subject, own_login),
            "nobody else is assigned",
        ),
    ]
}

/// The first rule that failed.
#[must_use]
pub fn first_failure(answers: &[Answer]) -> Option<&Answer> {
    answers.iter().find(|answer| answer.passed == Some(false))
}

/// The first rule that failed, as a sentence.
#[must_use]
pub fn failure(answers: &[Answer]) -> Option<&str> {
    first_failure(answers).map(|answer| answer.finding.as_str())
}

/// The answer for an issue that was not chosen.
#[must_use]
pub fn passed_over(issue: IssueNumber, answers: &[Answer]) -> Option<PassedOver> {
    failure(answers).map(|reason| PassedOver {
        issue,
        reason: reason.to_owned(),
    })
}

/// Puts issues in the order in which they are worked on: by priority label, then the oldest first.
pub fn order(issues: &mut [Issue], settings: &SelectionSettings) {
    issues.sort_by_key(|issue| (tier(issue.into(), settings), issue.number));
}

/// The tier of an issue, 0 for the most urgent one.
#[must_use]
pub fn tier(issue: Subject<'_>, settings: &SelectionSettings) -> usize {
    const UNLABELLED: usize = 2;
    let rank = |wanted: &String| issue.labels.iter().any(|label| is_label(label, wanted));
    let ranked = settings.priority_labels.iter().position(rank);
    // An issue nobody ranked stands between the second and the third rank.
    match ranked {
        Some(rank) if rank >= UNLABELLED => rank + 1,
        Some(rank) => rank,
        None => UNLABELLED,
    }
}

/// 1 to 4 for the first to the fourth of the priority labels; the most urgent one counts.
#[must_use]
pub fn priority_label(labels: &[String], settings: &SelectionSettings) -> Option<u8> {
    const RANKED: usize = 4;
    let has = |wanted: &String| labels.iter().any(|label| is_label(label, wanted));
    let rank = settings.priority_labels.iter().take(RANKED).position(has)?;
    u8::try_from(rank + 1).ok()
}

/// Whether a label is a word, whole or as its last part.
fn is_label(label: &str, word: &str) -> bool {
    let last = label.rsplit(['/', ':']).next().unwrap_or(label).trim();
    label.eq_ignore_ascii_case(word) || last.eq_ignore_ascii_case(word)
}

fn closed(issue: Subject<'_>) -> Option<String> {
    match issue.state {
        IssueState::Open => None,
        IssueState::Closed => Some("it is closed".to_owned()),
    }
}

fn excluded_kind(issue: Subject<'_>, settings: &SelectionSettings) -> Option<String> {
    let excluded = |label: &&String| {
        settings
            .exclude_labels
            .iter()
            .any(|word| is_label(label, word))
    };
    if issue.title.trim_start().starts_with(TITLE_MARK) {
        return Some("it is a report of timmy's".to_owned());
    }
    if let Some(label) = issue.labels.iter().find(excluded) {
        return Some(format!("it is labelled `{}`", text::clean_line(label)));
    }
    let word = settings
        .exclude_titles
        .iter()
        .find(|word| titled(issue.title, word))?;
    Some(format!("its title marks it as `{word}`"))
}

/// Whether a title starts with `[word]`, `(word)`, `word:` or `word -`.
fn titled(title: &str, word: &str) -> bool {
    let title = title.trim_start().to_lowercase();
    let inner = title.trim_start_matches(['[', '(']);
    let Some(rest) = inner.strip_prefix(&word.to_lowercase()) else {
        return false;
    };
    let bracketed = inner.len() < title.len() && rest.starts_with([']', ')']);
    bracketed || rest.trim_start().starts_with(':') || rest.starts_with(" - ")
}

fn missing_labels(issue: Subject<'_>, settings: &SelectionSettings) -> Option<String> {
    // A blank label in the settings is one that no issue has.
    let same = |label: &str, wanted: &str| {
        !wanted.is_empty() && label.trim().to_lowercase() == wanted.to_lowercase()
    };
    let has = |wanted: &&String| issue.labels.iter().any(|label| same(label, wanted.trim()));
    let missing = settings.require_labels.iter().find(|wanted| !has(wanted))?;
    Some(format!("it lacks the label `{missing}`"))
}

fn assigned(issue: Subject<'_>, own_login: &str) -> Option<String> {
    let others = |name: &&String| !name.eq_ignore_ascii_case(own_login);
    let other = issue.assignees.iter().find(others)?;
    Some(format!("it is assigned to {}", text::clean_line(other)))
}

fn pull(past: &Past) -> Option<String> {
    if let Some(number) = past.open_pull {
        return Some(format!("pull request #{number} is open for it"));
    }
    if let Some(number) = past.merged_pull {
        return Some(format!("pull request #{number} for it was merged"));
    }
    let number = past.refused_pull?;
    Some(format!(
        "pull request #{number} for it was closed by a person, which is an answer"
    ))
}

fn stopped(past: &Past) -> Option<String> {
    let run = past.stopped_run.as_ref()?;
    Some(format!(
        "a person stopped run {run}; it is tried again when the issue changes, after \
         `timmy resume`, or with `timmy sprint --issue`"
    ))
}

fn tried_too_often(past: &Past, settings: &SelectionSettings) -> Option<String> {
    if past.failed_in_all >= settings.attempts_in_all {
        return Some(format!(
            "{} attempts failed; `timmy sprint --issue` tries again",
            past.failed_in_all
        ));
    }
    (past.failed_attempts >= settings.attempts).then(|| {
        format!(
            "{} attempts failed from the same text, base, model and prompt; it is tried again when \
             one of them changes, or with `timmy sprint --issue`",
            past.failed_attempts
        )
    })
}

fn blocked(candidate: &Candidate) -> Answer {
    let Some(blockers) = &candidate.blockers else {
        let finding = "not looked up: an earlier rule decided".to_owned();
        return Answer {
            rule: "blockers",
            passed: None,
            finding,
        };
    };
    let open: Vec<String> = blockers
        .iter()
        .filter(|b| b.open)
        .map(|b| format!("#{}", b.number))
        .collect();
    let failure = (!open.is_empty()).then(|| format!("it is blocked by {}", open.join(", ")));
    Answer::of("blockers", failure, "nothing blocks it")
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
