//! `timmy workspace`: clones for named agents, and what lies on the disk.

use std::sync::Arc;

use serde_json::json;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_dispatch::Desk;
use timmy_dispatch::workspace;
use timmy_dispatch::workspace::Bootstrap;
use timmy_dispatch::workspace::Force;
use timmy_dispatch::workspace::New;
use timmy_dispatch::workspace::Reaper;
use timmy_dispatch::workspace::Record;
use timmy_dispatch::workspace::Reset;
use timmy_dispatch::workspace::Resume;
use timmy_dispatch::workspace::Sweep;
use timmy_dispatch::workspace::Sweeping;
use timmy_dispatch::workspace::Warmed;
use timmy_dispatch::workspace::WorkspaceName;
use timmy_dispatch::workspace::Workspaces;
use timmy_git::BranchName;
use timmy_git::GitError;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Unsandboxed;

use super::Ended;
use super::told;
use crate::cli::NewWorkspaceArguments;
use crate::cli::RepoArguments;
use crate::cli::WorkspaceCommand;
use crate::connection::Connection;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, command: &WorkspaceCommand) -> Ended {
    match command {
        WorkspaceCommand::Init(arguments) => init(host, arguments).await,
        WorkspaceCommand::List => list(host),
        WorkspaceCommand::Env { name } => env(host, name),
        WorkspaceCommand::Reset { name, force } => reset(host, name, forced(*force)).await,
        WorkspaceCommand::Branch {
            name,
            branch,
            issue,
        } => {
            let new = (name.as_str(), branch.as_str());
            self::branch(host, new, *issue).await
        }
        WorkspaceCommand::Destroy { name, force } => destroy(host, name, forced(*force)).await,
        WorkspaceCommand::Bootstrap(arguments) => bootstrap(host, arguments).await,
        WorkspaceCommand::Resume { name, prompt } => resume(host, name, *prompt).await,
        WorkspaceCommand::Warm(arguments) => warm(host, arguments).await,
        WorkspaceCommand::Reap { dry_run } => {
            let sweeping = match dry_run {
                true => Sweeping::DryRun,
                false => Sweeping::Remove,
            };
            reap(host, sweeping).await
        }
    }
}

/// Everything that work in a workspace needs.
struct Place {
    desk: Desk,
    sandbox: Arc<dyn Sandbox>,
    /// Serves the embedded forge as long as this lives.
    _connection: Connection,
}

impl Place {
    async fn at(host: &Host, repo: &RepoName) -> Result<Self, Problem> {
        let store = host.store().await?;
        let connection = host.connect(&store).await?;
        Ok(Self {
            desk: host.desk(repo, store, &connection, &[]).await?,
            sandbox: host.sandbox(Unsandboxed::Forbidden).await?,
            _connection: connection,
        })
    }

    /// Where a workspace that exists belongs.
    async fn of(host: &Host, name: &WorkspaceName) -> Result<Self, Problem> {
        let (record, _) = workspace::environment(&host.root, name).map_err(told)?;
        Self::at(host, &record.repo).await
    }

    fn workspaces<'a>(&'a self, host: &'a Host) -> Workspaces<'a> {
        Workspaces {
            desk: &self.desk,
            sandbox: self.sandbox.as_ref(),
            settings: &host.loaded.config.workspace,
        }
    }
}

fn parse(name: &str) -> Result<WorkspaceName, Problem> {
    name.parse().map_err(told)
}

fn forced(force: bool) -> Force {
    match force {
        true => Force::Insist,
        false => Force::Careful,
    }
}

fn new(arguments: &NewWorkspaceArguments) -> Result<New, Problem> {
    Ok(New {
        name: parse(&arguments.name)?,
        issue: arguments.issue,
    })
}

async fn init(host: &Host, arguments: &NewWorkspaceArguments) -> Ended {
    let new = new(arguments)?;
    let place = Place::at(host, &host.repo(arguments.repo.repo.as_ref())?).await?;
    let record = place.workspaces(host).init(&new).await.map_err(told)?;
    tell_record(host, &record)
}

async fn branch(host: &Host, new: (&str, &str), issue: Option<IssueNumber>) -> Ended {
    let name = parse(new.0)?;
    let branch: BranchName = new.1.parse().map_err(|error| told(GitError::from(error)))?;
    let place = Place::of(host, &name).await?;
    let workspaces = place.workspaces(host);
    let record = workspaces.branch(&name, &branch, issue).await;
    tell_record(host, &record.map_err(told)?)
}

fn tell_record(host: &Host, record: &Record) -> Ended {
    let (_, environment) = workspace::environment(&host.root, &record.name).map_err(told)?;
    if host.form == Form::Json {
        output::json(&json!({
            "workspace": record,
            "environment": environment.map(),
        }))?;
        return Ok(ExitStatus::Success);
    }
    output::line(&format!(
        "workspace {} of {}, on {} from {} at {}",
        record.name,
        record.repo,
        record.branch,
        record.base_branch,
        record.base.short()
    ))?;
    for (name, value) in &environment.variables {
        output::line(&format!("  {name}={value}"))?;
    }
    output::talk(&format!("eval \"$(timmy workspace env {})\"", record.name));
    Ok(ExitStatus::Success)
}

fn list(host: &Host) -> Ended {
    let listed = workspace::list(&host.root).map_err(told)?;
    if host.form == Form::Json {
        let rows = listed.into_iter().map(|listed| match listed.record {
            Ok(record) => json!({ "name": listed.name, "workspace": record }),
            Err(problem) => json!({ "name": listed.name, "error": problem }),
        });
        output::json(&rows.collect::<Vec<_>>())?;
        return Ok(ExitStatus::Success);
    }
    if listed.is_empty() {
        output::talk("no workspaces yet; `timmy workspace init NAME` makes one");
        return Ok(ExitStatus::Success);
    }
    let rows = listed.into_iter().map(|listed| match listed.record {
        Ok(record) => {
            let ports = record.ports;
            let last = ports.first.saturating_add(ports.count.saturating_sub(1));
            let issue = record.issue.map(|issue| format!("#{issue}"));
            vec![
                listed.name,
                record.repo.to_string(),
                record.branch,
                issue.unwrap_or_default(),
                format!("{}-{last}", ports.first),
                record.created.strftime("%Y-%m-%d %H:%M").to_string(),
            ]
        }
        Err(problem) => vec![listed.name, format!("{} {}", problem.code, problem.what)],
    });
    let header = [
        "name",
        "repository",
        "branch",
        "issue",
        "ports",
        "made (UTC)",
    ];
    output::line(&output::table(&header, rows.collect()))?;
    Ok(ExitStatus::Success)
}

fn env(host: &Host, name: &str) -> Ended {
    let (_, environment) = workspace::environment(&host.root, &parse(name)?).map_err(told)?;
    if host.form == Form::Json {
        output::json(&environment.map())?;
        return Ok(ExitStatus::Success);
    }
    for (name, value) in &environment.variables {
        output::line(&format!("export {name}={}", quoted(value)))?;
    }
    Ok(ExitStatus::Success)
}

/// A value as a shell reads it back.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

async fn reset(host: &Host, name: &str, force: Force) -> Ended {
    let name = parse(name)?;
    let place = Place::of(host, &name).await?;
    let reset: Reset = place
        .workspaces(host)
        .reset(&name, force)
        .await
        .map_err(told)?;
    if host.form == Form::Json {
        output::json(&reset)?;
        return Ok(ExitStatus::Success);
    }
    if let Some(kept) = &reset.kept {
        output::line(&format!("kept what was there in {}", kept.display()))?;
    }
    tell_record(host, &reset.workspace)
}

async fn destroy(host: &Host, name: &str, force: Force) -> Ended {
    let name = parse(name)?;
    let place = match workspace::environment(&host.root, &name) {
        Ok((record, _)) => Place::at(host, &record.repo).await?,
        // Without a record any repository will do: it is only removed.
        Err(error) => match host.config()?.forge.repositories.first() {
            Some(repo) => Place::at(host, repo).await?,
            None => return Err(told(error)),
        },
    };
    let destroyed = place.workspaces(host).destroy(&name, force).await;
    destroyed.map_err(told)?;
    match host.form {
        Form::Json => output::json(&json!({ "destroyed": name }))?,
        Form::Human => output::line(&format!("removed workspace {name}"))?,
    }
    Ok(ExitStatus::Success)
}

async fn bootstrap(host: &Host, arguments: &NewWorkspaceArguments) -> Ended {
    let new = new(arguments)?;
    let repo = match workspace::environment(&host.root, &new.name) {
        Ok((record, _)) => record.repo,
        Err(_) => host.repo(arguments.repo.repo.as_ref())?,
    };
    let place = Place::at(host, &repo).await?;
    let bar = output::progress("setting up");
    let done: Bootstrap = place.workspaces(host).bootstrap(&new).await.map_err(told)?;
    bar.finish_and_clear();
    let status = match done.succeeded() {
        true => ExitStatus::Success,
        false => ExitStatus::Failure,
    };
    if host.form == Form::Json {
        output::json(&json!({
            "workspace": done.workspace,
            "steps": done.steps,
            "succeeded": done.succeeded(),
        }))?;
        return Ok(status);
    }
    for step in &done.steps {
        let code = step.exit_code.map_or("none".to_owned(), |c| c.to_string());
        let verdict = output::mark(step.exit_code == Some(0));
        let command = step.command.trim();
        output::line(&format!(
            "{} {verdict}: `{command}`, exit code {code}",
            step.what
        ))?;
        if step.exit_code != Some(0) {
            output::line(step.output_tail.trim_end())?;
        }
    }
    tell_record(host, &done.workspace)?;
    Ok(status)
}

async fn resume(host: &Host, name: &str, prompt_alone: bool) -> Ended {
    let name = parse(name)?;
    let place = Place::of(host, &name).await?;
    let found: Resume = place.workspaces(host).resume(&name).await.map_err(told)?;
    if host.form == Form::Json {
        output::json(&found)?;
        return Ok(ExitStatus::Success);
    }
    if prompt_alone {
        output::line(found.prompt.trim_end())?;
        return Ok(ExitStatus::Success);
    }
    let (record, state) = (&found.workspace, &found.state);
    output::line(&format!("workspace {} of {}", record.name, record.repo))?;
    let branch = state.branch.as_deref().unwrap_or("no branch");
    output::line(&format!(
        "on {branch} at {}: {} ahead of {}, {} behind, {} unpublished",
        state.head.short(),
        state.ahead,
        record.base_branch,
        state.behind,
        state.unpublished
    ))?;
    output::line(&format!(
        "{} uncommitted",
        output::count(state.changed.len(), "changed file", "changed files")
    ))?;
    match &record.last_check {
        None => output::line("check: not run here yet")?,
        Some(check) => {
            let code = check.exit_code.map_or("none".to_owned(), |c| c.to_string());
            let verdict = output::mark(check.exit_code == Some(0));
            output::line(&format!(
                "check {verdict}: `{}`, exit code {code}",
                check.command
            ))?;
        }
    }
    if let Some(issue) = record.issue {
        output::line(&format!("issue #{issue}"))?;
    }
    if let Some(number) = found.pull_request {
        output::line(&format!("pull request #{number} is open"))?;
    }
    output::talk(&format!(
        "`timmy workspace resume {name} --prompt` prints a prompt to go on"
    ));
    Ok(ExitStatus::Success)
}

async fn warm(host: &Host, arguments: &RepoArguments) -> Ended {
    let repo = host.repo(arguments.repo.as_ref())?;
    let place = Place::at(host, &repo).await?;
    let bar = output::progress("checking the base branch");
    let warmed = workspace::warm(&place.desk, place.sandbox.as_ref()).await;
    let warmed = warmed.map_err(told)?;
    bar.finish_and_clear();
    if host.form == Form::Json {
        output::json(&warmed)?;
    } else {
        output::line(&tell_warmed(&warmed))?;
    }
    Ok(match warmed {
        Warmed::CheckFailed { .. } => ExitStatus::Failure,
        Warmed::Busy => ExitStatus::Later,
        Warmed::NoneConfigured | Warmed::UpToDate { .. } | Warmed::Filled { .. } => {
            ExitStatus::Success
        }
    })
}

fn tell_warmed(warmed: &Warmed) -> String {
    match warmed {
        Warmed::NoneConfigured => "[workspace.caches] names no cache".to_owned(),
        Warmed::Busy => "another timmy is filling the caches".to_owned(),
        Warmed::UpToDate { base } => format!("the caches are from {} already", base.short()),
        Warmed::CheckFailed { base } => {
            format!(
                "the check does not pass at {}: nothing is kept",
                base.short()
            )
        }
        Warmed::Filled { base, bytes } => {
            format!("filled the caches at {}: {bytes} bytes", base.short())
        }
    }
}

async fn reap(host: &Host, sweeping: Sweeping) -> Ended {
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let mut desks = Vec::new();
    for repo in &host.config()?.forge.repositories {
        desks.push(host.desk(repo, store.clone(), &connection, &[]).await?);
    }
    let desks: Vec<&Desk> = desks.iter().collect();
    let reaper = Reaper {
        root: &host.root,
        events: store.log(Arc::clone(&host.clock)),
        clock: Arc::clone(&host.clock),
        desks: &desks,
    };
    let sweep = reaper.sweep(sweeping).await.map_err(told)?;
    match host.form {
        Form::Json => output::json(&sweep)?,
        Form::Human => tell_sweep(&sweep, sweeping)?,
    }
    Ok(ExitStatus::Success)
}

fn tell_sweep(sweep: &Sweep, sweeping: Sweeping) -> Result<(), Problem> {
    let verb = match sweeping {
        Sweeping::DryRun => "would remove",
        Sweeping::Remove => "removed",
    };
    for removal in &sweep.removed {
        let [one, other] = &removal.facts;
        output::line(&format!("{verb} {}: {one}; {other}", removal.path))?;
    }
    for kept in &sweep.kept {
        output::line(&format!("kept {}: {}", kept.path, kept.reason))?;
    }
    output::line(&format!("{verb} {} bytes", sweep.freed_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_by_a_shell() {
        for value in ["/srv/a b", "it's", "", "$HOME `x`"] {
            let script = format!("printf %s {}", quoted(value));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output();
            assert_eq!(value.as_bytes(), output.unwrap().stdout);
        }
    }
}
