//! The tables of the embedded forge: users, tokens, repositories, issues, pull requests.
//!
//! Rows go in and come out as they are; what a caller may see or change is decided above. Git
//! objects and refs are not in here: they lie in bare repositories beside the database.

mod comments;
mod dependencies;
mod issues;
mod labels;
mod pulls;
mod repositories;
mod reviews;
mod statuses;
mod users;

use std::sync::Arc;

use timmy_core::Clock;

use crate::database::Store;
use crate::database::Write;
use crate::error::StoreError;

pub use comments::Comment;
pub use issues::Issue;
pub use issues::IssueEdit;
pub use issues::IssueQuery;
pub use issues::IssueState;
pub use issues::Kind;
pub use issues::NewIssue;
pub use issues::Page;
pub use labels::Label;
pub use labels::LabelEdit;
pub use labels::NewLabel;
pub use pulls::Mergeable;
pub use pulls::NewPull;
pub use pulls::Pull;
pub use repositories::NewRepository;
pub use repositories::Permission;
pub use repositories::Repository;
pub use repositories::RepositoryEdit;
pub use reviews::KeptReviewComment;
pub use reviews::NewReview;
pub use reviews::Review;
pub use reviews::ReviewComment;
pub use statuses::NewStatus;
pub use statuses::Status;
pub use users::TokenOwner;
pub use users::User;

/// The embedded forge's tables. Cheap to clone.
#[derive(Clone)]
pub struct ForgeTables {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl ForgeTables {
    /// The tables of this store, stamped by this clock.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

/// The next number of a sequence, from 1.
async fn next(write: &mut Write, sequence: &str) -> Result<i64, StoreError> {
    let row = sqlx::query_scalar(
        "INSERT INTO forge_sequences (name, value) VALUES ($1, 1)
         ON CONFLICT (name) DO UPDATE SET value = forge_sequences.value + 1 RETURNING value",
    );
    Ok(row.bind(sequence).fetch_one(&mut **write).await?)
}
