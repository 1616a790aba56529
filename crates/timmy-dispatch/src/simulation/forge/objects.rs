//! What git keeps: commits, their files, and the messages of claims.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::rc::Rc;

use timmy_core::ObjectName;
use timmy_forge::claim::ClaimMessage;

use crate::simulation::random::mix;

/// A path inside the simulated project.
pub(crate) type Path = u32;
/// What a file holds; equal numbers are equal contents.
pub(crate) type Content = u64;
/// The files of a commit.
pub(crate) type Tree = BTreeMap<Path, Content>;

/// Who made a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// timmy, or the forge on its behalf.
    Timmy,
    /// Somebody else.
    Person,
}

/// A commit.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) parents: Vec<ObjectName>,
    pub(crate) tree: Rc<Tree>,
    pub(crate) maker: Maker,
    /// What it says, when it is a claim.
    pub(crate) claim: Option<ClaimMessage>,
}

/// How two commits merge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Into this tree.
    Clean(Tree),
    /// Not at all.
    Conflict,
}

/// Every object there is, on whatever host. Which of them a forge shows is said by its refs.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    commits: HashMap<ObjectName, Commit>,
    made: u64,
}

impl Objects {
    /// Makes a commit. Like git's, its name is no other's.
    pub(crate) fn make(&mut self, commit: Commit) -> ObjectName {
        self.made += 1;
        let name = name(self.made);
        self.commits.insert(name.clone(), commit);
        name
    }

    /// A commit that changes files of its parent.
    pub(crate) fn change(
        &mut self,
        parent: &ObjectName,
        changes: &[(Path, Content)],
        maker: Maker,
    ) -> ObjectName {
        let mut tree = self.tree(parent).as_ref().clone();
        tree.extend(changes.iter().copied());
        self.make(Commit {
            parents: vec![parent.clone()],
            tree: Rc::new(tree),
            maker,
            claim: None,
        })
    }

    pub(crate) fn get(&self, name: &ObjectName) -> Option<&Commit> {
        self.commits.get(name)
    }

    /// The files of a commit; none of one that is unknown.
    pub(crate) fn tree(&self, name: &ObjectName) -> Rc<Tree> {
        let commit = self.commits.get(name);
        commit
            .map(|commit| Rc::clone(&commit.tree))
            .unwrap_or_default()
    }

    /// A commit and everything before it.
    fn history(&self, of: &ObjectName) -> BTreeSet<ObjectName> {
        let mut seen = BTreeSet::new();
        let mut open = vec![of.clone()];
        while let Some(name) = open.pop() {
            if let Some(commit) = self.commits.get(&name)
                && seen.insert(name)
            {
                open.extend(commit.parents.iter().cloned());
            }
        }
        seen
    }

    /// Where two commits part, as long as no history was merged crosswise: then git would know
    /// several such places, and here the first that is met counts.
    pub(crate) fn merge_base(&self, one: &ObjectName, other: &ObjectName) -> Option<ObjectName> {
        let known = self.history(one);
        let mut open = vec![other.clone()];
        let mut at = 0;
        while let Some(name) = open.get(at).cloned() {
            at += 1;
            if known.contains(&name) {
                return Some(name);
            }
            let parents = self.commits.get(&name).map(|commit| &commit.parents);
            open.extend(parents.into_iter().flatten().cloned());
        }
        None
    }

    /// A three-way merge by whole files, which is what git does with files of one line.
    pub(crate) fn merge(&self, ours: &ObjectName, theirs: &ObjectName) -> Merged {
        let Some(base) = self.merge_base(ours, theirs) else {
            return Merged::Conflict;
        };
        let (base, ours, theirs) = (self.tree(&base), self.tree(ours), self.tree(theirs));
        let mut merged = ours.as_ref().clone();
        for (path, content) in theirs.iter() {
            let (before, own) = (base.get(path), ours.get(path));
            if before == Some(content) || own == Some(content) {
                continue;
            }
            if own != before {
                return Merged::Conflict;
            }
            merged.insert(*path, *content);
        }
        Merged::Clean(merged)
    }
}

/// 160 bits, as git has them.
fn name(number: u64) -> ObjectName {
    let (one, two, three) = (mix(number), mix(!number), mix(number << 32 | 7));
    let digits = format!("{one:016x}{two:016x}{:08x}", three >> 32);
    match digits.parse() {
        Ok(name) => name,
        // Forty hexadecimal digits are always a name.
        Err(_) => unreachable!("{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(objects: &mut Objects) -> ObjectName {
        objects.make(Commit {
            parents: Vec::new(),
            tree: Rc::new(Tree::from([(1, 10), (2, 20)])),
            maker: Maker::Person,
            claim: None,
        })
    }

    #[test]
    fn changes_of_different_files_merge_and_of_the_same_do_not() {
        let mut objects = Objects::default();
        let base = root(&mut objects);
        let one = objects.change(&base, &[(1, 11)], Maker::Timmy);
        let two = objects.change(&base, &[(2, 21), (3, 30)], Maker::Timmy);
        let three = objects.change(&base, &[(1, 12)], Maker::Timmy);
        let merged = Tree::from([(1, 11), (2, 21), (3, 30)]);
        assert_eq!(Merged::Clean(merged), objects.merge(&one, &two));
        assert_eq!(Merged::Conflict, objects.merge(&one, &three));
        let unrelated = root(&mut objects);
        assert_eq!(Merged::Conflict, objects.merge(&one, &unrelated));
        assert_eq!(Some(base), objects.merge_base(&one, &two));
    }
}
