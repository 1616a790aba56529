//! A claim that renews itself while a run works.

use std::sync::Arc;
use std::time::Duration;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_git::Expect;
use timmy_git::RefName;
use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::claim::claims::Claim;
use crate::claim::claims::Claims;
use crate::claim::error::ClaimError;
use crate::claim::outcome::Published;

type Slot = Arc<Mutex<Option<Claim>>>;
type Ended = Option<Arc<ClaimError>>;

/// A held claim with its renewals. Dropped, it is no longer renewed and lapses.
#[derive(Debug)]
pub struct KeptClaim {
    claims: Arc<Claims>,
    /// The one mutex: whoever renews, publishes or releases holds it. Empty once the claim is gone.
    claim: Slot,
    ended: watch::Receiver<Ended>,
    renewing: JoinHandle<()>,
    reference: RefName,
    epoch: u64,
    issue: IssueNumber,
}

impl KeptClaim {
    /// Starts to renew a claim.
    #[must_use]
    pub fn start(claims: Arc<Claims>, claim: Claim) -> Self {
        let (reference, epoch, issue) = (claim.reference.clone(), claim.epoch, claim.issue);
        let slot: Slot = Arc::new(Mutex::new(Some(claim)));
        let (end, ended) = watch::channel(None);
        let renewing = tokio::spawn(keep_renewing(Arc::clone(&claims), Arc::clone(&slot), end));
        Self {
            claims,
            claim: slot,
            ended,
            renewing,
            reference,
            epoch,
            issue,
        }
    }

    /// The ref on the forge.
    #[must_use]
    pub fn reference(&self) -> &RefName {
        &self.reference
    }

    /// Counts up with every takeover.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Waits until the claim may no longer be acted under. Race the run against it.
    pub async fn lost(&self) -> Arc<ClaimError> {
        let mut ended = self.ended.clone();
        loop {
            if let Some(error) = ended.borrow_and_update().clone() {
                return error;
            }
            if ended.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// [`Claims::publish`] under the claim, tried again for as long as the claim may be acted under.
    ///
    /// # Errors
    /// As there, but [`ClaimError::Fenced`] instead of [`ClaimError::Unreachable`];
    /// [`ClaimError::Lost`] also when a renewal found that out before.
    pub async fn publish(
        &self,
        branch: &RefName,
        commit: &ObjectName,
        expect: Expect,
    ) -> Result<Published, ClaimError> {
        let mut slot = self.claim.lock().await;
        let claim = slot.as_mut().ok_or_else(|| self.gone())?;
        loop {
            let remaining = self.claims.remaining(claim);
            let publishing = self.claims.publish(claim, branch, commit, expect.clone());
            match timeout(remaining, publishing).await {
                Ok(Err(error @ ClaimError::Unreachable { .. })) => {
                    tracing::warn!(%error, "a branch could not be pushed; trying again soon");
                    tokio::time::sleep(self.claims.timing().hasty_interval()).await;
                }
                Ok(done) => return done,
                Err(_elapsed) => {
                    let error = self.claims.fenced(claim);
                    *slot = None;
                    return Err(error);
                }
            }
        }
    }

    /// [`Claims::release`]; no renewal comes after it.
    ///
    /// # Errors
    /// As there; [`ClaimError::Lost`] also when a renewal found that out before.
    pub async fn release(self) -> Result<(), ClaimError> {
        let claim = self.claim.lock().await.take();
        let claim = claim.ok_or_else(|| self.gone())?;
        let late = self.claims.fenced(&claim);
        let remaining = self.claims.remaining(&claim);
        let released = timeout(remaining, self.claims.release(claim)).await;
        released.unwrap_or(Err(late))
    }

    fn gone(&self) -> ClaimError {
        let reason = self.ended.borrow().clone();
        ClaimError::Lost {
            issue: self.issue,
            detail: reason.map_or_else(|| "it was released".to_owned(), |error| error.to_string()),
        }
    }
}

impl Drop for KeptClaim {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn keep_renewing(claims: Arc<Claims>, slot: Slot, end: watch::Sender<Ended>) {
    let timing = claims.timing();
    let mut pause = timing.renewal_interval();
    loop {
        tokio::time::sleep(pause).await;
        let mut held = slot.lock().await;
        let Some(claim) = held.as_mut() else {
            return;
        };
        pause = match renew_in_time(&claims, claim).await {
            Ok(()) => timing.renewal_interval(),
            Err(error) if error.ends_the_run() || claims.remaining(claim) == Duration::ZERO => {
                *held = None;
                end.send_replace(Some(Arc::new(error)));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "a claim could not be renewed; trying again soon");
                timing.hasty_interval()
            }
        };
    }
}

/// A connection that was cut says nothing. Waiting for it must not outlast the right to act.
async fn renew_in_time(claims: &Claims, claim: &mut Claim) -> Result<(), ClaimError> {
    let remaining = claims.remaining(claim);
    let renewed = timeout(remaining, claims.renew(claim)).await;
    renewed.unwrap_or_else(|_elapsed| Err(claims.fenced(claim)))
}
