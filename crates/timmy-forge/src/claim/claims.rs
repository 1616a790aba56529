//! Acquiring, renewing, releasing and taking over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timmy_core::Clock;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_git::BareRepository;
use timmy_git::Expect;
use timmy_git::GitError;
use timmy_git::PushRef;
use timmy_git::RefName;
use timmy_git::Remote;
use uuid::Uuid;

use crate::claim::error::ClaimError;
use crate::claim::identity::Identity;
use crate::claim::message::ClaimMessage;
use crate::claim::message::ClaimState;
use crate::claim::message::MESSAGE_VERSION;
use crate::claim::outcome::Pushed;
use crate::claim::sighting::Sightings;
use crate::claim::timing::Timing;

/// Acquiring an issue whose claim comes and goes is given up after so many tries.
const TRIES: usize = 3;

/// Where on the forge the claims of a repository are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefSpace {
    /// `refs/timmy/claims/`: no webhook, no CI run, in no list of branches.
    Hidden,
    /// `refs/heads/timmy-claims/`: for servers that accept only branches. Costs CI and webhook
    /// noise.
    Branches,
}

impl RefSpace {
    /// The common start of its refs, without a slash at its end.
    #[must_use]
    pub fn parent(self) -> &'static str {
        match self {
            Self::Hidden => "refs/timmy/claims",
            Self::Branches => "refs/heads/timmy-claims",
        }
    }

    pub(crate) fn probe(self, nonce: &str) -> String {
        match self {
            Self::Hidden => format!("refs/timmy/probe/{nonce}"),
            Self::Branches => format!("refs/heads/timmy-claims/probe-{nonce}"),
        }
    }
}

/// The claims of one repository, as one process sees and makes them.
pub struct Claims {
    pub(crate) bare: BareRepository,
    pub(crate) remote: Remote,
    pub(crate) identity: Identity,
    pub(crate) ttl: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) space: RefSpace,
    pub(crate) sightings: Sightings,
}

/// The right to work on an issue, for as long as it is renewed.
#[derive(Debug)]
pub struct Claim {
    /// The ref on the forge.
    pub reference: RefName,
    /// The issue.
    pub issue: IssueNumber,
    /// Counts up with every takeover.
    pub epoch: u64,
    /// The run that holds it.
    pub run: RunId,
    pub(crate) object: ObjectName,
    /// Own commits that were pushed without a clear answer: each may still arrive.
    pub(crate) tried: Vec<ObjectName>,
    /// When the last certain renewal was begun, on the monotonic clock.
    pub(crate) confirmed: Duration,
    _alive: Arc<()>,
}

/// Who holds an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The claim's commit.
    pub object: ObjectName,
    /// What it says, when it is one of timmy's.
    pub message: Option<ClaimMessage>,
    /// For how long it has certainly been the same commit.
    pub unchanged_for: Duration,
    /// The time until it lapses, if it is not renewed.
    pub lapses_in: Duration,
}

/// A claim that nobody works under any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapsed {
    /// The issue.
    pub issue: IssueNumber,
    /// Who held it.
    pub holder: Holder,
    /// How that is known.
    pub reason: LapseReason,
}

/// How it is known that nobody works under a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LapseReason {
    /// It says so itself.
    Done,
    /// It was not renewed for its time to live and a quarter more.
    NotRenewed,
    /// The process that held it ran on this machine and has ended.
    ProcessEnded,
    /// It is this process's own, and no run of it holds it any more.
    Own,
}

/// The answer to a wish to work on an issue.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours.
    Won(Claim),
    /// Somebody works on it.
    Held(Holder),
    /// Somebody did. Look for an open pull request first, then [`Claims::takeover`].
    Lapsed(Lapsed),
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claims({} in {})", self.space.parent(), self.remote.url)
    }
}

impl Claims {
    /// Claims in the repository at `remote`, made in `bare`, in the hidden ref space. What was seen
    /// of others is remembered in a file inside `bare`, which only timmy writes.
    #[must_use]
    pub fn new(
        bare: BareRepository,
        remote: Remote,
        identity: Identity,
        ttl: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sightings = Sightings::new(&bare.path().join("timmy-claims.json"));
        Self {
            bare,
            remote,
            identity,
            ttl,
            clock,
            space: RefSpace::Hidden,
            sightings,
        }
    }

    /// The same, with another file for what was seen of others.
    #[must_use]
    pub fn remembering_in(mut self, file: &Path) -> Self {
        self.sightings = Sightings::new(file);
        self
    }

    /// The same, in a given ref space.
    #[must_use]
    pub fn within(mut self, space: RefSpace) -> Self {
        self.space = space;
        self
    }

    /// Where the claims are.
    #[must_use]
    pub fn space(&self) -> RefSpace {
        self.space
    }

    /// The times that follow from the time to live.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing { ttl: self.ttl }
    }

    /// The time until a claim may no longer be acted under, unless it is renewed.
    #[must_use]
    pub fn remaining(&self, claim: &Claim) -> Duration {
        let since = self.clock.monotonic().saturating_sub(claim.confirmed);
        self.timing().fence().saturating_sub(since)
    }

    pub(crate) fn reference(&self, issue: IssueNumber) -> Result<RefName, GitError> {
        Ok(format!("{}/{issue}", self.space.parent()).parse()?)
    }

    /// Takes a free issue, or tells who has it.
    ///
    /// # Errors
    /// [`ClaimError::Unreachable`] when it is not known whether it was taken: the same process may
    /// ask again. [`ClaimError::Refused`] when the server accepts no claims from this account.
    pub async fn acquire(&self, issue: IssueNumber, run: &RunId) -> Result<Acquired, ClaimError> {
        for _ in 0..TRIES {
            let taken = self.take(issue, run, 1, Expect::Absent).await?;
            if let Some(acquired) = taken {
                return Ok(acquired);
            }
        }
        Err(self.undecided(issue, "the claim comes and goes"))
    }

    /// Takes a lapsed claim, unless somebody was faster or it is renewed after all.
    ///
    /// # Errors
    /// As for [`Self::acquire`].
    pub async fn takeover(&self, lapsed: &Lapsed, run: &RunId) -> Result<Acquired, ClaimError> {
        let epoch = lapsed
            .holder
            .message
            .as_ref()
            .map_or(1, |message| message.epoch);
        let expect = Expect::At(lapsed.holder.object.clone());
        let taken = self.take(lapsed.issue, run, epoch + 1, expect).await?;
        taken.ok_or_else(|| self.undecided(lapsed.issue, "the claim went away"))
    }

    /// One leased push. `None` when the ref turned out to be free.
    async fn take(
        &self,
        issue: IssueNumber,
        run: &RunId,
        epoch: u64,
        expect: Expect,
    ) -> Result<Option<Acquired>, ClaimError> {
        let reference = self.reference(issue)?;
        let began = self.clock.monotonic();
        let object = self.commit(issue, run, epoch).await?;
        let push = PushRef {
            source: Some(object.clone()),
            target: reference.clone(),
            expect: expect.clone(),
        };
        let won = |object, reference| {
            let alive = self.identity.note_held(self.live_name(&reference));
            Ok(Some(Acquired::Won(Claim {
                reference,
                issue,
                epoch,
                run: run.clone(),
                object,
                tried: Vec::new(),
                confirmed: began,
                _alive: alive,
            })))
        };
        let error = match self.push(&[push]).await? {
            Pushed::Done => return won(object, reference),
            Pushed::Refused(reason) => {
                return Err(ClaimError::Refused {
                    reference: reference.to_string(),
                    reason,
                });
            }
            Pushed::Doubtful(error) => error,
        };
        match self.look(issue, &reference).await? {
            Some(found) if found == object => won(object, reference),
            Some(found) if Expect::At(found.clone()) == expect => {
                Err(self.unreachable(issue, error))
            }
            Some(found) => self.judge(issue, &reference, found).await.map(Some),
            None if error.is_some() => Err(self.unreachable(issue, error)),
            None => Ok(None),
        }
    }

    /// Renews a claim. Call it every [`Timing::renewal_interval`].
    ///
    /// # Errors
    /// [`ClaimError::Lost`] and [`ClaimError::Fenced`] end the run at once;
    /// [`ClaimError::Unreachable`] is tried again.
    pub async fn renew(&self, claim: &mut Claim) -> Result<(), ClaimError> {
        self.check_fence(claim)?;
        let began = self.clock.monotonic();
        let next = self.commit(claim.issue, &claim.run, claim.epoch).await?;
        let push = claim.move_to(&next);
        match self.push(&[push]).await? {
            Pushed::Done => claim.settle(next, began),
            Pushed::Refused(reason) => return Err(claim.refused(reason)),
            Pushed::Doubtful(error) => {
                let found = self.look_as_holder(claim).await?;
                self.recognise(claim, found, &next, began, error)?;
            }
        }
        Ok(())
    }

    /// Gives a claim back. It is gone from the forge when this returns.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] when it belonged to somebody else already, [`ClaimError::Unreachable`]
    /// when it may still be there; it lapses by itself then.
    pub async fn release(&self, mut claim: Claim) -> Result<(), ClaimError> {
        for _ in 0..TRIES {
            let push = PushRef {
                source: None,
                target: claim.reference.clone(),
                expect: Expect::At(claim.object.clone()),
            };
            let error = match self.push(&[push]).await? {
                Pushed::Done => return self.returned(&claim),
                Pushed::Refused(reason) => return Err(claim.refused(reason)),
                Pushed::Doubtful(error) => error,
            };
            match self.look(claim.issue, &claim.reference).await? {
                None => return self.returned(&claim),
                Some(found) if claim.tried.contains(&found) => claim.object = found,
                Some(found) if found == claim.object => {
                    return Err(self.unreachable(claim.issue, error));
                }
                Some(found) => return Err(claim.lost(Some(&found))),
            }
        }
        Err(self.undecided(claim.issue, "the claim keeps changing"))
    }

    fn returned(&self, claim: &Claim) -> Result<(), ClaimError> {
        self.identity
            .note_returned(&self.live_name(&claim.reference));
        self.sightings.forget(claim.reference.as_str())
    }

    pub(crate) fn is_live(&self, reference: &RefName) -> bool {
        self.identity.holds(&self.live_name(reference))
    }

    /// Issues of several repositories have the same refs.
    fn live_name(&self, reference: &RefName) -> String {
        format!("{} {reference}", self.remote.url)
    }

    pub(crate) async fn commit(
        &self,
        issue: IssueNumber,
        run: &RunId,
        epoch: u64,
    ) -> Result<ObjectName, GitError> {
        let message = ClaimMessage {
            v: MESSAGE_VERSION,
            issue,
            worker_id: self.identity.worker.clone(),
            machine_id: self.identity.machine.clone(),
            run_id: run.clone(),
            epoch,
            ttl_s: self.ttl.as_secs().max(1),
            state: ClaimState::Held,
            nonce: Uuid::now_v7().to_string(),
        };
        let text = serde_json::to_string(&message).map_err(|error| GitError::Unreadable {
            command: "commit-tree".to_owned(),
            detail: error.to_string(),
        })?;
        self.bare.empty_commit(&text, self.clock.now()).await
    }

    /// Fails once the claim has gone unrenewed for too long to be acted under.
    pub(crate) fn check_fence(&self, claim: &Claim) -> Result<(), ClaimError> {
        if self.remaining(claim) > Duration::ZERO {
            return Ok(());
        }
        Err(self.fenced(claim))
    }

    pub(crate) fn fenced(&self, claim: &Claim) -> ClaimError {
        ClaimError::Fenced {
            issue: claim.issue,
            since: self.clock.monotonic().saturating_sub(claim.confirmed),
        }
    }

    /// Reads a claim's ref for its holder: when even that fails, time may be up.
    pub(crate) async fn look_as_holder(
        &self,
        claim: &Claim,
    ) -> Result<Option<ObjectName>, ClaimError> {
        let found = self.look(claim.issue, &claim.reference).await;
        if found.is_err() {
            self.check_fence(claim)?;
        }
        found
    }

    /// What a doubtful push of `next` did, by what the ref is now.
    pub(crate) fn recognise(
        &self,
        claim: &mut Claim,
        found: Option<ObjectName>,
        next: &ObjectName,
        began: Duration,
        error: Option<GitError>,
    ) -> Result<(), ClaimError> {
        match found {
            Some(found) if found == *next => {
                claim.settle(found, began);
                Ok(())
            }
            Some(found) if found == claim.object || claim.tried.contains(&found) => {
                claim.object = found;
                self.check_fence(claim)?;
                Err(self.unreachable(claim.issue, error))
            }
            other => Err(claim.lost(other.as_ref())),
        }
    }

    pub(crate) fn unreachable(&self, issue: IssueNumber, error: Option<GitError>) -> ClaimError {
        match error {
            Some(source) => ClaimError::Unreachable { issue, source },
            None => self.undecided(issue, "the server refused a lease that holds"),
        }
    }

    fn undecided(&self, issue: IssueNumber, detail: &str) -> ClaimError {
        let source = GitError::UnknownOutcome {
            url: self.remote.url.to_string(),
            detail: detail.to_owned(),
        };
        ClaimError::Unreachable { issue, source }
    }
}

impl Claim {
    /// The claim's part of a push that renews it. From here on `next` counts as one's own.
    pub(crate) fn move_to(&mut self, next: &ObjectName) -> PushRef {
        self.tried.push(next.clone());
        PushRef {
            source: Some(next.clone()),
            target: self.reference.clone(),
            expect: Expect::At(self.object.clone()),
        }
    }

    pub(crate) fn settle(&mut self, object: ObjectName, began: Duration) {
        self.object = object;
        self.tried.clear();
        self.confirmed = began;
    }

    pub(crate) fn lost(&self, found: Option<&ObjectName>) -> ClaimError {
        let detail = match found {
            Some(object) => format!("{} is at {} now", self.reference, object.short()),
            None => format!("{} is gone", self.reference),
        };
        ClaimError::Lost {
            issue: self.issue,
            detail,
        }
    }

    pub(crate) fn refused(&self, reason: String) -> ClaimError {
        ClaimError::Refused {
            reference: self.reference.to_string(),
            reason,
        }
    }
}
