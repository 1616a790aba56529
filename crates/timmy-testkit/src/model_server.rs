//! A model that says what the test wrote down, served over real HTTP.
//!
//! It speaks OpenAI-compatible chat completions (`/v1/chat/completions`, streamed when asked) and
//! Ollama's own API (`/api/chat`), and commits on demand every fault that real servers commit.
//!
//! ```no_run
//! # use timmy_testkit::model_server::{ModelServer, Turn};
//! # async fn example() {
//! let server = ModelServer::start(vec![
//!     Turn::call("run_command", serde_json::json!({"command": "true"})),
//!     Turn::say("done"),
//! ])
//! .await;
//! let base_url = server.base_url();
//! # }
//! ```

mod turn;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::sync::Semaphore;

pub use turn::Fault;
pub use turn::Turn;

use turn::Said;
use wire::Wire;

/// The model name the server gives when the request names none.
pub const MODEL: &str = "scripted";

/// A running scripted model. It stops when it is dropped.
#[derive(Debug)]
pub struct ModelServer {
    server: Server,
    state: Arc<State>,
}

/// A request the server received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method and path, such as `POST /v1/chat/completions`.
    pub line: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; null when it was no JSON.
    pub body: Value,
}

impl Received {
    /// The first header of that name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct State {
    script: Mutex<VecDeque<Turn>>,
    requests: Mutex<Vec<Received>>,
    gate: Semaphore,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModelServer {
    /// Serves a script on a free port: each chat request takes the next turn. When the script is
    /// over, requests are answered with status 500 and say so.
    ///
    /// # Panics
    /// When no loopback port can be had.
    pub async fn start(script: Vec<Turn>) -> Self {
        let state = Arc::new(State {
            script: Mutex::new(script.into()),
            requests: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let handler = Script(Arc::clone(&state));
        match Server::start(handler).await {
            Ok(server) => Self { server, state },
            Err(error) => panic!("no scripted model: {error}"),
        }
    }

    /// The base URL of its OpenAI-compatible API, ending in `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.server.url())
    }

    /// The URL without a path, as Ollama's own API and a Hermes gateway want it.
    #[must_use]
    pub fn root_url(&self) -> String {
        self.server.url()
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        locked(&self.state.requests).clone()
    }

    /// The chat requests so far, without probes of other paths.
    #[must_use]
    pub fn chats(&self) -> Vec<Received> {
        let chats = self.requests().into_iter();
        chats
            .filter(|request| Wire::of_line(&request.line).is_some())
            .collect()
    }

    /// Lets one [`Turn::gated`] turn go on, whether it waits already or is still to come.
    pub fn release(&self) {
        self.state.gate.add_permits(1);
    }

    /// How many turns are left.
    #[must_use]
    pub fn turns_left(&self) -> usize {
        locked(&self.state.script).len()
    }
}

struct Script(Arc<State>);

impl Handler for Script {
    async fn handle(&self, request: Request) -> Reply {
        let received = receive(&request);
        let wire = Wire::of_line(&received.line);
        let body = received.body.clone();
        locked(&self.0.requests).push(received);
        match wire {
            Some(wire) => self.next_turn(wire, &body).await,
            None => probe(&request),
        }
    }
}

impl Script {
    async fn next_turn(&self, wire: Wire, body: &Value) -> Reply {
        let next = locked(&self.0.script).pop_front();
        let Some(turn) = next else {
            let message = "the script is over: no turn is left for this request";
            let error = json!({"error": {"message": message, "type": "script_over"}});
            return Reply::json(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        };
        if turn.gated
            && let Ok(permit) = self.0.gate.acquire().await
        {
            permit.forget();
        }
        match &turn.said {
            Said::Never => std::future::pending().await,
            Said::Dropped => Reply::Dropped,
            Said::Raw(raw) => raw.reply(),
            Said::Message(message) => wire.reply(message, body),
        }
    }
}

fn receive(request: &Request) -> Received {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Received {
        line: format!("{} {}", request.method(), request.uri().path()),
        headers: headers.collect(),
        body: serde_json::from_slice(request.body()).unwrap_or(Value::Null),
    }
}

fn probe(request: &Request) -> Reply {
    match request.uri().path() {
        "/health" | "/v1/health" => {
            Reply::json(StatusCode::OK, json!({"status": "ok"}).to_string())
        }
        // What a Hermes gateway whose tools were all taken away answers.
        "/v1/toolsets" => {
            let toolsets = json!({"object": "list", "data": [
                {"name": "terminal", "enabled": false, "tools": ["terminal"]}]});
            Reply::json(StatusCode::OK, toolsets.to_string())
        }
        "/v1/models" => {
            let models = json!({"object": "list", "data": [{"id": MODEL, "object": "model"}]});
            Reply::json(StatusCode::OK, models.to_string())
        }
        _ => Reply::json(
            StatusCode::NOT_FOUND,
            json!({"error": "not found"}).to_string(),
        ),
    }
}
