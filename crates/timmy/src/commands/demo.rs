//! `timmy demo`: the whole job once, on an embedded forge with a small project in it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

use rust_embed::RustEmbed;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::event::Outcome;
use timmy_core::event::PassedOver;
use timmy_dispatch::SprintReport;
use timmy_dispatch::SprintRequest;
use timmy_forge::Forge;
use timmy_forge::ForgeKind;
use timmy_forge::NewIssue;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;

use super::Ended;
use super::forge::make_labels;
use super::report;
use super::sprint;
use super::told;
use crate::cli::DemoArguments;
use crate::cli::ModelArguments;
use crate::config;
use crate::connection;
use crate::connection::Connection;
use crate::home;
use crate::host::Host;
use crate::host::incomplete;
use crate::output;
use crate::output::Form;

/// The project that the demo works on. One of its tests fails.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/demo/project"]
struct Project;

/// The conversation that is played back: written by hand, recorded once over HTTP.
const CONVERSATION: &str = include_str!("../../demo/conversation.jsonl");

const PROJECT: &str = "tally";

/// The issues of the demo: title, text, labels. The third waits for the fourth.
const ISSUES: [(&str, &str, &[&str]); 5] = [
    (
        "Reports that people like to read",
        "A home for everything about reports. Too large for one change.",
        &["epic"],
    ),
    (
        "Which currencies do households use?",
        "Somebody should ask ten households before we design anything.",
        &["study"],
    ),
    (
        "Totals by category",
        "Let a line carry `#food` and print a total for each. Amounts must be right first.",
        &["enhancement"],
    ),
    (
        "12.5 is read as 12.05",
        "A line `12.5 bread` counts as 12.05 in the total. One digit after the point means tenths, \
         so it should be 12.50. There is a test for it in `tests/amounts.rs`, and it fails.",
        &["bug"],
    ),
    (
        "Say which line has no amount",
        "The message names the file only. It should name the line as well.",
        &["enhancement"],
    ),
];
const WAITING: IssueNumber = 3;
const WAITED_FOR: IssueNumber = 4;

/// The last line of `timmy demo --json`.
#[derive(Serialize)]
struct Summary<'a> {
    issue: Option<IssueNumber>,
    passed_over: &'a [PassedOver],
    branch: Option<&'a str>,
    pull_request: Option<IssueNumber>,
    check: Option<Check<'a>>,
    model: &'a str,
    seconds: f64,
}

#[derive(Serialize)]
struct Check<'a> {
    command: &'a str,
    exit_code: Option<i32>,
}

pub(super) async fn run(host: &Host, arguments: &DemoArguments) -> Ended {
    let begun = Instant::now();
    let say = |text: &str| match host.form {
        Form::Human => output::line(text),
        Form::Json => Ok(()),
    };
    let settings_exist = host.loaded.exists;
    let host = &on_embedded_forge(host, arguments.provider.as_deref())?;
    let store = host.store().await?;
    let settings = &host.loaded.config.forge;
    let connection = connection::embedded(settings, 0, &store, &host.root, &host.clock).await?;
    say(&format!("an embedded forge at {}", connection.base()))?;
    let repo = set_up(host, &connection).await?;
    if !settings_exist {
        keep_settings(host, &repo)?;
    }
    say(&format!(
        "with the project {repo}, whose tests fail, and five issues\n"
    ))?;
    let provider = match &arguments.provider {
        Some(name) => name.clone(),
        None => {
            say("the model's part is REPLAYED from a recording; no model is asked\n")?;
            format!("replay:{}", conversation_file(host)?.display())
        }
    };
    let model = ModelArguments {
        provider: Some(provider),
        record: arguments.record.clone(),
        unsandboxed: false,
    };
    let sprint = host
        .sprint(&repo, &model, store.clone(), &connection)
        .await?;
    let bar = output::progress("working on the first issue that can be worked on");
    let done = sprint.run(&SprintRequest::default()).await.map_err(told)?;
    bar.finish_and_clear();
    if host.form == Form::Human {
        sprint::tell(&done)?;
        show(host, &connection, &repo, &done, &store).await?;
    }
    finish(host, &done, begun)
}

async fn show(
    host: &Host,
    connection: &Connection,
    repo: &RepoName,
    done: &SprintReport,
    store: &timmy_store::Store,
) -> Result<(), Problem> {
    output::line("\nThe report (`timmy report`)\n")?;
    report::show(host, store).await?;
    let Some(pull) = &done.pull_request else {
        return Ok(());
    };
    output::line(&format!(
        "\nThe diff (`timmy pr diff {repo}#{}`)\n",
        pull.number
    ))?;
    let diff = connection
        .forge()
        .pull_diff(repo, pull.number)
        .await
        .map_err(told)?;
    output::line(timmy_core::text::clean(&diff).trim_end())?;
    let number = pull.number;
    let run = done.run.as_ref().map_or("RUN", |run| run.short());
    let set = match std::env::var_os("TIMMY_HOME") {
        Some(_) => format!("\n  export TIMMY_HOME={}", host.root.display()),
        None => String::new(),
    };
    output::line(&format!(
        "\nEverything is kept in {}. Look around:{set}\n  timmy show {run}\n  timmy verify {repo}#{number}",
        host.root.display(),
    ))?;
    if pull.draft {
        return Ok(());
    }
    output::line(&format!("  timmy pr merge {repo}#{number}"))
}

fn finish(host: &Host, done: &SprintReport, begun: Instant) -> Ended {
    if host.form == Form::Json {
        let milliseconds = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        output::json(&Summary {
            issue: done.issue,
            passed_over: &done.passed_over,
            branch: done.branch.as_deref(),
            pull_request: done.pull_request.as_ref().map(|pull| pull.number),
            check: done.check.as_ref().map(|receipt| Check {
                command: &receipt.command,
                exit_code: receipt.exit_code,
            }),
            model: done.model,
            seconds: f64::from(milliseconds) / 1_000.0,
        })?;
    }
    if let Some(Outcome::Failed { problem }) = &done.outcome {
        return Err(problem.clone());
    }
    Ok(sprint::status(done))
}

/// The operator's settings, but with the embedded forge. A provider that they do not name is looked
/// for in the settings of the user, since a demo usually has a private root of its own.
fn on_embedded_forge(host: &Host, provider: Option<&str>) -> Result<Host, Problem> {
    let mut loaded = host.loaded.clone();
    loaded.config.forge.kind = ForgeKind::Embedded;
    loaded.exists = true;
    let known = |name| {
        loaded
            .config
            .provider
            .iter()
            .any(|known| known.name == name)
    };
    if provider.is_some_and(|name| !known(name)) {
        let own = config::load(&home::users_config_file().map_err(told)?).map_err(told)?;
        loaded.config.provider.extend(own.config.provider);
    }
    let (root, clock) = (host.root.clone(), std::sync::Arc::clone(&host.clock));
    Ok(Host {
        loaded,
        root,
        workflow: None,
        form: host.form,
        clock,
    })
}

/// Writes settings where `timmy report` and the other commands find them.
fn keep_settings(host: &Host, repo: &RepoName) -> Result<(), Problem> {
    super::doctor::make_parent(&host.loaded.path)?;
    let text = format!("[forge]\nkind = \"embedded\"\nrepositories = [\"{repo}\"]\n");
    private_file(&host.loaded.path, &text)
}

/// Makes the project with its issues. A second demo in the same private root gets another name.
async fn set_up(host: &Host, connection: &Connection) -> Result<RepoName, Problem> {
    let Some(served) = connection.embedded() else {
        return Err(incomplete(
            "forge.kind",
            "the demo uses the embedded forge".to_owned(),
        ));
    };
    let files = Project::iter()
        .filter_map(|path| Some((path.to_string(), Project::get(&path)?.data.into_owned())));
    let user = &host.loaded.config.forge.user;
    let existing = served.forge.repositories().await.map_err(told)?.len();
    let name = if existing == 0 {
        PROJECT.to_owned()
    } else {
        format!("{PROJECT}-{}", existing + 1)
    };
    let repo = RepoName::new(user, &name);
    let repo = repo.map_err(|error| incomplete("forge.user", error.to_string()))?;
    let new = NewRepository {
        name: repo.clone(),
        description: "Adds up what a household spends".to_owned(),
        private: true,
        content: InitialCommit::Files(files.collect()),
    };
    served.forge.create_repository(&new).await.map_err(told)?;
    let client = connection.client();
    for (title, body, labels) in ISSUES {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        make_labels(client, &repo, &labels).await?;
        let issue = NewIssue {
            title: title.to_owned(),
            body: body.to_owned(),
            labels,
        };
        client.create_issue(&repo, &issue).await.map_err(told)?;
    }
    client
        .add_blocker(&repo, WAITING, WAITED_FOR)
        .await
        .map_err(told)?;
    Ok(repo)
}

fn conversation_file(host: &Host) -> Result<PathBuf, Problem> {
    let path = host.root.join("demo-conversation.jsonl");
    private_file(&path, CONVERSATION)?;
    Ok(path)
}

fn private_file(path: &std::path::Path, text: &str) -> Result<(), Problem> {
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            Problem::new(
                Code::new(102),
                ExitStatus::Internal,
                "a file cannot be written",
            )
            .at(format!("{}: {error}", path.display()))
            .fix("check free space and rights below TIMMY_HOME")
        })
}
