//! The claim a run works under.

use std::sync::Arc;
use std::time::Duration;

use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::ClaimError;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Holder;
use timmy_forge::claim::KeptClaim;
use timmy_forge::claim::Published;
use timmy_git::Expect;
use timmy_git::RefName;
use timmy_store::EventLog;

use super::desk::Desk;
use crate::error::SprintError;

/// What hosts that share the database take from its queue before they ask the forge.
pub const TOPIC: &str = "attempt";

/// A claim that renews itself until it is released or lost.
pub(crate) struct Hold {
    kept: KeptClaim,
    ttl_s: u64,
}

/// The answer to a wish to work on an issue.
pub(crate) enum Taken {
    /// It is ours.
    Won(Hold),
    /// It is not, for this reason.
    Held(String),
}

impl Desk {
    /// Takes the claim on an issue, also one whose holder is certainly gone.
    pub(crate) async fn hold(&self, run: &RunId, issue: IssueNumber) -> Result<Taken, SprintError> {
        let mut claims = self.claims().await?;
        let acquired = match claims.acquire(issue, run).await {
            Err(ClaimError::Refused { .. }) => {
                self.fall_back_to_branches(&mut claims).await?;
                claims.acquire(issue, run).await?
            }
            other => other?,
        };
        let acquired = match acquired {
            Acquired::Lapsed(lapsed) => claims.takeover(&lapsed, run).await?,
            other => other,
        };
        Ok(match acquired {
            Acquired::Won(claim) => {
                let kept = KeptClaim::start(Arc::new(claims), claim);
                Taken::Won(Hold {
                    kept,
                    ttl_s: self.settings.claim_ttl_s,
                })
            }
            Acquired::Held(holder) => Taken::Held(describe(&holder)),
            Acquired::Lapsed(lapsed) => Taken::Held(describe(&lapsed.holder)),
        })
    }

    /// Takes an issue among the hosts that share the database, before the forge is asked. False when
    /// another one has it. Spares a push that would be lost; the claim on the forge decides.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reserve_issue(&self, issue: IssueNumber) -> Result<bool, SprintError> {
        let queue = self.store.queue(Arc::clone(&self.clock)).await?;
        let (key, holder) = (self.key(issue), &self.identity.machine);
        let lease = Duration::from_secs(self.settings.claim_ttl_s);
        Ok(queue.lease(TOPIC, &key, holder, lease).await?)
    }

    /// Gives back what [`Self::reserve_issue`] took.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn free_issue(&self, issue: IssueNumber) -> Result<(), SprintError> {
        let queue = self.store.queue(Arc::clone(&self.clock)).await?;
        let key = self.key(issue);
        queue.done(TOPIC, &key, &self.identity.machine).await?;
        Ok(())
    }

    fn key(&self, issue: IssueNumber) -> String {
        let repo = self.repo.clone();
        timmy_core::IssueName {
            repo,
            number: issue,
        }
        .to_string()
    }

    /// Who holds an issue, as a sentence; nothing when a sprint could take it.
    pub(super) async fn holder(&self, issue: IssueNumber) -> Result<Option<String>, SprintError> {
        let held = self.claims().await?.observe(issue).await?;
        Ok(held
            .filter(|holder| !holder.lapses_in.is_zero())
            .map(|holder| describe(&holder)))
    }

    /// Gives back what a run of a dead process still holds.
    pub(super) async fn free_claim_of(
        &self,
        run: &RunId,
        issue: IssueNumber,
    ) -> Result<(), SprintError> {
        let claims = self.claims().await?;
        let held = claims.observe(issue).await?;
        let ours = |holder: &Holder| holder.message.as_ref().is_some_and(|m| m.run_id == *run);
        if !held.as_ref().is_some_and(ours) {
            return Ok(());
        }
        // Taken only to be given back; should somebody be faster, it is in good hands.
        if let Taken::Won(hold) = self.hold(run, issue).await? {
            hold.release(&self.events(), run).await?;
        }
        Ok(())
    }

    /// The claims of the repository.
    ///
    /// # Errors
    /// When this host's own repository cannot be made.
    pub async fn claims(&self) -> Result<Claims, SprintError> {
        // The same repository the work is in: publishing pushes both in one go.
        Ok(Claims::new(
            self.bare().await?,
            self.remote.clone(),
            self.identity.clone(),
            Duration::from_secs(self.settings.claim_ttl_s),
            Arc::clone(&self.clock),
        ))
    }

    /// Some servers take nothing but branches. Said in the log, because it costs CI and webhooks.
    async fn fall_back_to_branches(&self, claims: &mut Claims) -> Result<(), SprintError> {
        let space = claims.probe().await?;
        let what = format!("the forge accepts claims only below {}", space.parent());
        let problem = Problem::new(
            timmy_core::Code::new(917),
            timmy_core::ExitStatus::Success,
            what,
        )
        .fix("let the account push refs below refs/timmy/, if the server can");
        self.events()
            .append(None, EventKind::Warned { problem })
            .await?;
        Ok(())
    }
}

impl Hold {
    pub(super) fn acquired_event(&self) -> EventKind {
        EventKind::ClaimAcquired {
            reference: self.kept.reference().to_string(),
            epoch: self.kept.epoch(),
            ttl_s: self.ttl_s,
        }
    }

    /// Works, and stops at once when the claim is lost: dropping the work ends its processes.
    pub(crate) async fn while_held<T>(
        &self,
        work: impl Future<Output = Result<T, SprintError>>,
    ) -> Result<T, SprintError> {
        tokio::select! {
            biased;
            error = self.kept.lost() => Err(SprintError::ClaimLost(error.to_string())),
            done = work => done,
        }
    }

    /// Moves the branch to the commit and renews the claim, both or neither.
    pub(super) async fn publish(
        &self,
        branch: &RefName,
        commit: &ObjectName,
        expect: Expect,
    ) -> Result<(), SprintError> {
        match self.kept.publish(branch, commit, expect).await {
            Ok(Published::Done) => Ok(()),
            Ok(Published::BranchMoved { .. }) => {
                Err(SprintError::BranchTaken(branch.as_str().to_owned()))
            }
            Err(error @ (ClaimError::Lost { .. } | ClaimError::Fenced { .. })) => {
                Err(SprintError::ClaimLost(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the claim back. One that was lost is no failure: it is somebody else's.
    pub(crate) async fn release(self, events: &EventLog, run: &RunId) -> Result<(), Problem> {
        let epoch = self.kept.epoch();
        match self.kept.release().await {
            Ok(()) => {
                let released = EventKind::ClaimReleased { epoch };
                events.append(Some(run), released).await.map(drop)
            }
            Err(ClaimError::Lost { .. }) => Ok(()),
            Err(error) => Err(error.problem()),
        }
    }
}

fn describe(holder: &Holder) -> String {
    let minutes = holder.lapses_in.as_secs().div_ceil(60);
    match &holder.message {
        Some(message) => format!(
            "run {} of machine {} works on it (its claim lapses in {minutes} min unless renewed)",
            message.run_id.short(),
            timmy_core::text::clean_line(&message.machine_id),
        ),
        None => format!("somebody holds its claim (it lapses in {minutes} min unless renewed)"),
    }
}
