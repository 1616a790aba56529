//! Gathering everything that findings are concluded from.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::text;
use timmy_dispatch::Desk;
use timmy_forge::ForgeError;
use timmy_forge::ForgeKind;
use timmy_store::Store;
use timmy_telemetry::health::ClaimSeen;
use timmy_telemetry::health::Evidence;
use timmy_telemetry::health::ForgeSeen;
use timmy_telemetry::health::Limits;
use timmy_telemetry::health::Look;
use timmy_telemetry::health::Verdict;
use timmy_telemetry::health::Work;
use timmy_telemetry::health::gather;
use timmy_telemetry::health::gather::Aside;
use timmy_telemetry::health::gather::FromLog;
use timmy_telemetry::health::judge;
use timmy_telemetry::health::should_be_working;
use timmy_telemetry::probe::machine::host_name;

use super::answers::Answers;
use super::machine::Machine;
use super::told;
use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::host::Host;
use crate::output;

/// What a command of an agent and the check may take beyond their limits.
const GRACE: Duration = Duration::from_secs(60);
/// How long looking at the locks below the private root may take.
const LOCKS_PATIENCE: Duration = Duration::from_secs(5);
/// How long looking at one repository may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long what was seen of claims is good for: well below the time they live without renewal.
const CLAIMS_ARE_GOOD_FOR: Duration = Duration::from_secs(240);

/// The least time that an answer of what a sprint would take is good for: asking lists whole repositories.
const WORK_IS_GOOD_FOR: Duration = Duration::from_secs(600);

/// What one look found, and what it looked at.
pub(super) struct Looked {
    /// The findings.
    pub(super) verdict: Verdict,
    /// When.
    pub(super) at: Timestamp,
    /// What was looked at, in a few words each.
    pub(super) at_what: Vec<String>,
}

/// Looks at the fleet, again and again.
pub(super) struct Looker<'a> {
    host: Arc<Host>,
    store: &'a Store,
    connection: Option<&'a Connection>,
    /// Locks of this machine.
    locks: Aside,
    /// The rest of this machine.
    machine: Machine,
    /// Claims.
    claims: Answers<Vec<ClaimSeen>>,
    /// What a sprint would take, as long as nothing has run since.
    work: Answers<Option<Work>>,
}

impl<'a> Looker<'a> {
    /// Connects to the forge by itself at every look.
    pub(super) fn new(host: Arc<Host>, store: &'a Store) -> Self {
        Self {
            host,
            store,
            connection: None,
            locks: Aside::within(LOCKS_PATIENCE),
            machine: Machine::new(),
            claims: Answers::default(),
            work: Answers::default(),
        }
    }

    /// Uses a connection that is there, as a loop has one.
    pub(super) fn through(mut self, connection: &'a Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Goes on under another configuration.
    pub(super) fn configure(&mut self, host: Arc<Host>) {
        self.host = host;
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// When the log cannot be read. Everything else that cannot be looked at is said.
    pub(super) async fn look(&mut self) -> Result<Looked, Problem> {
        let host = Arc::clone(&self.host);
        let now = host.clock.now();
        let config = &host.loaded.config;
        let settings = &config.health;
        let mut evidence = Evidence::none(&host_name());
        evidence.limits = limits(config);
        // Before this process itself counts as one that lives.
        let root = self.host.root.clone();
        let lives = self.locks.look(move || gather::somebody_lives(&root)).await;
        evidence.night.lives_here = lives.unwrap_or(false);
        let log = self.store.log(Arc::clone(&self.host.clock));
        let from_log = FromLog {
            log: &log,
            root: &self.host.root,
            settings,
            ttl: Duration::from_secs(config.claim.ttl_s),
            now,
        };
        let gathered = from_log.gather(&mut self.locks, &mut evidence).await;
        gathered.map_err(told)?;
        let machine = &mut self.machine;
        machine.look(&self.host, &log, &mut evidence, now).await;
        self.forge(&mut evidence, now).await;
        let at_what = at_what(&evidence);
        Ok(Looked {
            verdict: judge(&evidence, settings, now),
            at: now,
            at_what,
        })
    }

    async fn forge(&mut self, evidence: &mut Evidence, now: Timestamp) {
        let host = Arc::clone(&self.host);
        let config = &host.loaded.config;
        let Some(first) = config.forge.repositories.first() else {
            return;
        };
        let own = match self.connection {
            Some(_) => None,
            None => match self.connect().await {
                Ok(own) => Some(own),
                Err(problem) => {
                    evidence.forge = not_connected(config, &problem);
                    return;
                }
            },
        };
        let Some(connection) = self.connection.or(own.as_ref()) else {
            return;
        };
        evidence.forge = probe(config, connection, first).await;
        if !matches!(evidence.forge, ForgeSeen::Answers { .. }) {
            return;
        }
        for repo in &config.forge.repositories {
            self.repository(evidence, connection, repo, now).await;
        }
    }

    /// An embedded forge may be served by a loop at this moment, so it gets a port of its own.
    async fn connect(&self) -> Result<Connection, Problem> {
        let forge = &self.host.config()?.forge;
        if forge.kind == ForgeKind::Embedded {
            let (root, clock) = (&self.host.root, &self.host.clock);
            return connection::embedded(forge, 0, self.store, root, clock).await;
        }
        self.host.connect(self.store).await
    }

    async fn repository(
        &mut self,
        evidence: &mut Evidence,
        connection: &Connection,
        repo: &RepoName,
        now: Timestamp,
    ) {
        let store = self.store.clone();
        let desk = match self.host.desk(repo, store, connection, &[]).await {
            Ok(desk) => desk,
            Err(problem) => {
                evidence.claims.insert(repo.clone(), Err(problem.what));
                return;
            }
        };
        let claims = self.claims(&desk).await;
        evidence.claims.insert(repo.clone(), claims);
        let of_loop = evidence.night.repositories.contains(repo);
        if of_loop && should_be_working(evidence, &self.host.loaded.config.health, now) {
            let work = self.work(&desk).await;
            evidence.work.insert(repo.clone(), work);
        } else {
            self.work.forget(repo);
        }
    }

    /// A look starts a git program, so those of one loop are some minutes apart.
    async fn claims(&mut self, desk: &Desk) -> Look<Vec<ClaimSeen>> {
        let now = self.host.clock.monotonic();
        let known = self.claims.get(&desk.repo, now, CLAIMS_ARE_GOOD_FOR);
        match known {
            Some(known) => Ok(known),
            None => self
                .claims
                .keep(&desk.repo, now, in_time(claims(desk)).await),
        }
    }

    /// What a sprint would take.
    async fn work(&mut self, desk: &Desk) -> Look<Option<Work>> {
        let now = self.host.clock.monotonic();
        let idle = Duration::from_secs(self.host.loaded.config.health.idle_s);
        let known = self.work.get(&desk.repo, now, idle.max(WORK_IS_GOOD_FOR));
        match known {
            Some(known) => Ok(known),
            None => self.work.keep(&desk.repo, now, in_time(work(desk)).await),
        }
    }
}

/// A look that must not take for ever.
async fn in_time<T>(look: impl Future<Output = Look<T>>) -> Look<T> {
    let looked = tokio::time::timeout(PATIENCE, look).await;
    looked.unwrap_or_else(|_| Err(format!("it took longer than {} s", PATIENCE.as_secs())))
}

async fn claims(desk: &Desk) -> Look<Vec<ClaimSeen>> {
    let claims = desk.claims().await.map_err(|error| told(error).what)?;
    gather::claims(&claims).await
}

async fn work(desk: &Desk) -> Look<Option<Work>> {
    let choice = desk.choose().await.map_err(|error| told(error).what)?;
    Ok(choice.issue.map(|issue| Work {
        issue,
        title: choice.title.unwrap_or_default(),
    }))
}

/// Asks for a repository: that needs the token, which the server's version does not.
async fn probe(config: &Config, connection: &Connection, repo: &RepoName) -> ForgeSeen {
    let place = place(config, connection.base().as_str());
    let patience = Duration::from_secs(config.health.probe_s.max(1));
    let forge = connection.forge();
    let asked = tokio::time::timeout(patience, forge.repository(repo)).await;
    match asked {
        Ok(Ok(_) | Err(ForgeError::NotFound(_))) => ForgeSeen::Answers { place },
        Ok(Err(error)) => ForgeSeen::Fails {
            place,
            what: format!("asked for {repo}: {}", text::clean_line(&told(error).what)),
        },
        Err(_) => ForgeSeen::Fails {
            place,
            what: format!(
                "asked for {repo}: no answer within {} s",
                patience.as_secs()
            ),
        },
    }
}

/// The embedded forge has another port each time.
fn place(config: &Config, base: &str) -> String {
    match &config.forge.url {
        Some(url) => url.to_string(),
        None if config.forge.kind == ForgeKind::Embedded => "embedded".to_owned(),
        None => base.to_owned(),
    }
}

/// A configuration that is not finished is no finding about the forge.
fn not_connected(config: &Config, problem: &Problem) -> ForgeSeen {
    if problem.exit == ExitStatus::Refused {
        output::talk(&format!("the forge is not asked: {}", problem.what));
        return ForgeSeen::NotConfigured;
    }
    ForgeSeen::Fails {
        place: place(config, "the forge"),
        what: problem.what.clone(),
    }
}

fn limits(config: &Config) -> Limits {
    let keep_free = config.workspace.keep_free_bytes;
    Limits {
        stall: Duration::from_secs(config.night.stall_s),
        command: Duration::from_secs(config.agent.command_seconds) + GRACE,
        check: Duration::from_secs(config.publish.check_seconds) + GRACE,
        keep_free: keep_free.max(config.sandbox.limits.free_bytes),
        timer_grace: Duration::from_secs(config.telemetry.timers.late_after_s),
    }
}

fn at_what(evidence: &Evidence) -> Vec<String> {
    let count = output::count;
    let claims: usize = evidence.claims.values().flatten().map(Vec::len).sum();
    let mut what = vec![
        count(evidence.runs.len(), "open run", "open runs"),
        count(evidence.results.len(), "result", "results"),
        count(evidence.disks.len(), "disk", "disks"),
    ];
    let parts = [
        (evidence.timers.len(), "timer", "timers"),
        (evidence.logins.len(), "login", "logins"),
    ];
    let there = parts.into_iter().filter(|(number, ..)| *number > 0);
    what.extend(there.map(|(number, one, many)| count(number, one, many)));
    match &evidence.forge {
        ForgeSeen::NotConfigured => what.push("no forge".to_owned()),
        ForgeSeen::Answers { place } => {
            what.push(format!("the forge {place}"));
            what.push(count(claims, "claim", "claims"));
        }
        ForgeSeen::Fails { place, .. } => what.push(format!("the forge {place}")),
    }
    what
}
