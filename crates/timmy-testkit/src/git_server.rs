//! Real repositories behind real smart HTTP: `git http-backend` on the loopback interface.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use tempfile::TempDir;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Path and query.
    pub target: String,
    /// The Authorization header, if one came.
    pub authorization: Option<String>,
}

/// What goes wrong with a request that pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushFault {
    /// It is done and the answer is lost.
    LoseAnswer,
    /// It is not done and there is no answer.
    LoseRequest,
    /// It is not done, and nobody says anything: the connection stays as it is.
    KeepSilent,
}

/// A server of bare repositories in a directory that goes away with it.
#[derive(Debug)]
pub struct GitServer {
    state: Arc<State>,
    server: Server,
}

#[derive(Debug)]
struct State {
    root: TempDir,
    authorization: Option<String>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<PushFault>>,
}

impl GitServer {
    /// A server that anybody may read and write.
    ///
    /// # Errors
    /// When no port or directory can be had.
    pub async fn open() -> io::Result<Self> {
        Self::start(None).await
    }

    /// A server that answers 401 unless this Authorization header comes.
    ///
    /// # Errors
    /// When no port or directory can be had.
    pub async fn guarded(authorization: &str) -> io::Result<Self> {
        Self::start(Some(authorization.to_owned())).await
    }

    async fn start(authorization: Option<String>) -> io::Result<Self> {
        let state = Arc::new(State {
            root: TempDir::new()?,
            authorization,
            seen: Mutex::default(),
            faults: Mutex::default(),
        });
        let server = Server::start(Backend(Arc::clone(&state)))
            .await
            .map_err(io::Error::other)?;
        Ok(Self { state, server })
    }

    /// Makes an empty repository and gives its URL.
    ///
    /// # Errors
    /// When git refuses.
    pub async fn create(&self, name: &str) -> io::Result<String> {
        let path = self.path(name);
        let made = Command::new("git")
            .args([
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                "--template=",
            ])
            .arg(&path)
            .status()
            .await?;
        if !made.success() {
            return Err(io::Error::other("git init failed"));
        }
        Ok(format!("{}/{name}", self.server.url()))
    }

    /// Where a repository lies on disk.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.state.root.path().join(name)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.state.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the next requests that push go wrong. One push can be several requests: libcurl repeats
    /// one that died on a kept connection.
    pub fn break_pushes(&self, fault: PushFault, requests: usize) {
        let mut next = self
            .state
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *next = vec![fault; requests];
    }

    /// Lets nothing go wrong any more.
    pub fn mend(&self) {
        let mut faults = self
            .state
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        faults.clear();
    }
}

impl State {
    fn remember(&self, request: &Request, authorization: Option<String>) {
        let target = request.uri().to_string();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Seen {
            target,
            authorization,
        });
    }
}

struct Backend(Arc<State>);

impl Handler for Backend {
    async fn handle(&self, request: Request) -> Reply {
        let authorization = header_text(request.headers(), &header::AUTHORIZATION);
        self.0.remember(&request, authorization.clone());
        if self.0.authorization.is_some() && self.0.authorization != authorization {
            return unauthorized();
        }
        let fault = self.take_fault(&request);
        match fault {
            Some(PushFault::LoseRequest) => return Reply::Dropped,
            Some(PushFault::KeepSilent) => return std::future::pending().await,
            Some(PushFault::LoseAnswer) | None => {}
        }
        let reply = serve(self.0.root.path(), request).await;
        match (fault, reply) {
            (Some(PushFault::LoseAnswer), _) => Reply::Dropped,
            (_, Ok(reply)) => reply,
            (_, Err(_)) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Backend {
    fn take_fault(&self, request: &Request) -> Option<PushFault> {
        if !request.uri().path().ends_with("/git-receive-pack") {
            return None;
        }
        let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.pop()
    }
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    value.to_str().ok().map(str::to_owned)
}

fn unauthorized() -> Reply {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = HeaderValue::from_static("Basic realm=\"git\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    Reply::Whole(response)
}

/// One CGI call (RFC 3875) of `git http-backend`.
async fn serve(root: &Path, request: Request) -> io::Result<Reply> {
    let (head, body) = request.into_parts();
    let text = |name: &HeaderName| header_text(&head.headers, name).unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REMOTE_USER", "anybody")
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", text(&header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(&header::CONTENT_ENCODING))
        .env(
            "GIT_PROTOCOL",
            text(&HeaderName::from_static("git-protocol")),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take();
    let feed = async move {
        match input {
            Some(mut pipe) => pipe.write_all(&body).await,
            None => Ok(()),
        }
    };
    let (fed, output) = tokio::join!(feed, child.wait_with_output());
    let output = output?.stdout;
    // The program may answer without reading a body it does not want.
    drop(fed);
    cgi_reply(&output).ok_or_else(|| io::Error::other("not a CGI response"))
}

fn cgi_reply(output: &[u8]) -> Option<Reply> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut response = http::Response::new(Bytes::copy_from_slice(&output[end + 4..]));
    for line in std::str::from_utf8(&output[..end]).ok()?.lines() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next()?.parse::<u16>().ok()?;
            *response.status_mut() = StatusCode::from_u16(code).ok()?;
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        response
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).ok()?);
    }
    Some(Reply::Whole(response))
}
