//! A forge inside timmy, for people who have no server and for every test of the client.
//!
//! [`EmbeddedForge`] answers the part of the Gitea v1 REST API that timmy uses, and git's smart
//! HTTP. It keeps its rows in the store and its repositories in bare repositories under a private
//! root. Nothing talks to it but over HTTP, so a client that works with it has exercised the same
//! paths that it needs for a Gitea or Forgejo server.
//!
//! ```text
//! request -> faults (tests) -> router -> access -> one module per noun -> store, git
//! ```
//!
//! # Rules
//! - Where Gitea has a quirk that a client must live with, this has it too: unknown labels vanish
//!   from filters, a page is 50 at most, labels are dropped without permission, whether a pull
//!   request can be merged is found out later. Measured against Gitea 1.25 and Forgejo 7.0.
//! - What is in a repository is hostile. git runs in bare repositories alone, without hooks, with
//!   an environment and settings of its own, and nothing is ever checked out.
//! - Tokens are stored as SHA-256 only.

mod access;
mod admin;
mod answer;
mod branches;
mod call;
mod changes;
mod closing;
mod comments;
mod credentials;
mod dependencies;
mod error;
mod faults;
mod git;
mod git_http;
mod issues;
mod labels;
mod merge_check;
mod merging;
mod pulls;
mod repositories;
mod reviews;
mod router;
mod statuses;
mod users;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use timmy_core::Clock;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_store::Store;
use timmy_store::forge::ForgeTables;
use tokio::sync::Mutex;

pub use admin::InitialCommit;
pub use admin::NewRepository;
pub use credentials::Scope;
pub use error::EmbeddedError;
pub use faults::Fault;
pub use faults::Faults;
pub use faults::Gate;

use self::git::Bare;
use self::git::GitProgram;
use self::merge_check::Checks;

/// What the version route answers: the API level, and a suffix by which a client can tell this
/// forge from a Gitea server.
pub const VERSION: &str = concat!("1.25.0+timmy-", env!("CARGO_PKG_VERSION"));

/// The forge. Cheap to clone; give one clone to a [`timmy_loopback::Server`].
#[derive(Clone)]
pub struct EmbeddedForge {
    shared: Arc<Shared>,
}

/// What every request uses.
struct Shared {
    tables: ForgeTables,
    git: GitProgram,
    repositories: PathBuf,
    faults: Arc<Faults>,
    checks: Checks,
    /// Pull requests are brought in line with branches by one request at a time,
    following: Mutex<()>,
    /// and merged by one at a time.
    merging: Mutex<()>,
}

impl Shared {
    /// The directory is named by the row's key, so no name of a user's making touches the disk.
    fn bare(&self, repository: i64) -> Bare {
        let directory = self.repositories.join(format!("{repository}.git"));
        Bare::new(self.git.clone(), directory)
    }
}

impl EmbeddedForge {
    /// A forge with its rows in `store` and its repositories under `root`, which must be private.
    ///
    /// # Errors
    /// When the root cannot be made.
    pub fn new(store: Store, root: &Path, clock: Arc<dyn Clock>) -> Result<Self, EmbeddedError> {
        Self::with_faults(store, root, clock, Arc::default())
    }

    /// The same, going wrong where the plan says so. For tests of clients.
    ///
    /// # Errors
    /// When the root cannot be made.
    pub fn with_faults(
        store: Store,
        root: &Path,
        clock: Arc<dyn Clock>,
        faults: Arc<Faults>,
    ) -> Result<Self, EmbeddedError> {
        let repositories = root.join("repositories");
        let git = GitProgram::new(&root.join("git"), Arc::clone(&clock))?;
        git::make_directory(&repositories)?;
        Ok(Self {
            shared: Arc::new(Shared {
                tables: ForgeTables::new(store, clock),
                git,
                repositories,
                faults,
                checks: Checks::default(),
                following: Mutex::new(()),
                merging: Mutex::new(()),
            }),
        })
    }
}

impl Handler for EmbeddedForge {
    async fn handle(&self, request: Request) -> Reply {
        let fault = self.shared.faults.take(&request);
        let shared = Arc::clone(&self.shared);
        // A client that goes away does not stop what it asked for half-way.
        let answering = async move {
            let answer = Box::pin(router::answer(&shared, request));
            match fault {
                Some(fault) => fault.around(answer).await,
                None => answer.await,
            }
        };
        tokio::spawn(answering).await.unwrap_or(Reply::Dropped)
    }
}
