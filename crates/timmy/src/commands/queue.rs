//! `timmy queue`: which pull requests are merged together, and why the others wait.

use timmy_core::ExitStatus;
use timmy_dispatch::Desk;
use timmy_dispatch::merge_queue::MergeQueueSettings;
use timmy_dispatch::merge_queue::MergeTurn;
use timmy_dispatch::merge_queue::Standing;
use timmy_sandbox::Unsandboxed;

use super::Ended;
use super::told;
use crate::cli::QueueArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, arguments: &QueueArguments) -> Ended {
    let repo = host.repo(arguments.repo.repo.as_ref())?;
    let settings = &host.config()?.merge_queue;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let desk = host.desk(&repo, store, &connection, &[]).await?;
    if arguments.run {
        return work(host, &desk, settings).await;
    }
    let bar = output::progress("reading the pull requests");
    let queued = desk.merge_queue(settings).await.map_err(told)?;
    bar.finish_and_clear();
    if host.form == Form::Json {
        output::json(&queued)?;
        return Ok(ExitStatus::Success);
    }
    if queued.is_empty() {
        output::talk(&format!("no open pull requests in {repo}"));
        return Ok(ExitStatus::Success);
    }
    let rows = queued.into_iter().map(|pull| {
        let standing = match pull.standing {
            Standing::Ready => "ready".to_owned(),
            Standing::Waits(reason) => reason,
        };
        let head = pull.head.short().to_owned();
        vec![format!("#{}", pull.number), pull.title, head, standing]
    });
    output::line(&output::table(
        &["pull request", "title", "head", "standing"],
        rows.collect(),
    ))?;
    Ok(ExitStatus::Success)
}

async fn work(host: &Host, desk: &Desk, settings: &MergeQueueSettings) -> Ended {
    desk.refuse_while_paused().await.map_err(told)?;
    let sandbox = host.sandbox(Unsandboxed::Forbidden).await?;
    let bar = output::progress("working the queue off");
    let turn = desk.merge_turn(sandbox.as_ref(), settings).await;
    let turn = turn.map_err(told)?;
    bar.finish_and_clear();
    match host.form {
        Form::Human => tell(&turn)?,
        Form::Json => output::json(&turn)?,
    }
    Ok(if turn.rejected.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

fn tell(turn: &MergeTurn) -> Result<(), timmy_core::Problem> {
    for number in &turn.merged {
        output::line(&format!("merged #{number}"))?;
    }
    for (number, reason) in &turn.rejected {
        output::line(&format!("not merged #{number}: {reason}"))?;
    }
    output::line(&format!(
        "{} (the check ran {} times)",
        turn.rest, turn.checks
    ))
}
