//! The claim protocol on simulated refs.
//!
//! The same steps as [`timmy_forge::claim::Claims`], with its times and its messages: one leased push
//! decides, a doubtful answer is settled by reading the ref, a holder fences itself, an observer takes
//! over by its own monotonic clock, and publishing is one atomic push.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_forge::claim::ClaimMessage;
use timmy_forge::claim::ClaimState;
use timmy_forge::claim::RefSpace;
use timmy_forge::claim::Timing;
use timmy_git::Expect;
use timmy_git::PushRef;
use timmy_git::PushStatus;
use timmy_git::RefName;

use super::forge::Commit;
use super::forge::Maker;
use super::line::Line;
use super::line::Pushed;
use super::plan::Sabotage;
use super::world::World;

/// Acquiring an issue whose claim comes and goes is given up after so many tries.
const TRIES: usize = 3;

/// The claims as one process sees and makes them.
pub(crate) struct Claims {
    pub(crate) world: Rc<World>,
    pub(crate) line: Rc<Line>,
    pub(crate) host: u32,
    /// Which start of the host's process this is.
    pub(crate) life: u64,
    /// The file in which a host keeps what it saw of others.
    pub(crate) written: Rc<RefCell<BTreeMap<IssueNumber, (ObjectName, Timestamp)>>>,
    pub(crate) watched: RefCell<BTreeMap<IssueNumber, Watched>>,
    pub(crate) live: RefCell<BTreeSet<IssueNumber>>,
    pub(crate) timing: Timing,
}

/// What a process saw of a claim.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    object: ObjectName,
    before: Duration,
    since: Duration,
}

/// The right to work on an issue.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) issue: IssueNumber,
    pub(crate) epoch: u64,
    pub(crate) run: RunId,
    object: ObjectName,
    tried: Vec<ObjectName>,
    confirmed: Duration,
}

/// The answer to a wish to work on an issue.
#[derive(Debug)]
pub(crate) enum Acquired {
    Won(Claim),
    /// Somebody works on it, for so long at least.
    Held(Duration),
}

/// A claim of which nobody may be sure any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClaimEnd {
    /// It is somebody else's.
    Lost(&'static str),
    /// Nobody answered; it may still be held.
    Unreachable,
}

/// What became of a branch that was to be published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Done,
    /// Somebody moved the branch; nothing was pushed.
    BranchMoved,
}

enum Taken {
    Acquired(Acquired),
    Lapsed {
        object: ObjectName,
        epoch: u64,
    },
    /// The ref turned out to be free.
    Free,
}

/// Where the claim of an issue is.
pub(crate) fn reference(issue: IssueNumber) -> String {
    format!("{}/{issue}", RefSpace::Hidden.parent())
}

fn push_ref(target: &str, source: Option<ObjectName>, expect: Expect) -> Option<PushRef> {
    let target: RefName = target.parse().ok()?;
    Some(PushRef {
        source,
        target,
        expect,
    })
}

impl Claims {
    /// Takes a free issue, or one whose holder is certainly gone.
    pub(crate) async fn acquire(
        &self,
        issue: IssueNumber,
        run: &RunId,
    ) -> Result<Acquired, ClaimEnd> {
        for _ in 0..TRIES {
            match self.take(issue, run, 1, Expect::Absent).await? {
                Taken::Acquired(acquired) => return Ok(acquired),
                Taken::Free => {}
                Taken::Lapsed { object, epoch } => {
                    return self.take_over(issue, run, object, epoch).await;
                }
            }
        }
        Err(ClaimEnd::Unreachable)
    }

    async fn take_over(
        &self,
        issue: IssueNumber,
        run: &RunId,
        object: ObjectName,
        epoch: u64,
    ) -> Result<Acquired, ClaimEnd> {
        let taken = self.take(issue, run, epoch + 1, Expect::At(object)).await?;
        match taken {
            Taken::Acquired(acquired) => {
                if matches!(acquired, Acquired::Won(_)) {
                    self.world.watch.borrow_mut().tally.takeovers += 1;
                }
                Ok(acquired)
            }
            Taken::Free => Err(ClaimEnd::Unreachable),
            Taken::Lapsed { .. } => Ok(Acquired::Held(self.timing.lapse())),
        }
    }

    async fn take(
        &self,
        issue: IssueNumber,
        run: &RunId,
        epoch: u64,
        expect: Expect,
    ) -> Result<Taken, ClaimEnd> {
        let began = self.world.now();
        let object = self.commit(issue, run, epoch);
        let expect = match self.world.plan.sabotage {
            Sabotage::ClaimWithoutLease => self.whatever_is_there(issue),
            _ => expect,
        };
        let won = |object| {
            self.live.borrow_mut().insert(issue);
            Taken::Acquired(Acquired::Won(Claim {
                issue,
                epoch,
                run: run.clone(),
                object,
                tried: Vec::new(),
                confirmed: began,
            }))
        };
        let refs = push_ref(&reference(issue), Some(object.clone()), expect.clone());
        let doubtful = match self.push(run, refs.as_slice()).await? {
            Outcome::Done => return Ok(won(object)),
            Outcome::Doubtful { answered } => !answered,
        };
        match self.look(issue).await? {
            Some(found) if found == object => Ok(won(object)),
            Some(found) if Expect::At(found.clone()) == expect => Err(ClaimEnd::Unreachable),
            Some(found) => Ok(self.judge(issue, found)),
            None if doubtful => Err(ClaimEnd::Unreachable),
            None => Ok(Taken::Free),
        }
    }

    fn whatever_is_there(&self, issue: IssueNumber) -> Expect {
        let repo = &self.world.repo;
        let found = self.world.forge.borrow().reference(repo, &reference(issue));
        found.ok().flatten().map_or(Expect::Absent, Expect::At)
    }

    /// Renews a claim.
    pub(crate) async fn renew(&self, claim: &mut Claim) -> Result<(), ClaimEnd> {
        self.check_fence(claim)?;
        let began = self.world.now();
        let (next, push) = self.renewal(claim);
        match self.push(&claim.run, push.as_slice()).await? {
            Outcome::Done => settle(claim, next, began),
            Outcome::Doubtful { .. } => {
                let found = self.look_as_holder(claim).await?;
                self.recognise(claim, found, &next, began)?;
            }
        }
        Ok(())
    }

    /// Moves a branch and renews the claim, both or neither.
    pub(crate) async fn publish(
        &self,
        claim: &mut Claim,
        branch: &str,
        commit: &ObjectName,
        expect: Expect,
    ) -> Result<Published, ClaimEnd> {
        self.check_fence(claim)?;
        let began = self.world.now();
        let (next, renewal) = self.renewal(claim);
        let work = push_ref(branch, Some(commit.clone()), expect.clone());
        let refs: Vec<PushRef> = match self.world.plan.sabotage {
            Sabotage::PublishWithoutClaim => work.into_iter().collect(),
            _ => renewal.into_iter().chain(work).collect(),
        };
        if let Outcome::Done = self.push(&claim.run, &refs).await? {
            settle(claim, next, began);
            return Ok(Published::Done);
        }
        let names = [reference(claim.issue), branch.to_owned()];
        let seen = self.line.look(&[&names[0], &names[1]]).await;
        let Ok([claimed, actual]) = seen.map(|seen| pair(&seen)) else {
            self.check_fence(claim)?;
            return Err(ClaimEnd::Unreachable);
        };
        let as_expected = match &expect {
            Expect::Absent => actual.is_none(),
            Expect::At(object) => actual.as_ref() == Some(object),
        };
        let own = |found: &ObjectName| *found == claim.object || claim.tried.contains(found);
        let ours = claimed.as_ref().is_some_and(own);
        let done = actual.as_ref() == Some(commit);
        if ours && claimed.as_ref() != Some(&next) && !as_expected && !done {
            return Ok(Published::BranchMoved);
        }
        if ours && done {
            match claimed {
                Some(found) if found == next => settle(claim, found, began),
                Some(found) => claim.object = found,
                None => {}
            }
            return Ok(Published::Done);
        }
        self.recognise(claim, claimed, &next, began)?;
        Ok(Published::BranchMoved)
    }

    /// Gives a claim back.
    pub(crate) async fn release(&self, mut claim: Claim) -> Result<(), ClaimEnd> {
        self.live.borrow_mut().remove(&claim.issue);
        let name = reference(claim.issue);
        for _ in 0..TRIES {
            let expect = Expect::At(claim.object.clone());
            let push = push_ref(&name, None, expect);
            if let Outcome::Done = self.push(&claim.run, push.as_slice()).await? {
                self.forget(claim.issue);
                return Ok(());
            }
            match self.look(claim.issue).await? {
                None => {
                    self.forget(claim.issue);
                    return Ok(());
                }
                Some(found) if claim.tried.contains(&found) => claim.object = found,
                Some(found) if found == claim.object => return Err(ClaimEnd::Unreachable),
                Some(_) => return Err(ClaimEnd::Lost("it belongs to somebody else")),
            }
        }
        Err(ClaimEnd::Unreachable)
    }

    /// The time until a claim may no longer be acted under.
    pub(crate) fn remaining(&self, claim: &Claim) -> Duration {
        if self.world.plan.sabotage == Sabotage::NoFence {
            return self.timing.fence();
        }
        let since = self.world.now().saturating_sub(claim.confirmed);
        self.timing.fence().saturating_sub(since)
    }

    fn check_fence(&self, claim: &Claim) -> Result<(), ClaimEnd> {
        if self.remaining(claim).is_zero() {
            return Err(ClaimEnd::Lost("it could not be renewed for too long"));
        }
        Ok(())
    }

    fn renewal(&self, claim: &mut Claim) -> (ObjectName, Option<PushRef>) {
        let next = self.commit(claim.issue, &claim.run, claim.epoch);
        claim.tried.push(next.clone());
        let expect = match self.world.plan.sabotage {
            Sabotage::ClaimWithoutLease => self.whatever_is_there(claim.issue),
            _ => Expect::At(claim.object.clone()),
        };
        let push = push_ref(&reference(claim.issue), Some(next.clone()), expect);
        (next, push)
    }

    fn recognise(
        &self,
        claim: &mut Claim,
        found: Option<ObjectName>,
        next: &ObjectName,
        began: Duration,
    ) -> Result<(), ClaimEnd> {
        match found {
            Some(found) if found == *next => {
                settle(claim, found, began);
                Ok(())
            }
            Some(found) if found == claim.object || claim.tried.contains(&found) => {
                claim.object = found;
                self.check_fence(claim)?;
                Err(ClaimEnd::Unreachable)
            }
            Some(_) => Err(ClaimEnd::Lost("it belongs to somebody else")),
            None => Err(ClaimEnd::Lost("it is gone")),
        }
    }

    async fn look_as_holder(&self, claim: &Claim) -> Result<Option<ObjectName>, ClaimEnd> {
        let found = self.look(claim.issue).await;
        if found.is_err() {
            self.check_fence(claim)?;
        }
        found
    }

    async fn look(&self, issue: IssueNumber) -> Result<Option<ObjectName>, ClaimEnd> {
        let found = self.line.look(&[&reference(issue)]).await;
        let found = found.map_err(|_| ClaimEnd::Unreachable)?;
        Ok(found.into_iter().next().flatten())
    }

    async fn push(&self, run: &RunId, refs: &[PushRef]) -> Result<Outcome, ClaimEnd> {
        let pushed = self.line.push(run, refs).await;
        match pushed.map_err(|_| ClaimEnd::Unreachable)? {
            Pushed::Answered(statuses) if statuses.iter().all(PushStatus::done) => {
                Ok(Outcome::Done)
            }
            Pushed::Answered(_) => Ok(Outcome::Doubtful { answered: true }),
            Pushed::Unknown => Ok(Outcome::Doubtful { answered: false }),
        }
    }

    fn commit(&self, issue: IssueNumber, run: &RunId, epoch: u64) -> ObjectName {
        let message = ClaimMessage {
            v: 1,
            issue,
            worker_id: self.life.to_string(),
            machine_id: self.host.to_string(),
            run_id: run.clone(),
            epoch,
            ttl_s: self.timing.ttl.as_secs(),
            state: ClaimState::Held,
            nonce: String::new(),
        };
        self.world.forge.borrow_mut().objects.make(Commit {
            parents: Vec::new(),
            tree: Rc::default(),
            maker: Maker::Timmy,
            claim: Some(message),
        })
    }

    /// Whether a claim of somebody is still worked under.
    fn judge(&self, issue: IssueNumber, object: ObjectName) -> Taken {
        let unchanged = self.see(issue, &object);
        let forge = self.world.forge.borrow();
        let message = forge
            .objects
            .get(&object)
            .and_then(|commit| commit.claim.clone());
        let ttl = message.as_ref().map_or(self.timing.ttl, ClaimMessage::ttl);
        let left = Timing { ttl }.lapse().saturating_sub(unchanged);
        let epoch = message.as_ref().map_or(1, |message| message.epoch);
        let gone = message.is_some_and(|message| {
            let same_machine = message.machine_id == self.host.to_string();
            let own = message.worker_id == self.life.to_string();
            // The kernel tells whether another process of this machine still runs: none does.
            same_machine && (!own || !self.live.borrow().contains(&issue))
        });
        if gone || left.is_zero() {
            return Taken::Lapsed { object, epoch };
        }
        Taken::Acquired(Acquired::Held(left))
    }

    /// For how long a claim has certainly been the same: by the monotonic clock within a process, by
    /// the file and the wall clock between processes.
    fn see(&self, issue: IssueNumber, object: &ObjectName) -> Duration {
        let now = self.world.now();
        let mut watched = self.watched.borrow_mut();
        if let Some(seen) = watched.get(&issue)
            && seen.object == *object
        {
            return seen.before + now.saturating_sub(seen.since);
        }
        let wall = self.world.wall(self.host);
        let mut written = self.written.borrow_mut();
        let known = written.get(&issue).filter(|(known, _)| known == object);
        let elapsed = known.and_then(|(_, first)| wall.duration_since(*first).try_into().ok());
        if elapsed.is_none() {
            written.insert(issue, (object.clone(), wall));
        }
        let before = elapsed.unwrap_or_default();
        let entry = Watched {
            object: object.clone(),
            before,
            since: now,
        };
        watched.insert(issue, entry);
        before
    }

    fn forget(&self, issue: IssueNumber) {
        self.watched.borrow_mut().remove(&issue);
        self.written.borrow_mut().remove(&issue);
    }
}

enum Outcome {
    Done,
    Doubtful { answered: bool },
}

fn settle(claim: &mut Claim, object: ObjectName, began: Duration) {
    claim.object = object;
    claim.tried.clear();
    claim.confirmed = began;
}

fn pair(seen: &[Option<ObjectName>]) -> [Option<ObjectName>; 2] {
    let at = |index: usize| seen.get(index).cloned().flatten();
    [at(0), at(1)]
}
