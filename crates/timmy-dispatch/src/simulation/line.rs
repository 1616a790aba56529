//! A host's connection to the forge: it takes time, it fails, and answers get lost.
//!
//! What the real client promises is kept here too: reads are repeated after passing faults; a write
//! whose outcome is unknown is repeated only after a look at the forge showed that it did not happen.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_forge::ForgeError;
use timmy_forge::Pacing;
use timmy_git::PushRef;
use timmy_git::PushStatus;

use super::claim::reference;
use super::forge::Maker;
use super::forge::SimForge;
use super::random::Random;
use super::watch::Invariant;
use super::weather::Fault;
use super::world::OUTSIDE;
use super::world::World;

/// A host's connection to the forge.
pub(crate) struct Line {
    world: Rc<World>,
    host: u32,
    random: RefCell<Random>,
    pacing: Pacing,
}

/// What came of a push.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// The forge answered.
    Answered(Vec<PushStatus>),
    /// It may have been done.
    Unknown,
}

type Answer<T> = Result<T, ForgeError>;

impl Line {
    pub(crate) fn new(world: Rc<World>, host: u32, random: Random) -> Self {
        Self {
            world,
            host,
            random: RefCell::new(random),
            pacing: Pacing::default(),
        }
    }

    /// Reads, again and again after passing faults.
    pub(crate) async fn read<T>(&self, what: impl Fn(&mut SimForge) -> Answer<T>) -> Answer<T> {
        let mut left = self.pacing.repeats;
        loop {
            let fault = match self.wire(Kind::Read, &what).await {
                Ok(found) => return Ok(found),
                Err(fault) => fault,
            };
            self.pause(&fault, &mut left).await?;
        }
    }

    /// Writes once, whatever happens on the way.
    pub(crate) async fn write<T>(
        &self,
        send: impl Fn(&mut SimForge) -> Answer<T>,
        look: impl Fn(&mut SimForge) -> Answer<Option<T>>,
    ) -> Answer<T> {
        let mut left = self.pacing.repeats;
        loop {
            let fault = match self.wire(Kind::Write, &send).await {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            let unknown = matches!(fault, ForgeError::UnknownOutcome { .. });
            let again = self.pause(&fault, &mut left).await;
            if unknown {
                match self.read(&look).await {
                    Ok(Some(done)) => return Ok(done),
                    Ok(None) => {}
                    Err(missing @ ForgeError::NotFound(_)) => return Err(missing),
                    Err(_) => return Err(fault),
                }
            }
            again?;
        }
    }

    /// Pushes, once. Some pushes arrive long after nobody waits for them any more.
    pub(crate) async fn push(&self, run: &RunId, refs: &[PushRef]) -> Answer<Pushed> {
        let late = {
            let mut random = self.random.borrow_mut();
            let delay = random.between(Duration::from_secs(1), Duration::from_secs(900));
            let late = self.world.sky.delays_push(self.world.now(), &mut random);
            late.then_some(delay)
        };
        if let Some(delay) = late {
            let (world, run, refs) = (Rc::clone(&self.world), run.clone(), refs.to_vec());
            let host = self.host;
            self.world.schedule.spawn(OUTSIDE, async move {
                world.schedule.sleep(delay).await;
                drop(world.on_forge(|forge| guarded(&world, forge, host, &run, &refs)));
            });
            self.world.schedule.sleep(self.pacing.idle_timeout).await;
            return Ok(Pushed::Unknown);
        }
        let (world, host) = (&self.world, self.host);
        let send = |forge: &mut SimForge| guarded(world, forge, host, run, refs);
        match self.wire(Kind::Write, send).await {
            Ok(statuses) => Ok(Pushed::Answered(statuses)),
            // git does not tell one silence from another.
            Err(ForgeError::NotFound(refusal)) => Err(ForgeError::NotFound(refusal)),
            Err(_) => Ok(Pushed::Unknown),
        }
    }

    /// Where refs point, asked once.
    pub(crate) async fn look(&self, names: &[&str]) -> Answer<Vec<Option<ObjectName>>> {
        let repo = self.world.repo.clone();
        let ask = |forge: &mut SimForge| {
            let found = names.iter().map(|name| forge.reference(&repo, name));
            found.collect::<Answer<Vec<_>>>()
        };
        self.wire(Kind::Read, ask).await
    }

    /// One request and its answer.
    async fn wire<T>(&self, kind: Kind, apply: impl Fn(&mut SimForge) -> Answer<T>) -> Answer<T> {
        let (latency, fault) = {
            let mut random = self.random.borrow_mut();
            let least = Duration::from_millis(15);
            let latency = random.between(least, Duration::from_millis(150));
            let at = self.world.now();
            (latency, self.world.sky.fault(self.host, at, &mut random))
        };
        {
            let mut watch = self.world.watch.borrow_mut();
            watch.tally.forge_calls += 1;
            watch.tally.faults += u64::from(fault.is_some());
        }
        let sleep = |time| self.world.schedule.sleep(time);
        sleep(latency).await;
        let Some(fault) = fault else {
            let answer = self.world.on_forge(&apply);
            sleep(latency / 4).await;
            return answer;
        };
        let lost = |why: &str| match kind {
            Kind::Read => unavailable(why),
            Kind::Write => unknown(why),
        };
        match fault {
            Fault::TooMany { retry_after } => Err(ForgeError::RateLimited {
                call: CALL.to_owned(),
                retry_after: Some(retry_after),
            }),
            Fault::Refused => Err(lost("503")),
            Fault::NoConnection => {
                sleep(self.pacing.connect_timeout).await;
                Err(unavailable("no connection"))
            }
            Fault::Page => Err(ForgeError::Malformed {
                call: CALL.to_owned(),
                what: "a page of HTML".to_owned(),
            }),
            Fault::Dropped => {
                sleep(self.pacing.idle_timeout).await;
                Err(lost("no answer"))
            }
            Fault::ReplyLost => {
                drop(self.world.on_forge(&apply));
                sleep(self.pacing.idle_timeout).await;
                Err(lost("no answer"))
            }
            Fault::AppliedThenError => {
                drop(self.world.on_forge(&apply));
                Err(lost("500"))
            }
            Fault::Repeated => {
                drop(self.world.on_forge(&apply));
                self.world.on_forge(&apply)
            }
        }
    }

    /// Waits before a repetition.
    ///
    /// # Errors
    /// The fault, when there is to be none.
    async fn pause(&self, fault: &ForgeError, left: &mut usize) -> Answer<()> {
        let asked = match fault {
            ForgeError::RateLimited { retry_after, .. } => retry_after.unwrap_or_default(),
            ForgeError::Unavailable { .. } | ForgeError::UnknownOutcome { .. } => Duration::ZERO,
            _ => return Err(fault.clone()),
        };
        if *left == 0 || asked > self.pacing.longest_retry_after {
            return Err(fault.clone());
        }
        let doublings = u32::try_from(self.pacing.repeats - *left).unwrap_or(0);
        *left -= 1;
        let wait = self.pacing.first_wait * (1 << doublings.min(10));
        let wait = wait.min(self.pacing.longest_wait).max(asked);
        self.world.schedule.sleep(wait).await;
        Ok(())
    }
}

/// A push, and what must never come of one.
fn guarded(
    world: &World,
    forge: &mut SimForge,
    host: u32,
    run: &RunId,
    refs: &[PushRef],
) -> Answer<Vec<PushStatus>> {
    let branch = refs.iter().find(|one| one.target.branch().is_some());
    let before = branch.map(|one| forge.reference(&world.repo, one.target.as_str()));
    let before = before.transpose()?.flatten();
    let statuses = forge.push(&world.repo, refs)?;
    let Some(branch) = branch.filter(|_| statuses.iter().all(PushStatus::done)) else {
        return Ok(statuses);
    };
    let name = branch.target.branch().unwrap_or_default();
    let issue = name
        .strip_prefix("timmy/")
        .and_then(|rest| rest.split('-').next());
    let issue = issue.and_then(|issue| issue.parse::<IssueNumber>().ok());
    let claim = issue.map(|issue| forge.reference(&world.repo, &reference(issue)));
    let claim = claim.transpose()?.flatten();
    let holds = claim.and_then(|claim| forge.objects.get(&claim)?.claim.clone());
    if holds.is_none_or(|message| message.run_id != *run) {
        let detail = format!("run {run} pushed {name} without its claim");
        world.violated(Invariant::OnlyTheHolderPublishes, Some(host), issue, detail);
    }
    let maker = before.and_then(|before| forge.objects.get(&before).map(|commit| commit.maker));
    if maker == Some(Maker::Person) {
        let detail = format!("run {run} pushed {name} over what a person put there");
        world.violated(Invariant::PeopleDecide, Some(host), issue, detail);
    }
    Ok(statuses)
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

const CALL: &str = "a simulated call";

fn unavailable(why: &str) -> ForgeError {
    ForgeError::Unavailable {
        call: CALL.to_owned(),
        why: why.to_owned(),
    }
}

fn unknown(why: &str) -> ForgeError {
    ForgeError::UnknownOutcome {
        call: CALL.to_owned(),
        why: why.to_owned(),
    }
}
