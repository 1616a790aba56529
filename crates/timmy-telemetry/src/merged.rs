//! What a merged pull request cost, in money and in energy.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::EnergySource;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_store::EventLog;
use timmy_store::StoreError;
use timmy_store::runs::RunSummary;

/// The events beside the runs themselves that are looked at.
const TYPES: [&str; 2] = ["pull_request_merged", "energy_used"];

/// Everything that was done in a stretch of time, shared out among the pull requests merged in it.
/// Runs that came to nothing are part of the price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergedPrice {
    /// Where the stretch begins.
    pub since: Timestamp,
    /// Runs that began in it.
    pub runs: usize,
    /// Pull requests of timmy's that were merged in it.
    pub merged: u64,
    /// What the model calls of the runs used.
    pub usage: Usage,
    /// Wall time of the runs together, in milliseconds.
    pub wall_ms: u64,
    /// Millijoules that the processor counted during the runs; none when nothing was counted.
    pub counted_mj: Option<u64>,
    /// Millijoules of model calls by declared power; none when nothing was declared.
    pub declared_mj: Option<u64>,
    /// Cost of one merged pull request, rounded up; none when none was merged.
    pub cost_each: Option<MicroUsd>,
    /// Tokens of one merged pull request, rounded up; none when none was merged.
    pub tokens_each: Option<u64>,
    /// Wall time of one merged pull request, rounded up; none when none was merged.
    pub wall_ms_each: Option<u64>,
    /// Counted energy of one merged pull request; none when one of the two is not known.
    pub counted_mj_each: Option<u64>,
    /// Declared energy of one merged pull request; none when one of the two is not known.
    pub declared_mj_each: Option<u64>,
}

impl MergedPrice {
    /// Reads the log from a time on, for one repository or for all.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read(
        log: &EventLog,
        since: Timestamp,
        only: Option<&RepoName>,
    ) -> Result<Self, StoreError> {
        let wanted = |repo: &RepoName| only.is_none_or(|only| only == repo);
        let runs = log.runs_since(since, u32::MAX).await?;
        let runs: Vec<RunSummary> = runs.into_iter().filter(|run| wanted(&run.repo)).collect();
        let ids: BTreeSet<RunId> = runs.iter().map(|run| run.run.clone()).collect();
        let mut merged = BTreeSet::new();
        let (mut counted, mut declared) = (None, None);
        for event in log.of_types(&TYPES, 0, u32::MAX).await? {
            match event.kind {
                EventKind::PullRequestMerged { repo, number, .. }
                    if event.at >= since && wanted(&repo) =>
                {
                    merged.insert((repo, number));
                }
                EventKind::EnergyUsed {
                    millijoules,
                    source,
                } if event.run.is_some_and(|run| ids.contains(&run)) => {
                    let sum: &mut Option<u64> = match source {
                        EnergySource::Counted => &mut counted,
                        EnergySource::Declared => &mut declared,
                    };
                    *sum = Some(sum.unwrap_or(0).saturating_add(millijoules));
                }
                _ => {}
            }
        }
        let merged = u64::try_from(merged.len()).unwrap_or(u64::MAX);
        Ok(Self::of(since, &runs, merged, [counted, declared]))
    }

    /// Shares out what runs took among so many merged pull requests; `energy` is what was counted and
    /// what was declared, in millijoules.
    #[must_use]
    pub fn of(
        since: Timestamp,
        runs: &[RunSummary],
        merged: u64,
        [counted, declared]: [Option<u64>; 2],
    ) -> Self {
        let usage: Usage = runs.iter().map(|run| run.usage).sum();
        let wall = runs.iter().map(|run| run.duration_ms);
        let wall = wall.fold(0, u64::saturating_add);
        let each = |amount: u64| (merged > 0).then(|| amount.div_ceil(merged));
        Self {
            since,
            runs: runs.len(),
            merged,
            usage,
            wall_ms: wall,
            counted_mj: counted,
            declared_mj: declared,
            cost_each: each(usage.cost.0).map(MicroUsd),
            tokens_each: each(usage.tokens()),
            wall_ms_each: each(wall),
            counted_mj_each: counted.and_then(each),
            declared_mj_each: declared.and_then(each),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use timmy_core::Clock;
    use timmy_core::EventSink;
    use timmy_core::receipt::Provenance;
    use timmy_core::receipt::SandboxLevel;
    use timmy_store::Store;
    use timmy_testkit::ManualClock;

    use super::*;

    const REPO: &str = "operator/project";

    fn started() -> EventKind {
        EventKind::RunStarted {
            repo: REPO.parse().unwrap(),
            issue: 7,
            title: "The sum is wrong".to_owned(),
            provider: "local".to_owned(),
            provenance: Provenance::Live,
            sandbox: SandboxLevel::L3,
            fingerprint: None,
            answers: None,
        }
    }

    fn settled(tokens: u64) -> EventKind {
        EventKind::ModelCallSettled {
            call: 1,
            provider: "local".to_owned(),
            model: "small".to_owned(),
            usage: Usage {
                input_tokens: tokens,
                output_tokens: 0,
                cost: MicroUsd(tokens),
            },
            measured: true,
            duration_ms: 5,
        }
    }

    fn merged(repo: &str, number: u64) -> EventKind {
        EventKind::PullRequestMerged {
            repo: repo.parse().unwrap(),
            issue: 7,
            number,
        }
    }

    #[tokio::test]
    async fn failures_are_part_of_the_price_and_nothing_is_made_up() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("timmy")).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let log = store.log(clock.clone());
        let early = RunId::generate();
        log.append(Some(&early), started()).await.unwrap();
        log.append(Some(&early), settled(1_000_000)).await.unwrap();
        clock.advance(Duration::from_hours(1));
        let since = clock.now();
        for _ in 0..2 {
            let run = RunId::generate();
            log.append(Some(&run), started()).await.unwrap();
            log.append(Some(&run), settled(50)).await.unwrap();
            let energy = crate::energy::event(700, EnergySource::Counted);
            log.append(Some(&run), energy).await.unwrap();
        }
        let price = MergedPrice::read(&log, since, None).await.unwrap();
        assert_eq!(
            (0, None, None),
            (price.merged, price.cost_each, price.counted_mj_each)
        );
        assert_eq!((Some(1_400), None), (price.counted_mj, price.declared_mj));
        for kind in [
            merged(REPO, 8),
            merged(REPO, 8),
            merged("operator/other", 8),
            merged(REPO, 9),
        ] {
            log.append(None, kind).await.unwrap();
        }
        let all = MergedPrice::read(&log, since, None).await.unwrap();
        assert_eq!(
            (2, 3, Some(MicroUsd(34))),
            (all.runs, all.merged, all.cost_each)
        );
        let repo = REPO.parse().unwrap();
        let one = MergedPrice::read(&log, since, Some(&repo)).await.unwrap();
        assert_eq!(
            (2, Some(50), Some(700), None),
            (
                one.merged,
                one.tokens_each,
                one.counted_mj_each,
                one.declared_mj_each
            )
        );
    }
}
