//! Looking at claims without touching them, and finding out where they may be.

use std::time::Duration;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushRef;
use timmy_git::RefName;
use timmy_git::RefPattern;
use timmy_git::Refspec;
use timmy_git::Revision;
use uuid::Uuid;

use crate::claim::claims::Acquired;
use crate::claim::claims::Claims;
use crate::claim::claims::Holder;
use crate::claim::claims::LapseReason;
use crate::claim::claims::Lapsed;
use crate::claim::claims::RefSpace;
use crate::claim::error::ClaimError;
use crate::claim::message::ClaimMessage;
use crate::claim::message::ClaimState;
use crate::claim::message::LONGEST_MESSAGE;
use crate::claim::outcome::Pushed;
use crate::claim::timing::Timing;

/// Headers of a commit before its message.
const COMMIT_HEADERS: usize = 1024;

impl Claims {
    /// Every claim of the repository, in one request.
    ///
    /// # Errors
    /// [`ClaimError::Git`] as [`timmy_git::BareRepository::list_remote`].
    pub async fn list(&self) -> Result<Vec<(IssueNumber, ObjectName)>, ClaimError> {
        let parent: RefName = self.space.parent().parse().map_err(GitError::from)?;
        let pattern = [RefPattern::Below(parent)];
        let listed = self.bare.list_remote(&self.remote, &pattern).await?;
        let numbered = |(name, object): (RefName, ObjectName)| {
            let issue = name.as_str().rsplit('/').next()?.parse().ok()?;
            Some((issue, object))
        };
        Ok(listed.into_iter().filter_map(numbered).collect())
    }

    /// Who holds an issue, if anybody does.
    ///
    /// # Errors
    /// As for [`Self::acquire`].
    pub async fn observe(&self, issue: IssueNumber) -> Result<Option<Holder>, ClaimError> {
        let reference = self.reference(issue)?;
        match self.look(issue, &reference).await? {
            Some(object) => self.holder(issue, &reference, object).await.map(Some),
            None => Ok(None),
        }
    }

    /// Finds out where this server accepts claims, by making and deleting a ref. Call it at the
    /// start, and say so when it answers [`RefSpace::Branches`].
    ///
    /// # Errors
    /// [`ClaimError::Refused`] when it accepts them nowhere, or as for [`Self::acquire`].
    pub async fn probe(&mut self) -> Result<RefSpace, ClaimError> {
        let nonce = Uuid::now_v7().simple().to_string();
        let hidden = self.try_space(RefSpace::Hidden, &nonce).await;
        let space = match hidden {
            Ok(()) => RefSpace::Hidden,
            Err(ClaimError::Refused { .. }) => {
                self.try_space(RefSpace::Branches, &nonce).await?;
                RefSpace::Branches
            }
            Err(error) => return Err(error),
        };
        self.space = space;
        Ok(space)
    }

    async fn try_space(&self, space: RefSpace, nonce: &str) -> Result<(), ClaimError> {
        let target: RefName = space.probe(nonce).parse().map_err(GitError::from)?;
        let object = self.bare.empty_commit(nonce, self.clock.now()).await?;
        let create = PushRef {
            source: Some(object.clone()),
            target: target.clone(),
            expect: Expect::Absent,
        };
        let delete = PushRef {
            source: None,
            target: target.clone(),
            expect: Expect::At(object),
        };
        for push in [create, delete] {
            match self.push(&[push]).await? {
                Pushed::Done => {}
                Pushed::Doubtful(error) => return Err(self.unreachable(0, error)),
                Pushed::Refused(reason) => {
                    return Err(ClaimError::Refused {
                        reference: target.to_string(),
                        reason,
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn look(
        &self,
        issue: IssueNumber,
        reference: &RefName,
    ) -> Result<Option<ObjectName>, ClaimError> {
        let pattern = [RefPattern::Exact(reference.clone())];
        match self.bare.list_remote(&self.remote, &pattern).await {
            Ok(listed) => Ok(listed.into_iter().next().map(|(_, object)| object)),
            Err(source @ (GitError::Network { .. } | GitError::Stalled { .. })) => {
                Err(ClaimError::Unreachable { issue, source })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a claim of somebody is still worked under.
    pub(crate) async fn judge(
        &self,
        issue: IssueNumber,
        reference: &RefName,
        object: ObjectName,
    ) -> Result<Acquired, ClaimError> {
        let holder = self.holder(issue, reference, object).await?;
        let reason = self.lapse_reason(reference, &holder);
        Ok(match reason {
            Some(reason) => Acquired::Lapsed(Lapsed {
                issue,
                holder,
                reason,
            }),
            None => Acquired::Held(holder),
        })
    }

    fn lapse_reason(&self, reference: &RefName, holder: &Holder) -> Option<LapseReason> {
        if let Some(message) = &holder.message {
            if message.state == ClaimState::Done {
                return Some(LapseReason::Done);
            }
            if message.worker_id == self.identity.worker {
                return (!self.is_live(reference)).then_some(LapseReason::Own);
            }
            let (worker, machine) = (&message.worker_id, &message.machine_id);
            if self.identity.knows_to_be_gone(worker, machine) {
                return Some(LapseReason::ProcessEnded);
            }
        }
        (holder.lapses_in == Duration::ZERO).then_some(LapseReason::NotRenewed)
    }

    pub(crate) async fn holder(
        &self,
        issue: IssueNumber,
        reference: &RefName,
        object: ObjectName,
    ) -> Result<Holder, ClaimError> {
        let clock = self.clock.as_ref();
        let unchanged_for = self.sightings.see(reference.as_str(), &object, clock)?;
        let message = self.message(issue, reference, &object).await?;
        let ttl = message.as_ref().map_or(self.ttl, ClaimMessage::ttl);
        let lapse = Timing { ttl }.lapse();
        Ok(Holder {
            object,
            message,
            unchanged_for,
            lapses_in: lapse.saturating_sub(unchanged_for),
        })
    }

    /// What a claim says. `None` when it is not timmy's, or moved on while it was fetched.
    async fn message(
        &self,
        issue: IssueNumber,
        reference: &RefName,
        object: &ObjectName,
    ) -> Result<Option<ClaimMessage>, ClaimError> {
        let commit = Revision::from(object);
        if self.bare.resolve(&commit).await?.is_none() {
            let kept: RefName = format!("refs/timmy/seen/{issue}")
                .parse()
                .map_err(GitError::from)?;
            let fetched = self
                .bare
                .fetch(&self.remote, &[Refspec::one(reference, &kept)])
                .await;
            match fetched {
                Ok(()) | Err(GitError::NotFound { .. } | GitError::UnsafeObjects { .. }) => {}
                Err(source) => return Err(ClaimError::Unreachable { issue, source }),
            }
        }
        if self.bare.resolve(&commit).await?.is_none() {
            return Ok(None);
        }
        let limit = LONGEST_MESSAGE + COMMIT_HEADERS;
        let text = self.bare.message(object, limit).await?;
        Ok(ClaimMessage::parse(&text))
    }
}
