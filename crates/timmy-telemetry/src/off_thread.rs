//! Looking at what may hang, off the thread that everything else runs on.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::probe::Unseen;

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is looked at so. Nothing of a kind is looked at twice at once: a look that hangs holds one
/// thread, not one more each minute.
pub(crate) struct Kind {
    what: &'static str,
    turn: Semaphore,
}

/// File systems.
pub(crate) static DISKS: Kind = Kind::new("disks");
/// Sockets of tmux.
pub(crate) static TMUX: Kind = Kind::new("tmux");
/// Crontabs, once they are read.
pub(crate) static CRON: Kind = Kind::new("cron");
/// The jobs of Hermes.
pub(crate) static HERMES: Kind = Kind::new("hermes");

impl Kind {
    const fn new(what: &'static str) -> Self {
        Self {
            what,
            turn: Semaphore::const_new(1),
        }
    }

    /// Looks, within its time.
    ///
    /// # Errors
    /// An [`Unseen`] when this look or the one before it takes too long.
    pub(crate) async fn look<T: Send + 'static>(
        &'static self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unseen> {
        self.look_within(PATIENCE, look).await
    }

    async fn look_within<T: Send + 'static>(
        &'static self,
        patience: Duration,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unseen> {
        let looked = async {
            let turn = self
                .turn
                .acquire()
                .await
                .map_err(|error| error.to_string())?;
            let look = move || {
                let seen = look();
                drop(turn);
                seen
            };
            let looked = tokio::task::spawn_blocking(look).await;
            looked.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(patience, looked).await {
            Ok(looked) => looked.map_err(|why| Unseen::new(self.what, &why)),
            Err(_) => Err(Unseen::new(self.what, "a file system does not answer")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn what_hangs_holds_one_thread() {
        static HUNG: Kind = Kind::new("hung");
        const SHORT: Duration = Duration::from_millis(20);
        let (go, wait) = channel::<()>();
        let first = HUNG.look_within(SHORT, move || wait.recv().is_ok());
        assert!(first.await.is_err());
        let (tell, told) = channel();
        for _ in 0..3 {
            let tell = tell.clone();
            let again = HUNG.look_within(SHORT, move || tell.send(()).is_ok());
            assert!(again.await.is_err());
        }
        assert!(told.try_recv().is_err());
        go.send(()).unwrap();
        drop(HUNG.turn.acquire().await);
        assert_eq!(Ok(true), HUNG.look(move || tell.send(()).is_ok()).await);
    }
}
