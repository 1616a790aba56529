//! A night, played in memory.
//!
//! ```text
//! people, weather ──▶ forge ◀── lines ◀── hosts: Night, Attempt, claims, log, books
//!                       └────────── watch: invariants, tally, trace ──────────┘
//! ```
//!
//! Hours of a fleet in a fraction of a second: a forge with the embedded one's logic, hosts that run
//! the real core ([`crate::night`]) and the real state machine of a run ([`crate::attempt`]), people
//! who merge and close and edit, agents that are scripted, and everything that goes wrong. Nothing
//! waits, nothing is written, nothing is asked over a network.
//!
//! - [`play`] plays one night of a seed. The same plan and seed give the same trace.
//! - [`Plan`] says what a night is made of, [`Invariant`] what must hold in it.
//!
//! # Rules
//! - Everything random comes from the seed; every part draws from a stream of its own.
//! - What a process knows dies with it; its log, its books and its sightings of claims stay.
//! - The shell in here performs actions as the program's does, in simulated time. Where the two could
//!   part, the rule is that of the program.

mod asked;
mod claim;
mod forge;
mod hold;
mod host;
mod line;
mod log;
mod look;
mod people;
mod plan;
mod project;
mod random;
mod recover;
mod run;
mod schedule;
mod steps;
mod trace;
mod verdict;
mod watch;
mod weather;
mod work;
mod world;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use timmy_core::RepoName;

pub use self::plan::Plan;
pub use self::plan::Weather;
pub use self::trace::Keep;
pub use self::watch::Invariant;
pub use self::watch::Tally;
pub use self::watch::Violation;

use self::forge::SimForge;
use self::host::Host;
use self::host::Process;
use self::random::Random;
use self::schedule::Schedule;
use self::trace::Trace;
use self::watch::Watch;
use self::weather::Sky;
use self::world::World;
use crate::night::Input;
use crate::night::Stop;

/// After the last hour nothing goes wrong any more, and what runs is finished within this time.
const GRACE: Duration = Duration::from_secs(3 * 3_600);

/// A night that was played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Played {
    /// Its seed.
    pub seed: u64,
    /// A number that two equal traces share.
    pub digest: u64,
    /// How often what happened.
    pub tally: Tally,
    /// What must not be.
    pub violations: Vec<Violation>,
    /// What happened, as far as it was kept.
    #[serde(skip)]
    pub trace: Vec<String>,
}

/// Plays one night.
#[must_use]
pub fn play(plan: &Plan, seed: u64, keep: Keep) -> Played {
    let world = Rc::new(make(plan, seed, keep));
    for index in 0..plan.hosts {
        let host = Rc::new(Host::new(index));
        world.hosts.borrow_mut().push(Rc::clone(&host));
        Process::start(&world, &host);
    }
    people::wake_people(&world);
    asked::wake_operators(&world);
    world.schedule.run_until(plan.length);
    let closing = verdict::close(&world);
    for host in world.hosts.borrow().iter() {
        if let Some(process) = host.process.borrow().as_ref() {
            process.inbox.put(Input::Stop(Stop::Drain));
        }
    }
    world.schedule.run_until(plan.length + GRACE);
    verdict::judge(&world, &closing);
    // Processes, their hosts and the world hold on to each other.
    let hosts = std::mem::take(&mut *world.hosts.borrow_mut());
    for host in &hosts {
        drop(host.process.take());
    }
    drop(hosts);
    world.schedule.clear();
    debug_assert_eq!(1, Rc::strong_count(&world), "the night is still held");
    let watch = world
        .watch
        .replace(Watch::new(plan, Trace::new(Keep::Nothing)));
    let (trace, tally, violations) = watch.into_parts();
    Played {
        seed,
        digest: trace.digest(),
        tally,
        violations,
        trace: trace.into_lines(),
    }
}

fn make(plan: &Plan, seed: u64, keep: Keep) -> World {
    let mut forge = SimForge::new(world::beginning());
    let repo = repository();
    let mut random = Random::new(seed, "project");
    let truths = project::populate(&mut forge, &repo, plan, &mut random);
    World {
        plan: plan.clone(),
        seed,
        repo,
        schedule: Schedule::default(),
        forge: RefCell::new(forge),
        sky: Sky::new(plan, seed),
        watch: RefCell::new(Watch::new(plan, Trace::new(keep))),
        truths: RefCell::new(truths.into_iter().collect()),
        hosts: RefCell::default(),
        wishes: RefCell::default(),
    }
}

fn repository() -> RepoName {
    match RepoName::new("night", "project") {
        Ok(repo) => repo,
        Err(error) => unreachable!("{error}"),
    }
}
