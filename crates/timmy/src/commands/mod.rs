//! One module a command.

mod auth;
mod board;
mod budget;
mod config;
mod control;
mod demo;
mod doctor;
mod events;
mod explain;
mod export;
mod forge;
mod health;
mod init;
mod issues;
mod night;
mod panes;
mod pulls;
mod queue;
mod report;
mod runs;
mod simulate;
mod sprint;
mod telemetry;
mod telling;
mod top;
mod units;
mod watch;
mod watchdog;
mod work;
mod workflow;
mod workspace;

use clap::CommandFactory;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

use crate::cli::Cli;
use crate::cli::Command;
use crate::host::Host;

/// How a command ends when nothing went wrong on the way.
pub(crate) type Ended = Result<ExitStatus, Problem>;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: &Cli) -> Ended {
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "timmy", &mut script);
        crate::output::line(String::from_utf8_lossy(&script).trim_end())?;
        return Ok(ExitStatus::Success);
    }
    if let Command::Explain { subject } = &cli.command
        && let Ok(code) = subject.parse()
    {
        return explain::code(cli.json, code);
    }
    if let Command::Init(arguments) = &cli.command {
        return init::run(&Host::before_settings(cli)?, arguments).await;
    }
    if let Command::Workflow { path } = &cli.command {
        return workflow::run(cli.json, path.as_deref());
    }
    let host = Host::new(cli)?;
    match &cli.command {
        Command::Doctor => doctor::run(&host).await,
        Command::Sprint(arguments) => sprint::run(&host, arguments).await,
        Command::Loop(arguments) => Box::pin(night::run(&host, arguments)).await,
        Command::Explain { subject } => explain::issue(&host, subject).await,
        Command::Prompt { issue } => explain::prompt(&host, issue).await,
        Command::Runs { limit } => runs::list(&host, *limit).await,
        Command::Show { run } => runs::show(&host, run).await,
        Command::Health(arguments) => health::run(&host, arguments).await,
        Command::Report(arguments) => Box::pin(report::run(&host, arguments)).await,
        Command::Issues(arguments) => issues::run(&host, arguments).await,
        Command::Pr { command } => pulls::run(&host, command).await,
        Command::Verify { pull } => pulls::verify(&host, pull).await,
        Command::Events(arguments) => events::run(&host, arguments).await,
        Command::Forge { command } => forge::run(&host, command).await,
        Command::Work(arguments) => work::run(&host, arguments).await,
        Command::Config { command } => config::run(&host, command),
        Command::Queue(arguments) => queue::run(&host, arguments).await,
        Command::Demo(arguments) => Box::pin(demo::run(&host, arguments)).await,
        Command::Budget(arguments) => budget::run(&host, arguments).await,
        Command::Workspace { command } => workspace::run(&host, command).await,
        Command::Simulate(arguments) => simulate::run(&host, arguments),
        Command::Telemetry { command } => telemetry::run(&host, command).await,
        Command::Watch(arguments) => watch::run(&host, arguments).await,
        Command::Top(arguments) => top::run(&host, arguments).await,
        Command::Pause(arguments) => control::pause(&host, arguments).await,
        Command::Resume => control::resume(&host).await,
        Command::Stop(arguments) => control::stop(&host, arguments).await,
        Command::Panes(arguments) => panes::run(&host, arguments).await,
        Command::Units(arguments) => units::run(&host, arguments),
        Command::Watchdog(arguments) => watchdog::run(&host, arguments).await,
        Command::Auth { command } => auth::run(&host, command).await,
        Command::Init(_) | Command::Workflow { .. } | Command::Completions { .. } => {
            Ok(ExitStatus::Success)
        }
    }
}

/// Turns an error of a part into what a person is told.
pub(crate) fn told(error: impl Coded) -> Problem {
    error.problem()
}
