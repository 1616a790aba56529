//! What was said in reviews.

use serde::Deserialize;
use serde::Serialize;
use timmy_core::ObjectName;

/// What a review comes to. A state that is not known counts as a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewState {
    /// The reviewer wants it merged.
    Approved,
    /// The reviewer wants something changed first.
    RequestChanges,
    /// Remarks without a verdict.
    Comment,
    /// Not handed in yet.
    Pending,
    /// It does not count any more: withdrawn, or the reviewer decided again.
    Dismissed,
}

/// A review of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Its id, ascending in the order of creation.
    pub id: u64,
    /// The login of who wrote it.
    pub author: String,
    /// What it comes to.
    pub state: ReviewState,
    /// What it says as a whole, at most about [`crate::TEXT_LIMIT`] bytes of it; often nothing.
    pub body: String,
    /// The commit it is about, as far as the forge says.
    pub commit: Option<ObjectName>,
    /// Whether the branch has moved since.
    pub stale: bool,
    /// Remarks on lines, oldest first.
    pub comments: Vec<ReviewComment>,
}

/// A remark on a line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewComment {
    /// Its id.
    pub id: u64,
    /// The login of who wrote it.
    pub author: String,
    /// The file.
    pub path: String,
    /// The line in the new version of the file; `None` for one that is only in the old version.
    pub line: Option<u64>,
    /// What it says, at most about [`crate::TEXT_LIMIT`] bytes of it.
    pub body: String,
}
