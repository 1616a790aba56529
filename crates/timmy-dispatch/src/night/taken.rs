//! The files that running attempts name, found without looking at every one of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;

use timmy_core::IssueNumber;

use super::overlap;

/// Files that issues of one repository name.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// Every path, and the issue that names it.
    paths: BTreeMap<String, IssueNumber>,
    /// The paths by their last part.
    named: BTreeMap<String, Vec<String>>,
}

impl Taken {
    pub(super) fn insert(&mut self, number: IssueNumber, files: &BTreeSet<String>) {
        for path in files {
            if self.paths.insert(path.clone(), number).is_none() {
                let name = last_part(path).to_owned();
                self.named.entry(name).or_default().push(path.clone());
            }
        }
    }

    /// The first of these files that collides with one of those here, and the issue that names it:
    /// what [`overlap::collision`] says of any two sets.
    pub(super) fn collision<'a>(
        &self,
        files: &'a BTreeSet<String>,
    ) -> Option<(&'a str, IssueNumber)> {
        let collides = |path: &'a String| Some((path.as_str(), self.names(path)?));
        files.iter().find_map(collides)
    }

    /// Who names a file, a part of its path, or what holds it or lies in it.
    fn names(&self, path: &str) -> Option<IssueNumber> {
        let alike = self.named.get(last_part(path)).into_iter().flatten();
        let mut alike = alike.filter(|other| overlap::is_same(path, other));
        let found = alike.next().map(String::as_str);
        let found = found.or_else(|| self.below(path));
        let found = found.or_else(|| self.above(path));
        self.paths.get(found?).copied()
    }

    /// A path in this directory.
    fn below(&self, path: &str) -> Option<&str> {
        let from = (Bound::Included(path), Bound::Unbounded);
        let (first, _) = self.paths.range::<str, _>(from).next()?;
        (path.ends_with('/') && first.starts_with(path)).then_some(first)
    }

    /// A directory that this path is in.
    fn above(&self, path: &str) -> Option<&str> {
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        let mut found = ends.filter_map(|end| self.paths.get_key_value(&path[..end]));
        found.next().map(|(directory, _)| directory.as_str())
    }
}

/// The name of a file, or of a directory with its slash.
fn last_part(path: &str) -> &str {
    let inner = path.strip_suffix('/').unwrap_or(path);
    inner.rfind('/').map_or(path, |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // No path that is found in a text is empty or begins with a slash.
    fn files() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[ab]{1,2}(/[ab]{0,1}){0,3}", 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn it_agrees_with_looking_at_every_pair(one in files(), other in files(), mine in files()) {
            let mut taken = Taken::default();
            taken.insert(1, &one);
            taken.insert(2, &other);
            let pairs = [&one, &other].map(|set| overlap::collision(&mine, set).is_some());
            prop_assert_eq!(pairs.contains(&true), taken.collision(&mine).is_some());
        }
    }
}
