//! A way to a server that a test can close and open again.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// Forwards connections for as long as it lives.
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    open: watch::Sender<bool>,
    turned_away: Arc<Semaphore>,
    forwarding: JoinHandle<()>,
}

impl Way {
    /// On a free port.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::from(listener, target)
    }

    pub(crate) fn from(listener: TcpListener, target: SocketAddr) -> Self {
        let (open, is_open) = watch::channel(true);
        let turned_away = Arc::new(Semaphore::new(0));
        Self {
            address: listener.local_addr().unwrap(),
            open,
            turned_away: Arc::clone(&turned_away),
            forwarding: tokio::spawn(forward(listener, target, is_open, turned_away)),
        }
    }

    /// Ends every connection and turns new ones away.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until one more connection was turned away.
    pub(crate) async fn turned_away(&self) {
        self.turned_away.acquire().await.unwrap().forget();
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

async fn forward(
    listener: TcpListener,
    target: SocketAddr,
    is_open: watch::Receiver<bool>,
    turned_away: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut is_open = is_open.clone();
        if !*is_open.borrow() {
            turned_away.add_permits(1);
            continue;
        }
        connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(target).await else {
                return;
            };
            // Either side's end ends it; which one it was makes no difference here.
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = is_open.wait_for(|open| !open) => {}
            }
        });
    }
}
