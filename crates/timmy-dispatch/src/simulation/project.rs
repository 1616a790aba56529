//! The issues of a night, and what they are really like.

use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;

use super::forge::Path;
use super::forge::SimForge;
use super::forge::Tree;
use super::plan::Plan;
use super::random::Random;

/// Files of the simulated project.
const FILES: u64 = 120;
/// Labels that people use.
pub(crate) const LABELS: [&str; 7] = ["P0", "P1", "P2", "P3", "epic", "question", "hold"];

/// What happens to whoever works on an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It can be solved, mostly at the first attempt.
    Sound,
    /// No attempt succeeds.
    Unsolvable,
    /// Its work brings the host's process down.
    Deadly,
}

/// What an issue is really like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) nature: Nature,
    /// The files a solution changes.
    pub(crate) files: Vec<Path>,
    /// Whether a person touched the issue or its pull request.
    pub(crate) touched: bool,
}

/// Fills a repository with the issues of a night.
pub(crate) fn populate(
    forge: &mut SimForge,
    repo: &RepoName,
    plan: &Plan,
    random: &mut Random,
) -> Vec<(IssueNumber, Truth)> {
    let files = (1..=FILES).filter_map(|path| Some((Path::try_from(path).ok()?, path)));
    forge.create_repository(repo, files.collect::<Tree>());
    for name in LABELS {
        let label = NewLabel {
            name: name.to_owned(),
            color: "cccccc".to_owned(),
            description: String::new(),
        };
        // The repository is there, and a label cannot be refused.
        let _ = forge.create_label(repo, &label);
    }
    let mut truths = Vec::new();
    for _ in 0..plan.issues {
        let (new, truth) = draw(random);
        if let Ok(issue) = forge.create_issue(repo, "alice", &new) {
            if truths.len() > 10 && random.chance(0.06) {
                let blocker = random.below(issue.number - 1) + 1;
                let _ = forge.add_blocker(repo, issue.number, blocker);
            }
            truths.push((issue.number, truth));
        }
    }
    truths
}

fn draw(random: &mut Random) -> (NewIssue, Truth) {
    let mut files = Vec::new();
    for _ in 0..=random.below(2) {
        files.extend(Path::try_from(random.below(FILES) + 1));
    }
    let body = match random.chance(0.6) {
        true => format!(
            "The sum in src/f{}.rs is wrong.",
            files.first().unwrap_or(&1)
        ),
        false => "The sum is wrong.".to_owned(),
    };
    let mut labels = Vec::new();
    match random.below(100) {
        0..5 => labels.push("P0"),
        5..15 => labels.push("P1"),
        15..25 => labels.push("P3"),
        25..28 => labels.push("epic"),
        28..30 => labels.push("question"),
        _ => {}
    }
    let nature = match random.below(1_000) {
        0..30 => Nature::Unsolvable,
        30..33 => Nature::Deadly,
        _ => Nature::Sound,
    };
    let new = NewIssue {
        title: "Sum is wrong".to_owned(),
        body,
        labels: labels.into_iter().map(str::to_owned).collect(),
    };
    let truth = Truth {
        nature,
        files,
        touched: false,
    };
    (new, truth)
}
