//! `timmy work`: the agent on a directory, without a forge.

use std::sync::Arc;

use timmy_agent::Agent;
use timmy_agent::Ending;
use timmy_agent::ToolBox;
use timmy_agent::conversation::Conversation;
use timmy_agent::tools::Workbench;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::RunId;
use timmy_sandbox::Policy;
use timmy_sandbox::Tree;

use super::Ended;
use super::told;
use crate::cli::WorkArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// The rules of work that no check decides about.
const RULES: &str = "You work in a directory. You have no network and no credentials. Do what is \
asked, no more, and call `finish` with a short truthful summary. When it cannot be done, say so.";

pub(super) async fn run(host: &Host, arguments: &WorkArguments) -> Ended {
    let directory = arguments.directory.canonicalize().map_err(|error| {
        Problem::new(
            timmy_core::Code::new(113),
            ExitStatus::NotFound,
            "the directory cannot be used",
        )
        .at(format!("{}: {error}", arguments.directory.display()))
        .fix("name a directory that exists with --directory")
    })?;
    let store = host.store().await?;
    let log = store.log(Arc::clone(&host.clock));
    let started = EventKind::ProcessStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: "work".to_owned(),
    };
    log.append(None, started).await?;
    let sandbox = host.sandbox(arguments.model.unsandboxed()).await?;
    let (router, secrets) = host.router(&arguments.model, &store).await?;
    let redactor = Redactor::new(&secrets);
    let limits = host.loaded.config.agent.clone();
    sandbox.hand_over(&directory).map_err(told)?;
    let policy = Policy {
        workspace: directory.clone(),
        ..host.policy()
    };
    let tree = Tree::open(&directory).map_err(told)?;
    let bench = Workbench::new(sandbox, policy, tree, redactor.clone(), limits.result_bytes);
    let agent = Agent {
        run: RunId::generate(),
        router,
        tools: ToolBox::new(bench),
        limits,
        events: Arc::new(log),
        clock: Arc::clone(&host.clock),
        redactor,
    };
    let bar = output::progress("working");
    let conversation = Conversation::new(RULES.to_owned(), arguments.task.clone());
    let report = agent.run(conversation).await?;
    bar.finish_and_clear();
    match host.form {
        Form::Human => output::line(&report.summary)?,
        Form::Json => output::json(&serde_json::json!({
            "run": agent.run,
            "summary": report.summary,
            "steps": report.steps,
            "usage": report.usage,
            "model": agent.router.provenance().word(),
            "finished": matches!(report.ending, Ending::Finished),
        }))?,
    }
    match report.ending {
        Ending::Finished => Ok(ExitStatus::Success),
        Ending::Stopped(error) => Err(error.problem()),
    }
}
