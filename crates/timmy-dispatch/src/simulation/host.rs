//! A machine, and the process on it that works the night.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_forge::claim::Timing;

use super::claim::Claims;
use super::line::Line;
use super::log::Books;
use super::log::Log;
use super::plan::Sabotage;
use super::random::Random;
use super::schedule::First;
use super::schedule::Group;
use super::schedule::Mailbox;
use super::schedule::Signal;
use super::schedule::forever;
use super::schedule::race;
use super::watch::Invariant;
use super::weather::Lack;
use super::world::OUTSIDE;
use super::world::World;
use super::world::word;
use crate::night;
use crate::night::Action;
use crate::night::Input;
use crate::night::Night;
use crate::night::Scope;
use crate::night::Stop;

/// How often a core may be asked at one moment before it counts as spinning.
const MOST_AT_ONCE: u32 = 1_000;

/// A machine: what outlives its processes.
pub(crate) struct Host {
    pub(crate) index: u32,
    pub(crate) log: RefCell<Log>,
    pub(crate) books: RefCell<Books>,
    pub(crate) sightings: Rc<RefCell<BTreeMap<IssueNumber, (ObjectName, Timestamp)>>>,
    /// The process that runs now; none while it is down.
    pub(crate) process: RefCell<Option<Rc<Process>>>,
    lives: Cell<u64>,
    runs: Cell<u64>,
}

impl Host {
    pub(crate) fn new(index: u32) -> Self {
        Self {
            index,
            log: RefCell::default(),
            books: RefCell::default(),
            sightings: Rc::default(),
            process: RefCell::default(),
            lives: Cell::new(0),
            runs: Cell::new(0),
        }
    }
}

/// One start of `timmy loop`.
pub(crate) struct Process {
    pub(crate) world: Rc<World>,
    pub(crate) host: Rc<Host>,
    pub(crate) life: u64,
    pub(crate) group: Group,
    pub(crate) inbox: Mailbox<Input>,
    pub(crate) line: Rc<Line>,
    pub(crate) claims: Rc<Claims>,
    pub(crate) night: RefCell<Night>,
    pub(crate) cancels: RefCell<BTreeMap<IssueName, Signal<Outcome>>>,
    pub(crate) random: RefCell<Random>,
    /// What was listed last: the newest change that was seen, by the forge's clock.
    pub(crate) listed_to: Cell<Option<Timestamp>>,
    /// Whether a list is due before its time.
    pub(crate) woken: Cell<bool>,
    pub(crate) last_list: Cell<Option<Duration>>,
    /// Whether the core was told of a pause.
    pub(crate) paused: Cell<bool>,
}

impl Process {
    /// Starts the process of a host.
    pub(crate) fn start(world: &Rc<World>, host: &Rc<Host>) -> Rc<Self> {
        let life = host.lives.get() + 1;
        host.lives.set(life);
        let purpose =
            |what: &str| Random::new(world.seed, &format!("{what} {} {life}", host.index));
        let line = Rc::new(Line::new(Rc::clone(world), host.index, purpose("line")));
        let claims = Rc::new(Claims {
            world: Rc::clone(world),
            line: Rc::clone(&line),
            host: host.index,
            life,
            written: Rc::clone(&host.sightings),
            watched: RefCell::default(),
            live: RefCell::default(),
            timing: Timing {
                ttl: world.plan.claim_ttl,
            },
        });
        let settings = night::Settings {
            repositories: vec![world.repo.clone()],
            login: super::world::BOT.to_owned(),
            ..world.plan.settings.clone()
        };
        let process = Rc::new(Self {
            world: Rc::clone(world),
            host: Rc::clone(host),
            life,
            group: Group(u64::from(host.index + 1) << 32 | life),
            inbox: Mailbox::default(),
            line,
            claims,
            night: RefCell::new(Night::new(settings)),
            cancels: RefCell::default(),
            random: RefCell::new(purpose("work")),
            listed_to: Cell::new(None),
            woken: Cell::new(false),
            last_list: Cell::new(None),
            paused: Cell::new(false),
        });
        host.process.replace(Some(Rc::clone(&process)));
        process.note(None, "process started", String::new);
        process.hear_of_pause();
        if world.now() >= world.plan.length {
            process.inbox.put(Input::Stop(Stop::Drain));
        }
        let own = Rc::clone(&process);
        world.schedule.spawn(process.group, async move {
            if own.world.plan.sabotage != Sabotage::NoRecovery {
                super::recover::recover(&own).await;
            }
            own.live().await;
        });
        process
    }

    /// Feeds the core and does what it decides, until it says that the night is over.
    async fn live(self: &Rc<Self>) {
        let mut spins = (self.world.now(), 0_u32);
        loop {
            let input = self.next_input().await;
            let now = self.world.now();
            spins = if spins.0 == now {
                (now, spins.1 + 1)
            } else {
                (now, 0)
            };
            if spins.1 > MOST_AT_ONCE {
                let detail = "the core is asked again and again at one moment".to_owned();
                self.violated(Invariant::IdleIsIdle, None, detail);
                return;
            }
            if matches!(input, Input::Woken { .. } | Input::Configured(_)) {
                self.woken.set(true);
            }
            self.note_asked(&input);
            let actions = self.night.borrow_mut().handle(now, &input);
            for action in actions {
                self.perform(action).await;
            }
        }
    }

    async fn next_input(&self) -> Input {
        let wake = self.night.borrow().state().next_wake();
        let Some(wake) = wake else {
            return self.inbox.take().await;
        };
        let wait = wake.saturating_sub(self.world.now());
        match race(self.inbox.take(), self.world.schedule.sleep(wait)).await {
            First::One(input) => input,
            First::Other(()) => Input::Tick,
        }
    }

    async fn perform(self: &Rc<Self>, action: Action) {
        match action {
            Action::Record(kind) => {
                if let Err(problem) = self.append(None, kind).await {
                    self.trouble(&problem);
                }
            }
            Action::List { extent, .. } => {
                super::look::once_a_tick(self);
                let own = Rc::clone(self);
                self.spawn(async move { super::look::list(&own, extent).await });
            }
            Action::Attend { .. } => {
                let own = Rc::clone(self);
                self.spawn(async move { super::look::attend(&own).await });
            }
            Action::Start { key, purpose } => {
                self.check_pause(Some(&key));
                let cancel = Signal::default();
                self.cancels
                    .borrow_mut()
                    .insert(key.clone(), cancel.clone());
                let own = Rc::clone(self);
                self.spawn(async move {
                    let input = super::run::attempt(&own, &key, purpose, &cancel).await;
                    own.cancels.borrow_mut().remove(&key);
                    if own.world.plan.sabotage != Sabotage::ForgottenEnd {
                        own.inbox.put(input);
                    }
                });
            }
            Action::Cancel { key, outcome } => {
                self.note(Some(key.number), "cancel", || outcome.word().to_owned());
                let cancels = self.cancels.borrow();
                if let Some(cancel) = cancels.get(&key) {
                    cancel.set(outcome);
                }
            }
            Action::MergeTurn { repo } => {
                self.check_pause(None);
                self.inbox.put(Input::MergeTurnEnded { repo, more: false });
            }
            Action::Finish { reason } => self.note(None, "finished", || reason),
        }
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.world.schedule.spawn(self.group, work);
    }

    /// Appends to the log. After any append the process may be gone.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<(), Problem> {
        let index = self.host.index;
        let now = self.world.now();
        if self.world.sky.lacks(index, Lack::Database, now) {
            return Err(database_away());
        }
        let issue = {
            let mut log = self.host.log.borrow_mut();
            let wall = self.world.wall(index);
            log.append(wall, run, self.life, &kind);
            run.and_then(|run| log.run(run)).map(|run| run.key.number)
        };
        self.world.watch.borrow_mut().tally.events += 1;
        self.note(issue, word(&kind), || detail(&kind));
        let crashes = {
            let mut random = self.random.borrow_mut();
            self.world.sky.crashes(now, &mut random)
        };
        if crashes {
            self.crash().await;
        }
        Ok(())
    }

    /// The process is killed. Does not come back.
    pub(crate) async fn crash(&self) {
        self.note(None, "killed", String::new);
        let index = self.host.index;
        {
            let mut watch = self.world.watch.borrow_mut();
            watch.tally.crashes += 1;
            watch.died(index, self.life);
        }
        self.host.process.replace(None);
        let down = {
            let mut random = self.random.borrow_mut();
            let (least, most) = (Duration::from_secs(2), Duration::from_secs(1_200));
            random.between(least, most)
        };
        let (world, host) = (Rc::clone(&self.world), Rc::clone(&self.host));
        self.world.schedule.spawn(OUTSIDE, async move {
            world.schedule.sleep(down).await;
            Process::start(&world, &host);
        });
        self.world.schedule.kill(self.group);
        forever().await
    }

    /// Tells the core that the database does not work.
    pub(crate) fn trouble(&self, problem: &Problem) {
        self.inbox.put(Input::Troubled {
            scope: Scope::Database,
            problem: problem.clone(),
            lasts: Some(Duration::from_secs(30)),
        });
    }

    /// A run id that is no other's, the same in every play of the night.
    pub(crate) fn new_run(&self) -> RunId {
        let number = self.host.runs.get() + 1;
        self.host.runs.set(number);
        let millis = u64::try_from(self.world.now().as_millis()).unwrap_or(0);
        let (time, host) = (
            millis & 0xffff_ffff_ffff,
            u64::from(self.host.index) & 0xfff,
        );
        let id = format!(
            "{:08x}-{:04x}-7{host:03x}-8000-{:012x}",
            time >> 16,
            time & 0xffff,
            number
        );
        match id.parse() {
            Ok(run) => run,
            Err(_) => RunId::generate(),
        }
    }

    pub(crate) fn note(
        &self,
        issue: Option<IssueNumber>,
        what: &'static str,
        detail: impl FnOnce() -> String,
    ) {
        self.world.note(Some(self.host.index), issue, what, detail);
    }

    pub(crate) fn violated(
        &self,
        invariant: Invariant,
        issue: Option<IssueNumber>,
        detail: String,
    ) {
        let host = Some(self.host.index);
        self.world.violated(invariant, host, issue, detail);
    }
}

/// What the store says when its database does not answer.
pub(crate) fn database_away() -> Problem {
    let (code, exit) = (Code::new(201), ExitStatus::Unavailable);
    Problem::new(code, exit, "the database does not answer")
}

fn detail(kind: &EventKind) -> String {
    match kind {
        EventKind::RunEnded { outcome, .. } => match outcome {
            Outcome::Failed { problem } => problem.to_string(),
            other => other.word().to_owned(),
        },
        EventKind::PullRequestOpened {
            number, adopted, ..
        } => {
            format!("#{number}{}", if *adopted { ", adopted" } else { "" })
        }
        EventKind::BranchPushed { branch, commit } => format!("{branch} at {}", commit.short()),
        EventKind::DispatchPaused { scope, problem } => format!("{scope}: {}", problem.what),
        EventKind::DispatchResumed { scope } => scope.clone(),
        EventKind::RetryScheduled {
            attempt, delay_ms, ..
        } => format!("attempt {attempt} in {} s", delay_ms / 1_000),
        EventKind::ClaimLost { reason } => reason.clone(),
        EventKind::Warned { problem } => problem.what.clone(),
        _ => String::new(),
    }
}
