//! Merging what belongs together only after the whole was checked.
//!
//! A person puts a label on a pull request. The queue merges up to a batch of such pull requests on
//! top of each other, on this host and without moving a ref, runs the project's check once on the
//! result, and lets the forge merge them one by one when it passes. When it fails, halving finds the
//! one that breaks it.
//!
//! - [`MergeQueue`] is the whole of it as a state machine, without I/O;
//! - [`standing()`] and [`objection`] say whether a pull request has a place in the queue;
//! - [`crate::Desk::merge_turn`] does one turn.
//!
//! # Rules
//! - What is merged is the head that was part of a stack that passed, onto the base it passed on.
//! - What the forge made of a merge is compared with what was tested, after each one.
//! - The label is the whole wish: an approval alone merges nothing, and a standing request
//!   for changes holds even with the label.
//! - Who loses the place is told once, and has it again with another head. Nothing else is stored:
//!   the labels, the comments and the base branch on the forge are the queue.
//! - One host at a time works a queue: it holds the claim on issue 0, which no issue has.

mod machine;
mod standing;
mod turn;

use serde::Deserialize;
use serde::Serialize;
use timmy_forge::MergeStyle;

pub use machine::Answer;
pub use machine::Entry;
pub use machine::Layer;
pub use machine::MergeQueue;
pub use machine::Rejection;
pub use machine::Rest;
pub use machine::Step;
pub use standing::Queued;
pub use standing::Standing;
pub use standing::objection;
pub use standing::standing;
pub use turn::MergeTurn;

/// `[merge_queue]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MergeQueueSettings {
    /// Whether a loop works the queue. `timmy queue --run` does it in any case.
    pub enabled: bool,
    /// The label by which a person says that a pull request is to be merged.
    pub label: String,
    /// How many pull requests are checked together, at most.
    pub batch: usize,
    /// How they get into the base branch: merge, squash, rebase, rebase-merge, fast-forward-only.
    pub style: MergeStyle,
}

impl Default for MergeQueueSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            label: "merge".to_owned(),
            batch: 4,
            style: MergeStyle::Merge,
        }
    }
}
