//! A server that answers as the test says, for what no well-behaved server does.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::HeaderName;
use secrecy::SecretString;
use serde_json::Value;
use timmy_core::RepoName;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::Pacing;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use timmy_testkit::ManualClock;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server and what it was asked.
pub(crate) struct Scripted {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Script<F> {
    answer: F,
    asked: Arc<Mutex<Vec<String>>>,
}

impl<F: Fn(&Asked) -> Reply + Send + Sync + 'static> Handler for Script<F> {
    async fn handle(&self, request: Request) -> Reply {
        let line = format!("{} {}", request.method(), request.uri());
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|earlier| **earlier == line).count();
        asked.push(line.clone());
        drop(asked);
        (self.answer)(&Asked {
            line,
            before,
            request,
        })
    }
}

/// One request.
pub(crate) struct Asked {
    /// Method and path with query.
    pub(crate) line: String,
    /// How often the same was asked before.
    pub(crate) before: usize,
    pub(crate) request: Request,
}

impl Asked {
    pub(crate) fn is(&self, method: &str, path_end: &str) -> bool {
        self.request.method() == method && self.request.uri().path().ends_with(path_end)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.request.body()).unwrap()
    }
}

impl Scripted {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Script {
            answer,
            asked: Arc::clone(&asked),
        };
        let server = Server::start(script).await.unwrap();
        Self { server, asked }
    }

    pub(crate) fn client(&self) -> GiteaClient {
        let address = ForgeAddress {
            base: self.server.url().parse().unwrap(),
            kind: ForgeKind::Gitea,
        };
        client_at(address, fast())
    }

    /// Method and path of every request so far, without the queries.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let short = |line: &String| {
            let path = line.split('?').next().unwrap_or_default();
            path.replace("/api/v1/repos/night/shift", "")
        };
        asked.iter().map(short).collect()
    }

    pub(crate) fn queries(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let query = |line: &String| line.split_once('?').map(|(_, query)| query.to_owned());
        asked.iter().filter_map(query).collect()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.address().port()
    }
}

pub(crate) fn client_at(address: ForgeAddress, pacing: Pacing) -> GiteaClient {
    let clock = Arc::new(ManualClock::default());
    GiteaClient::with_pacing(
        address,
        "bot".into(),
        SecretString::from(TOKEN),
        clock,
        pacing,
    )
    .unwrap()
}

/// As patient as the real thing, without the waiting.
pub(crate) fn fast() -> Pacing {
    Pacing {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
        mergeable_wait: Duration::from_millis(20),
        ..Pacing::default()
    }
}

pub(crate) fn repo() -> RepoName {
    "night/shift".parse().unwrap()
}

pub(crate) fn json(status: u16, body: &Value) -> Reply {
    Reply::json(StatusCode::from_u16(status).unwrap(), body.to_string())
}

pub(crate) fn text(status: u16, content_type: &'static str, body: &'static str) -> Reply {
    let mut response = http::Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", content_type);
    Reply::Whole(response)
}

pub(crate) fn with_header(reply: Reply, name: &'static str, value: &str) -> Reply {
    let Reply::Whole(mut response) = reply else {
        panic!("only whole replies take headers");
    };
    let value = HeaderValue::from_str(value).unwrap();
    response
        .headers_mut()
        .insert(HeaderName::from_static(name), value);
    Reply::Whole(response)
}
