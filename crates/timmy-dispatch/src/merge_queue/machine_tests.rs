//! The queue against a small world: what breaks, what conflicts, who pushes in between.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::collection::btree_set;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What is in a base or a stack, and how often somebody else pushed to the base below it.
type Contents = (u32, BTreeSet<IssueNumber>);

#[derive(Debug, Clone)]
struct World {
    pulls: u64,
    batch: usize,
    /// Each set of pull requests that fails the check when all of it is there.
    breaking: Vec<BTreeSet<IssueNumber>>,
    /// Pairs that cannot be merged on each other.
    rivals: Vec<(IssueNumber, IssueNumber)>,
    /// Those that cannot be merged on the base.
    outdated: BTreeSet<IssueNumber>,
    /// Those the forge will not merge.
    protected: BTreeSet<IssueNumber>,
    base_fails: bool,
    /// Before which merges (counted from 0) somebody pushes to the base.
    pushes: BTreeSet<u32>,
}

fn any_world() -> impl Strategy<Value = World> {
    (0_u64..12, 1_usize..6).prop_flat_map(|(pulls, batch)| {
        let number = 1..=pulls.max(1);
        (
            vec(btree_set(number.clone(), 1..3), 0..3),
            vec((number.clone(), number.clone()), 0..3),
            btree_set(number.clone(), 0..2),
            btree_set(number, 0..2),
            proptest::bool::weighted(0.1),
            btree_set(0_u32..8, 0..3),
        )
            .prop_map(
                move |(breaking, rivals, outdated, protected, base_fails, pushes)| World {
                    pulls,
                    batch,
                    breaking,
                    rivals,
                    outdated,
                    protected,
                    base_fails,
                    pushes,
                },
            )
    })
}

fn name(number: usize) -> ObjectName {
    format!("{number:040x}").parse().unwrap()
}

/// What the world saw of a turn.
#[derive(Debug, Default)]
struct Seen {
    merged: Vec<IssueNumber>,
    rejected: BTreeMap<IssueNumber, Rejection>,
    checks: usize,
    rest: Option<Rest>,
}

struct Play<'a> {
    world: &'a World,
    commits: Vec<Contents>,
    passed: BTreeSet<ObjectName>,
    base: Contents,
    merges: u32,
    seen: Seen,
}

impl<'a> Play<'a> {
    fn new(world: &'a World) -> Self {
        let mut play = Self {
            world,
            commits: Vec::new(),
            passed: BTreeSet::new(),
            base: (0, BTreeSet::new()),
            merges: 0,
            seen: Seen::default(),
        };
        play.commit(play.base.clone());
        play
    }

    fn commit(&mut self, contents: Contents) -> ObjectName {
        let known = self.commits.iter().position(|known| *known == contents);
        name(known.unwrap_or_else(|| {
            self.commits.push(contents);
            self.commits.len() - 1
        }))
    }

    fn contents(&self, commit: &ObjectName) -> Contents {
        let place = usize::from_str_radix(commit.as_str(), 16).unwrap();
        self.commits[place].clone()
    }

    fn run(mut self) -> Seen {
        let entry = |number| Entry {
            number,
            head: name(1000 + number as usize),
        };
        let entries = (1..=self.world.pulls).map(entry).collect();
        let mut queue = MergeQueue::new(self.commit(self.base.clone()), entries, self.world.batch);
        for _step in 0..2000 {
            let answer = match queue.next() {
                Step::Stack { base, pulls } => self.stack(&base, &pulls),
                Step::Check { commit, pulls } => self.check(&commit, &pulls),
                Step::Merge { pull, base, tree } => self.merge(&pull, &base, &tree),
                Step::Reject { pull, reason } => {
                    assert_eq!(None, self.seen.rejected.insert(pull.number, reason));
                    Answer::Rejected
                }
                Step::Rest(rest) => {
                    self.seen.rest = Some(rest);
                    return self.seen;
                }
            };
            queue.answer(answer);
        }
        panic!("it does not end");
    }

    fn stack(&mut self, base: &ObjectName, pulls: &[Entry]) -> Answer {
        assert!(pulls.len() <= self.world.batch);
        let mut contents = self.contents(base);
        let mut layers = Vec::new();
        for pull in pulls {
            let number = pull.number;
            let rival = |(one, other): &(u64, u64)| {
                (*one == number && contents.1.contains(other) && other != one)
                    || (*other == number && contents.1.contains(one) && other != one)
            };
            let against_others = self.world.rivals.iter().any(rival);
            if against_others || self.world.outdated.contains(&number) {
                let paths = vec!["x".to_owned()];
                return Answer::Conflict { number, paths };
            }
            contents.1.insert(number);
            let commit = self.commit(contents.clone());
            layers.push(Layer {
                pull: pull.clone(),
                tree: commit.clone(),
                commit,
            });
        }
        Answer::Stacked(layers)
    }

    fn check(&mut self, commit: &ObjectName, pulls: &[IssueNumber]) -> Answer {
        self.seen.checks += 1;
        let (_, contents) = self.contents(commit);
        assert!(pulls.iter().all(|number| contents.contains(number)));
        let breaks = |set: &BTreeSet<IssueNumber>| set.is_subset(&contents);
        let passed = !self.world.base_fails && !self.world.breaking.iter().any(breaks);
        if passed {
            self.passed.insert(commit.clone());
        }
        Answer::Checked { passed }
    }

    fn merge(&mut self, pull: &Entry, base: &ObjectName, tree: &ObjectName) -> Answer {
        // What is merged was part of a stack that passed, on this very base.
        let wanted = self.contents(tree);
        let tested = self.passed.iter().map(|commit| self.contents(commit));
        let mut tested = tested.filter(|(pushes, _)| *pushes == wanted.0);
        assert!(tested.any(|(_, passed)| wanted.1.is_subset(&passed)));
        assert!(wanted.1.contains(&pull.number));
        if self.world.pushes.contains(&self.merges) {
            self.base.0 += 1;
            self.merges += 1;
        }
        let now = self.commit(self.base.clone());
        if now != *base {
            return Answer::Diverged {
                base: now,
                merged: false,
            };
        }
        if self.world.protected.contains(&pull.number) {
            return Answer::Refused {
                said: "protected".to_owned(),
            };
        }
        self.merges += 1;
        self.base.1.insert(pull.number);
        self.seen.merged.push(pull.number);
        let base = self.commit(self.base.clone());
        assert_eq!(*tree, base);
        Answer::Merged { base }
    }
}

fn world(pulls: u64, breaking: &[&[IssueNumber]]) -> World {
    World {
        pulls,
        batch: 4,
        breaking: breaking
            .iter()
            .map(|set| set.iter().copied().collect())
            .collect(),
        rivals: Vec::new(),
        outdated: BTreeSet::new(),
        protected: BTreeSet::new(),
        base_fails: false,
        pushes: BTreeSet::new(),
    }
}

#[test]
fn a_stack_that_passes_is_merged_after_one_check() {
    let seen = Play::new(&world(4, &[])).run();
    assert_eq!((vec![1, 2, 3, 4], 1), (seen.merged, seen.checks));
}

#[test]
fn what_breaks_only_together_costs_the_later_one_its_place() {
    let seen = Play::new(&world(3, &[&[1, 2]])).run();
    assert_eq!(vec![1, 3], seen.merged);
    let reason = Rejection::Breaks { after: vec![1] };
    assert_eq!(BTreeMap::from([(2, reason)]), seen.rejected);
    assert_eq!(4, seen.checks);
}

#[test]
fn a_base_that_fails_blames_nobody() {
    let broken = World {
        base_fails: true,
        ..world(4, &[])
    };
    let seen = Play::new(&broken).run();
    assert_eq!(Some(Rest::BaseFails), seen.rest);
    assert!(seen.merged.is_empty() && seen.rejected.is_empty());
}

#[test]
fn a_conflict_is_held_against_the_base_alone() {
    let rivals = World {
        rivals: vec![(1, 2)],
        breaking: vec![BTreeSet::from([1])],
        ..world(3, &[])
    };
    // The one it contradicted is not merged, so nothing stands against it any more.
    let seen = Play::new(&rivals).run();
    assert_eq!(vec![3, 2], seen.merged);
    assert_eq!(vec![1], seen.rejected.into_keys().collect::<Vec<_>>());
}

#[test]
fn a_reason_reads_as_a_sentence() {
    let paths = vec!["a".to_owned(), "b".to_owned()];
    let reasons = [
        Rejection::Conflict { paths },
        Rejection::Conflict { paths: Vec::new() },
        Rejection::Breaks { after: vec![] },
        Rejection::Breaks { after: vec![3, 5] },
        Rejection::Refused {
            said: "approvals are missing".to_owned(),
        },
    ];
    let told: Vec<String> = reasons.iter().map(Rejection::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    it conflicts with the base branch in a, b
    it shares no history with the base branch
    the check passes on the base branch and fails with this on top
    the check passes with #3, #5 and fails with this on top
    the forge will not merge it: approvals are missing
    ");
}

proptest! {
    #[test]
    fn every_pull_request_is_merged_told_or_left_waiting(world in any_world()) {
        let seen = Play::new(&world).run();
        let merged: BTreeSet<u64> = seen.merged.iter().copied().collect();
        prop_assert_eq!(seen.merged.len(), merged.len());
        prop_assert!(seen.rejected.keys().all(|number| !merged.contains(number)));
        if world.base_fails {
            prop_assert!(seen.merged.is_empty());
            let blamed = |reason: &Rejection| matches!(reason, Rejection::Breaks { .. });
            prop_assert!(!seen.rejected.values().any(blamed));
        }
        if seen.rest == Some(Rest::Done) {
            prop_assert_eq!(world.pulls as usize, merged.len() + seen.rejected.len());
        } else {
            prop_assert!(world.base_fails || !world.pushes.is_empty());
        }
        // What is merged passes.
        prop_assert!(!world.breaking.iter().any(|set| set.is_subset(&merged)));
    }

    #[test]
    fn culprits_are_found_in_few_checks(pulls in 0_u64..40, batch in 1_usize..10, guilty in btree_set(1_u64..40, 0..6)) {
        let guilty: BTreeSet<u64> = guilty.into_iter().filter(|number| *number <= pulls).collect();
        let breaking = guilty.iter().map(|number| BTreeSet::from([*number])).collect();
        let world = World { batch, breaking, ..world(pulls, &[]) };
        let seen = Play::new(&world).run();
        prop_assert_eq!(&guilty, &seen.rejected.keys().copied().collect());
        let halvings = batch.next_power_of_two().ilog2() as usize;
        let batches = (pulls as usize).div_ceil(batch);
        prop_assert!(seen.checks <= batches + guilty.len() * (2 + halvings) + 1, "{} checks", seen.checks);
    }

    #[test]
    fn an_answer_to_another_question_changes_nothing(pulls in 1_u64..5) {
        let entry = |number| Entry { number, head: name(number as usize) };
        let mut queue = MergeQueue::new(name(0), (1..=pulls).map(entry).collect(), 2);
        let before = queue.clone();
        for answer in [Answer::Rejected, Answer::Checked { passed: true }, Answer::Merged { base: name(9) }] {
            queue.answer(answer);
            prop_assert_eq!(&before, &queue);
        }
    }
}
