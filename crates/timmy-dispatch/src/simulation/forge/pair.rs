//! The simulated forge and the embedded one, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use timmy_core::Clock;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::Pacing;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_forge::marker::mark;
use timmy_git::BareRepository;
use timmy_git::Git;
use timmy_git::RefPattern;
use timmy_git::Refspec;
use timmy_git::Remote;
use timmy_loopback::Server;
use timmy_store::Store;
use timmy_store::forge::ForgeTables;
use timmy_testkit::ManualClock;

use super::*;
use crate::simulation::random::Random;

const BRANCHES: [&str; 4] = ["timmy/1-1", "timmy/2-1", "topic", MAIN];

/// The two forges, in the same state.
pub(super) struct Pair {
    pub(super) random: Random,
    pub(super) repo: RepoName,
    pub(super) sim: SimForge,
    pub(super) bot: GiteaClient,
    pub(super) alice: GiteaClient,
    pub(super) tables: ForgeTables,
    pub(super) bare: BareRepository,
    pub(super) remote: Remote,
    pub(super) clock: Arc<ManualClock>,
    /// The real name of every simulated object.
    pub(super) real: BTreeMap<ObjectName, ObjectName>,
    pub(super) contents: u64,
    _server: Server,
    _directory: TempDir,
}

impl Pair {
    pub(super) async fn new(seed: u64) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TempDir::new().unwrap();
        let root = directory.path().join("home");
        let clock = Arc::new(ManualClock::default());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let store = Store::open(&root).await.unwrap();
        let tables = ForgeTables::new(store.clone(), Arc::clone(&shared));
        let forge = EmbeddedForge::new(store, &root.join("forge"), Arc::clone(&shared)).unwrap();
        let scopes = [Scope::WriteIssue, Scope::WriteRepository, Scope::WriteUser];
        let mut tokens = Vec::new();
        for user in ["bot", "alice"] {
            forge.create_user(user).await.unwrap();
            tokens.push(forge.create_token(user, "test", &scopes).await.unwrap());
        }
        let repo: RepoName = "bot/project".parse().unwrap();
        let file = ("f1".to_owned(), b"1\n".to_vec());
        let new = NewRepository {
            name: repo.clone(),
            description: String::new(),
            private: false,
            content: InitialCommit::Files([file].into()),
        };
        forge.create_repository(&new).await.unwrap();
        let server = Server::start(forge).await.unwrap();
        let address = ForgeAddress {
            base: server.url().parse().unwrap(),
            kind: ForgeKind::Embedded,
        };
        let pacing = Pacing {
            repeats: 0,
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(20),
            mergeable_wait: Duration::from_secs(2),
            ..Pacing::default()
        };
        let client = |user: &str, token| {
            let (address, pacing) = (address.clone(), pacing.clone());
            let clock = Arc::clone(&shared);
            GiteaClient::with_pacing(address, user.to_owned(), token, clock, pacing).unwrap()
        };
        let alice = client("alice", tokens.pop().unwrap());
        let bot = client("bot", tokens.pop().unwrap());
        let mut sim = SimForge::new(clock.now());
        let first = sim.create_repository(&repo, Tree::from([(1, 1)]));
        let git = Git::new(&root.join("git")).unwrap();
        let path = root.join("host.git");
        let mut pair = Self {
            random: Random::new(seed, "differential"),
            remote: bot.remote(&repo).unwrap(),
            repo,
            sim,
            bot,
            alice,
            tables,
            bare: BareRepository::open_or_init(&git, &path).await.unwrap(),
            clock,
            real: BTreeMap::new(),
            contents: 100,
            _server: server,
            _directory: directory,
        };
        pair.fetch().await;
        let main = pair.listed().await["refs/heads/main"].clone();
        pair.real.insert(first, main);
        pair
    }

    pub(super) async fn fetch(&self) {
        let every = [Refspec::every_branch()];
        self.bare.fetch(&self.remote, &every).await.unwrap();
    }

    pub(super) async fn listed(&self) -> BTreeMap<String, ObjectName> {
        let below = ["refs/heads", "refs/timmy"];
        let below = below.map(|parent| RefPattern::Below(parent.parse().unwrap()));
        let found = self.bare.list_remote(&self.remote, &below).await.unwrap();
        let named = found.into_iter().map(|(name, at)| (name.to_string(), at));
        named.collect()
    }

    /// The real name of an object that a merge may just have made.
    pub(super) fn learn(&mut self, sim: &Option<ObjectName>, real: &Option<ObjectName>) -> bool {
        match (sim, real) {
            (Some(sim), Some(real)) => {
                let known = self.real.entry(sim.clone()).or_insert_with(|| real.clone());
                known == real
            }
            (None, None) => true,
            _ => false,
        }
    }

    pub(super) fn number(&mut self) -> IssueNumber {
        self.random.below(12) + 1
    }

    pub(super) fn branch(&mut self) -> &'static str {
        self.random.pick(&BRANCHES).unwrap()
    }

    pub(super) fn text(&mut self) -> String {
        let number = self.number();
        let texts = [
            String::new(),
            format!("Closes #{number}"),
            format!("see #{number}"),
            format!("{} said", mark(&format!("run/{}", number % 2))),
        ];
        self.random.pick(&texts).unwrap().clone()
    }
}
