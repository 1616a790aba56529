//! What needs a person, most pressing first, each with what to do.

use std::collections::BTreeMap;

use serde::Serialize;
use timmy_core::IssueName;
use timmy_core::event::Outcome;
use timmy_core::event::Severity;
use timmy_store::runs::RunSummary;

use super::causes::Cause;
use super::causes::Whose;
use super::causes::check_failure;
use super::forge_view::ForgeView;
use super::hours::Pause;
use super::reading::Gathered;
use super::standing::Disagreement;
use super::standing::Pull;
use super::standing::Standing;
use super::words::count;
use super::words::short;

/// How pressing something is. The order is that of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pressure {
    /// Nothing is done before somebody acts.
    Standstill,
    /// Work was done or begun and cannot go on.
    Stuck,
    /// Work waits for a decision.
    Decision,
    /// Attempts came to nothing.
    Failed,
    /// Log and forge do not agree.
    Disagreement,
    /// It was there before, or may settle by itself.
    Later,
}

impl Pressure {
    /// The words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Standstill => "standstill",
            Self::Stuck => "stuck",
            Self::Decision => "your decision",
            Self::Failed => "came to nothing",
            Self::Disagreement => "disagreement",
            Self::Later => "later",
        }
    }
}

/// One thing a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// How pressing it is.
    pub pressure: Pressure,
    /// The issue or pull request it is about, or something else by its name.
    pub about: String,
    /// What it is, as a sentence.
    pub what: String,
    /// What to do: a command, or a sentence where there is none.
    pub todo: String,
    /// The pull request that has to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<IssueName>,
}

impl Need {
    fn new(pressure: Pressure, about: impl ToString, what: String, todo: String) -> Self {
        Self {
            pressure,
            about: about.to_string(),
            what,
            todo,
            pull: None,
        }
    }
}

/// Everything that needs a person.
#[must_use]
pub(super) fn needs(
    gathered: &Gathered,
    view: &ForgeView,
    pulls: &[Pull],
    causes: &[Cause],
    disagreements: &[Disagreement],
) -> Vec<Need> {
    let mut needs = Vec::new();
    needs.extend(of_pauses(gathered));
    needs.extend(of_alerts(gathered));
    let lasting = causes.iter().filter(|cause| !is_over(gathered, cause));
    needs.extend(lasting.filter_map(of_platform));
    needs.extend(of_quarantine(gathered, view));
    needs.extend(of_issues(gathered, view));
    needs.extend(pulls.iter().filter_map(of_pull));
    needs.extend(older(pulls));
    needs.extend(disagreements.iter().map(of_disagreement));
    needs.sort_by_key(|need| need.pressure);
    needs
}

fn of_pauses(gathered: &Gathered) -> Vec<Need> {
    let lasting = gathered.pauses.iter().filter(|pause| pause.until.is_none());
    let need = |pause: &Pause| {
        if pause.asked {
            let todo = "timmy resume".to_owned();
            return Need::new(Pressure::Standstill, "fleet", asked(pause), todo);
        }
        let code = pause
            .code
            .map(|code| format!("{code} "))
            .unwrap_or_default();
        let what = format!("no attempt begins: {code}{}", pause.why);
        let explain = pause.code.map(|code| format!("timmy explain {code}"));
        let todo = pause.fix.clone().or(explain).unwrap_or_default();
        Need::new(Pressure::Standstill, &pause.scope, what, todo)
    };
    lasting.map(need).collect()
}

/// Who paused the fleet and why, as far as that is known.
fn asked(pause: &Pause) -> String {
    let mut what = "the fleet is PAUSED".to_owned();
    if let Some(by) = &pause.by {
        what.push_str(" by ");
        what.push_str(by);
    }
    if !pause.why.is_empty() {
        what.push_str(": ");
        what.push_str(&pause.why);
    }
    what
}

fn of_alerts(gathered: &Gathered) -> Vec<Need> {
    let need = |(key, (severity, what)): (&timmy_core::event::AlertKey, &(Severity, String))| {
        let pressure = match severity {
            Severity::Critical => Pressure::Standstill,
            Severity::Warning => Pressure::Stuck,
            Severity::Notice => Pressure::Later,
        };
        let what = format!("{} {}", key.code, short(what));
        Need::new(
            pressure,
            short(&key.subject),
            what,
            "timmy health".to_owned(),
        )
    };
    gathered.alerts.iter().map(need).collect()
}

/// Whether a later run did not fail for that reason any more.
fn is_over(gathered: &Gathered, cause: &Cause) -> bool {
    let runs = gathered.runs.iter();
    let mut later = runs.skip_while(|run| run.run != cause.newest).skip(1);
    later.any(|run| {
        let concerned = cause.whose != Whose::Repository
            || cause.issues.iter().any(|issue| issue.repo == run.repo);
        let ended = run.outcome.as_ref();
        concerned && ended.is_some_and(|outcome| Whose::of(outcome) != Some(cause.whose))
    })
}

/// Faults of platforms and settings are told once, however many runs they ended.
fn of_platform(cause: &Cause) -> Option<Need> {
    let about = match cause.whose {
        Whose::Platform(platform) => platform.word().to_owned(),
        Whose::Repository => {
            let repos = cause.issues.iter().map(|issue| issue.repo.to_string());
            let mut repos: Vec<String> = repos.collect();
            repos.dedup();
            short(&repos.join(", "))
        }
        Whose::Agent | Whose::Nobody => return None,
    };
    let code = cause
        .code
        .map(|code| format!("{code} "))
        .unwrap_or_default();
    let runs = count(cause.count, "run", "runs");
    let issues = count(cause.issues.len() as u64, "issue", "issues");
    let what = format!("{code}{} ({runs} on {issues})", cause.what);
    let explain = cause.code.map(|code| format!("timmy explain {code}"));
    let todo = cause.fix.clone().or(explain).unwrap_or_default();
    Some(Need::new(Pressure::Stuck, about, what, todo))
}

fn of_quarantine(gathered: &Gathered, view: &ForgeView) -> Vec<Need> {
    let open = |issue: &IssueName| {
        let open = view.open_issues.get(&issue.repo);
        open.is_none_or(|open| open.contains(&issue.number))
    };
    let lasting = gathered.quarantined.iter().filter(|(issue, _)| open(issue));
    let need = |(issue, attempts): (&IssueName, &u32)| {
        let attempts = count(u64::from(*attempts), "attempt", "attempts");
        let what = format!("quarantined after {attempts} from the same beginnings");
        Need::new(
            Pressure::Stuck,
            issue,
            what,
            format!("timmy explain {issue}"),
        )
    };
    lasting.map(need).collect()
}

/// Issues whose newest run came to nothing through its own fault.
fn of_issues(gathered: &Gathered, view: &ForgeView) -> Vec<Need> {
    let mut newest: BTreeMap<IssueName, &RunSummary> = BTreeMap::new();
    for run in &gathered.runs {
        let issue = IssueName {
            repo: run.repo.clone(),
            number: run.issue,
        };
        newest.insert(issue, run);
    }
    let mut needs = Vec::new();
    for (issue, run) in newest {
        let open = view.open_issues.get(&issue.repo);
        let closed = open.is_some_and(|open| !open.contains(&issue.number));
        if closed || gathered.quarantined.contains_key(&issue) {
            continue;
        }
        needs.extend(of_run(gathered, &issue, run));
    }
    needs
}

fn of_run(gathered: &Gathered, issue: &IssueName, run: &RunSummary) -> Option<Need> {
    let show = format!("timmy show {}", run.run.short());
    let need = |pressure, what: String| Some(Need::new(pressure, issue, what, show.clone()));
    let Some(outcome) = &run.outcome else {
        let what = format!("run {} has no end yet", run.run.short());
        return need(Pressure::Later, what);
    };
    match outcome {
        Outcome::Blocked => {
            let reason = gathered.blocked.get(&run.run).map(|reason| short(reason));
            let reason = reason
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            need(Pressure::Stuck, format!("not published{reason}"))
        }
        Outcome::Failed { problem } if Whose::of(outcome) == Some(Whose::Agent) => {
            let what = format!("{} {}", problem.code, short(&problem.what));
            need(Pressure::Failed, what)
        }
        Outcome::Stopped { code } => need(Pressure::Failed, format!("stopped ({code})")),
        Outcome::CheckFailed => need(Pressure::Failed, check_failure(run)),
        Outcome::NoChange => need(Pressure::Failed, "the agent changed nothing".to_owned()),
        Outcome::Stalled { seconds } => need(
            Pressure::Failed,
            format!("silent for {seconds} s, then stopped"),
        ),
        Outcome::Failed { .. }
        | Outcome::PullRequest { .. }
        | Outcome::Draft { .. }
        | Outcome::ClaimLost
        | Outcome::Abandoned
        | Outcome::Cancelled { .. } => None,
    }
}

fn of_pull(pull: &Pull) -> Option<Need> {
    if pull.from_before {
        return None;
    }
    let Pull { repo, number, .. } = pull;
    let name = format!("{repo}#{number}");
    let about = match pull.issue {
        Some(issue) => format!("{repo}#{issue}"),
        None => name.clone(),
    };
    let why = pull
        .why
        .as_ref()
        .map(|why| format!(" ({why})"))
        .unwrap_or_default();
    let (pressure, what) = match pull.standing {
        Standing::Ready | Standing::Unknown => {
            let check = match pull.check_passed {
                Some(true) => "its check passed",
                Some(false) => "its check FAILED",
                None => "without a receipt of a check",
            };
            let what = format!("review pull request #{number}, {check}{why}");
            (Pressure::Decision, what)
        }
        Standing::ChangesAsked => (
            Pressure::Decision,
            format!("pull request #{number}: changes asked{why}"),
        ),
        Standing::Conflicts => (
            Pressure::Stuck,
            format!("pull request #{number} does not merge without conflict"),
        ),
        Standing::ChecksFailing => (
            Pressure::Stuck,
            format!("pull request #{number}: checks fail{why}"),
        ),
        Standing::Draft => (
            Pressure::Failed,
            format!("draft #{number}, its check FAILED"),
        ),
        Standing::Abandoned => (
            Pressure::Decision,
            format!("pull request #{number} is open{why}; merge or close it"),
        ),
        Standing::Merged | Standing::Rejected | Standing::Missing => return None,
    };
    let need = Need::new(pressure, about, what, format!("timmy pr diff {name}"));
    let pull = IssueName {
        repo: repo.clone(),
        number: *number,
    };
    Some(Need {
        pull: Some(pull),
        ..need
    })
}

/// Pull requests that were there before the window, told together.
fn older(pulls: &[Pull]) -> Option<Need> {
    const NAMED: usize = 5;
    let older = pulls
        .iter()
        .filter(|pull| pull.from_before && pull.standing.is_open());
    let names: Vec<String> = older
        .map(|pull| format!("{}#{}", pull.repo, pull.number))
        .collect();
    let first = names.first()?;
    let many = count(
        names.len() as u64,
        "older pull request waits",
        "older pull requests wait",
    );
    let mut named = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED {
        named.push_str(", ...");
    }
    let todo = format!("timmy pr diff {first}");
    let what = format!("{many}: {named}");
    Some(Need::new(Pressure::Later, "before", what, todo))
}

fn of_disagreement(disagreement: &Disagreement) -> Need {
    let about = format!("{}#{}", disagreement.repo, disagreement.number);
    let (what, todo) = (disagreement.what.clone(), disagreement.todo.clone());
    Need::new(Pressure::Disagreement, about, what, todo)
}
