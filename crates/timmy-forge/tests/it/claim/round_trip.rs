//! What taking a free issue asks of a forge.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use timmy_core::RunId;
use timmy_core::SystemClock;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Identity;
use timmy_forge::embedded::EmbeddedForge;
use timmy_git::Credential;
use timmy_git::Remote;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;

use crate::claim::stage::bare;
use crate::forge_server::ForgeServer;

/// The embedded forge, and every request it was asked.
struct Noted {
    forge: EmbeddedForge,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Handler for Noted {
    async fn handle(&self, request: Request) -> Reply {
        let line = format!("{} {}", request.method(), request.uri());
        self.requests.lock().unwrap().push(line);
        self.forge.handle(request).await
    }
}

#[tokio::test]
async fn a_free_issue_is_taken_with_one_push_and_nothing_else() {
    let forge = ForgeServer::start().await;
    let requests = Arc::default();
    let noted = Noted {
        forge: forge.forge.clone(),
        requests: Arc::clone(&requests),
    };
    let server = Server::start(noted).await.unwrap();
    let url = format!("{}/bot/project.git", server.url());
    let remote = Remote {
        url: url.parse().unwrap(),
        credential: Some(Credential {
            user: "bot".to_owned(),
            token: forge.bot.clone().into(),
        }),
    };
    let claims = Claims::new(
        bare(&forge.directory.path().join("host")).await,
        remote,
        Identity::new("worker", "machine"),
        Duration::from_secs(600),
        Arc::new(SystemClock::new()),
    );
    let acquired = claims.acquire(7, &RunId::generate()).await.unwrap();
    assert!(matches!(acquired, Acquired::Won(_)), "{acquired:?}");
    // gitprotocol-http(5): a push is the list of refs and the pack. A fetch, a look at the refs or
    // a question for the password would be further requests.
    let push = [
        "GET /bot/project.git/info/refs?service=git-receive-pack",
        "POST /bot/project.git/git-receive-pack",
    ];
    assert_eq!(push.as_slice(), requests.lock().unwrap().as_slice());
}
