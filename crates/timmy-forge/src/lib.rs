//! Forges: where issues come from and pull requests go.
//!
//! - [`Forge`] is the trait; [`GiteaClient`] speaks to Gitea, Forgejo and the embedded forge alike.
//! - [`embedded`] is a forge inside timmy, for people who have no other;
//! - [`webhook`] proves that a delivery comes from the forge.
//! - [`check`] runs one list of expectations against any server and tells where it differs.
//!
//! # Rules
//! - Text from a forge is hostile: bounded here, cleaned and escaped by whoever shows it.
//! - A filter of the server is a hint. Labels, branches and states are checked again on this side.
//! - No write is repeated before a look at the forge showed that it did not happen.
//! - The token goes to the configured host and nowhere else; redirects are not followed.

pub mod check;
pub mod claim;
pub mod embedded;
mod error;
mod feed;
mod forge;
mod gitea;
pub mod marker;
mod review;
mod types;
pub mod webhook;

pub use error::ForgeError;
pub use error::Refusal;
pub use feed::Changes;
pub use feed::Feed;
pub use feed::ListedPull;
pub use forge::Forge;
pub use gitea::ANSWER_LIMIT;
pub use gitea::DIFF_LIMIT;
pub use gitea::GiteaClient;
pub use gitea::MERGEABLE_WAIT;
pub use gitea::Pacing;
pub use review::Review;
pub use review::ReviewComment;
pub use review::ReviewState;
pub use types::Comment;
pub use types::Counts;
pub use types::ForgeAddress;
pub use types::ForgeKind;
pub use types::Issue;
pub use types::IssueFilter;
pub use types::IssueState;
pub use types::IssueUpdate;
pub use types::LISTED_TEXT_LIMIT;
pub use types::Label;
pub use types::MergeRequest;
pub use types::MergeStyle;
pub use types::NewIssue;
pub use types::NewLabel;
pub use types::NewPull;
pub use types::NewRepository;
pub use types::Opened;
pub use types::PullFile;
pub use types::PullFilter;
pub use types::PullRequest;
pub use types::PullState;
pub use types::PullUpdate;
pub use types::Repository;
pub use types::ServerInfo;
pub use types::StateFilter;
pub use types::Status;
pub use types::StatusState;
pub use types::TEXT_LIMIT;
