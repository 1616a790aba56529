//! How much is open on the forge.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::Coded;
use timmy_core::RepoName;
use timmy_forge::Forge;

use super::Unseen;
use crate::files::Counted;

/// How long all questions to the forge may take together.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of the forge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The repositories that answered.
    pub counted: BTreeMap<RepoName, Counted>,
    /// Those that did not.
    pub unseen: Vec<(RepoName, Unseen)>,
}

/// The repositories that were asked so long ago that they should be asked again, or never.
#[must_use]
pub fn due(
    repositories: &[RepoName],
    known: &BTreeMap<RepoName, Counted>,
    every: Duration,
    now: Timestamp,
) -> Vec<RepoName> {
    let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
    let fresh = |repo: &&RepoName| {
        known.get(*repo).is_some_and(|counted| {
            let age = now.duration_since(counted.asked);
            // A clock that was put back must not keep an old figure for ever.
            age >= SignedDuration::ZERO && age < every
        })
    };
    repositories
        .iter()
        .filter(|repo| !fresh(repo))
        .cloned()
        .collect()
}

/// Asks for each repository how much is open, by three short lists.
pub async fn read(forge: &dyn Forge, repositories: &[RepoName], now: Timestamp) -> Seen {
    let mut seen = Seen::default();
    let ask = async {
        for repo in repositories {
            match forge.counts(repo).await {
                Ok(counts) => {
                    let counted = Counted {
                        asked: now,
                        open_issues: counts.open_issues,
                        open_pulls: counts.open_pulls,
                        commits: counts.commits,
                    };
                    seen.counted.insert(repo.clone(), counted);
                }
                Err(error) => {
                    let problem = error.problem();
                    let why = format!("{} {}", problem.code, problem.what);
                    let unseen = Unseen::new(repo.to_string(), &why);
                    seen.unseen.push((repo.clone(), unseen));
                }
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, ask).await.is_ok();
    for repo in repositories.iter().filter(|_| !in_time) {
        let asked =
            seen.counted.contains_key(repo) || seen.unseen.iter().any(|(unseen, _)| unseen == repo);
        if !asked {
            let why = format!("no answer within {} s", PATIENCE.as_secs());
            let unseen = Unseen::new(repo.to_string(), &why);
            seen.unseen.push((repo.clone(), unseen));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_asked_again_when_its_figures_are_old() {
        let repositories: Vec<RepoName> = ["a/old", "a/new", "a/never", "a/future"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        let at = |second| Timestamp::from_second(second).unwrap();
        let counted = |asked| Counted {
            asked,
            open_issues: 1,
            open_pulls: 1,
            commits: 1,
        };
        let known = BTreeMap::from([
            (repositories[0].clone(), counted(at(700))),
            (repositories[1].clone(), counted(at(701))),
            (repositories[3].clone(), counted(at(1_001))),
        ]);
        let due = due(&repositories, &known, Duration::from_secs(300), at(1_000));
        let names: Vec<&str> = due.iter().map(RepoName::name).collect();
        assert_eq!(vec!["old", "never", "future"], names);
    }
}
