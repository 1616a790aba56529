//! Running a program of the system's or the operator's, so that nothing of it stays behind.
//!
//! # Rules
//! - It gets a list of arguments, of the environment only [`ENVIRONMENT`], and a time.
//! - It is judged by how it ends. What it started and left running may go on, and is not waited for.
//! - When its time is over, or nobody waits for it any more, it goes with everything it started.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::process::Command;
use tokio::time::timeout;

/// How long what is still in the pipes is waited for once a program has ended: what it left running
/// may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How much is read at once, in bytes.
const PIECE: usize = 16 << 10;
/// What a program is told of the environment: no key and no token.
const ENVIRONMENT: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    // `systemctl --user` finds the user's own systemd by this.
    "DBUS_SESSION_BUS_ADDRESS",
    // nvidia-smi finds the driver's library by this where the driver is not installed in a usual place.
    "LD_LIBRARY_PATH",
];

/// What a program gets, and how much of it is borne.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// What it gets on its standard input. One that does not read is judged by how it ends.
    pub(crate) input: &'a [u8],
    /// How long it may take.
    pub(crate) patience: Duration,
    /// Bytes that are kept of its standard output. None of it is heard where this is 0.
    pub(crate) output: usize,
    /// Bytes that are kept of its standard error. None of it is heard where this is 0.
    pub(crate) complaint: usize,
}

/// What came of a program that ended. What it said beyond the terms was read and dropped.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// The beginning of its standard output.
    pub(crate) output: Vec<u8>,
    /// Whether that is less than it said.
    pub(crate) cut: bool,
    /// The beginning of its standard error.
    pub(crate) complaint: Vec<u8>,
}

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEnded {
    /// It is not there. Most callers take it for "not present".
    #[error("there is no such program")]
    Missing,
    /// It could not be started or watched; the caller tells it.
    #[error("{0}")]
    Failed(io::Error),
    /// Its time was over, and it was ended.
    #[error("it took longer than {} s", .0.as_secs())]
    TooLong(Duration),
}

/// A program that will be told nothing of the environment but what is in [`ENVIRONMENT`].
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let kept = ENVIRONMENT
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command.env_clear().envs(kept);
    command
}

/// A program's file on the PATH. Looked for here so that nothing is started for one that is missing.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|place| place.join(name));
    places.find(|file| file.is_file())
}

/// Runs a program to its end.
///
/// # Errors
/// [`NotEnded`], each with nothing of the program left behind.
pub(crate) async fn run(mut command: Command, terms: Terms<'_>) -> Result<Ended, NotEnded> {
    let pipe = |wanted: bool| match wanted {
        true => Stdio::piped(),
        false => Stdio::null(),
    };
    let spawned = command
        .stdin(pipe(!terms.input.is_empty()))
        .stdout(pipe(terms.output > 0))
        .stderr(pipe(terms.complaint > 0))
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NotEnded::Missing,
        _ => NotEnded::Failed(error),
    })?;
    // Goes before the child does, while its number cannot be anybody else's.
    let group = Group::of(&child);
    let ended = timeout(terms.patience, attend(&mut child, terms, group)).await;
    ended.unwrap_or(Err(NotEnded::TooLong(terms.patience)))
}

async fn attend(child: &mut Child, terms: Terms<'_>, group: Group) -> Result<Ended, NotEnded> {
    let stdin = child.stdin.take();
    let mut output = Heard::new(child.stdout.take(), terms.output);
    let mut complaint = Heard::new(child.stderr.take(), terms.complaint);
    let status = {
        let mut talk = Box::pin(async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    drop(stdin.write_all(terms.input).await);
                }
            };
            tokio::join!(write, output.listen(), complaint.listen());
        });
        let status = tokio::select! {
            status = child.wait() => status,
            () = &mut talk => child.wait().await,
        };
        // It is gone, and its number may soon be another's.
        group.forget();
        status.map_err(NotEnded::Failed)?
    };
    let rest = async { tokio::join!(output.listen(), complaint.listen()) };
    drop(timeout(LAST_WORDS, rest).await);
    Ok(Ended {
        status,
        output: output.kept,
        cut: output.cut,
        complaint: complaint.kept,
    })
}

/// Everything a program started, unless that left its group. It is killed when nobody waits any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.and_then(Pid::from_raw))
    }

    /// The program has ended by itself.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // None of it may be left already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The beginning of what comes through a pipe.
struct Heard<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    most: usize,
    cut: bool,
}

impl<R: AsyncRead + Unpin> Heard<R> {
    fn new(pipe: Option<R>, most: usize) -> Self {
        Self {
            pipe,
            kept: Vec::new(),
            most,
            cut: false,
        }
    }

    /// Listens to the end, so that a talkative program is not stopped by a full pipe. May be left and
    /// called again.
    async fn listen(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            let room = self.most - self.kept.len();
            self.cut |= length > room;
            self.kept.extend_from_slice(&piece[..length.min(room)]);
        }
        self.pipe = None;
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
