//! The report: what was done, and what needs a person first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::event::Outcome;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_forge::PullState;
use timmy_store::EventLog;
use timmy_store::StoreError;
use timmy_store::runs::RunSummary;

/// Runs of the past that are looked at.
const RUNS_LOOKED_AT: u32 = 2_000;

/// What happened in a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where it begins; none for everything.
    pub since: Option<Timestamp>,
    /// What a person has to look at, most pressing first.
    pub needs_a_person: Vec<String>,
    /// The runs, oldest first.
    pub runs: Vec<Line>,
    /// How many runs ended how.
    pub outcomes: BTreeMap<String, usize>,
    /// What all model calls used.
    pub usage: Usage,
    /// Whether any run played back a recording.
    pub replayed: bool,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The run, from the log.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Where its pull request stands on the forge now; none when it has none or could not be asked.
    pub pull_state: Option<PullState>,
}

/// Where pull requests stand now, by repository and number, as far as the forge could be asked.
pub type PullStates = BTreeMap<(RepoName, IssueNumber), PullState>;

/// The runs since a time, oldest first.
///
/// # Errors
/// When the log cannot be read.
pub async fn runs_since(
    log: &EventLog,
    since: Option<Timestamp>,
) -> Result<Vec<RunSummary>, StoreError> {
    let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut runs = log.runs_since(since, RUNS_LOOKED_AT).await?;
    runs.reverse();
    Ok(runs)
}

impl Report {
    /// Builds the report of these runs.
    #[must_use]
    pub fn of(since: Option<Timestamp>, runs: Vec<RunSummary>, states: &PullStates) -> Self {
        let mut outcomes = BTreeMap::new();
        for run in &runs {
            let word = run.outcome.as_ref().map_or("no_end", Outcome::word);
            *outcomes.entry(word.to_owned()).or_default() += 1;
        }
        let usage = runs.iter().map(|run| run.usage).sum();
        let replayed = runs
            .iter()
            .any(|run| run.provenance == Provenance::Replayed);
        let lines: Vec<Line> = runs
            .into_iter()
            .map(|run| {
                let number = run.pull_request.as_ref().map(|pull| pull.number);
                let key = number.map(|number| (run.repo.clone(), number));
                let pull_state = key.and_then(|key| states.get(&key).copied());
                Line { run, pull_state }
            })
            .collect();
        let mut needs: Vec<(u8, String)> = lines.iter().filter_map(Line::need).collect();
        needs.sort_by_key(|(urgency, _)| *urgency);
        let needs_a_person = needs.into_iter().map(|(_, need)| need).collect();
        Self {
            since,
            needs_a_person,
            runs: lines,
            outcomes,
            usage,
            replayed,
        }
    }
}

impl Line {
    /// What a person has to do about it, and how pressing that is (0 is most).
    fn need(&self) -> Option<(u8, String)> {
        let run = &self.run;
        let issue = format!("{}#{}", run.repo, run.issue);
        let short = run.run.short();
        match (&run.outcome, self.pull_state) {
            (None, _) => Some((3, format!("{issue}: run {short} has no end yet"))),
            (Some(_), Some(PullState::Merged | PullState::Closed)) => None,
            (Some(Outcome::PullRequest { number }), _) => Some((
                2,
                format!("{issue}: review pull request #{number}, its check passed"),
            )),
            (Some(Outcome::Draft { number }), _) => {
                Some((1, format!("{issue}: draft #{number}, its check FAILED")))
            }
            (Some(Outcome::Blocked), _) => Some((
                0,
                format!("{issue}: not published; `timmy show {short}` says why"),
            )),
            (Some(Outcome::Failed { problem }), _) => {
                Some((0, format!("{issue}: {} {}", problem.code, problem.what)))
            }
            (Some(Outcome::Stopped { code }), _) => Some((
                1,
                format!("{issue}: stopped ({code}); `timmy show {short}` says more"),
            )),
            (Some(Outcome::CheckFailed), _) => Some((
                1,
                format!("{issue}: the check failed, nothing was published"),
            )),
            (Some(Outcome::NoChange), _) => Some((
                1,
                format!("{issue}: the agent changed nothing; `timmy show {short}`"),
            )),
            (Some(Outcome::Stalled { seconds }), _) => Some((
                1,
                format!("{issue}: silent for {seconds} s, then stopped; `timmy show {short}`"),
            )),
            (Some(Outcome::ClaimLost | Outcome::Abandoned | Outcome::Cancelled { .. }), _) => None,
        }
    }
}
