//! What people ask of the whole fleet: to begin nothing, to go on, to stop a run.
//!
//! Hosts hear of it as those of the program do: each looks into the log that it shares once a second,
//! as soon as its database answers, and a process that begins asks first what pause is in force.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_core::event::Outcome;

use super::host::Process;
use super::plan::Sabotage;
use super::random::Random;
use super::watch::Invariant;
use super::weather::Lack;
use super::world::OUTSIDE;
use super::world::World;
use crate::night;
use crate::night::Asked;
use crate::night::Input;

/// Deeds of people between two that are about the fleet.
const DEEDS_BETWEEN: u32 = 40;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// Before an issue is looked at again that could not begin because of a pause.
pub(crate) const PAUSED: Duration = Duration::from_secs(2);

/// What was asked, as the shared part of the log tells of it.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    paused: bool,
    stops: BTreeSet<RunId>,
    /// Those of them after which nobody let the fleet go on.
    standing: BTreeSet<RunId>,
    /// Issues whose last run was stopped, and their text then, until the fleet is let go on.
    stopped: BTreeMap<IssueName, String>,
}

impl Wishes {
    /// Whether an issue waits for a person, as long as its text is this one.
    pub(crate) fn holds(&self, key: &IssueName, text: &str) -> bool {
        self.stopped.get(key).is_some_and(|then| then == text)
    }
}

/// Lets people ask things of the fleet until the night is over.
pub(crate) fn wake_operators(world: &Rc<World>) {
    let own = Rc::clone(world);
    world.schedule.spawn(OUTSIDE, async move {
        let mut random = Random::new(own.seed, "asking");
        let hour = Duration::from_secs(3_600) * DEEDS_BETWEEN;
        let Some(mean) = hour.checked_div(own.plan.deeds_per_hour) else {
            return;
        };
        loop {
            let pause = random.between(Duration::ZERO, 2 * mean);
            own.schedule.sleep(pause).await;
            if own.now() >= own.plan.length {
                return;
            }
            own.watch.borrow_mut().tally.asked += 1;
            if random.chance(0.5) {
                let lasts = random.between(Duration::from_secs(1), LONGEST);
                pause_for(&own, lasts).await;
            } else {
                stop_some(&own, &mut random);
            }
        }
    });
}

async fn pause_for(world: &Rc<World>, lasts: Duration) {
    world.note(None, None, "paused by a person", String::new);
    world.wishes.borrow_mut().paused = true;
    let reason = "they look at something".to_owned();
    tell(world, &Asked::Pause { reason });
    world.schedule.sleep(lasts).await;
    world.note(None, None, "resumed by a person", String::new);
    {
        let mut wishes = world.wishes.borrow_mut();
        wishes.paused = false;
        wishes.stopped.clear();
        wishes.standing.clear();
    }
    tell(world, &Asked::Resume);
}

fn stop_some(world: &Rc<World>, random: &mut Random) {
    let mut running: Vec<(RunId, IssueName)> = Vec::new();
    for host in world.hosts.borrow().iter() {
        let log = host.log.borrow();
        let open = log.runs().filter(|(_, run)| run.outcome.is_none());
        running.extend(open.map(|(id, run)| (id.clone(), run.key.clone())));
    }
    let Some((run, key)) = random.pick(&running).cloned() else {
        return;
    };
    world.note(None, Some(key.number), "stopped by a person", String::new);
    {
        let mut wishes = world.wishes.borrow_mut();
        wishes.stops.insert(run.clone());
        wishes.standing.insert(run);
    }
    tell(world, &Asked::Stop { key });
}

/// Every process that runs hears of it with its next look.
fn tell(world: &Rc<World>, asked: &Asked) {
    if world.plan.sabotage == Sabotage::DeafToPauses && !matches!(asked, Asked::Stop { .. }) {
        return;
    }
    let processes: Vec<Rc<Process>> = {
        let hosts = world.hosts.borrow();
        let processes = hosts.iter().map(|host| host.process.borrow().clone());
        processes.flatten().collect()
    };
    for process in processes {
        let (own, asked) = (Rc::clone(&process), asked.clone());
        process.spawn(async move {
            let next = Duration::from_secs(own.world.now().as_secs() + 1);
            own.world.schedule.sleep(next - own.world.now()).await;
            while let Some(end) = own.lacks_database_until() {
                let wait = end.saturating_sub(own.world.now());
                own.world.schedule.sleep(wait).await;
            }
            if own.is_meant(&asked) {
                own.inbox.put(Input::Asked(asked));
            }
        });
    }
}

impl Process {
    fn lacks_database_until(&self) -> Option<Duration> {
        let world = &self.world;
        world.sky.ends(self.host.index, Lack::Database, world.now())
    }

    /// A stop is for one run, which may be another host's or over by now.
    fn is_meant(&self, asked: &Asked) -> bool {
        let Asked::Stop { key } = asked else {
            return true;
        };
        let log = self.host.log.borrow();
        let wishes = self.world.wishes.borrow();
        let mut open = log.runs().filter(|(_, run)| run.outcome.is_none());
        open.any(|(id, run)| run.key == *key && run.life == self.life && wishes.stops.contains(id))
    }

    /// What a process hears before anything else.
    pub(crate) fn hear_of_pause(&self) {
        let deaf = self.world.plan.sabotage == Sabotage::DeafToPauses;
        if self.world.wishes.borrow().paused && !deaf {
            let reason = "they look at something".to_owned();
            self.inbox.put(Input::Asked(Asked::Pause { reason }));
        }
    }

    /// Whether the log says, at the last moment before a run begins, that nothing is to begin.
    pub(crate) fn is_refused(&self) -> bool {
        let deaf = self.world.plan.sabotage == Sabotage::DeafToPauses;
        self.world.wishes.borrow().paused && !deaf
    }

    /// Whether the log says that a person stopped the last run on an issue with this text.
    pub(crate) fn is_held(&self, key: &IssueName, text: &str) -> bool {
        let looks = self.world.plan.sabotage != Sabotage::ForgetsStops;
        looks && self.world.wishes.borrow().holds(key, text)
    }

    /// A run begins that resolves an issue with this text.
    pub(crate) fn check_wishes(&self, key: &IssueName, text: &str) {
        let (paused, held) = {
            let wishes = self.world.wishes.borrow();
            (wishes.paused, wishes.holds(key, text))
        };
        if paused {
            let detail = "a run begins during a pause".to_owned();
            self.violated(Invariant::PauseHolds, Some(key.number), detail);
        }
        if held {
            let detail = "a run begins on an issue whose last run was stopped".to_owned();
            self.violated(Invariant::StopHolds, Some(key.number), detail);
        }
        self.world.wishes.borrow_mut().stopped.remove(key);
    }

    /// The core decides to begin something, which it must not once it heard of a pause.
    pub(crate) fn check_pause(&self, key: Option<&IssueName>) {
        if self.paused.get() {
            let detail = "the core begins something during a pause it knows of".to_owned();
            self.violated(Invariant::PauseHolds, key.map(|key| key.number), detail);
        }
    }

    /// Takes note of what the core is told.
    pub(crate) fn note_asked(&self, input: &Input) {
        match input {
            Input::Asked(Asked::Pause { .. }) => self.paused.set(true),
            Input::Asked(Asked::Resume) => self.paused.set(false),
            _ => {}
        }
    }

    /// A run ended. One that a person stopped leaves its issue to people.
    pub(crate) fn note_end(&self, run: &RunId, outcome: &Outcome) {
        let mut wishes = self.world.wishes.borrow_mut();
        if !matches!(outcome, Outcome::Cancelled { .. }) || !wishes.standing.contains(run) {
            return;
        }
        let log = self.host.log.borrow();
        let Some(told) = log.run(run).filter(|told| told.answers.is_none()) else {
            return;
        };
        if let Some(from) = &told.fingerprint {
            wishes.stopped.insert(told.key.clone(), from.text.clone());
        }
    }

    /// How a dead run ends that a person stopped, unless it has its result.
    pub(crate) fn end_asked_for(&self, run: &RunId) -> Option<Outcome> {
        let offered = self.host.log.borrow().run(run)?.pull.is_some();
        let stopped = self.world.wishes.borrow().stops.contains(run);
        (stopped && !offered).then(|| Outcome::Cancelled {
            reason: night::STOPPED.to_owned(),
        })
    }
}
