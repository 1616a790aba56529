//! Pull requests as log and forge have them together, and where the two disagree.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_forge::PullState;
use timmy_store::runs::RunSummary;

use super::forge_view::ForgeView;
use super::forge_view::Found;
use super::forge_view::Seen;
use super::forge_view::Wanted;
use super::models::passed;
use super::reading::Gathered;
use super::words::short;

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its commits are in the base branch.
    Merged,
    /// It waits for a person's decision, and nothing speaks against it.
    Ready,
    /// A person wants something changed first.
    ChangesAsked,
    /// It does not merge without conflict.
    Conflicts,
    /// A commit status failed.
    ChecksFailing,
    /// It is marked as not ready: its check failed.
    Draft,
    /// A person closed it without merging.
    Rejected,
    /// It is open, but its issue is closed: it answers nothing any more.
    Abandoned,
    /// The forge has none of that number.
    Missing,
    /// The forge could not be asked.
    Unknown,
}

impl Standing {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 10] = [
        Self::Merged,
        Self::Ready,
        Self::ChangesAsked,
        Self::Conflicts,
        Self::ChecksFailing,
        Self::Draft,
        Self::Rejected,
        Self::Abandoned,
        Self::Missing,
        Self::Unknown,
    ];

    /// The words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Ready => "ready for review",
            Self::ChangesAsked => "changes asked",
            Self::Conflicts => "conflicts",
            Self::ChecksFailing => "checks failing",
            Self::Draft => "draft",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
            Self::Missing => "not on the forge",
            Self::Unknown => "not known",
        }
    }

    /// Whether it is open on the forge.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Ready
            | Self::ChangesAsked
            | Self::Conflicts
            | Self::ChecksFailing
            | Self::Draft
            | Self::Abandoned => true,
            Self::Merged | Self::Rejected | Self::Missing | Self::Unknown => false,
        }
    }
}

/// A pull request of timmy's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// The repository.
    pub repo: RepoName,
    /// Its number.
    pub number: IssueNumber,
    /// The issue it is for, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueNumber>,
    /// The issue's title, or its own.
    pub title: String,
    /// Where it stands on the forge now.
    pub standing: Standing,
    /// Why, where there is more to say: who asks for changes, which statuses fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The newest run of the window that worked on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Whether the check of that run passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_passed: Option<bool>,
    /// True when no run of the window worked on it: it was there before.
    pub from_before: bool,
}

/// Something that log and forge do not agree about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The repository.
    pub repo: RepoName,
    /// The issue or pull request it is about.
    pub number: IssueNumber,
    /// Whether that is a pull request.
    pub is_pull: bool,
    /// What log and forge say, as a sentence.
    pub what: String,
    /// What to do about it: a command.
    pub todo: String,
}

type Key = (RepoName, IssueNumber);

/// What the forge has to be asked about, for these repositories and all that the log names.
#[must_use]
pub fn wanted(gathered: &Gathered, repositories: &[RepoName]) -> Wanted {
    let mut wanted: Wanted = repositories
        .iter()
        .map(|repo| (repo.clone(), BTreeSet::new()))
        .collect();
    for run in &gathered.runs {
        let of_repo = wanted.entry(run.repo.clone()).or_default();
        of_repo.extend(run.pull_request.as_ref().map(|pull| pull.number));
    }
    let told = gathered.merged.keys().chain(gathered.refused.keys());
    for (repo, number) in told {
        wanted.entry(repo.clone()).or_default().insert(*number);
    }
    wanted
}

/// Puts log and forge together.
#[must_use]
pub(super) fn reconcile(gathered: &Gathered, view: &ForgeView) -> (Vec<Pull>, Vec<Disagreement>) {
    let newest = newest_runs(&gathered.runs);
    let mut pulls: BTreeMap<Key, Pull> = BTreeMap::new();
    for (key, run) in &newest {
        pulls.insert(key.clone(), of_run(gathered, view, key, run));
    }
    let told = gathered.merged.iter();
    let told = told.map(|(key, (issue, _))| (key, *issue));
    let refused = gathered.refused.iter().map(|(key, issue)| (key, *issue));
    for (key, issue) in told.chain(refused) {
        let known = pulls.entry(key.clone());
        known.or_insert_with(|| of_before(gathered, view, key, Some(issue)));
    }
    for key in view.pulls.keys() {
        let known = pulls.entry(key.clone());
        known.or_insert_with(|| of_before(gathered, view, key, None));
    }
    let disagreements = disagreements(gathered, view, &pulls, &newest);
    let mut pulls: Vec<Pull> = pulls.into_values().collect();
    pulls.sort_by(|one, other| {
        let place = |pull: &Pull| {
            (
                pull.standing,
                pull.from_before,
                pull.repo.clone(),
                pull.number,
            )
        };
        place(one).cmp(&place(other))
    });
    (pulls, disagreements)
}

/// The newest run that opened or updated each pull request.
fn newest_runs(runs: &[RunSummary]) -> BTreeMap<Key, &RunSummary> {
    let of = |run: &RunSummary| Some((run.repo.clone(), run.pull_request.as_ref()?.number));
    runs.iter()
        .filter_map(|run| Some((of(run)?, run)))
        .collect()
}

fn of_run(gathered: &Gathered, view: &ForgeView, key: &Key, run: &RunSummary) -> Pull {
    let (standing, why) = standing(gathered, view, key, Some(run.issue));
    Pull {
        repo: key.0.clone(),
        number: key.1,
        issue: Some(run.issue),
        title: short(&run.title),
        standing,
        why,
        run: Some(run.run.clone()),
        check_passed: passed(run),
        from_before: false,
    }
}

fn of_before(gathered: &Gathered, view: &ForgeView, key: &Key, issue: Option<IssueNumber>) -> Pull {
    let (title, branch) = match view.pulls.get(key) {
        Some(Found::Pull(seen)) => (short(&seen.pull.title), seen.pull.head_branch.as_str()),
        _ => (String::new(), ""),
    };
    let issue = issue.or_else(|| issue_of(branch));
    let (standing, why) = standing(gathered, view, key, issue);
    Pull {
        repo: key.0.clone(),
        number: key.1,
        issue,
        title,
        standing,
        why,
        run: None,
        check_passed: None,
        from_before: true,
    }
}

/// The issue in the name of a branch of timmy's, `timmy/12-3`.
fn issue_of(branch: &str) -> Option<IssueNumber> {
    let (issue, _) = branch.strip_prefix("timmy/")?.split_once('-')?;
    issue.parse().ok()
}

fn standing(
    gathered: &Gathered,
    view: &ForgeView,
    key: &Key,
    issue: Option<IssueNumber>,
) -> (Standing, Option<String>) {
    let seen = match view.pulls.get(key) {
        None => return (Standing::Unknown, None),
        Some(Found::Nothing) => return (Standing::Missing, None),
        Some(Found::Pull(seen)) => seen,
    };
    match seen.pull.state {
        PullState::Merged => (Standing::Merged, None),
        PullState::Closed => (Standing::Rejected, None),
        PullState::Open => of_open(gathered, view, key, issue, seen),
    }
}

fn of_open(
    gathered: &Gathered,
    view: &ForgeView,
    key: &Key,
    issue: Option<IssueNumber>,
    seen: &Seen,
) -> (Standing, Option<String>) {
    let open = view.open_issues.get(&key.0);
    let closed = |issue| open.is_some_and(|open| !open.contains(&issue));
    if let Some(issue) = issue.filter(|issue| closed(*issue)) {
        return (
            Standing::Abandoned,
            Some(format!("issue #{issue} is closed")),
        );
    }
    if seen.pull.draft {
        return (Standing::Draft, None);
    }
    if seen.merges == Some(false) {
        return (Standing::Conflicts, None);
    }
    if !seen.failing.is_empty() {
        let why = short(&seen.failing.join(", "));
        return (Standing::ChecksFailing, Some(why));
    }
    if !seen.changes_asked.is_empty() {
        let why = short(&format!("by {}", seen.changes_asked.join(", ")));
        return (Standing::ChangesAsked, Some(why));
    }
    let why = gathered
        .rejected
        .get(key)
        .map(|reason| short(&format!("left the merge queue: {reason}")));
    (Standing::Ready, why)
}

fn disagreements(
    gathered: &Gathered,
    view: &ForgeView,
    pulls: &BTreeMap<Key, Pull>,
    newest: &BTreeMap<Key, &RunSummary>,
) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for (key, pull) in pulls {
        let run = newest.get(key).copied();
        found.extend(about_pull(gathered, view, key, pull, run));
    }
    found.extend(without_pull(gathered, view, pulls));
    found
}

/// What log and forge do not agree about, for one pull request.
fn about_pull(
    gathered: &Gathered,
    view: &ForgeView,
    key: &Key,
    pull: &Pull,
    run: Option<&RunSummary>,
) -> Vec<Disagreement> {
    let (repo, number) = key;
    let say = |what: String, todo: String| Disagreement {
        repo: repo.clone(),
        number: *number,
        is_pull: true,
        what,
        todo,
    };
    let mut found = Vec::new();
    let show = |run: &RunSummary| format!("timmy show {}", run.run.short());
    if let (Standing::Missing, Some(run)) = (pull.standing, run) {
        let what =
            format!("the log says that pull request #{number} was opened; the forge has none");
        found.push(say(what, show(run)));
    }
    if gathered.merged.contains_key(key)
        && (pull.standing.is_open() || pull.standing == Standing::Rejected)
    {
        let what =
            format!("the log says that pull request #{number} was merged; on the forge it is not");
        found.push(say(what, format!("timmy explain {repo}#{number}")));
    }
    let open = view.open_issues.get(repo);
    let still_open = |issue: &IssueNumber| open.is_some_and(|open| open.contains(issue));
    if let (Standing::Merged, Some(issue)) = (pull.standing, pull.issue.filter(still_open)) {
        found.push(Disagreement {
            number: issue,
            is_pull: false,
            what: format!("pull request #{number} is merged, and issue #{issue} is still open"),
            todo: format!("timmy explain {repo}#{issue}"),
            repo: repo.clone(),
        });
    }
    let checked = run.and_then(|run| run.receipt.as_ref());
    if let (Some(Found::Pull(seen)), Some(receipt)) = (view.pulls.get(key), checked)
        && seen.pull.state == PullState::Open
        && seen.pull.head != receipt.commit
    {
        let what = format!(
            "the check ran on {}, and the branch of pull request #{number} is at {}",
            receipt.commit.short(),
            seen.pull.head.short()
        );
        found.push(say(what, format!("timmy verify {repo}#{number}")));
    }
    found
}

/// Branches that were pushed and that no pull request carries.
fn without_pull(
    gathered: &Gathered,
    view: &ForgeView,
    pulls: &BTreeMap<Key, Pull>,
) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for run in gathered.runs.iter().rev() {
        let (Some(branch), None, Some(_)) = (&run.branch, &run.pull_request, &run.outcome) else {
            continue;
        };
        if !seen.insert((&run.repo, branch)) || !view.open_issues.contains_key(&run.repo) {
            continue;
        }
        let carried = pulls.keys().any(|key| match view.pulls.get(key) {
            Some(Found::Pull(seen)) => key.0 == run.repo && seen.pull.head_branch == *branch,
            _ => false,
        });
        if !carried {
            found.push(Disagreement {
                repo: run.repo.clone(),
                number: run.issue,
                is_pull: false,
                what: format!(
                    "{} was pushed, and no pull request carries it",
                    short(branch)
                ),
                todo: format!("timmy show {}", run.run.short()),
            });
        }
    }
    found.reverse();
    found
}
