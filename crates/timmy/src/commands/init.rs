//! `timmy init`: asks a few questions, writes the configuration, checks it.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use inquire::Confirm;
use inquire::Select;
use inquire::Text;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use toml::Table;
use toml::Value;

use super::Ended;
use super::doctor;
use crate::cli::InitArguments;
use crate::config;
use crate::config::Config;
use crate::host::Host;
use crate::host::incomplete;
use crate::output;

/// Forges, and where their servers usually listen.
const FORGES: [&str; 3] = ["gitea", "forgejo", "embedded"];
/// Kinds of providers with the address they usually have.
const PROVIDERS: [(&str, &str); 6] = [
    ("ollama", "http://127.0.0.1:11434"),
    ("llama-server", "http://127.0.0.1:8080/v1"),
    ("vllm", "http://127.0.0.1:8000/v1"),
    ("hermes-gateway", "http://127.0.0.1:8642/v1"),
    ("hermes-import", ""),
    ("openai", ""),
];

/// What the file is made of.
struct Answers {
    kind: String,
    url: String,
    user: String,
    token_file: String,
    repositories: Vec<String>,
    provider: String,
    provider_url: String,
    model: String,
}

pub(super) async fn run(host: &Host, arguments: &InitArguments) -> Ended {
    let path = &host.loaded.path;
    if host.loaded.exists && !arguments.force {
        return Err(Problem::new(
            Code::new(114),
            ExitStatus::Refused,
            "there is a configuration already",
        )
        .at(path.display().to_string())
        .fix("edit it, or run `timmy init --force`, which keeps the old one beside it"));
    }
    let answers = if arguments.yes || !io::stdin().is_terminal() {
        given(arguments)
    } else {
        ask(arguments).map_err(unanswered)?
    };
    let text = answers.to_toml()?;
    // Nothing is written that could not be read again.
    toml::from_str::<Config>(&text)
        .map_err(|error| incomplete("init", error.message().to_owned()))?;
    write(path, &text)?;
    output::talk(&format!("wrote {}", path.display()));
    let loaded = config::load(path).map_err(super::told)?;
    let fresh = Host {
        loaded,
        root: host.root.clone(),
        workflow: None,
        form: host.form,
        clock: std::sync::Arc::clone(&host.clock),
    };
    let status = doctor::run(&fresh).await?;
    if status == ExitStatus::Success {
        output::talk("next: `timmy issues`, then `timmy sprint --dry-run`");
    }
    Ok(status)
}

/// What the flags say, with defaults for the rest.
fn given(arguments: &InitArguments) -> Answers {
    let provider = arguments
        .provider
        .clone()
        .unwrap_or_else(|| "ollama".to_owned());
    let usual = usual_address(&provider).to_owned();
    Answers {
        kind: arguments
            .kind
            .clone()
            .unwrap_or_else(|| match &arguments.url {
                Some(_) => "gitea".to_owned(),
                None => "embedded".to_owned(),
            }),
        url: arguments
            .url
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        user: arguments.user.clone().unwrap_or_else(|| "timmy".to_owned()),
        token_file: path_text(arguments.token_file.as_deref()),
        repositories: arguments
            .repositories
            .iter()
            .map(ToString::to_string)
            .collect(),
        provider_url: arguments
            .provider_url
            .as_ref()
            .map_or(usual, ToString::to_string),
        provider,
        model: arguments.model.clone().unwrap_or_default(),
    }
}

fn ask(arguments: &InitArguments) -> Result<Answers, inquire::InquireError> {
    let mut answers = given(arguments);
    let cursor = FORGES.iter().position(|kind| *kind == answers.kind);
    answers.kind = Select::new("Which forge?", FORGES.to_vec())
        .with_starting_cursor(cursor.unwrap_or(0))
        .prompt()?
        .to_owned();
    if answers.kind != "embedded" {
        answers.url = Text::new("Its address?")
            .with_initial_value(&answers.url)
            .prompt()?;
        answers.user = Text::new("The login that timmy works as?")
            .with_initial_value(&answers.user)
            .prompt()?;
        answers.token_file = Text::new("A file that holds its token?")
            .with_help_message(
                "scopes write:issue and write:repository; the file stays where it is",
            )
            .with_initial_value(&answers.token_file)
            .prompt()?;
    }
    let repositories = answers.repositories.join(" ");
    let repositories = Text::new("Repositories to work on (owner/name, separated by spaces)?")
        .with_initial_value(&repositories)
        .prompt()?;
    answers.repositories = repositories.split_whitespace().map(str::to_owned).collect();
    let kinds: Vec<&str> = PROVIDERS.iter().map(|(kind, _)| *kind).collect();
    answers.provider = Select::new("Where does the model run?", kinds)
        .prompt()?
        .to_owned();
    let usual = usual_address(&answers.provider);
    if !usual.is_empty() {
        answers.provider_url = Text::new("Its address?")
            .with_initial_value(usual)
            .prompt()?;
    }
    answers.model = Text::new("Which model?")
        .with_initial_value(&answers.model)
        .prompt()?;
    let confirmed = Confirm::new("Write the configuration?").with_default(true);
    if !confirmed.prompt()? {
        return Err(inquire::InquireError::OperationCanceled);
    }
    Ok(answers)
}

fn usual_address(kind: &str) -> &'static str {
    PROVIDERS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("", |(_, address)| address)
}

fn path_text(path: Option<&Path>) -> String {
    let absolute = path.and_then(|path| std::path::absolute(path).ok());
    absolute
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn unanswered(error: inquire::InquireError) -> Problem {
    Problem::new(
        Code::new(115),
        ExitStatus::Usage,
        "the questions were not answered",
    )
    .at(error.to_string())
    .fix("run `timmy init --yes` with flags instead; `timmy init --help` lists them")
}

impl Answers {
    fn to_toml(&self) -> Result<String, Problem> {
        let mut forge = Table::new();
        forge.insert("kind".to_owned(), Value::String(self.kind.clone()));
        forge.insert("user".to_owned(), Value::String(self.user.clone()));
        if self.kind != "embedded" {
            if self.url.is_empty() || self.token_file.is_empty() {
                let reason = "the address and the token file of the forge are needed".to_owned();
                return Err(incomplete("--url, --token-file", reason));
            }
            forge.insert("url".to_owned(), Value::String(self.url.clone()));
            let mut token = Table::new();
            token.insert("file".to_owned(), Value::String(self.token_file.clone()));
            forge.insert("token".to_owned(), Value::Table(token));
        }
        let repositories = self
            .repositories
            .iter()
            .cloned()
            .map(Value::String)
            .collect();
        forge.insert("repositories".to_owned(), Value::Array(repositories));
        let mut provider = Table::new();
        provider.insert("name".to_owned(), Value::String(self.provider.clone()));
        provider.insert("kind".to_owned(), Value::String(self.provider.clone()));
        for (key, value) in [("base_url", &self.provider_url), ("model", &self.model)] {
            if !value.is_empty() {
                provider.insert(key.to_owned(), Value::String(value.clone()));
            }
        }
        let mut file = Table::new();
        file.insert("forge".to_owned(), Value::Table(forge));
        file.insert(
            "provider".to_owned(),
            Value::Array(vec![Value::Table(provider)]),
        );
        toml::to_string(&file).map_err(|error| incomplete("timmy.toml", error.to_string()))
    }
}

/// Writes the file beside its place and moves it there, so that no half of it is ever read.
fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let fail = |error: io::Error| {
        Problem::new(
            Code::new(102),
            ExitStatus::Internal,
            "the configuration cannot be written",
        )
        .at(format!("{}: {error}", path.display()))
        .fix("check the directory's rights and free space, or name another file with --config")
    };
    doctor::make_parent(path)?;
    let beside = path.with_extension("toml.new");
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside);
    let mut file = file.map_err(fail)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(fail)?;
    if path.exists() {
        std::fs::rename(path, path.with_extension("toml.old")).map_err(fail)?;
    }
    std::fs::rename(&beside, path).map_err(fail)
}
