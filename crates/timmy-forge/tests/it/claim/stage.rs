//! A server with one repository, and hosts that claim in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use timmy_core::Clock;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::Claim;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Identity;
use timmy_git::BareRepository;
use timmy_git::Git;
use timmy_git::RefName;
use timmy_git::RefPattern;
use timmy_git::Remote;
use timmy_testkit::GitServer;
use timmy_testkit::ManualClock;

const TTL: Duration = Duration::from_secs(600);

/// One forge, one clock.
pub(crate) struct Stage {
    pub(crate) server: GitServer,
    pub(crate) remote: Remote,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) root: TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let server = GitServer::open().await.unwrap();
        let url = server.create("repo.git").await.unwrap();
        Self {
            server,
            remote: Remote::open(url.parse().unwrap()),
            clock: Arc::new(ManualClock::default()),
            root: TempDir::new().unwrap(),
        }
    }

    /// A host of its own, with its own private root.
    pub(crate) async fn host(&self, name: &str) -> Claims {
        self.host_with(name, TTL).await
    }

    pub(crate) async fn host_with(&self, name: &str, ttl: Duration) -> Claims {
        let identity = Identity::new(&format!("worker-{name}"), &format!("machine-{name}"));
        self.part_of(&identity, name, ttl).await
    }

    /// One of several parts of a process that make claims.
    pub(crate) async fn part_of(&self, identity: &Identity, name: &str, ttl: Duration) -> Claims {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let bare = bare(&self.root.path().join(name)).await;
        Claims::new(bare, self.remote.clone(), identity.clone(), ttl, clock)
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// What the forge has under a name.
    pub(crate) async fn on_forge(&self, name: &RefName) -> Option<ObjectName> {
        let bare = bare(&self.root.path().join("onlooker")).await;
        let pattern = [RefPattern::Exact(name.clone())];
        let listed = bare.list_remote(&self.remote, &pattern).await.unwrap();
        listed.into_iter().next().map(|(_, object)| object)
    }
}

pub(crate) async fn bare(private: &Path) -> BareRepository {
    let git = Git::new(&private.join("git")).unwrap();
    BareRepository::open_or_init(&git, &private.join("host.git"))
        .await
        .unwrap()
}

/// Acquires what must be free.
pub(crate) async fn win(claims: &Claims, issue: u64) -> Claim {
    match claims.acquire(issue, &RunId::generate()).await.unwrap() {
        Acquired::Won(claim) => claim,
        other => panic!("issue {issue} was not free: {other:?}"),
    }
}
