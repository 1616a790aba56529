//! Clone, fetch and push: git's smart HTTP, by `git upload-pack` and `git receive-pack`.
//!
//! The protocol is in gitprotocol-http(5). A push is read to its end before git sees it, a fetch is
//! answered piece by piece while git makes it.

use std::collections::HashMap;
use std::io;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use timmy_loopback::Reply;
use timmy_store::forge::Permission;
use timmy_store::forge::Repository;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::sync::mpsc;

use super::Shared;
use super::access::Caller;
use super::access::Visit;
use super::answer;
use super::answer::Refusal;
use super::answer::Response;
use super::branches;
use super::call::Call;
use super::credentials::Scope;
use super::error::EmbeddedError;
use super::git;
use super::git::Bare;
use super::merge_check;

/// The most that a compressed request may grow to: 1 GiB.
const UNPACKED_LIMIT: u64 = 1 << 30;
/// Read from git and sent on at once, in bytes.
const PIECE: usize = 64 << 10;
/// Pieces that wait for a slow client before git has to.
const PIECES_IN_FLIGHT: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    fn named(name: &str) -> Option<Self> {
        match name {
            "git-upload-pack" => Some(Self::UploadPack),
            "git-receive-pack" => Some(Self::ReceivePack),
            _ => None,
        }
    }

    fn subcommand(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }

    fn scope(self) -> Scope {
        match self {
            Self::UploadPack => Scope::ReadRepository,
            Self::ReceivePack => Scope::WriteRepository,
        }
    }
}

/// Answers below `/{owner}/{name}[.git]`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    call: &Call,
    owner: &str,
    name: &str,
    path: &[&str],
) -> Reply {
    let name = name.strip_suffix(".git").unwrap_or(name);
    let place = Place {
        shared,
        call,
        owner,
        name,
    };
    let answer = match (&call.method, path) {
        (&Method::GET, ["info", "refs"]) => place.advertise().await.map(Reply::Whole),
        (&Method::POST, ["git-upload-pack"]) => place.upload().await,
        (&Method::POST, ["git-receive-pack"]) => place.receive().await.map(Reply::Whole),
        _ => Err(Refusal::Missing),
    };
    answer.unwrap_or_else(|refusal| Reply::Whole(plain(refusal)))
}

struct Place<'a> {
    shared: &'a Arc<Shared>,
    call: &'a Call,
    owner: &'a str,
    name: &'a str,
}

impl Place<'_> {
    async fn advertise(&self) -> Result<Response, Refusal> {
        let service = Service::named(self.call.parameter("service"));
        // Without a service it is the dumb protocol, which would need hooks.
        let service = service.ok_or(Refusal::Silent(StatusCode::FORBIDDEN))?;
        let (bare, _) = self.enter(service).await?;
        let mut command = self.command(&bare, service);
        command.args(["--stateless-rpc", "--http-backend-info-refs", "."]);
        let output = git::finish(command, &[]).await?;
        git::succeeded(service.subcommand(), &output)?;
        let announcement = format!("# service=git-{}\n", service.subcommand());
        let length = announcement.len() + 4;
        let mut body = format!("{length:04x}{announcement}0000").into_bytes();
        body.extend(output.stdout);
        Ok(git_response(service, "advertisement", Bytes::from(body)))
    }

    async fn upload(&self) -> Result<Reply, Refusal> {
        let service = Service::UploadPack;
        let (bare, _) = self.enter(service).await?;
        let body = unpacked(self.call).await?;
        let mut command = self.command(&bare, service);
        // What upload-pack has to say goes to the client on the side band.
        command.args(["--stateless-rpc", "."]).stderr(Stdio::null());
        let child = command.spawn().map_err(EmbeddedError::GitMissing)?;
        let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        tokio::spawn(pump(child, body, sender));
        Ok(Reply::Streamed(git_response(service, "result", receiver)))
    }

    async fn receive(&self) -> Result<Response, Refusal> {
        let service = Service::ReceivePack;
        let (bare, repository) = self.enter(service).await?;
        let body = unpacked(self.call).await?;
        let mut command = self.command(&bare, service);
        command.args(["--stateless-rpc", "."]);
        let followed = !self
            .shared
            .tables
            .open_pulls(repository.id)
            .await?
            .is_empty();
        let before = match followed {
            true => branches::tips(&bare).await?,
            false => HashMap::new(),
        };
        let output = git::finish(command, &body).await?;
        if followed {
            let moved = merge_check::moved(&before, &branches::tips(&bare).await?);
            merge_check::follow(self.shared, &repository, &moved).await?;
        }
        tracing::debug!(repository = repository.id, code = output.code, "push");
        Ok(git_response(service, "result", Bytes::from(output.stdout)))
    }

    fn command(&self, bare: &Bare, service: Service) -> tokio::process::Command {
        let mut command = bare.command([service.subcommand()]);
        let protocol = self.call.headers.get("git-protocol");
        if let Some(protocol) = protocol.and_then(|value| value.to_str().ok()) {
            command.env("GIT_PROTOCOL", protocol);
        }
        command
    }

    /// Lets the caller in, or not, in the words of Gitea.
    async fn enter(&self, service: Service) -> Result<(Bare, Repository), Refusal> {
        let tables = &self.shared.tables;
        let caller = Caller::of(tables, &self.call.headers).await?;
        let repository = tables.repository(self.owner, self.name).await?;
        let is_open = repository
            .as_ref()
            .is_some_and(|repository| !repository.private && service == Service::UploadPack);
        if !is_open {
            let asked = |_| Refusal::Silent(StatusCode::UNAUTHORIZED);
            caller.user().map_err(asked)?;
        }
        caller.has_scope(service.scope())?;
        let visit = Visit::new(self.shared, self.call, &caller, self.owner, self.name).await?;
        if service == Service::ReceivePack {
            self.may_push(&visit)?;
        }
        let bare = visit.bare().await?;
        Ok((bare, visit.repository))
    }

    fn may_push(&self, visit: &Visit<'_>) -> Result<(), Refusal> {
        let forbidden = |message: &str| Err(Refusal::said(StatusCode::FORBIDDEN, message));
        if visit.repository.archived {
            return forbidden(
                "This repo is archived. You can view files and clone it, but cannot push or open \
                 issues/pull-requests.",
            );
        }
        if visit.permission < Permission::Write {
            return forbidden("User permission denied for writing.");
        }
        Ok(())
    }
}

/// A refusal as git shows it to a person: plain text, and a challenge where credentials would help.
fn plain(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Said(status @ StatusCode::UNAUTHORIZED, message) => {
            challenge(answer::text(status, message))
        }
        Refusal::Silent(status @ StatusCode::UNAUTHORIZED) => {
            challenge(answer::text(status, "Unauthorized\n"))
        }
        Refusal::Said(status, message) => answer::text(status, message),
        Refusal::Missing => answer::text(StatusCode::NOT_FOUND, "Repository not found\n"),
        other @ (Refusal::Silent(_) | Refusal::Broken(_)) => other.into_response(""),
    }
}

fn challenge(response: Response) -> Response {
    answer::with_header(response, "www-authenticate", "Basic realm=\"timmy\"")
}

fn git_response<B>(service: Service, kind: &str, body: B) -> http::Response<B> {
    let mut response = http::Response::new(body);
    let kind = format!("application/x-git-{}-{kind}", service.subcommand());
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    let never = HeaderValue::from_static("no-cache, max-age=0, must-revalidate");
    response.headers_mut().insert(CACHE_CONTROL, never);
    response
}

/// The body as git wrote it before compressing it.
async fn unpacked(call: &Call) -> Result<Bytes, Refusal> {
    let encoding = call.headers.get(CONTENT_ENCODING);
    match encoding.map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(call.body.clone()),
        Some(b"gzip" | b"x-gzip") => {
            let packed = call.body.clone();
            let unpacking = tokio::task::spawn_blocking(move || gunzip(&packed));
            match unpacking.await {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(error)) => Err(Refusal::said(StatusCode::BAD_REQUEST, error.to_string())),
                Err(_) => Err(Refusal::Silent(StatusCode::INTERNAL_SERVER_ERROR)),
            }
        }
        Some(_) => Err(Refusal::Silent(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

fn gunzip(packed: &[u8]) -> io::Result<Bytes> {
    let mut body = Vec::new();
    let mut unpacking = MultiGzDecoder::new(packed).take(UNPACKED_LIMIT + 1);
    unpacking.read_to_end(&mut body)?;
    if body.len() as u64 > UNPACKED_LIMIT {
        return Err(io::Error::other("the request is too large"));
    }
    Ok(Bytes::from(body))
}

/// Feeds git and passes on what it makes, until one side ends.
async fn pump(mut child: Child, body: Bytes, sender: mpsc::Sender<io::Result<Bytes>>) {
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return;
    };
    let feeding = async move {
        let fed = stdin.write_all(&body).await;
        tracing::trace!(?fed, "fed git");
    };
    // It owns its ends of both pipes: when the client is gone, git hears of it at once.
    let passing = async move {
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match stdout.read(&mut buffer).await {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) => Err(error),
            };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(feeding, passing);
    if let Err(error) = child.wait().await {
        tracing::debug!(%error, "git upload-pack");
    }
}
