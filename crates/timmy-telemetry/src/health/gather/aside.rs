//! Looks at files, away from the thread that everything else runs on.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::AbortHandle;

use crate::health::evidence::Look;

/// A part of every look that touches files: each time on a thread of its own, for a bounded time. A file
/// system that hangs holds up one thread, however often the rest is looked at.
#[derive(Debug)]
pub struct Aside {
    patience: Duration,
    last: Option<AbortHandle>,
}

impl Aside {
    /// A part that may take this long.
    #[must_use]
    pub fn within(patience: Duration) -> Self {
        Self {
            patience,
            last: None,
        }
    }

    /// Looks, unless the last look has not come back yet.
    ///
    /// # Errors
    /// Why nobody can tell.
    pub async fn look<T: Send + 'static>(
        &mut self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Look<T> {
        if self.last.as_ref().is_some_and(|last| !last.is_finished()) {
            return Err(
                "a file system does not answer: the last look has not come back".to_owned(),
            );
        }
        let looking = tokio::task::spawn_blocking(look);
        self.last = Some(looking.abort_handle());
        match tokio::time::timeout(self.patience, looking).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "no answer within {} s, of a file system perhaps",
                self.patience.as_secs()
            )),
        }
    }

    /// Looks at what is made of files and of answers that are waited for. The look has a runtime of its
    /// own, which ends with it.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_and_wait<T: Send + 'static, F: Future<Output = T>>(
        &mut self,
        look: impl FnOnce() -> F + Send + 'static,
    ) -> Look<T> {
        let looked = self.look(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            Ok(runtime.block_on(look()))
        });
        looked.await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_look_that_hangs_is_left_alone_and_no_other_begins() {
        let mut aside = Aside::within(Duration::ZERO);
        let (release, hangs) = mpsc::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let hang = move || {
            let _ = hangs.recv();
            drop(end);
        };
        assert!(aside.look(hang).await.is_err());
        let begun = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let other = std::sync::Arc::clone(&begun);
        let begin = move || other.store(true, std::sync::atomic::Ordering::SeqCst);
        let refused = aside.look(begin).await;
        assert!(refused.unwrap_err().contains("has not come back"));
        // Nobody holds it any more, so it was never started.
        assert_eq!(1, std::sync::Arc::strong_count(&begun));
        drop(release);
        assert!(ended.await.is_err());
        aside.patience = Duration::from_secs(60);
        while aside.last.as_ref().is_some_and(|last| !last.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(Ok(7), aside.look(|| 7).await);
        assert_eq!(Ok(8), aside.look_and_wait(async || 8).await);
    }
}
