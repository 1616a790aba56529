//! Writing without ever doing it twice by mistake.

use std::future::Future;

use super::GiteaClient;
use super::http::Call;
use crate::error::ForgeError;

impl GiteaClient {
    /// Sends a write until it is known to have happened or not.
    ///
    /// `look` reads the forge and gives back what `send` would have, if it is there already. It is
    /// asked after every reply that was lost or was a 5xx, because such a write may have happened.
    pub(super) async fn settle<T, Sent, Seen>(
        &self,
        send: impl Fn() -> Sent,
        look: impl Fn() -> Seen,
    ) -> Result<T, ForgeError>
    where
        Sent: Future<Output = Result<T, ForgeError>>,
        Seen: Future<Output = Result<Option<T>, ForgeError>>,
    {
        let pacing = self.http.pacing();
        let mut waits = pacing.waits();
        loop {
            let fault = match send().await {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            let wait = pacing.wait_after(&fault, waits.next());
            if let Some(wait) = wait {
                tracing::debug!(%fault, ?wait, "a write did not go through");
                tokio::time::sleep(wait).await;
            }
            if let ForgeError::UnknownOutcome { call, why } = &fault {
                match look().await {
                    Ok(Some(done)) => return Ok(done),
                    Ok(None) if wait.is_some() => continue,
                    Ok(None) => {
                        let (call, why) = (call.clone(), why.clone());
                        return Err(ForgeError::Unavailable { call, why });
                    }
                    // What it would have been written to is not there.
                    Err(missing @ ForgeError::NotFound(_)) => return Err(missing),
                    Err(_) => return Err(fault),
                }
            }
            if wait.is_none() {
                return Err(fault);
            }
        }
    }
}

/// What a look answers when nothing on the forge could tell whether a call happened.
pub(super) fn cannot_tell(call: &Call) -> ForgeError {
    ForgeError::UnknownOutcome {
        call: call.name(),
        why: "nothing marks what was written".to_owned(),
    }
}
