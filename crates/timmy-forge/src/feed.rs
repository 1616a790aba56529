//! What changed on a forge, and telling the news from what [`crate::Forge::changes`] tells again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::IssueNumber;

use crate::types::Issue;
use crate::types::PullState;

/// What is open, or what changed since a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Issues, newest number first, with at most about [`crate::LISTED_TEXT_LIMIT`] bytes of their texts.
    pub issues: Vec<Issue>,
    /// Pull requests, newest number first.
    pub pulls: Vec<ListedPull>,
    /// From when to ask the next time, by the forge's clock. `None` while nothing was ever there.
    pub newest: Option<Timestamp>,
    /// False when something too large to be read was left out.
    pub complete: bool,
}

/// What a list tells of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPull {
    /// Its number, from the same row as the issues'.
    pub number: IssueNumber,
    /// Its title without the prefix that marks a draft.
    pub title: String,
    /// Where it stands.
    pub state: PullState,
    /// Whether it is marked as not ready.
    pub draft: bool,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The login of who opened it.
    pub author: String,
    /// When it last changed. A commit status changes nothing.
    pub updated: Timestamp,
    /// How many comments it has. Reviews do not count.
    pub comment_count: u64,
}

/// How often an entry is passed on. Something may change again in the very second in which it was
/// read, and then looks the same but for its contents. When it is listed the next time, that second
/// is over.
const TELLINGS: u8 = 2;

/// What was told of one repository, so that it is not told for ever.
///
/// A forge tells times in seconds and its clock is never compared with ours, so each change is
/// passed on twice: once when it is seen, once when the second in which it was seen has passed.
/// That holds as long as two requests are at least a second apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Feed {
    newest: Option<Timestamp>,
    told: BTreeMap<IssueNumber, Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    updated: Timestamp,
    times: u8,
}

impl Feed {
    /// From when to ask. `None` asks for everything that is open.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.newest
    }

    /// What of the forge's answer is to be acted on.
    #[must_use]
    pub fn news(&mut self, changes: Changes) -> Changes {
        self.newest = self.newest.max(changes.newest);
        let mut news = changes;
        news.issues
            .retain(|issue| self.is_news(issue.number, issue.updated));
        news.pulls
            .retain(|pull| self.is_news(pull.number, pull.updated));
        // Only what is not older than the next question comes again.
        let newest = self.newest;
        self.told.retain(|_, told| Some(told.updated) >= newest);
        news
    }

    fn is_news(&mut self, number: IssueNumber, updated: Timestamp) -> bool {
        let told = self
            .told
            .entry(number)
            .or_insert(Told { updated, times: 0 });
        if told.updated != updated {
            *told = Told { updated, times: 0 };
        }
        told.times = told.times.saturating_add(1);
        told.times <= TELLINGS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A pull request, its contents in its title.
    #[derive(Debug, Clone)]
    struct Kept {
        version: u32,
        updated: i64,
    }

    /// What happens next: somebody changes a pull request, or half a second passes, or the forge is
    /// asked and more than a second passes.
    #[derive(Debug, Clone)]
    enum Step {
        Change(u64),
        Pass,
        Ask,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1_u64..5).prop_map(Step::Change),
            1 => Just(Step::Pass),
            2 => Just(Step::Ask),
        ]
    }

    fn answer(kept: &BTreeMap<u64, Kept>, since: Option<Timestamp>) -> Changes {
        let matches = |kept: &&Kept| {
            let second = Timestamp::from_second(kept.updated.div_euclid(2)).unwrap();
            since.is_none_or(|since| second >= since)
        };
        let listed = |(number, kept): (&u64, &Kept)| ListedPull {
            number: *number,
            title: kept.version.to_string(),
            state: PullState::Open,
            draft: false,
            labels: Vec::new(),
            author: String::new(),
            updated: Timestamp::from_second(kept.updated.div_euclid(2)).unwrap(),
            comment_count: 0,
        };
        let pulls: Vec<ListedPull> = kept
            .iter()
            .filter(|(_, kept)| matches(kept))
            .map(listed)
            .collect();
        let newest = pulls.iter().map(|pull| pull.updated).chain(since).max();
        Changes {
            pulls,
            newest,
            complete: true,
            ..Changes::default()
        }
    }

    proptest! {
        #[test]
        fn every_change_is_told_and_then_there_is_silence(steps in proptest::collection::vec(step(), 0..60)) {
            let mut half_seconds = 1000;
            let mut forge: BTreeMap<u64, Kept> = BTreeMap::new();
            let mut known: BTreeMap<u64, u32> = BTreeMap::new();
            let mut feed = Feed::default();
            let quiet = [Step::Ask, Step::Ask, Step::Ask];
            let mut told_last = 0;
            for step in steps.into_iter().chain(quiet) {
                match step {
                    Step::Change(number) => {
                        let before = forge.get(&number).map_or(0, |kept| kept.version);
                        let kept = Kept { version: before + 1, updated: half_seconds };
                        forge.insert(number, kept);
                    }
                    Step::Pass => half_seconds += 1,
                    Step::Ask => {
                        let news = feed.news(answer(&forge, feed.since()));
                        told_last = news.pulls.len();
                        for pull in news.pulls {
                            known.insert(pull.number, pull.title.parse().unwrap());
                        }
                        half_seconds += 2;
                    }
                }
            }
            let wanted: BTreeMap<u64, u32> =
                forge.iter().map(|(number, kept)| (*number, kept.version)).collect();
            prop_assert_eq!(wanted, known);
            prop_assert_eq!(0, told_last);
            prop_assert!(feed.told.len() <= forge.len());
        }
    }
}
