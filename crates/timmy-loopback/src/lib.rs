//! One HTTP handler served on the loopback interface.
//!
//! The embedded forge, the playback of recorded conversations and the scripted servers of the tests
//! all speak real HTTP through this crate. It is deliberately small: HTTP/1.1, bounded bodies, and
//! replies that can be streamed or cut off in the middle.
//!
//! # Rules
//! - Only loopback addresses are bound, but by [`Server::start_facing`], which serves strangers: it
//!   bounds how many connections there are and how long a request may take to arrive.
//! - A server that is dropped stops accepting; its connections end with it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use http_body_util::Limited;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// The largest request body that is read when nothing else is asked for, in bytes.
pub const DEFAULT_BODY_LIMIT: usize = 64 << 20;

/// How many connections strangers may hold at once.
const FACING_CONNECTIONS: usize = 64;
/// How long a stranger's request may take to arrive.
const FACING_ARRIVAL: Duration = Duration::from_secs(30);

/// What a server puts up with.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The largest body, in bytes.
    body: usize,
    connections: usize,
    /// The longest time for a body to arrive.
    arrival: Option<Duration>,
}

/// A request with its whole body.
pub type Request = http::Request<Bytes>;

/// What a handler answers.
#[derive(Debug)]
pub enum Reply {
    /// A whole response.
    Whole(http::Response<Bytes>),
    /// A response whose body arrives in pieces until the sender is dropped. An `Err` cuts the
    /// connection in the middle of the body.
    Streamed(http::Response<mpsc::Receiver<io::Result<Bytes>>>),
    /// No response: the connection is closed.
    Dropped,
}

impl Reply {
    /// A response with a JSON body.
    #[must_use]
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut response = http::Response::new(body.into());
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json;charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Self::Whole(response)
    }

    /// A response with a status and no body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = status;
        Self::Whole(response)
    }
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Called concurrently.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// A loopback server that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The address is not a loopback address. A defect of the caller.
    #[error("{0} is not a loopback address")]
    NotLoopback(IpAddr),
    /// The port is taken or may not be used; the operator chooses another.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Coded for LoopbackError {
    fn problem(&self) -> Problem {
        let problem = Problem::new(Code::new(110), ExitStatus::Unavailable, self.to_string());
        match self {
            Self::NotLoopback(_) => problem.fix("use 127.0.0.1 or ::1"),
            Self::Bind { source, .. } => problem
                .at(source.to_string())
                .fix("choose another port, or 0 for a free one"),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `handler` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// See [`LoopbackError`].
    pub async fn start(handler: impl Handler) -> Result<Self, LoopbackError> {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(free_port, DEFAULT_BODY_LIMIT, handler).await
    }

    /// Serves `handler` on a given loopback address; larger bodies are answered with 413.
    ///
    /// # Errors
    /// See [`LoopbackError`].
    pub async fn start_at(
        address: SocketAddr,
        body_limit: usize,
        handler: impl Handler,
    ) -> Result<Self, LoopbackError> {
        if !address.ip().is_loopback() {
            return Err(LoopbackError::NotLoopback(address.ip()));
        }
        let limits = Limits {
            body: body_limit,
            connections: usize::MAX,
            arrival: None,
        };
        Self::bind(address, limits, handler).await
    }

    /// Serves `handler` on any address. Larger bodies are answered with 413, those that take longer
    /// than half a minute to arrive with 408, and of more than sixty-four connections the others
    /// wait.
    ///
    /// # Errors
    /// [`LoopbackError::Bind`].
    pub async fn start_facing(
        address: SocketAddr,
        body_limit: usize,
        handler: impl Handler,
    ) -> Result<Self, LoopbackError> {
        let limits = Limits {
            body: body_limit,
            connections: FACING_CONNECTIONS,
            arrival: Some(FACING_ARRIVAL),
        };
        Self::bind(address, limits, handler).await
    }

    async fn bind(
        address: SocketAddr,
        limits: Limits,
        handler: impl Handler,
    ) -> Result<Self, LoopbackError> {
        let bind_error = |source| LoopbackError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let accepting = tokio::spawn(accept(listener, limits, Arc::new(handler)));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the server ends, which it does only when its task is cancelled.
    pub async fn join(mut self) {
        let ended = (&mut self.accepting).await;
        if let Err(error) = ended {
            tracing::debug!(%error, "loopback server ended");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, limits: Limits, handler: Arc<impl Handler>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= limits.connections {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, limits, Arc::clone(&handler)));
            }
            // Out of file descriptors: those in use are given back as connections end.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                connections.join_next().await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, limits: Limits, handler: Arc<impl Handler>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(|request| answer(request, limits, Arc::clone(&handler)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "connection ended early");
    }
}

async fn answer(
    request: http::Request<Incoming>,
    limits: Limits,
    handler: Arc<impl Handler>,
) -> Result<http::Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let arriving = Limited::new(body, limits.body).collect();
    let arrived = match limits.arrival {
        Some(time) => tokio::time::timeout(time, arriving).await,
        None => Ok(arriving.await),
    };
    let status = match arrived {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    };
    let body = match status {
        Ok(body) => body,
        Err(status) => {
            let mut refusal = http::Response::new(Body::Whole(None));
            *refusal.status_mut() = status;
            return Ok(refusal);
        }
    };
    match handler.handle(http::Request::from_parts(head, body)).await {
        Reply::Whole(response) => Ok(response.map(|body| Body::Whole(Some(body)))),
        Reply::Streamed(response) => Ok(response.map(|pieces| {
            Body::Streamed(Pieces {
                pieces,
                broken: None,
            })
        })),
        Reply::Dropped => Err(Dropped),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the handler dropped the connection")]
struct Dropped;

impl From<Infallible> for Dropped {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

enum Body {
    Whole(Option<Bytes>),
    Streamed(Pieces),
}

struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    broken: Option<io::Error>,
}

impl Pieces {
    /// An error is held back for one turn of the connection, so that everything before it, the head
    /// included, is on its way when the connection breaks.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.pieces.poll_recv(context) {
            Poll::Ready(Some(Err(error))) => {
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(data))) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|data| Ok(Frame::data(data)))),
            Self::Streamed(pieces) => pieces.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(body) => {
                hyper::body::SizeHint::with_exact(body.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Streamed(_) => hyper::body::SizeHint::default(),
        }
    }
}
