//! `timmy forge`: the embedded forge, and the conformance of others.

use std::net::Ipv4Addr;
use std::path::Path;

use secrecy::SecretString;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;
use timmy_forge::check;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_git::Git;
use timmy_model::SecretReference;
use url::Url;

use super::Ended;
use super::told;
use crate::cli::CheckArguments;
use crate::cli::ForgeCommand;
use crate::config::ForgeSettings;
use crate::connection;
use crate::connection::Served;
use crate::host::Host;
use crate::host::incomplete;
use crate::output;
use crate::output::Form;

/// The colour of labels that timmy makes.
const LABEL_COLOUR: &str = "6b7280";

pub(super) async fn run(host: &Host, command: &ForgeCommand) -> Ended {
    match command {
        ForgeCommand::Serve { port } => serve(host, *port).await,
        ForgeCommand::Create { repo, from } => create(host, repo, from.as_deref()).await,
        ForgeCommand::Issue {
            repo,
            title,
            body,
            labels,
        } => {
            issue(
                host,
                repo,
                NewIssue {
                    title: title.clone(),
                    body: body.clone(),
                    labels: labels.clone(),
                },
            )
            .await
        }
        ForgeCommand::Check(arguments) => conformance(host, arguments).await,
    }
}

async fn serve(host: &Host, port: Option<u16>) -> Ended {
    let settings = embedded_settings(host)?;
    let store = host.store().await?;
    let port = port.unwrap_or(settings.port);
    let connection = connection::embedded(settings, port, &store, &host.root, &host.clock).await?;
    match host.form {
        Form::Human => output::line(&format!("serving {} (Ctrl-C ends it)", connection.base()))?,
        Form::Json => output::json(&serde_json::json!({ "url": connection.base() }))?,
    }
    let interrupted = tokio::signal::ctrl_c().await;
    interrupted.map(|()| ExitStatus::Success).map_err(|error| {
        Problem::new(
            Code::new(109),
            ExitStatus::Internal,
            "signals cannot be received",
        )
        .at(error.to_string())
        .fix("end the program with `kill`")
    })
}

/// The forge's settings, if they are about the embedded one.
fn embedded_settings(host: &Host) -> Result<&ForgeSettings, Problem> {
    let settings = &host.loaded.config.forge;
    if settings.kind == ForgeKind::Embedded {
        return Ok(settings);
    }
    Err(incomplete(
        "forge.kind",
        format!(
            "this command is for the embedded forge, and {} is configured",
            settings.kind
        ),
    ))
}

async fn create(host: &Host, repo: &RepoName, from: Option<&Path>) -> Ended {
    let settings = embedded_settings(host)?;
    let store = host.store().await?;
    let connection = connection::embedded(settings, 0, &store, &host.root, &host.clock).await?;
    let Some(Served { forge, .. }) = connection.embedded() else {
        return Err(incomplete(
            "forge.kind",
            "this is for the embedded forge".to_owned(),
        ));
    };
    let new = NewRepository {
        name: repo.clone(),
        description: String::new(),
        private: true,
        content: InitialCommit::Empty,
    };
    match from {
        None => forge.create_repository(&new).await.map_err(told)?,
        Some(path) => {
            // git runs elsewhere.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            forge.import_repository(&new, &path).await.map_err(told)?;
        }
    }
    match host.form {
        Form::Human => output::line(&format!("made {repo}"))?,
        Form::Json => output::json(&serde_json::json!({ "repository": repo }))?,
    }
    Ok(ExitStatus::Success)
}

async fn issue(host: &Host, repo: &RepoName, new: NewIssue) -> Ended {
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let forge = connection.forge();
    make_labels(forge.as_ref(), repo, &new.labels).await?;
    let issue = forge.create_issue(repo, &new).await.map_err(told)?;
    match host.form {
        Form::Human => output::line(&format!("#{} {}", issue.number, issue.web_url))?,
        Form::Json => output::json(&issue)?,
    }
    Ok(ExitStatus::Success)
}

/// Makes the labels that a repository lacks.
pub(super) async fn make_labels(
    forge: &dyn Forge,
    repo: &RepoName,
    names: &[String],
) -> Result<(), Problem> {
    for name in names {
        let label = NewLabel {
            name: name.clone(),
            color: LABEL_COLOUR.to_owned(),
            description: String::new(),
        };
        forge.create_label(repo, &label).await.map_err(told)?;
    }
    Ok(())
}

async fn conformance(host: &Host, arguments: &CheckArguments) -> Ended {
    let url = &arguments.url;
    if !is_loopback(url) && url.scheme() != "https" {
        output::talk("warning: the token travels without encryption");
    }
    // The database's opening makes the private root that git's own files go into.
    drop(host.store().await?);
    let subject = check::Subject {
        address: ForgeAddress {
            base: url.clone(),
            kind: timmy_forge::ForgeKind::default(),
        },
        user: arguments.user.clone(),
        token: read_token(&arguments.token_file, "--token-file")?,
        read_only: match &arguments.read_only_token_file {
            Some(file) => Some(read_token(file, "--read-only-token-file")?),
            None => None,
        },
        scratch: format!("timmy-check-{}", RunId::generate().short()),
    };
    let git = Git::new(&host.root.join("git")).map_err(told)?;
    let directory = host.root.join("forge-check").join(&subject.scratch);
    let bar = output::progress("trying every operation");
    let clock = std::sync::Arc::clone(&host.clock);
    let rows = check::run(&subject, &git, &directory, clock)
        .await
        .map_err(told)?;
    bar.finish_and_clear();
    let failed = rows
        .iter()
        .filter(|row| row.verdict == check::Verdict::Fail)
        .count();
    if host.form == Form::Json {
        output::json(&serde_json::json!({ "rows": rows, "failed": failed }))?;
    } else {
        let lines = rows.iter().map(|row| {
            let clean = timmy_core::text::clean_line;
            vec![
                row.name.to_owned(),
                row.verdict.to_string(),
                clean(&row.expected),
                clean(&row.observed),
            ]
        });
        let header = ["operation", "verdict", "expected", "observed"];
        output::line(&output::table(&header, lines.collect()))?;
        output::line(&format!("{} rows, {failed} failed", rows.len()))?;
    }
    Ok(if failed == 0 {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

fn read_token(file: &Path, option: &'static str) -> Result<SecretString, Problem> {
    let token = SecretReference::File(file.to_owned()).resolve();
    token.map_err(|reason| incomplete(option, reason))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST || address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
