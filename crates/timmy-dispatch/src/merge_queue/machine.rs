//! The queue as a state machine: what to do next, and what follows from how it went.

use std::collections::VecDeque;
use std::fmt;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;

/// How often the base may move away under one turn before the rest is left for the next.
const MOVES: u32 = 3;

/// A pull request that somebody wants merged, with the head that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: IssueNumber,
    /// The commit at the end of its branch. Nothing else of it is merged.
    pub head: ObjectName,
}

/// A pull request on top of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The pull request.
    pub pull: Entry,
    /// The base with everything up to this pull request merged into it.
    pub commit: ObjectName,
    /// Its tree.
    pub tree: ObjectName,
}

/// What to do next. Each but the last is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Merge these on top of each other, in this order, without moving a ref.
    Stack {
        /// The commit to start from.
        base: ObjectName,
        /// The pull requests.
        pulls: Vec<Entry>,
    },
    /// Run the project's check.
    Check {
        /// On this commit.
        commit: ObjectName,
        /// What is in it beyond the base, in order.
        pulls: Vec<IssueNumber>,
    },
    /// Let the forge merge one.
    Merge {
        /// The pull request.
        pull: Entry,
        /// Where the base branch has to be before.
        base: ObjectName,
        /// The tree it has to have afterwards.
        tree: ObjectName,
    },
    /// Tell one that it lost its place.
    Reject {
        /// The pull request.
        pull: Entry,
        /// Why.
        reason: Rejection,
    },
    /// The turn is over.
    Rest(Rest),
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All of them stand on each other.
    Stacked(Vec<Layer>),
    /// One contradicts what is below it.
    Conflict {
        /// Which.
        number: IssueNumber,
        /// In these paths.
        paths: Vec<String>,
    },
    /// One is not what it was: another head, closed, merged by somebody.
    Changed(IssueNumber),
    /// The check ended.
    Checked {
        /// Whether it passed.
        passed: bool,
    },
    /// It is merged, and the base branch has the tree that was tested.
    Merged {
        /// Where the base branch is now.
        base: ObjectName,
    },
    /// The base branch is not what was tested: somebody else moved it.
    Diverged {
        /// Where it is now.
        base: ObjectName,
        /// Whether the pull request was merged nevertheless.
        merged: bool,
    },
    /// The forge will not merge it.
    Refused {
        /// What it said.
        said: String,
    },
    /// The pull request was told.
    Rejected,
}

/// Why a pull request lost its place, which it has again with another head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It contradicts the base branch.
    Conflict {
        /// In these paths; none when the two have no common history.
        paths: Vec<String>,
    },
    /// The check passes without it and fails with it.
    Breaks {
        /// What stood before it in the stack.
        after: Vec<IssueNumber>,
    },
    /// The forge will not merge it.
    Refused {
        /// What it said.
        said: String,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { paths } if paths.is_empty() => {
                f.write_str("it shares no history with the base branch")
            }
            Self::Conflict { paths } => {
                write!(
                    f,
                    "it conflicts with the base branch in {}",
                    paths.join(", ")
                )
            }
            Self::Breaks { after } if after.is_empty() => {
                f.write_str("the check passes on the base branch and fails with this on top")
            }
            Self::Breaks { after } => {
                let before: Vec<String> = after.iter().map(|number| format!("#{number}")).collect();
                let before = before.join(", ");
                write!(
                    f,
                    "the check passes with {before} and fails with this on top"
                )
            }
            Self::Refused { said } if said.is_empty() => f.write_str("the forge will not merge it"),
            Self::Refused { said } => write!(f, "the forge will not merge it: {said}"),
        }
    }
}

/// Why a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Every pull request was merged or told, or is not what it was.
    Done,
    /// The check fails on the base branch itself. That is nobody's fault who waits.
    BaseFails,
    /// Somebody else keeps moving the base branch.
    Restless,
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "the queue is worked off",
            Self::BaseFails => "the check fails on the base branch itself",
            Self::Restless => "the base branch keeps moving",
        })
    }
}

/// One turn of a repository's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeQueue {
    base: ObjectName,
    /// Whether the check is known to pass there.
    base_passes: bool,
    batch: usize,
    waiting: VecDeque<Entry>,
    /// What contradicts others that wait, but not the base: tried again after them.
    put_off: VecDeque<Entry>,
    moves: u32,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Stacking(Vec<Entry>),
    /// The first `passing` layers pass; the first `failing`, when there is a number, fail.
    Narrowing {
        layers: Vec<Layer>,
        passing: usize,
        failing: Option<usize>,
    },
    /// Layers up to `until` were tested together; `merged` of them are merged. What fails on top of
    /// them is told afterwards.
    Merging {
        layers: Vec<Layer>,
        merged: usize,
        until: usize,
        culprit: Option<Rejection>,
    },
    Rejecting(Entry, Rejection),
    Resting(Rest),
}

impl MergeQueue {
    /// A turn for these pull requests, in this order, at most `batch` of them at a time.
    #[must_use]
    pub fn new(base: ObjectName, entries: Vec<Entry>, batch: usize) -> Self {
        let mut queue = Self {
            base,
            base_passes: false,
            batch: batch.max(1),
            waiting: entries.into(),
            put_off: VecDeque::new(),
            moves: 0,
            phase: Phase::Resting(Rest::Done),
        };
        queue.phase = queue.begin();
        queue
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Step {
        match &self.phase {
            Phase::Stacking(pulls) => Step::Stack {
                base: self.base.clone(),
                pulls: pulls.clone(),
            },
            Phase::Narrowing {
                layers,
                passing,
                failing,
            } => self.check(layers, probe(layers, *passing, *failing)),
            Phase::Merging { layers, merged, .. } => match layers.get(*merged) {
                Some(layer) => Step::Merge {
                    pull: layer.pull.clone(),
                    base: self.base.clone(),
                    tree: layer.tree.clone(),
                },
                None => Step::Rest(Rest::Done),
            },
            Phase::Rejecting(pull, reason) => Step::Reject {
                pull: pull.clone(),
                reason: reason.clone(),
            },
            Phase::Resting(rest) => Step::Rest(*rest),
        }
    }

    fn check(&self, layers: &[Layer], count: usize) -> Step {
        let top = layers[..count].last();
        let commit = top.map_or(&self.base, |layer| &layer.commit);
        Step::Check {
            commit: commit.clone(),
            pulls: numbers(&layers[..count]),
        }
    }

    /// Takes in how the last step went. An answer to another question changes nothing.
    pub fn answer(&mut self, answer: Answer) {
        let phase = std::mem::replace(&mut self.phase, Phase::Resting(Rest::Done));
        self.phase = match phase {
            Phase::Stacking(pulls) => self.stacked(pulls, answer),
            Phase::Narrowing {
                layers,
                passing,
                failing,
            } => match answer {
                Answer::Checked { passed } => self.checked(layers, passing, failing, passed),
                _other => Phase::Narrowing {
                    layers,
                    passing,
                    failing,
                },
            },
            Phase::Merging {
                layers,
                merged,
                until,
                culprit,
            } => self.tried_to_merge(layers, merged, until, culprit, answer),
            Phase::Rejecting(pull, reason) => match answer {
                Answer::Rejected => self.begin(),
                _other => Phase::Rejecting(pull, reason),
            },
            Phase::Resting(rest) => Phase::Resting(rest),
        };
    }

    /// The next batch. What was put off comes when nothing else waits: what it contradicted is merged
    /// or gone by then.
    fn begin(&mut self) -> Phase {
        if self.waiting.is_empty() {
            std::mem::swap(&mut self.waiting, &mut self.put_off);
        }
        let count = self.batch.min(self.waiting.len());
        let pulls: Vec<Entry> = self.waiting.drain(..count).collect();
        if pulls.is_empty() {
            return Phase::Resting(Rest::Done);
        }
        Phase::Stacking(pulls)
    }

    fn restack(&mut self, pulls: Vec<Entry>) -> Phase {
        if pulls.is_empty() {
            return self.begin();
        }
        Phase::Stacking(pulls)
    }

    fn stacked(&mut self, mut pulls: Vec<Entry>, answer: Answer) -> Phase {
        match answer {
            Answer::Stacked(layers) => Phase::Narrowing {
                layers,
                passing: 0,
                failing: None,
            },
            Answer::Conflict { number, paths } => {
                let Some(place) = pulls.iter().position(|pull| pull.number == number) else {
                    return Phase::Stacking(pulls);
                };
                let pull = pulls.remove(place);
                if place == 0 {
                    self.back_to_the_front(pulls);
                    return Phase::Rejecting(pull, Rejection::Conflict { paths });
                }
                self.put_off.push_back(pull);
                self.restack(pulls)
            }
            Answer::Changed(number) => {
                pulls.retain(|pull| pull.number != number);
                self.restack(pulls)
            }
            _other => Phase::Stacking(pulls),
        }
    }

    fn checked(
        &mut self,
        layers: Vec<Layer>,
        passing: usize,
        failing: Option<usize>,
        passed: bool,
    ) -> Phase {
        let count = probe(&layers, passing, failing);
        if count == 0 && !passed {
            return Phase::Resting(Rest::BaseFails);
        }
        self.base_passes |= count == 0;
        let (passing, failing) = match (passed, failing) {
            (true, None) => {
                return Phase::Merging {
                    layers,
                    merged: 0,
                    until: count,
                    culprit: None,
                };
            }
            (true, failing) => (count, failing),
            (false, _) => (passing, Some(count)),
        };
        if failing != Some(passing + 1) || (passing == 0 && !self.base_passes) {
            return Phase::Narrowing {
                layers,
                passing,
                failing,
            };
        }
        let after = numbers(&layers[..passing]);
        let culprit = Rejection::Breaks { after };
        if passing == 0 {
            return self.reject(layers, 0, culprit);
        }
        Phase::Merging {
            layers,
            merged: 0,
            until: passing,
            culprit: Some(culprit),
        }
    }

    fn tried_to_merge(
        &mut self,
        layers: Vec<Layer>,
        merged: usize,
        until: usize,
        culprit: Option<Rejection>,
        answer: Answer,
    ) -> Phase {
        match answer {
            Answer::Merged { base } => {
                self.base = base;
                self.base_passes = true;
                match culprit {
                    _ if merged + 1 < until => Phase::Merging {
                        layers,
                        merged: merged + 1,
                        until,
                        culprit,
                    },
                    Some(reason) => self.reject(layers, until, reason),
                    None => self.begin(),
                }
            }
            Answer::Diverged { base, merged: done } => {
                self.base = base;
                self.base_passes = false;
                self.moves += 1;
                self.back_to_the_front(entries_from(layers, merged + usize::from(done)));
                if self.moves >= MOVES {
                    return Phase::Resting(Rest::Restless);
                }
                self.begin()
            }
            Answer::Refused { said } => self.reject(layers, merged, Rejection::Refused { said }),
            Answer::Changed(_) => {
                self.back_to_the_front(entries_from(layers, merged + 1));
                self.begin()
            }
            _other => Phase::Merging {
                layers,
                merged,
                until,
                culprit,
            },
        }
    }

    /// Rejects the pull request at a place; what stood above it was not tested without it.
    fn reject(&mut self, layers: Vec<Layer>, place: usize, reason: Rejection) -> Phase {
        let mut rest = entries_from(layers, place).into_iter();
        let Some(pull) = rest.next() else {
            return self.begin();
        };
        self.back_to_the_front(rest.collect());
        Phase::Rejecting(pull, reason)
    }

    fn back_to_the_front(&mut self, entries: Vec<Entry>) {
        for entry in entries.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }
}

/// How many layers to check next: all, then halves, and none (the base) when the first one fails.
fn probe(layers: &[Layer], passing: usize, failing: Option<usize>) -> usize {
    failing.map_or(layers.len(), |failing| passing.midpoint(failing))
}

fn numbers(layers: &[Layer]) -> Vec<IssueNumber> {
    layers.iter().map(|layer| layer.pull.number).collect()
}

fn entries_from(layers: Vec<Layer>, place: usize) -> Vec<Entry> {
    layers
        .into_iter()
        .skip(place)
        .map(|layer| layer.pull)
        .collect()
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
