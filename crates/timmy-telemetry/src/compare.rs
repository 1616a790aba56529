//! Comparing what is seen with what was seen before. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::files::Key;
use crate::files::Standing;
use crate::rows::Change;
use crate::series::Series;

/// A part of all states that was looked at: what is not seen in it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// The series.
    pub series: Series,
    /// Beginnings of names that could not be looked at.
    pub except: Vec<String>,
}

impl Covered {
    /// A series that was seen as a whole.
    #[must_use]
    pub fn all(series: Series) -> Self {
        Self {
            series,
            except: Vec::new(),
        }
    }

    fn covers(&self, (series, of): &Key) -> bool {
        let unseen = |beginning: &String| of.starts_with(beginning.as_str());
        series == self.series.name() && !self.except.iter().any(unseen)
    }
}

/// What was seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// On which machine.
    pub host: String,
    /// Every state.
    pub states: BTreeMap<Key, String>,
    /// What was looked at.
    pub covered: Vec<Covered>,
}

/// What changed, by series and name.
#[must_use]
pub fn diff(last: &BTreeMap<Key, Standing>, seen: &Seen) -> Vec<Change<'static>> {
    let change = |key: &Key, from: Option<&Standing>, to: Option<&String>| Change {
        at: seen.at,
        host: seen.host.clone().into(),
        series: key.0.clone().into(),
        of: key.1.clone().into(),
        from: from.map(|from| from.state.clone().into()),
        to: to.map(|to| to.clone().into()),
    };
    let mut changes = BTreeMap::new();
    for (key, state) in &seen.states {
        let before = last.get(key);
        if before.is_none_or(|before| before.state != *state) {
            changes.insert(key, change(key, before, Some(state)));
        }
    }
    for (key, before) in last {
        let looked_at = seen.covered.iter().any(|covered| covered.covers(key));
        if looked_at && !seen.states.contains_key(key) {
            changes.insert(key, change(key, Some(before), None));
        }
    }
    changes.into_values().collect()
}

/// The states after changes.
pub fn apply(states: &mut BTreeMap<Key, Standing>, changes: &[Change<'_>]) {
    for change in changes {
        let key = (change.series.to_string(), change.of.to_string());
        match &change.to {
            None => drop(states.remove(&key)),
            Some(state) => {
                let standing = Standing {
                    state: state.to_string(),
                    since: change.at,
                };
                states.insert(key, standing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERIES: [Series; 3] = [Series::TmuxPane, Series::TimerState, Series::RunLease];

    fn states() -> impl Strategy<Value = BTreeMap<Key, String>> {
        let key = (0..SERIES.len(), "[ab]/[cd]?")
            .prop_map(|(series, of)| (SERIES[series].name().to_owned(), of));
        prop::collection::btree_map(key, "[xyz]", 0..8)
    }

    fn covered() -> impl Strategy<Value = Vec<Covered>> {
        let one = (0..SERIES.len(), prop::collection::vec("[ab]/", 0..2));
        let one = one.prop_map(|(series, except)| Covered {
            series: SERIES[series],
            except,
        });
        prop::collection::vec(one, 0..4)
    }

    fn standing(states: BTreeMap<Key, String>) -> BTreeMap<Key, Standing> {
        let since = Timestamp::UNIX_EPOCH;
        let states = states.into_iter();
        states
            .map(|(key, state)| (key, Standing { state, since }))
            .collect()
    }

    proptest! {
        #[test]
        fn changes_lead_from_the_last_states_to_the_new_ones(
            last in states(), now in states(), covered in covered(),
        ) {
            let seen = Seen {
                at: Timestamp::from_second(9).unwrap(),
                host: "night".to_owned(),
                states: now,
                covered,
            };
            let last = standing(last);
            let changes = diff(&last, &seen);
            let mut after = last.clone();
            apply(&mut after, &changes);
            // Nothing is told twice.
            prop_assert_eq!(Vec::<Change<'_>>::new(), diff(&after, &seen));
            for change in &changes {
                prop_assert_ne!(&change.from, &change.to);
                let key = (change.series.to_string(), change.of.to_string());
                let before = last.get(&key).map(|standing| standing.state.clone().into());
                prop_assert_eq!(&change.from, &before);
            }
            for (key, state) in &seen.states {
                prop_assert_eq!(state, &after[key].state);
            }
            // What was not looked at stays; what was and is not there any more is gone.
            for (key, before) in &last {
                let looked = seen.covered.iter().any(|covered| covered.covers(key));
                let there = seen.states.contains_key(key);
                prop_assert_eq!(there || !looked, after.contains_key(key));
                if !there && !looked {
                    prop_assert_eq!(before, &after[key]);
                }
            }
        }
    }
}
