//! From deliveries to wake-ups.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use timmy_core::Coded;
use timmy_core::RepoName;
use timmy_loopback::Handler;
use timmy_loopback::LoopbackError;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::deliveries::Deliveries;
use super::signature;

/// The path of the address that the forge is given.
pub const PATH: &str = "/webhook";
/// The largest delivery, in bytes. What a larger one would have told is found by the next poll.
pub const BODY_LIMIT: usize = 2 << 20;

const DELIVERY_HEADERS: [&str; 3] = [
    "x-gitea-delivery",
    "x-forgejo-delivery",
    "x-github-delivery",
];
const EVENT_HEADERS: [&str; 3] = ["x-gitea-event", "x-forgejo-event", "x-github-event"];
/// Wake-ups that wait for somebody to take them.
const QUEUE: usize = 64;

/// Who is woken by what.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The secret that the webhook was made with on the forge.
    pub secret: SecretString,
    /// Our own login: what it did wakes nobody.
    pub login: String,
    /// The repositories. Deliveries about others are ignored.
    pub repositories: Vec<RepoName>,
    /// The least time between two wake-ups of a repository.
    pub interval: Duration,
}

/// Takes deliveries of a forge.
#[derive(Debug)]
pub struct Receiver {
    secret: SecretString,
    login: String,
    /// By the name in lower case.
    bells: HashMap<String, Arc<Notify>>,
    deliveries: Mutex<Deliveries>,
    _ringing: JoinSet<()>,
}

/// A receiver that is being served.
#[derive(Debug)]
pub struct Listening {
    /// Serves it as long as this lives.
    pub server: Server,
    /// The repositories that should be looked at.
    pub wakes: mpsc::Receiver<RepoName>,
}

/// Serves a receiver. The address may face a network.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen(
    address: SocketAddr,
    subscription: Subscription,
) -> Result<Listening, LoopbackError> {
    let (receiver, wakes) = Receiver::new(subscription);
    let server = Server::start_facing(address, BODY_LIMIT, receiver).await?;
    Ok(Listening { server, wakes })
}

/// The part of a body that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    repository: Option<Repository>,
    sender: Option<Sender>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    full_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sender {
    login: String,
}

impl Receiver {
    /// A receiver, and where its wake-ups come out.
    #[must_use]
    pub fn new(subscription: Subscription) -> (Self, mpsc::Receiver<RepoName>) {
        let (sender, wakes) = mpsc::channel(QUEUE);
        let mut ringing = JoinSet::new();
        let mut bells = HashMap::new();
        for repo in subscription.repositories {
            let bell = Arc::new(Notify::new());
            bells.insert(repo.to_string().to_lowercase(), Arc::clone(&bell));
            ringing.spawn(ring(bell, repo, sender.clone(), subscription.interval));
        }
        let receiver = Self {
            secret: subscription.secret,
            login: subscription.login,
            bells,
            deliveries: Mutex::default(),
            _ringing: ringing,
        };
        (receiver, wakes)
    }

    fn receive(&self, request: &Request) -> StatusCode {
        if request.uri().path() != PATH {
            return StatusCode::NOT_FOUND;
        }
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        let (headers, body) = (request.headers(), request.body());
        if let Err(error) = signature::verify(headers, body, &self.secret) {
            tracing::debug!(problem = %error.problem(), "a delivery is not believed");
            return StatusCode::UNAUTHORIZED;
        }
        let Some(id) = first(headers, &DELIVERY_HEADERS) else {
            return StatusCode::BAD_REQUEST;
        };
        let mut deliveries = self
            .deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !deliveries.note(id) {
            return StatusCode::OK;
        }
        drop(deliveries);
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            return StatusCode::BAD_REQUEST;
        };
        let event = first(headers, &EVENT_HEADERS).unwrap_or_default();
        self.wake(&body, event);
        StatusCode::OK
    }

    fn wake(&self, body: &Body, event: &str) {
        let sender = body.sender.as_ref().map_or("", |sender| &sender.login);
        let repository = body.repository.as_ref();
        let name = repository.map_or("", |repository| &repository.full_name);
        if sender.eq_ignore_ascii_case(&self.login) {
            return;
        }
        if let Some(bell) = self.bells.get(&name.to_lowercase()) {
            tracing::debug!(repo = name, event, "the forge tells of a change");
            bell.notify_one();
        }
    }
}

impl Handler for Receiver {
    async fn handle(&self, request: Request) -> Reply {
        Reply::empty(self.receive(&request))
    }
}

/// Wakes whenever the bell was rung, and rests after that. What is rung meanwhile wakes once.
async fn ring(
    bell: Arc<Notify>,
    repo: RepoName,
    wakes: mpsc::Sender<RepoName>,
    interval: Duration,
) {
    loop {
        bell.notified().await;
        if wakes.send(repo.clone()).await.is_err() {
            return;
        }
        tokio::time::sleep(interval).await;
    }
}

fn first<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    let value = names.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok()
}
