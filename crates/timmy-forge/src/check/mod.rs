//! One list of expectations, run against any server.
//!
//! It works in a repository of its own, which it makes and at the end archives; nothing else is
//! written, and nothing is deleted. What timmy relies on is asked through the client and through
//! git; where servers are known to differ, the bare API is asked and a difference that the client
//! makes good is told as such.

mod access;
mod changes;
mod issues;
mod pulls;
mod references;
mod reviews;
mod sheet;
mod threads;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use timmy_core::Clock;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_git::BareRepository;
use timmy_git::Expect;
use timmy_git::Git;
use timmy_git::GitError;
use timmy_git::PushRef;
use timmy_git::PushStatus;
use timmy_git::RefName;
use timmy_git::Remote;

use self::sheet::Sheet;
use crate::error::ForgeError;
use crate::forge::Forge;
use crate::gitea::GiteaClient;
use crate::gitea::Pacing;
use crate::types::ForgeAddress;

pub use self::sheet::Row;
pub use self::sheet::Verdict;

/// Long enough for the slowest forge measured (2.5 s), short enough for the rows in which no is the
/// right answer.
const MERGEABLE_WAIT: Duration = Duration::from_secs(6);
const MAIN: &str = "main";

/// The server to be checked, and as whom.
pub struct Subject {
    /// Where it is.
    pub address: ForgeAddress,
    /// The login that owns the token and will own the scratch repository.
    pub user: String,
    /// A token that may write issues, repositories and, to make the scratch repository, the user.
    pub token: SecretString,
    /// A token of the same user that may only read. Without it the rows about scopes are left out.
    pub read_only: Option<SecretString>,
    /// The name of the scratch repository, which must not exist.
    pub scratch: String,
}

/// Runs the list. A row that fails because an earlier one did ends its group.
///
/// `directory` is a private place for a scratch repository on this side.
///
/// # Errors
/// When the list cannot even begin: an unusable address, no git, no room in `directory`.
pub async fn run(
    subject: &Subject,
    git: &Git,
    directory: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Vec<Row>, ForgeError> {
    let mut bench = Bench::new(subject, git, directory, &clock).await?;
    access::check(&mut bench, subject, &clock).await;
    if access::make_repository(&mut bench).await.is_some() {
        references::first_push(&mut bench).await;
        issues::check(&mut bench).await;
        threads::check(&mut bench).await;
        references::check(&mut bench).await;
        pulls::check(&mut bench).await;
        changes::check(&mut bench).await;
        access::archive(&mut bench).await;
    }
    Ok(bench.sheet.into_rows())
}

/// What the groups of the list work with.
struct Bench {
    client: GiteaClient,
    repo: RepoName,
    remote: Remote,
    bare: BareRepository,
    now: Timestamp,
    sheet: Sheet,
}

impl Bench {
    async fn new(
        subject: &Subject,
        git: &Git,
        directory: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ForgeError> {
        let refuse = |why: String| ForgeError::Address {
            value: format!("{}/{}", subject.user, subject.scratch),
            why,
        };
        let repo = RepoName::new(&subject.user, &subject.scratch);
        let repo = repo.map_err(|error| refuse(error.to_string()))?;
        let client = client(subject, &subject.token, clock)?;
        let remote = client.remote(&repo)?;
        let path = directory.join(format!("{}.git", subject.scratch));
        let bare = BareRepository::open_or_init(git, &path).await;
        let bare = bare.map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            client,
            repo,
            remote,
            bare,
            now: clock.now(),
            sheet: Sheet::default(),
        })
    }

    /// A commit whose only file is `notes.md` with this text.
    async fn commit(&self, text: &str, parents: &[&ObjectName]) -> Result<ObjectName, GitError> {
        let files = [("notes.md", text.as_bytes())];
        let tree = self.bare.tree_of_files(&files).await?;
        self.bare.commit_tree(&tree, parents, text, self.now).await
    }

    /// Pushes all or nothing and gives back what became of each ref.
    async fn push(
        &self,
        refs: &[(&str, Option<&ObjectName>, Expect)],
    ) -> Result<Vec<PushStatus>, GitError> {
        let mut push = Vec::new();
        for (name, source, expect) in refs {
            push.push(PushRef {
                source: source.cloned(),
                target: name.parse::<RefName>()?,
                expect: expect.clone(),
            });
        }
        let results = self.bare.push(&self.remote, &push).await?;
        Ok(results.into_iter().map(|result| result.status).collect())
    }
}

fn client(
    subject: &Subject,
    token: &SecretString,
    clock: &Arc<dyn Clock>,
) -> Result<GiteaClient, ForgeError> {
    let pacing = Pacing {
        mergeable_wait: MERGEABLE_WAIT,
        ..Pacing::default()
    };
    GiteaClient::with_pacing(
        subject.address.clone(),
        subject.user.clone(),
        token.clone(),
        Arc::clone(clock),
        pacing,
    )
}
