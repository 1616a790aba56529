//! What taking a free issue costs: requests and time, at the embedded forge on the loopback interface.
//!
//! `claim CLAIMS` takes so many issues, one after the other, and prints one line of JSON:
//! `requests` and `pushes` (requests that end in `git-receive-pack`) per claim, `median_ms`. Which git
//! programs it started, only their caller can tell.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;
use timmy_core::Clock;
use timmy_core::RunId;
use timmy_core::SystemClock;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Identity;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_git::BareRepository;
use timmy_git::Credential;
use timmy_git::Git;
use timmy_git::Remote;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use timmy_store::Store;

/// The embedded forge, and how often it was asked.
struct Counted {
    forge: EmbeddedForge,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    requests: AtomicUsize,
    pushes: AtomicUsize,
}

impl Handler for Counted {
    async fn handle(&self, request: Request) -> Reply {
        self.count.requests.fetch_add(1, Ordering::Relaxed);
        if request.uri().path().ends_with("/git-receive-pack") {
            self.count.pushes.fetch_add(1, Ordering::Relaxed);
        }
        self.forge.handle(request).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let claims_wanted: u64 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("home");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(&root).await?;
    let forge = EmbeddedForge::new(store, &root.join("forge"), Arc::clone(&clock))?;
    forge.create_user("bot").await?;
    let token = forge
        .create_token("bot", "bench", &[Scope::WriteRepository])
        .await?;
    let new = NewRepository {
        name: "bot/project".parse()?,
        description: String::new(),
        private: true,
        content: InitialCommit::Files(vec![("README.md".to_owned(), b"# project\n".to_vec())]),
    };
    forge.create_repository(&new).await?;
    let count = Arc::new(Count::default());
    let counted = Counted {
        forge,
        count: Arc::clone(&count),
    };
    let server = Server::start(counted).await?;
    let remote = Remote {
        url: format!("{}/bot/project.git", server.url()).parse()?,
        credential: Some(Credential {
            user: "bot".to_owned(),
            token,
        }),
    };
    let git = Git::new(&root.join("git"))?;
    let bare = BareRepository::open_or_init(&git, &root.join("host.git")).await?;
    let identity = Identity::new("worker", "machine");
    let claims = Claims::new(bare, remote, identity, Duration::from_secs(600), clock);
    let mut times = Vec::new();
    for issue in 1..=claims_wanted {
        let started = Instant::now();
        let acquired = claims.acquire(issue, &RunId::generate()).await?;
        times.push(started.elapsed());
        if !matches!(acquired, Acquired::Won(_)) {
            return Err(format!("issue {issue} was not free").into());
        }
    }
    times.sort();
    let per_claim = |count: &AtomicUsize| count.load(Ordering::Relaxed) as f64 / times.len() as f64;
    let figures = json!({
        "claims": times.len(),
        "requests": per_claim(&count.requests),
        "pushes": per_claim(&count.pushes),
        "median_ms": times[times.len() / 2].as_secs_f64() * 1e3,
    });
    writeln!(std::io::stdout().lock(), "{figures}")?;
    Ok(())
}
