//! A portal that exchanges tokens as the Nous Portal does, served over real HTTP.
//!
//! Refresh tokens are used once. Whoever shows a spent one ends the whole login, as in OAuth 2.1.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_core::Clock;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::sync::Semaphore;

/// How long its keys live.
pub const KEY_LIFE: Duration = Duration::from_secs(3_599);
/// The header in which the Nous Portal takes refresh tokens.
pub const REFRESH_HEADER: &str = "x-nous-refresh-token";

/// A running portal. It stops when it is dropped.
#[derive(Debug)]
pub struct Portal {
    server: Server,
    state: Arc<State>,
}

/// How a portal answers when it is asked to exchange a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// As it should.
    #[default]
    Good,
    /// With this status and nothing else, before it looks at the token.
    Status(u16),
    /// It exchanges the token, and closes the connection without a word.
    TakesAndDrops,
    /// It exchanges the token, and never answers.
    TakesAndHangs,
}

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path with query.
    pub line: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

struct State {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    arrived: Semaphore,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Inner {
    mood: Mood,
    current: String,
    spent: BTreeSet<String>,
    revoked: bool,
    exchanges: u32,
    asked: Vec<Asked>,
    life: Duration,
    scope: String,
    tells_life: bool,
}

impl Portal {
    /// Starts a portal on a free port of 127.0.0.1 whose only login has the refresh token `rt-0`, and
    /// then `rt-1` and so on. Keys live for 3599 seconds.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let state = Arc::new(State {
            clock,
            inner: Mutex::new(Inner {
                mood: Mood::Good,
                current: refresh_token(0),
                spent: BTreeSet::new(),
                revoked: false,
                exchanges: 0,
                asked: Vec::new(),
                life: KEY_LIFE,
                scope: "inference:invoke".to_owned(),
                tells_life: true,
            }),
            arrived: Semaphore::new(0),
        });
        let server = Server::start(Answering(Arc::clone(&state))).await;
        let server = server.unwrap_or_else(|error| panic!("a loopback server: {error}"));
        Self { server, state }
    }

    /// Its address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Makes it answer otherwise from now on.
    pub fn be(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    /// Ends the login, as 30 days do.
    pub fn revoke(&self) {
        self.state.lock().revoked = true;
    }

    /// The scope of the keys it gives from now on.
    pub fn give_scope(&self, scope: &str) {
        scope.clone_into(&mut self.state.lock().scope);
    }

    /// Makes the keys it gives from now on opaque, without a word about how long they live.
    pub fn hide_life(&self) {
        self.state.lock().tells_life = false;
    }

    /// How many tokens were exchanged.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        self.state.lock().exchanges
    }

    /// Whether the login is over.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.state.lock().revoked
    }

    /// Everything it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().asked.clone()
    }

    /// Waits until it was asked once more than the last time this was waited for.
    pub async fn until_asked(&self) {
        let arrived = self.state.arrived.acquire().await;
        arrived.unwrap_or_else(|error| panic!("{error}")).forget();
    }

    /// An access token as it gives them, given so long ago that this much life is left.
    #[must_use]
    pub fn access_token(&self, left: Duration) -> String {
        let inner = self.state.lock();
        let expires = self.state.clock.now().as_second();
        let expires = expires.saturating_add_unsigned(left.as_secs());
        jwt(expires, inner.life, &inner.scope, inner.exchanges)
    }
}

/// The refresh token after so many exchanges.
#[must_use]
pub fn refresh_token(exchanges: u32) -> String {
    format!("rt-{exchanges}-of-a-login-that-tests-use")
}

/// An access token: a JSON Web Token without a real signature.
fn jwt(expires: i64, life: Duration, scope: &str, number: u32) -> String {
    let issued = expires.saturating_sub_unsigned(life.as_secs());
    let claims = json!({"iat": issued, "exp": expires, "scope": scope, "jti": number.to_string()});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "none"})), part(&claims))
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, shown: &str) -> (StatusCode, Value) {
        let mut inner = self.lock();
        if inner.spent.contains(shown) {
            inner.revoked = true;
            let error = json!({"error": "refresh_token_reused", "error_description": "Refresh token reuse detected"});
            return (StatusCode::BAD_REQUEST, error);
        }
        if inner.revoked || inner.current != shown {
            let error = json!({"error": "invalid_grant", "error_description": format!("no session for {shown}")});
            return (StatusCode::BAD_REQUEST, error);
        }
        inner.spent.insert(shown.to_owned());
        inner.exchanges += 1;
        inner.current = refresh_token(inner.exchanges);
        let now = self.clock.now().as_second();
        let expires = now.saturating_add_unsigned(inner.life.as_secs());
        if !inner.tells_life {
            let access = format!("opaque-{}", inner.exchanges);
            let tokens = json!({"access_token": access, "refresh_token": inner.current});
            return (StatusCode::OK, tokens);
        }
        let tokens = json!({
            "access_token": jwt(expires, inner.life, &inner.scope, inner.exchanges),
            "refresh_token": inner.current,
            "token_type": "Bearer",
            "scope": inner.scope,
            "expires_in": inner.life.as_secs(),
            "inference_base_url": "https://inference-api.nousresearch.com/v1",
        });
        (StatusCode::OK, tokens)
    }

    fn key(&self) -> (StatusCode, Value) {
        let inner = self.lock();
        let life = inner.life.as_secs();
        let expires = self.clock.now() + inner.life;
        let key = json!({
            "api_key": format!("sk-made-for-a-test-{}", inner.asked.len()),
            "key_id": "key-1",
            "expires_at": expires.to_string(),
            "expires_in": life,
            "reused": false,
        });
        (StatusCode::OK, key)
    }
}

struct Answering(Arc<State>);

impl Handler for Answering {
    async fn handle(&self, request: Request) -> Reply {
        let state = &self.0;
        let header = |name: &str| {
            let value = request.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let headers = request.headers().iter();
        let asked = Asked {
            line: format!("{} {}", request.method(), request.uri()),
            headers: headers
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.to_string(), value.into_owned())
                })
                .collect(),
            body: body.clone(),
        };
        let mood = {
            let mut inner = state.lock();
            inner.asked.push(asked);
            inner.mood
        };
        let (status, answer) = match (request.uri().path(), mood) {
            (_, Mood::Status(status)) => {
                state.arrived.add_permits(1);
                return Reply::empty(StatusCode::from_u16(status).unwrap_or_default());
            }
            ("/api/oauth/agent-key", _) => state.key(),
            _ => {
                let in_form = body
                    .split('&')
                    .find_map(|field| field.strip_prefix("refresh="));
                let shown = header(REFRESH_HEADER).or_else(|| in_form.map(str::to_owned));
                state.exchange(&shown.unwrap_or_default())
            }
        };
        state.arrived.add_permits(1);
        match mood {
            Mood::TakesAndDrops => Reply::Dropped,
            Mood::TakesAndHangs => std::future::pending().await,
            Mood::Good | Mood::Status(_) => Reply::json(status, answer.to_string()),
        }
    }
}
