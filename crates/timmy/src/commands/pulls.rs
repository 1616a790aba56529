//! `timmy pr` and `timmy verify`.

use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::PullFilter;
use timmy_forge::PullState;
use timmy_sandbox::Unsandboxed;

use super::Ended;
use super::told;
use crate::cli::IssueReference;
use crate::cli::PullCommand;
use crate::cli::RepoArguments;
use crate::cli::Style;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, command: &PullCommand) -> Ended {
    match command {
        PullCommand::List(arguments) => list(host, arguments).await,
        PullCommand::Diff { pull } => diff(host, pull).await,
        PullCommand::Merge { pull, style } => merge(host, pull, *style).await,
    }
}

async fn list(host: &Host, arguments: &RepoArguments) -> Ended {
    let repo = host.repo(arguments.repo.as_ref())?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let pulls = connection
        .forge()
        .pulls(&repo, &PullFilter::default())
        .await
        .map_err(told)?;
    if host.form == Form::Json {
        output::json(&pulls)?;
        return Ok(ExitStatus::Success);
    }
    if pulls.is_empty() {
        output::talk(&format!("no open pull requests in {repo}"));
        return Ok(ExitStatus::Success);
    }
    let rows = pulls.into_iter().map(|pull| {
        let standing = if pull.draft { "draft" } else { "ready" };
        let branches = format!("{} -> {}", pull.head_branch, pull.base_branch);
        let title = timmy_core::text::clean_line(&pull.title);
        vec![
            format!("#{}", pull.number),
            title,
            branches,
            standing.to_owned(),
        ]
    });
    output::line(&output::table(
        &["pull request", "title", "branches", "state"],
        rows.collect(),
    ))?;
    Ok(ExitStatus::Success)
}

async fn diff(host: &Host, reference: &IssueReference) -> Ended {
    let repo = host.repo_of(reference)?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let diff = connection
        .forge()
        .pull_diff(&repo, reference.number)
        .await
        .map_err(told)?;
    let diff = timmy_core::text::clean(&diff);
    match host.form {
        Form::Human => output::line(diff.trim_end())?,
        Form::Json => output::json(&serde_json::json!({ "diff": diff }))?,
    }
    Ok(ExitStatus::Success)
}

async fn merge(host: &Host, reference: &IssueReference, style: Style) -> Ended {
    let style = match style {
        Style::Merge => MergeStyle::Merge,
        Style::Squash => MergeStyle::Squash,
        Style::Rebase => MergeStyle::Rebase,
    };
    let repo = host.repo_of(reference)?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let forge = connection.forge();
    let bar = output::progress("waiting for the forge to say whether it merges");
    let before = forge
        .pull(&repo, reference.number)
        .await
        .map_err(told)?
        .state;
    if before == PullState::Closed {
        return Err(closed(&repo, reference.number));
    }
    let pull = forge
        .checked_pull(&repo, reference.number)
        .await
        .map_err(told)?;
    let request = MergeRequest {
        style,
        head: pull.head,
    };
    let merged = forge
        .merge_pull(&repo, reference.number, &request)
        .await
        .map_err(told)?;
    bar.finish_and_clear();
    match host.form {
        Form::Human => {
            let already = match before {
                PullState::Merged => "was merged before: ",
                PullState::Open | PullState::Closed => "merged ",
            };
            output::line(&format!(
                "{already}#{} into {}",
                merged.number, merged.base_branch
            ))?;
        }
        Form::Json => output::json(&merged)?,
    }
    Ok(ExitStatus::Success)
}

/// Somebody closed it, which is an answer. Forges tell this in ways of their own, or not at all.
fn closed(repo: &RepoName, number: IssueNumber) -> Problem {
    let what = "the pull request cannot be merged: it was closed";
    Problem::new(Code::new(515), ExitStatus::Failure, what)
        .at(format!("{repo}#{number}"))
        .fix("reopen it on the forge if it should be merged after all")
}

/// Runs the check of a pull request again, and compares it with its receipt.
pub(super) async fn verify(host: &Host, reference: &IssueReference) -> Ended {
    let repo = host.repo_of(reference)?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let sandbox = host.sandbox(Unsandboxed::Forbidden).await?;
    let desk = host.desk(&repo, store, &connection, &[]).await?;
    let bar = output::progress("running the check again");
    let verified = desk.verify(sandbox.as_ref(), reference.number).await;
    let verification = verified.map_err(told)?;
    bar.finish_and_clear();
    let holds = verification.holds();
    if host.form == Form::Json {
        output::json(&serde_json::json!({ "holds": holds, "verification": verification }))?;
    } else {
        let code = |code: Option<i32>| code.map_or("none".to_owned(), |code| code.to_string());
        let row = |name: &str, receipt: &timmy_core::Receipt| {
            vec![
                name.to_owned(),
                code(receipt.exit_code),
                receipt.tree.short().to_owned(),
                receipt.commit.short().to_owned(),
                output::duration(receipt.duration_ms),
            ]
        };
        let rows = vec![
            row("receipt", &verification.recorded),
            row("now", &verification.again),
        ];
        output::line(&format!(
            "{}: {}",
            verification.run, verification.recorded.command
        ))?;
        output::line(&output::table(
            &["", "exit code", "tree", "commit", "took"],
            rows,
        ))?;
        let same = if verification.same_commit {
            ""
        } else {
            "; the branch has moved since"
        };
        output::line(&format!("{}{same}", output::mark(holds)))?;
    }
    Ok(if holds {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}
