//! Standing between timmy and its database: sees every record that is written, and can stop the
//! process on either side of any of them.
//!
//! It reads PostgreSQL's protocol (its manual, chapter "Frontend/Backend Protocol") as far as it must:
//! after the first message each begins with a letter and a length. What is inserted travels as the
//! parameters of a `Bind` message; a transaction is durable when the server says `COMMIT`.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::io;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// `Bind`, from a client.
const BIND: u8 = b'B';
/// `CommandComplete`, from a server.
const COMMAND_COMPLETE: u8 = b'C';
/// Entries of the books.
const ENTRIES: [&str; 2] = ["reserve", "settle"];

/// On which side of a record a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// What it tells of has happened; the record never reaches the database.
    Before,
    /// The record is durable; the process has not heard of it yet.
    After,
}

/// Where a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stop {
    /// The number of the record, from 0.
    pub(crate) record: usize,
    pub(crate) side: Side,
}

/// A way to a database. It ends, with every connection through it, when it is dropped.
pub(crate) struct Tap {
    address: SocketAddr,
    watch: Arc<Watch>,
    accepting: JoinHandle<()>,
}

struct Watch {
    server: SocketAddr,
    stop: Option<Stop>,
    /// The names of the records so far.
    seen: Mutex<Vec<String>>,
    stopped: Semaphore,
}

impl Tap {
    /// Lets everything through.
    pub(crate) async fn open(server: SocketAddr) -> Self {
        Self::start(server, None).await
    }

    /// Lets everything through up to there.
    pub(crate) async fn stopping(server: SocketAddr, at: Stop) -> Self {
        Self::start(server, Some(at)).await
    }

    async fn start(server: SocketAddr, stop: Option<Stop>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let watch = Arc::new(Watch {
            server,
            stop,
            seen: Mutex::default(),
            stopped: Semaphore::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&watch)));
        Self {
            address,
            watch,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names of the records that passed or were stopped, oldest first.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.watch.seen.lock().unwrap().clone()
    }

    /// Waits until the process stands where it is to stop.
    pub(crate) async fn stopped(&self) {
        self.watch.stopped.acquire().await.unwrap().forget();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Watch {
    /// Takes note of a record; tells whether the process is to be stopped at it, and where.
    fn note(&self, name: String) -> Option<Side> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(name);
        let stop = self.stop.filter(|stop| stop.record + 1 == seen.len())?;
        Some(stop.side)
    }

    async fn hold<T>(&self) -> T {
        self.stopped.add_permits(1);
        std::future::pending().await
    }
}

async fn accept(listener: TcpListener, watch: Arc<Watch>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        connections.spawn(connection(client, Arc::clone(&watch)));
    }
}

/// One connection of the client, to the end of either side.
async fn connection(client: TcpStream, watch: Arc<Watch>) {
    let Ok(server) = TcpStream::connect(watch.server).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let commit_is_last = AtomicBool::new(false);
    // An error is the end of a connection, as far as anybody here is concerned.
    tokio::select! {
        _ = ask(from_client, to_server, &watch, &commit_is_last) => {}
        _ = answer(from_server, to_client, &watch, &commit_is_last) => {}
    }
}

async fn ask(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    watch: &Watch,
    commit_is_last: &AtomicBool,
) -> io::Result<()> {
    let greeting = body(&mut client).await?;
    server.write_all(&framed(None, &greeting)).await?;
    loop {
        let letter = client.read_u8().await?;
        let body = body(&mut client).await?;
        let record = (letter == BIND).then(|| record_in(&body)).flatten();
        match record.and_then(|name| watch.note(name)) {
            Some(Side::Before) => watch.hold().await,
            Some(Side::After) => commit_is_last.store(true, Ordering::SeqCst),
            None => {}
        }
        server.write_all(&framed(Some(letter), &body)).await?;
    }
}

async fn answer(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    watch: &Watch,
    commit_is_last: &AtomicBool,
) -> io::Result<()> {
    loop {
        let letter = server.read_u8().await?;
        let body = body(&mut server).await?;
        let committed = letter == COMMAND_COMPLETE && body == b"COMMIT\0";
        if committed && commit_is_last.load(Ordering::SeqCst) {
            watch.hold().await
        }
        client.write_all(&framed(Some(letter), &body)).await?;
    }
}

/// The rest of a message after its letter: a length that counts itself, and so much.
async fn body(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn framed(letter: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    letter
        .into_iter()
        .chain(length)
        .chain(body.iter().copied())
        .collect()
}

/// What a `Bind` message records: the type of an event, or an entry of the books.
fn record_in(bind: &[u8]) -> Option<String> {
    let parameters = parameters(bind)?;
    let kind = |parameter: &&[u8]| {
        let body: Value = serde_json::from_slice(parameter).ok()?;
        Some(body.get("type")?.as_str()?.to_owned())
    };
    if let Some(kind) = parameters.iter().find_map(kind) {
        return Some(kind);
    }
    let mut entries = ENTRIES.into_iter();
    let entry = entries.find(|entry| parameters.contains(&entry.as_bytes()))?;
    Some(format!("books: {entry}"))
}

/// The parameters of a `Bind` message: after two names and the formats, each with its length.
fn parameters(bind: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = bind;
    for _ in 0..2 {
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest = &rest[end + 1..];
    }
    let formats = take_count(&mut rest)?;
    rest = rest.get(2 * formats..)?;
    let count = take_count(&mut rest)?;
    let mut parameters = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>()?;
        // Absent values have the length -1.
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        parameters.push(after.get(..length)?);
        rest = &after[length..];
    }
    Some(parameters)
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (count, after) = rest.split_first_chunk::<2>()?;
    *rest = after;
    Some(u16::from_be_bytes(*count).into())
}
