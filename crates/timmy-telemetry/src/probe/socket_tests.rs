use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;

use tokio::net::UnixSocket;

use super::*;
use crate::probe::tmux;

/// nobody
const SOMEBODY: u32 = 65_534;

/// A server that listens in a directory of its own, which only we may enter.
struct Place {
    directory: tempfile::TempDir,
    path: PathBuf,
    server: UnixListener,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("default");
        let server = UnixListener::bind(&path).unwrap();
        server.set_nonblocking(true).unwrap();
        Self {
            directory,
            path,
            server,
        }
    }

    fn open_to(&self, mode: u32) {
        std::fs::set_permissions(self.directory.path(), Permissions::from_mode(mode)).unwrap();
    }

    /// Nobody is connected to it by what looks for panes, and the reason is told.
    async fn is_left_alone(&self, why: &str) {
        let found = tmux::sockets(Path::new("/nowhere"), std::slice::from_ref(&self.path)).await;
        assert!(found.sockets.iter().all(|socket| socket.path != self.path));
        let told = found.unseen.iter().find(|unseen| unseen.why == why);
        assert!(told.is_some(), "{:?}", found.unseen);
        let came = self.server.accept();
        assert_eq!(
            Some(io::ErrorKind::WouldBlock),
            came.err().map(|error| error.kind())
        );
    }
}

fn we_are_root() -> bool {
    rustix::process::getuid().is_root()
}

#[tokio::test]
async fn a_socket_of_ours_in_a_closed_directory_is_taken() {
    let place = Place::new();
    for mode in [0o700, 0o750] {
        place.open_to(mode);
        assert_eq!(Behind::Ours, behind(&place.path).await);
    }
    drop(place.server);
    assert_eq!(Behind::Nobody, behind(&place.path).await);
    std::fs::remove_file(&place.path).unwrap();
    assert_eq!(Behind::Nobody, behind(&place.path).await);
    std::fs::write(&place.path, "").unwrap();
    assert_eq!(Behind::Nobody, behind(&place.path).await);
}

#[tokio::test]
async fn a_socket_that_another_user_could_have_put_there_is_left_alone() {
    let place = Place::new();
    for mode in [0o1777, 0o707, 0o701, 0o770] {
        place.open_to(mode);
        let why = "its directory is open to other users (chmod 700 closes it)";
        place.is_left_alone(why).await;
    }
    place.open_to(0o700);
    assert_eq!(Behind::Ours, behind(&place.path).await);
    if !we_are_root() {
        return;
    }
    let (somebody, us) = (Some(SOMEBODY), Some(0));
    chown(place.directory.path(), somebody, None).unwrap();
    let place = Place {
        server: {
            drop(place.server);
            std::fs::remove_file(&place.path).unwrap();
            let server = UnixListener::bind(&place.path).unwrap();
            server.set_nonblocking(true).unwrap();
            server
        },
        ..place
    };
    place
        .is_left_alone("its directory belongs to another user")
        .await;
    chown(place.directory.path(), us, None).unwrap();
    chown(&place.path, somebody, None).unwrap();
    place.is_left_alone("it belongs to another user").await;
}

#[tokio::test]
async fn a_link_to_a_directory_is_left_alone() {
    let place = Place::new();
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    drop(std::fs::create_dir_all(link.parent().unwrap()));
    std::os::unix::fs::symlink(place.directory.path(), &link).unwrap();
    let why = "its directory is a link".to_owned();
    assert_eq!(Behind::LeftAlone(why), behind(&link.join("default")).await);
}

#[tokio::test]
async fn a_server_of_another_user_is_left_alone_whoever_owns_its_socket() {
    if !we_are_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("default");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let bound = path.clone();
    let bind = move || {
        // Of this thread only.
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(SOMEBODY)).unwrap();
        UnixListener::bind(bound).unwrap()
    };
    let server = std::thread::spawn(bind).join().unwrap();
    chown(&path, Some(0), None).unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let why = "another user answers there".to_owned();
    assert_eq!(Behind::LeftAlone(why), behind(&path).await);
    drop(server);
}

#[tokio::test]
async fn a_server_whose_queue_is_full_does_not_answer() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let path = directory.path().join("default");
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let server = socket.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    let why = "it does not answer".to_owned();
    assert_eq!(Behind::LeftAlone(why.clone()), behind(&path).await);
    let found = tmux::sockets(Path::new("/nowhere"), &[path]).await;
    assert!(found.unseen.iter().any(|unseen| unseen.why == why));
    drop((server, waiting));
}
