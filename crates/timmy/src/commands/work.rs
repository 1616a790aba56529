//! `timmy work`: the agent on a directory, without a forge.

use std::path::Path;
use std::path::PathBuf;
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

/// What an agent must never be let into, whatever directory it is given.
fn private_places(host: &Host) -> Vec<PathBuf> {
    let places = [Some(host.root.clone()), Some(host.loaded.path.clone())];
    let places = places.into_iter().chain([etcetera::home_dir().ok()]);
    // One that does not exist yet may by the time the agent works.
    let places = places.flatten();
    places
        .map(|place| place.canonicalize().unwrap_or(place))
        .collect()
}

/// Why a directory is not one for an agent to work in: everything in it can be read and changed.
/// The first of the private places is timmy's own.
fn reason_against(directory: &Path, private: &[PathBuf]) -> Option<&'static str> {
    if private.iter().any(|place| place.starts_with(directory)) {
        return Some("a home directory, or timmy's own files, lie in it");
    }
    let own = private.first()?;
    directory
        .starts_with(own)
        .then_some("it is one of timmy's own")
}

fn unfit(directory: &Path, reason: &str) -> Problem {
    let what = format!("an agent cannot be let into this directory: {reason}");
    Problem::new(timmy_core::Code::new(116), ExitStatus::Refused, what)
        .at(directory.display().to_string())
        .fix("name a directory of its own for the work, owned by the user that commands run as")
}

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
    if let Some(reason) = reason_against(&directory, &private_places(host)) {
        return Err(unfit(&directory, reason));
    }
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
    if !sandbox.belongs(&directory).map_err(told)? {
        let reason = "it belongs to another user than the one commands run as";
        return Err(unfit(&directory, reason));
    }
    let policy = Policy {
        workspace: directory.clone(),
        ..host.policy()
    };
    let tree = Tree::open(&directory).map_err(told)?;
    let longest = std::time::Duration::from_secs(limits.command_seconds);
    let bench = Workbench::new(sandbox, policy, tree, redactor.clone(), longest);
    let agent = Agent {
        run: RunId::generate(),
        issue: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_not_let_in_where_secrets_lie() {
        let places = [
            "/home/ann/.local/share/timmy",
            "/etc/timmy/timmy.toml",
            "/home/ann",
        ];
        let private = places.map(PathBuf::from);
        for refused in [
            "/",
            "/home",
            "/home/ann",
            "/home/ann/.local",
            "/home/ann/.local/share/timmy",
            "/home/ann/.local/share/timmy/runs/x",
            "/etc/timmy",
        ] {
            let reason = reason_against(Path::new(refused), &private);
            assert!(reason.is_some(), "{refused}");
        }
        for fine in ["/home/ann/project", "/srv/project", "/home/anna"] {
            assert_eq!(None, reason_against(Path::new(fine), &private), "{fine}");
        }
    }
}
