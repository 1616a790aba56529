//! Which sockets of tmux may be spoken to.
//!
//! A client of tmux does what the server tells it, up to running a shell: a socket that somebody else
//! could have put there is not for us. tmux itself looks at that only for a socket it finds by itself,
//! not for one it is given.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::off_thread;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nobody else may do anything in the directory of tmux's usual sockets (as tmux has it).
const IN_USUAL_PLACE: u32 = 0o077;
/// What nobody else may do in another directory: reading it is for its group to decide.
const ELSEWHERE: u32 = 0o027;

/// What is behind a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nobody listens there.
    Nobody,
    /// A server of our own user.
    Ours,
    /// Something that is left alone, for this reason.
    LeftAlone(String),
}

/// Where the user's default server listens.
pub(crate) fn usual() -> PathBuf {
    let directory = std::env::var_os("TMUX_TMPDIR").filter(|place| !place.is_empty());
    let directory = directory.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let user = rustix::process::getuid().as_raw();
    directory.join(format!("tmux-{user}")).join("default")
}

/// Looks at the path, its directory, and who answers. No program is started for that.
pub(crate) async fn behind(path: &Path) -> Behind {
    let owned = path.to_owned();
    match off_thread::TMUX.look(move || in_files(&owned)).await {
        Ok(Ok(Behind::Ours)) => answers(path).await,
        Ok(Ok(other)) => other,
        Ok(Err(error)) if is_nobody(&error) => Behind::Nobody,
        Ok(Err(error)) => Behind::LeftAlone(error.to_string()),
        Err(unseen) => Behind::LeftAlone(unseen.why),
    }
}

/// What the file system says of it.
fn in_files(path: &Path) -> io::Result<Behind> {
    let us = rustix::process::getuid().as_raw();
    let left_alone = |why: &str| Ok(Behind::LeftAlone(why.to_owned()));
    let Some(directory) = path.parent() else {
        return Ok(Behind::Nobody);
    };
    let socket = path.symlink_metadata()?;
    let directory = directory.symlink_metadata()?;
    let closed = if path == usual() {
        IN_USUAL_PLACE
    } else {
        ELSEWHERE
    };
    if !directory.is_dir() {
        return left_alone("its directory is a link");
    }
    if directory.uid() != us {
        return left_alone("its directory belongs to another user");
    }
    if directory.mode() & closed != 0 {
        return left_alone("its directory is open to other users (chmod 700 closes it)");
    }
    if !socket.file_type().is_socket() {
        return Ok(Behind::Nobody);
    }
    if socket.uid() != us {
        return left_alone("it belongs to another user");
    }
    Ok(Behind::Ours)
}

/// Whether a server of our user takes the connection. One whose queue is full is not waited for.
async fn answers(path: &Path) -> Behind {
    let stream = match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if is_nobody(&error) => return Behind::Nobody,
        Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
            return Behind::LeftAlone(error.to_string());
        }
        Ok(Err(_)) | Err(_) => return Behind::LeftAlone("it does not answer".to_owned()),
    };
    let us = rustix::process::getuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == us => Behind::Ours,
        Ok(_) => Behind::LeftAlone("another user answers there".to_owned()),
        Err(error) => Behind::LeftAlone(error.to_string()),
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
