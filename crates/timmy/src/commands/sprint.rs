//! `timmy sprint`: one issue, one pull request.

use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::event::Outcome;
use timmy_dispatch::Choice;
use timmy_dispatch::SprintReport;
use timmy_dispatch::SprintRequest;

use super::Ended;
use super::told;
use crate::cli::SprintArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// How a shell says that a command does not exist.
const COMMAND_NOT_FOUND: i32 = 127;

pub(super) async fn run(host: &Host, arguments: &SprintArguments) -> Ended {
    let repo = host.repo(arguments.repo.repo.as_ref())?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    if arguments.dry_run {
        let desk = host.desk(&repo, store, &connection, &[]).await?;
        return dry(host, &desk.choose().await.map_err(told)?);
    }
    let log = store.log(std::sync::Arc::clone(&host.clock));
    let started = EventKind::ProcessStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: "sprint".to_owned(),
    };
    log.append(None, started).await?;
    let sprint = host
        .sprint(&repo, &arguments.model, store, &connection)
        .await?;
    let bar = output::progress("working; `timmy events --follow` shows every step");
    let request = SprintRequest {
        issue: arguments.issue,
    };
    let report = sprint.run(&request).await.map_err(told)?;
    bar.finish_and_clear();
    match host.form {
        Form::Human => tell(&report)?,
        Form::Json => output::json(&report)?,
    }
    Ok(status(&report))
}

fn dry(host: &Host, choice: &Choice) -> Ended {
    if host.form == Form::Json {
        output::json(choice)?;
        return Ok(ExitStatus::Success);
    }
    for passed in &choice.passed_over {
        output::line(&format!("passed over #{}: {}", passed.issue, passed.reason))?;
    }
    match (choice.issue, &choice.title) {
        (Some(issue), Some(title)) => output::line(&format!("would take #{issue}: {title}"))?,
        _ => output::line("nothing to do")?,
    }
    Ok(ExitStatus::Success)
}

/// What a sprint did, for a person.
pub(super) fn tell(report: &SprintReport) -> Result<(), Problem> {
    for passed in &report.passed_over {
        output::line(&format!("passed over #{}: {}", passed.issue, passed.reason))?;
    }
    let (Some(run), Some(issue), Some(outcome)) = (&report.run, report.issue, &report.outcome)
    else {
        return output::line("nothing to do");
    };
    output::line(&format!(
        "issue #{issue}, run {}, model {}",
        run.short(),
        report.model
    ))?;
    if let Some(receipt) = &report.check {
        let code = receipt
            .exit_code
            .map_or("none".to_owned(), |code| code.to_string());
        let verdict = output::mark(receipt.passed());
        output::line(&format!(
            "check {verdict}: `{}`, exit code {code}",
            receipt.command
        ))?;
        if receipt.exit_code == Some(COMMAND_NOT_FOUND) {
            output::line(
                "  a command was not found in the sandbox: install it for every user, or name its \
                 place in sandbox.read_only and sandbox.path",
            )?;
        }
    }
    if let Some(branch) = &report.branch {
        output::line(&format!("branch {branch}"))?;
    }
    if let Some(pull) = &report.pull_request {
        let kind = if pull.draft {
            "draft pull request"
        } else {
            "pull request"
        };
        output::line(&format!("{kind} #{}: {}", pull.number, pull.url))?;
    }
    match outcome {
        Outcome::PullRequest { .. } | Outcome::Draft { .. } => Ok(()),
        Outcome::Failed { problem } => output::line(&problem.to_string()),
        other => output::line(&format!(
            "ended without a pull request: {} (`timmy show {}` tells more)",
            other.word().replace('_', " "),
            run.short()
        )),
    }
}

/// Success is a pull request whose check passed, or having found nothing to do.
pub(super) fn status(report: &SprintReport) -> ExitStatus {
    match &report.outcome {
        None | Some(Outcome::PullRequest { .. }) => ExitStatus::Success,
        Some(Outcome::Failed { problem }) => problem.exit,
        Some(Outcome::ClaimLost) => ExitStatus::Later,
        Some(
            Outcome::Draft { .. }
            | Outcome::NoChange
            | Outcome::CheckFailed
            | Outcome::Blocked
            | Outcome::Stopped { .. }
            | Outcome::Abandoned
            | Outcome::Cancelled { .. }
            | Outcome::Stalled { .. },
        ) => ExitStatus::Failure,
    }
}
