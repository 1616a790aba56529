//! The loop: performs what the core of the night decides, and tells it what came of it.
//!
//! One process, one [`Night`]; lists, attempts and looks at pull requests are tasks beside it. The
//! shell holds no state that log and forge do not: a loop that is killed is continued by the next one,
//! or by `timmy sprint`.

mod asked;
mod attempt;
mod attend;
mod duty;
mod look;
mod settings;
mod upkeep;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_store::EventLog;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::Id;
use tokio::task::JoinSet;

use crate::error::SprintError;
use crate::night::Action;
use crate::night::Asked;
use crate::night::Input;
use crate::night::Night;
use crate::night::Scope;
use crate::night::Settings;
use crate::night::Stop;
use crate::sprint::Sprint;
use crate::workspace::Quota;

pub(crate) use asked::LOOK;
pub use settings::NightSettings;

use asked::Ear;
use duty::Duty;
use look::Post;

/// Between two tries to say what could not be recorded.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// Between two looks at the room on the disk while attempts run.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(30);

/// A repository's part in the loop, as the program builds it from the configuration.
pub type Sprints = BTreeMap<RepoName, Arc<Sprint>>;

/// What is sent to a running loop.
#[derive(Debug)]
enum Message {
    Input(Box<Input>),
    /// Something that a person asked for.
    Asked(Box<EventKind>),
    Setup(Box<Settings>, Setup),
}

/// New sprints for the repositories of a new configuration.
struct Setup(Sprints);

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A way to talk to a running loop.
#[derive(Clone)]
pub struct Handle(mpsc::UnboundedSender<Message>);

impl Handle {
    /// The forge says that something changed.
    pub fn wake(&self, repo: RepoName) {
        self.tell(Input::Woken { repo });
    }

    /// The loop is to end.
    pub fn stop(&self, stop: Stop) {
        self.tell(Input::Stop(stop));
    }

    /// The configuration changed. What runs goes on as it began.
    pub fn configure(&self, settings: Settings, sprints: Sprints) {
        self.send(Message::Setup(Box::new(settings), Setup(sprints)));
    }

    fn asked(&self, kind: EventKind) {
        self.send(Message::Asked(Box::new(kind)));
    }

    fn tell(&self, input: Input) {
        self.send(Message::Input(Box::new(input)));
    }

    fn send(&self, message: Message) {
        // A loop that is over needs to hear nothing.
        drop(self.0.send(message));
    }
}

/// Stops a running attempt.
struct Stopper {
    sender: watch::Sender<Option<Outcome>>,
    run: RunId,
}

/// A loop over some repositories.
pub struct Shell {
    night: Night,
    slots: u32,
    silence: Duration,
    posts: BTreeMap<RepoName, Arc<Post>>,
    log: EventLog,
    clock: Arc<dyn Clock>,
    quota: Arc<Quota>,
    handle: Handle,
    inbox: mpsc::UnboundedReceiver<Message>,
    tasks: JoinSet<Input>,
    duties: HashMap<Id, Duty>,
    stops: BTreeMap<IssueName, Stopper>,
    /// When directories are tidied and the disk is looked at again, on the loop's clock.
    next_tidy: Duration,
    next_room: Duration,
    tidy_every: Duration,
    /// What could not be recorded yet, oldest first.
    unsaid: VecDeque<EventKind>,
}

impl Shell {
    /// A loop that has not begun.
    #[must_use]
    pub fn new(
        settings: Settings,
        sprints: Sprints,
        log: EventLog,
        clock: Arc<dyn Clock>,
        quota: Arc<Quota>,
    ) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let posts = sprints.into_iter();
        let tidy_every = settings.full;
        Self {
            slots: settings.slots,
            silence: settings.stall,
            night: Night::new(settings),
            posts: posts
                .map(|(repo, sprint)| (repo, Arc::new(Post::new(sprint))))
                .collect(),
            log,
            clock,
            quota,
            handle: Handle(sender),
            inbox,
            tasks: JoinSet::new(),
            duties: HashMap::new(),
            stops: BTreeMap::new(),
            next_tidy: Duration::ZERO,
            next_room: Duration::ZERO,
            tidy_every,
            unsaid: VecDeque::new(),
        }
    }

    /// A way to talk to the loop while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until the core says that it is over, and says why.
    ///
    /// # Errors
    /// When the beginning cannot be recorded. Later faults are waited for.
    pub async fn run(mut self) -> Result<String, Problem> {
        let started = EventKind::LoopStarted {
            repositories: self.posts.keys().cloned().collect(),
            slots: self.slots,
        };
        let (ear, pause) = Ear::open(&self.log).await.map_err(|e| e.problem())?;
        self.log.append(None, started).await?;
        // Ends with the loop.
        let mut ears = JoinSet::new();
        ears.spawn(ear.listen(self.handle.clone()));
        let mut input = pause.map_or(Input::Tick, Input::Asked);
        let reason = loop {
            if let Some(reason) = self.feed(&input).await {
                break reason;
            }
            input = self.next_input().await;
        };
        let ended = EventKind::LoopEnded {
            reason: reason.clone(),
        };
        self.say(ended).await;
        Ok(reason)
    }

    /// Lets the core decide, and does what it says. Gives the reason when the loop is over.
    async fn feed(&mut self, input: &Input) -> Option<String> {
        let at = self.clock.monotonic();
        let mut reason = None;
        for action in self.night.handle(at, input) {
            match action {
                Action::Record(kind) => self.say(kind).await,
                Action::Finish { reason: why } => reason = Some(why),
                Action::Cancel { key, outcome } => {
                    if let Some(stop) = self.stops.get(&key) {
                        stop.sender.send_replace(Some(outcome));
                    }
                }
                Action::List { repo, extent } => self.dispatch(Duty::List { repo, extent }),
                Action::Attend { repo } => self.dispatch(Duty::Attend { repo }),
                Action::MergeTurn { repo } => self.dispatch(Duty::MergeTurn { repo }),
                Action::Start { key, purpose } => {
                    let run = RunId::generate();
                    self.dispatch(Duty::Attempt { key, purpose, run });
                }
            }
        }
        reason
    }

    /// Begins a duty beside the loop.
    fn dispatch(&mut self, duty: Duty) {
        let Some(post) = self.posts.get(duty.repo()).map(Arc::clone) else {
            let problem = SprintError::NotConfigured(duty.repo().clone()).problem();
            self.handle.tell(duty.failed(problem, None));
            return;
        };
        let (sender, stop) = watch::channel(None);
        if let Duty::Attempt { key, run, .. } = &duty {
            let stopper = Stopper {
                sender,
                run: run.clone(),
            };
            self.stops.insert(key.clone(), stopper);
        }
        let shared = duty::Shared {
            post,
            handle: self.handle.clone(),
            quota: Arc::clone(&self.quota),
            silence: self.silence,
            stop,
        };
        let task = self.tasks.spawn(duty.clone().perform(shared));
        self.duties.insert(task.id(), duty);
    }

    /// Waits for the next thing that happens.
    async fn next_input(&mut self) -> Input {
        let wait = self.wait();
        tokio::select! {
            Some(message) = self.inbox.recv() => match message {
                Message::Input(input) => *input,
                Message::Asked(kind) => self.what_is_asked(*kind),
                Message::Setup(settings, setup) => {
                    self.silence = settings.stall;
                    self.set_up(setup);
                    Input::Configured(settings)
                }
            },
            Some(joined) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                self.joined(joined)
            }
            () = tokio::time::sleep(wait) => {
                self.say_what_was_not_said().await;
                self.look_after_the_host();
                Input::Tick
            }
        }
    }

    /// What a person asks of this loop. Most runs that people stop are those of other hosts.
    fn what_is_asked(&self, kind: EventKind) -> Input {
        if let EventKind::StopAsked { target } = &kind {
            let mut running = self.stops.iter();
            let found = running.find(|(_, stopper)| stopper.run == *target);
            let stop = found.map(|(key, _)| Asked::Stop { key: key.clone() });
            return stop.map_or(Input::Tick, Input::Asked);
        }
        asked::of_fleet(kind).map_or(Input::Tick, Input::Asked)
    }

    /// Tidies and looks for room when it is time, beside the loop.
    fn look_after_the_host(&mut self) {
        let now = self.clock.monotonic();
        if self.next_tidy <= now {
            self.next_tidy = now + self.tidy_every;
            let posts = self.posts.values().map(Arc::clone).collect();
            let quota = Arc::clone(&self.quota);
            self.tasks
                .spawn(upkeep::tidy(posts, self.log.clone(), quota));
        }
        if self.next_room <= now && !self.stops.is_empty() {
            self.next_room = now + LOOK_FOR_ROOM;
            let runs = self.stops.iter();
            let runs = runs.map(|(key, stop)| (stop.run.clone(), key.clone()));
            let quota = Arc::clone(&self.quota);
            self.tasks.spawn(upkeep::watch_room(quota, runs.collect()));
        }
    }

    fn wait(&self) -> Duration {
        let now = self.clock.monotonic();
        let next = self.night.state().next_wake();
        let wait = next.map_or(Duration::MAX, |next| next.saturating_sub(now));
        let wait = wait.min(self.next_tidy.saturating_sub(now));
        let room = self.next_room.saturating_sub(now);
        let wait = if self.stops.is_empty() {
            wait
        } else {
            wait.min(room)
        };
        if self.unsaid.is_empty() {
            wait
        } else {
            wait.min(SAY_AGAIN)
        }
    }

    fn set_up(&mut self, setup: Setup) {
        let mut posts = BTreeMap::new();
        for (repo, sprint) in setup.0 {
            // What was told of the repository stays told.
            let post = match self.posts.get(&repo) {
                Some(old) => old.with(sprint),
                None => Post::new(sprint),
            };
            posts.insert(repo, Arc::new(post));
        }
        self.posts = posts;
    }

    /// What a duty brought. One that panicked counts as failed, so that no slot is lost.
    fn joined(&mut self, joined: Result<(Id, Input), tokio::task::JoinError>) -> Input {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let duty = self.duties.remove(&id);
        if let Some(Duty::Attempt { key, .. }) = &duty {
            self.stops.remove(key);
        }
        match (joined, duty) {
            (Ok((_, input)), _) => input,
            (Err(error), Some(duty)) => duty.failed(duty::defect(&error), None),
            (Err(_), None) => Input::Tick,
        }
    }

    /// Records an event of the loop, now or as soon as the database is back.
    async fn say(&mut self, kind: EventKind) {
        self.unsaid.push_back(kind);
        self.say_what_was_not_said().await;
    }

    async fn say_what_was_not_said(&mut self) {
        let silent = self.unsaid.len() > 1;
        while let Some(kind) = self.unsaid.front().cloned() {
            if let Err(problem) = self.log.append(None, kind).await {
                let troubled = Input::Troubled {
                    scope: Scope::Database,
                    problem,
                    lasts: None,
                };
                if !silent {
                    self.handle.tell(troubled);
                }
                return;
            }
            self.unsaid.pop_front();
        }
        if silent {
            let scope = Scope::Database;
            self.handle.tell(Input::Relieved { scope });
        }
    }
}
