//! What a report could not see. It says so, and is made all the same.

use serde::Serialize;
use timmy_core::Code;
use timmy_core::Problem;
use timmy_core::RepoName;

use super::models::ModelRow;
use super::reading::Gathered;
use super::reading::MOST_RUNS;
use super::words::count;
use super::words::grouped;
use super::words::short;

/// One thing that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// What, as a sentence.
    pub what: String,
    /// What follows for the report, as a sentence.
    pub so: String,
    /// The code of the problem behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl Unseen {
    fn of_problem(what: String, so: &str, problem: &Problem) -> Self {
        Self {
            what: format!("{what}: {}", short(&problem.what)),
            so: so.to_owned(),
            code: Some(problem.code),
        }
    }

    fn plain(what: String, so: &str) -> Self {
        Self {
            what,
            so: so.to_owned(),
            code: None,
        }
    }

    /// The forge as a whole.
    pub(super) fn forge(problem: &Problem) -> Self {
        let so = "where pull requests stand is told from the log alone";
        Self::of_problem("the forge cannot be asked".to_owned(), so, problem)
    }

    /// A repository.
    pub(super) fn repository(repo: &RepoName, problem: &Problem) -> Self {
        let so = "where its pull requests stand is not known";
        Self::of_problem(format!("{repo} cannot be asked about"), so, problem)
    }

    /// Reviews and statuses.
    pub(super) fn remarks(repo: &RepoName, problem: &Problem) -> Self {
        let so = "an open pull request may have remarks that are not told here";
        let what = format!("reviews or commit statuses of {repo} cannot be read");
        Self::of_problem(what, so, problem)
    }

    /// Pull requests that there were too many of.
    pub(super) fn pulls(repo: &RepoName, number: usize) -> Self {
        let what = format!("{number} pull requests of {repo} are in none of its lists");
        Self::plain(what, "they were not looked up one by one")
    }

    /// Reviews that there were too many of.
    pub(super) fn reviews(number: usize) -> Self {
        let what = format!("reviews of {number} older open pull requests were not read");
        Self::plain(what, "they may have remarks that are not told here")
    }
}

/// What the log itself does not tell.
pub(super) fn in_the_log(gathered: &Gathered, models: &[ModelRow]) -> Vec<Unseen> {
    let mut unseen = Vec::new();
    if gathered.more_runs {
        let what = format!("there are more than {} runs", grouped(u64::from(MOST_RUNS)));
        unseen.push(Unseen::plain(what, "only the newest are reported"));
    }
    let estimated: u64 = models.iter().map(|row| row.estimated).sum();
    if estimated > 0 {
        let calls = count(estimated, "call", "calls");
        unseen.push(Unseen::plain(
            format!("the provider told no usage for {calls}"),
            "their tokens are estimates",
        ));
    }
    let unpriced = models
        .iter()
        .filter(|row| row.usage.tokens() > 0 && row.usage.cost.0 == 0 && row.replayed < row.runs);
    let mut unpriced: Vec<&str> = unpriced.map(|row| row.provider.as_str()).collect();
    unpriced.dedup();
    if !unpriced.is_empty() {
        unseen.push(Unseen::plain(
            format!("no price is set for {}", unpriced.join(", ")),
            "its tokens are counted as free (price_input and price_output of [[provider]])",
        ));
    }
    let unbooked = gathered
        .runs
        .iter()
        .filter(|run| run.model_calls == 0 && run.steps > 0);
    let unbooked = unbooked.count() as u64;
    if unbooked > 0 {
        let runs = count(unbooked, "run", "runs");
        unseen.push(Unseen::plain(
            format!("no model call was booked for {runs} whose agent took steps"),
            "their tokens and cost are missing",
        ));
    }
    if !gathered.runs.is_empty() && gathered.counted_mj.is_none() && gathered.declared_mj.is_none()
    {
        unseen.push(Unseen::plain(
            "no energy was counted or declared".to_owned(),
            "it is not told (the processor's counters are readable for root only; or declare the \
             watts of a provider)",
        ));
    }
    unseen
}
