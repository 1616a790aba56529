//! `timmy loop`: the night.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_dispatch::night::Settings;
use timmy_dispatch::night::Stop;
use timmy_dispatch::night::Until;
use timmy_dispatch::shell::Handle;
use timmy_dispatch::shell::Shell;
use timmy_dispatch::workflow::DEFAULT_FILE;
use timmy_dispatch::workspace::Quota;
use timmy_forge::webhook;
use timmy_forge::webhook::Listening;
use timmy_forge::webhook::Subscription;
use timmy_store::EventLog;
use timmy_store::Store;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;

use super::Ended;
use super::export::Exports;
use super::panes;
use super::telemetry::Ticker;
use crate::cli::LoopArguments;
use crate::config;
use crate::config::Loaded;
use crate::connection::Connection;
use crate::host::Host;
use crate::host::incomplete;
use crate::named_workflow::NamedWorkflow;
use crate::output;
use crate::output::Form;
use crate::tmux::Session;
use crate::tmux::Tmux;

/// How often the configuration is looked at.
const LOOK_AT_SETTINGS: Duration = Duration::from_secs(5);
/// The least time between two lists because of deliveries: times on a forge are whole seconds.
const BETWEEN_WAKES: Duration = Duration::from_secs(1);

pub(super) async fn run(host: &Host, arguments: &LoopArguments) -> Ended {
    let host = &with_workflow(host, host.loaded.clone(), arguments)?;
    let tmux = match arguments.panes.tmux {
        None => None,
        Some(number) => Some((Tmux::find().await?, number)),
    };
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let log = store.log(Arc::clone(&host.clock));
    let settings = settings(host, arguments)?;
    let sprints = host
        .sprints(
            &settings.repositories,
            &arguments.model,
            &store,
            &connection,
        )
        .await?;
    let quota = Quota::new(
        &host.root,
        &host.config()?.workspace,
        Arc::clone(&host.clock),
    );
    let count = output::count(settings.repositories.len(), "repository", "repositories");
    let slots = settings.slots;
    let clock = Arc::clone(&host.clock);
    let shell = Shell::new(settings, sprints, log.clone(), clock, Arc::new(quota));
    output::talk(&format!(
        "working on {count}, {slots} at once; `timmy events --follow` shows every step\n\
         interrupt once to finish what runs, twice to stop it"
    ));
    let (hosts, of_ticker) = watch::channel(Arc::new(host.clone()));
    let watch = Watch {
        host,
        arguments,
        store: &store,
        connection: &connection,
        log: &log,
        hosts,
    };
    let handle = shell.handle();
    let wakes = wakes(host).await?;
    let panes = match tmux {
        None => None,
        Some((tmux, number)) => Some(panes_of(host, arguments, &tmux, number).await?),
    };
    let ticker = Ticker::of(of_ticker, &store, &connection);
    let exports = Exports::begin(host, &store).await?;
    let ended = tokio::select! {
        reason = shell.run() => reason,
        problem = signals(&handle) => Err(problem),
        () = wake(wakes, &handle) => {
            let what = "the receiver of deliveries ended";
            let problem = Problem::new(Code::new(920), ExitStatus::Internal, what);
            Err(problem.fix("report this as a defect of timmy"))
        }
        problem = watch.settings(&handle) => Err(problem),
        never = ticker.run() => match never {},
        never = exports.run() => match never {},
    };
    exports.finish().await;
    if let Some(session) = panes.filter(|_| !arguments.panes.keep_panes) {
        session.close().await;
    }
    tell_end(host, &ended?)
}

fn tell_end(host: &Host, reason: &str) -> Ended {
    match host.form {
        Form::Human => output::line(&format!("the loop ended: {reason}"))?,
        Form::Json => output::json(&json!({ "ended": reason }))?,
    }
    Ok(ExitStatus::Success)
}

/// The host as the workflow file that was named would have it. Without repositories in the
/// configuration the file in the current directory is meant.
fn with_workflow(host: &Host, loaded: Loaded, arguments: &LoopArguments) -> Result<Host, Problem> {
    let named_elsewhere =
        !arguments.repositories.is_empty() || !loaded.config.forge.repositories.is_empty();
    let workflow = match &arguments.workflow {
        Some(path) => Some(NamedWorkflow::read(Some(path))?),
        None if named_elsewhere => None,
        None if !Path::new(DEFAULT_FILE).exists() => {
            loaded.require().map_err(|error| error.problem())?;
            None
        }
        None => Some(NamedWorkflow::read(None)?),
    };
    Ok(host.reconfigured(loaded, workflow))
}

/// Opens panes, which have no part in the loop, and says how to see them.
async fn panes_of(
    host: &Host,
    arguments: &LoopArguments,
    tmux: &Tmux,
    number: u32,
) -> Result<Session, Problem> {
    let session = panes::open(host, tmux, number).await?;
    output::talk(&format!("to watch: {}", session.attach()));
    if arguments.panes.keep_panes {
        output::talk(&format!("to end the panes: {}", session.end()));
    }
    Ok(session)
}

/// What the core is told, from configuration and command line.
fn settings(host: &Host, arguments: &LoopArguments) -> Result<Settings, Problem> {
    let config = host.config()?;
    let repositories: Vec<RepoName> = if arguments.repositories.is_empty() {
        config.forge.repositories.clone()
    } else {
        arguments.repositories.clone()
    };
    if repositories.is_empty() {
        let reason = "no repository is named".to_owned();
        return Err(incomplete("forge.repositories", reason));
    }
    let until = match (arguments.until_idle, arguments.hours) {
        (true, _) => Until::Idle,
        (false, Some(hours)) => Until::Time(host.clock.monotonic() + hours),
        (false, None) => Until::Forever,
    };
    let selection = config.selection.clone();
    let login = config.forge.user.clone();
    let mut settings = config.night.core(selection, login, repositories, until);
    settings.slots = arguments.slots.unwrap_or(settings.slots);
    let named = arguments.model.provider.as_deref();
    let mut providers = config.provider.iter();
    let first = providers.find(|provider| named.is_none_or(|name| provider.name == name));
    settings.per_provider = first
        .and_then(|first| first.runs)
        .unwrap_or(u32::MAX)
        .max(1);
    Ok(settings)
}

/// Listens for the forge's deliveries, where a secret is configured.
async fn wakes(host: &Host) -> Result<Option<Listening>, Problem> {
    let config = host.config()?;
    let Some(reference) = &config.webhook.secret else {
        return Ok(None);
    };
    let secret = reference
        .resolve()
        .map_err(|reason| incomplete("webhook.secret", reason))?;
    let subscription = Subscription {
        secret,
        login: config.forge.user.clone(),
        repositories: config.forge.repositories.clone(),
        interval: BETWEEN_WAKES,
    };
    let listening = webhook::listen(config.webhook.listen, subscription).await;
    let listening = listening.map_err(|error| error.problem())?;
    output::talk(&format!(
        "deliveries of the forge are taken at {}/webhook",
        listening.server.url()
    ));
    Ok(Some(listening))
}

/// Wakes the loop for every delivery. Never ends while somebody listens, or when nobody does.
async fn wake(listening: Option<Listening>, handle: &Handle) {
    let Some(mut listening) = listening else {
        return std::future::pending().await;
    };
    while let Some(repo) = listening.wakes.recv().await {
        handle.wake(repo);
    }
}

/// Tells the loop to end: an interrupt drains it, a second one or a termination stops it.
async fn signals(handle: &Handle) -> Problem {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Problem::new(
                Code::new(109),
                ExitStatus::Internal,
                "the program cannot listen to signals",
            )
            .at(error.to_string())
            .fix("check the limits on threads and open files (ulimit -a)")
        })
    };
    let (mut interrupt, mut terminate) = match (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
    ) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(problem), _) | (_, Err(problem)) => return problem,
    };
    let mut interrupted = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {
                handle.stop(if interrupted { Stop::Now } else { Stop::Drain });
                if !interrupted {
                    output::talk("finishing what runs; interrupt again to stop it");
                }
                interrupted = true;
            }
            _ = terminate.recv() => handle.stop(Stop::Now),
        }
    }
}

/// Looks after the configuration while the loop runs.
struct Watch<'a> {
    host: &'a Host,
    arguments: &'a LoopArguments,
    store: &'a Store,
    connection: &'a Connection,
    log: &'a EventLog,
    /// Who looks at the fleet hears of every good edit here.
    hosts: watch::Sender<Arc<Host>>,
}

impl Watch<'_> {
    /// Applies every good edit, and says once of each bad one why the last good one stays.
    async fn settings(&self, handle: &Handle) -> Problem {
        let workflow = self.host.workflow.as_ref().map(|named| named.path.clone());
        let contents = || {
            let workflow = workflow.as_ref().map(std::fs::read);
            let settings = std::fs::read(&self.host.loaded.path).ok();
            (settings, workflow.and_then(Result::ok))
        };
        let mut seen = contents();
        loop {
            tokio::time::sleep(LOOK_AT_SETTINGS).await;
            let now = contents();
            if now == seen {
                continue;
            }
            seen = now;
            if let Err(problem) = self.apply(handle).await {
                // What cannot be recorded now is seen at the next edit.
                drop(self.log.append(None, EventKind::Warned { problem }).await);
            }
        }
    }

    async fn apply(&self, handle: &Handle) -> Result<(), Problem> {
        let loaded = config::load(&self.host.loaded.path).map_err(|error| error.problem())?;
        let old = self.host.config()?;
        let host = with_workflow(self.host, loaded, self.arguments)?;
        if !host.config()?.same_places(old) {
            return Err(Problem::new(
                Code::new(117),
                ExitStatus::Refused,
                "the configuration now names another forge or database than the one the loop began \
                 with; the loop goes on as it began",
            )
            .at(self.host.loaded.path.display().to_string())
            .fix("start the loop again to use it"));
        }
        let settings = settings(&host, self.arguments)?;
        let model = &self.arguments.model;
        let sprints = host
            .sprints(&settings.repositories, model, self.store, self.connection)
            .await?;
        handle.configure(settings, sprints);
        self.hosts.send_replace(Arc::new(host));
        Ok(())
    }
}
