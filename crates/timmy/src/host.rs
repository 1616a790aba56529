//! This host: its configuration, its private root, and the parts built from them. The only place
//! that picks implementations.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::RepoName;
use timmy_core::SystemClock;
use timmy_dispatch::Desk;
use timmy_dispatch::Settings;
use timmy_dispatch::Sprint;
use timmy_dispatch::shell::Sprints;
use timmy_forge::claim::Identity;
use timmy_git::Git;
use timmy_model::ProviderSettings;
use timmy_model::Recorder;
use timmy_model::Router;
use timmy_model::Surroundings;
use timmy_sandbox::Helper;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Unsandboxed;
use timmy_store::EventLog;
use timmy_store::Store;

use crate::cli::Cli;
use crate::cli::IssueReference;
use crate::cli::ModelArguments;
use crate::config;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::Loaded;
use crate::connection;
use crate::connection::Connection;
use crate::home;
use crate::named_workflow::NamedWorkflow;
use crate::output::Form;
use crate::toolchains;

/// `--provider replay:FILE`
const REPLAY: &str = "replay:";

/// What every command begins with.
#[derive(Clone)]
pub(crate) struct Host {
    /// The configuration with its sources.
    pub(crate) loaded: Loaded,
    /// The private root.
    pub(crate) root: PathBuf,
    /// The workflow file that was named on the command line.
    pub(crate) workflow: Option<NamedWorkflow>,
    /// How output is to look.
    pub(crate) form: Form,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Host {
    /// Reads the configuration. Nothing is opened yet.
    pub(crate) fn new(cli: &Cli) -> Result<Self, Problem> {
        let loaded = config::load(&config_path(cli)?).map_err(|error| error.problem())?;
        Self::with(cli, loaded)
    }

    /// Leaves the configuration unread, for `init`, which may be about to replace a broken one.
    pub(crate) fn before_settings(cli: &Cli) -> Result<Self, Problem> {
        Self::with(cli, Loaded::unread(&config_path(cli)?))
    }

    fn with(cli: &Cli, loaded: Loaded) -> Result<Self, Problem> {
        Ok(Self {
            loaded,
            root: home::private_root().map_err(|error| error.problem())?,
            workflow: None,
            form: if cli.json { Form::Json } else { Form::Human },
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// The configuration, for commands that cannot do without one.
    pub(crate) fn config(&self) -> Result<&Config, Problem> {
        self.loaded.require().map_err(|error| error.problem())
    }

    /// The database.
    pub(crate) async fn store(&self) -> Result<Store, Problem> {
        let told = |error: timmy_store::StoreError| error.problem();
        let Some(reference) = &self.loaded.config.store.postgres else {
            return Store::open(&self.root).await.map_err(told);
        };
        // The private root is needed in any case: repositories and workspaces lie there.
        drop(Store::open(&self.root).await.map_err(told)?);
        let incomplete = |reason| incomplete("store.postgres", reason);
        let address = reference.resolve().map_err(incomplete)?;
        let address = address.expose_secret().parse();
        let address = address.map_err(|_| incomplete("it is not an URL".to_owned()))?;
        Store::connect(address).await.map_err(told)
    }

    /// The event log.
    pub(crate) async fn log(&self) -> Result<EventLog, Problem> {
        Ok(self.store().await?.log(Arc::clone(&self.clock)))
    }

    /// The repository that is meant: the named one, or the only one there is.
    pub(crate) fn repo(&self, named: Option<&RepoName>) -> Result<RepoName, Problem> {
        if let Some(repo) = named {
            return Ok(repo.clone());
        }
        match self.config()?.forge.repositories.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(incomplete(
                "forge.repositories",
                "no repository is named".to_owned(),
            )),
            _ => Err(incomplete(
                "--repo",
                "several repositories are configured".to_owned(),
            )),
        }
    }

    /// The repository of a reference such as `owner/name#N` or `#N`.
    pub(crate) fn repo_of(&self, reference: &IssueReference) -> Result<RepoName, Problem> {
        self.repo(reference.repo.as_ref())
    }

    /// The forge, over HTTP. An embedded one is served as long as the connection lives.
    pub(crate) async fn connect(&self, store: &Store) -> Result<Connection, Problem> {
        let forge = &self.config()?.forge;
        let token = self.workflow.as_ref().and_then(NamedWorkflow::token);
        if let (Some(token), Some(base)) = (token, &forge.url) {
            return connection::client(forge, base.clone(), token.clone(), &self.clock);
        }
        connection::connect(forge, store, &self.root, &self.clock).await
    }

    /// Everything that looking at a repository needs.
    pub(crate) async fn desk(
        &self,
        repo: &RepoName,
        store: Store,
        connection: &Connection,
        secrets: &[SecretString],
    ) -> Result<Desk, Problem> {
        let config = self.config()?;
        let own = config.repository.get(repo).cloned().unwrap_or_default();
        let told = |error: timmy_git::GitError| error.problem();
        let identity = Identity::of_this_process(&self.root).map_err(|error| error.problem())?;
        Ok(Desk {
            forge: connection.forge(),
            login: config.forge.user.clone(),
            remote: connection.remote(repo)?,
            repo: repo.clone(),
            git: Git::new(&self.root.join("git")).map_err(told)?,
            store,
            clock: Arc::clone(&self.clock),
            redactor: Redactor::new(secrets.iter().chain([connection.token()])),
            root: self.root.clone(),
            identity,
            settings: Settings {
                selection: config.selection.clone(),
                publish: config.publish.clone(),
                agent: config.agent.clone(),
                policy: self.policy(),
                claim_ttl_s: config.claim.ttl_s,
                check: own.check,
                base_branch: own.base_branch,
                workspace: config.workspace.clone(),
                follow_up: config.follow_up.clone(),
                workflow: self.workflow.as_ref().map(|named| named.workflow.clone()),
                merge_queue: config.merge_queue.clone(),
                watts: watts(&config.provider),
                models: models(&config.provider),
            },
        })
    }

    /// A sandbox that was proven by a canary.
    pub(crate) async fn sandbox(&self, wanted: Unsandboxed) -> Result<Arc<dyn Sandbox>, Problem> {
        let settings = self.loaded.config.sandbox.isolation();
        let chosen = timmy_sandbox::choose(&settings, &helper()?, wanted).await;
        chosen.map_err(|error| error.problem())
    }

    /// The rules commands run under; the workspace is filled in by who uses it.
    pub(crate) fn policy(&self) -> Policy {
        let settings = &self.loaded.config.sandbox;
        let mut policy = Policy {
            workspace: PathBuf::new(),
            writable: Vec::new(),
            read_only: settings.read_only.clone(),
            path: settings.path.clone(),
            environment: settings.environment.clone(),
            limits: settings.limits.clone(),
        };
        if settings.no_detected_toolchains {
            return policy;
        }
        let found = toolchains::detect();
        policy.read_only.extend(found.read_only);
        policy.path.extend(found.path);
        if let Some(cargo_home) = found.cargo_home {
            let value = cargo_home.to_string_lossy().into_owned();
            policy
                .environment
                .entry("CARGO_HOME".to_owned())
                .or_insert(value);
        }
        policy
    }

    /// The providers of the configuration, or the one that was named.
    pub(crate) async fn router(
        &self,
        arguments: &ModelArguments,
        store: &Store,
    ) -> Result<(Arc<Router>, Vec<SecretString>), Problem> {
        let providers = self.providers(arguments.provider.as_deref())?;
        let told = |error: timmy_model::ModelError| error.problem();
        let recorder = match &arguments.record {
            Some(path) => Some(Arc::new(
                Recorder::create(path, self.redactor()?).map_err(told)?,
            )),
            None => None,
        };
        let private = self.root.join("model");
        make_directory(&private)?;
        let surroundings = Surroundings {
            private,
            recorder,
            clock: Arc::clone(&self.clock),
        };
        let opened = timmy_model::open(&providers, &surroundings)
            .await
            .map_err(told)?;
        let log = store.log(Arc::clone(&self.clock));
        for error in &opened.left_out {
            log.append(
                None,
                EventKind::Warned {
                    problem: error.problem(),
                },
            )
            .await?;
        }
        let limits = self.loaded.config.budget;
        let spending = store.spending(Arc::clone(&self.clock));
        let router = Router::new(opened.providers, limits, spending, Arc::clone(&self.clock));
        Ok((Arc::new(router), opened.secrets))
    }

    fn providers(&self, named: Option<&str>) -> Result<Vec<ProviderSettings>, Problem> {
        if let Some(file) = named.and_then(|name| name.strip_prefix(REPLAY)) {
            return Ok(vec![ProviderSettings::replay(file)]);
        }
        let configured = &self.loaded.config.provider;
        let Some(name) = named else {
            if configured.is_empty() {
                return Err(incomplete(
                    "[[provider]]",
                    "no model provider is named".to_owned(),
                ));
            }
            return Ok(configured.clone());
        };
        let found = configured
            .iter()
            .find(|provider| provider.name == name)
            .cloned();
        found.map(|provider| vec![provider]).ok_or_else(|| {
            let names: Vec<&str> = configured.iter().map(|p| p.name.as_str()).collect();
            let reason = format!(
                "there is no provider {name:?}; there are: {}",
                names.join(", ")
            );
            incomplete("[[provider]]", reason)
        })
    }

    /// Knows the forge token; keys of providers are added by those who read them.
    fn redactor(&self) -> Result<Redactor, Problem> {
        let token = self.loaded.config.forge.token.as_ref();
        let token = token.map(|reference| reference.resolve()).transpose();
        let token = token.map_err(|reason| incomplete("forge.token", reason))?;
        Ok(Redactor::new(token.iter()))
    }

    /// Knows every secret the configuration names, as far as each can be read now.
    pub(crate) fn every_secret(&self) -> Redactor {
        let config = &self.loaded.config;
        let keys = config
            .provider
            .iter()
            .filter_map(|provider| provider.key.as_ref());
        let further = [
            &config.forge.token,
            &config.webhook.secret,
            &config.store.postgres,
        ];
        let headers = config.export.headers.values();
        let references = further.into_iter().flatten().chain(keys).chain(headers);
        let mut secrets: Vec<SecretString> = references
            .filter_map(|reference| reference.resolve().ok())
            .collect();
        secrets.extend(connection::kept_token(&self.root));
        Redactor::new(&secrets)
    }

    /// The same host under another configuration.
    pub(crate) fn reconfigured(&self, mut loaded: Loaded, workflow: Option<NamedWorkflow>) -> Self {
        if let Some(workflow) = &workflow {
            workflow.apply(&mut loaded.config);
            // It stands in for a configuration file where there is none.
            loaded.exists = true;
        }
        Self {
            loaded,
            workflow,
            root: self.root.clone(),
            form: self.form,
            clock: Arc::clone(&self.clock),
        }
    }

    /// Sprints on several repositories that share one sandbox and one cascade of models.
    pub(crate) async fn sprints(
        &self,
        repositories: &[RepoName],
        model: &ModelArguments,
        store: &Store,
        connection: &Connection,
    ) -> Result<Sprints, Problem> {
        let sandbox = self.sandbox(model.unsandboxed()).await?;
        let (router, secrets) = self.router(model, store).await?;
        let mut sprints = Sprints::new();
        for repo in repositories {
            let desk = self.desk(repo, store.clone(), connection, &secrets).await?;
            let sprint = Sprint {
                desk,
                sandbox: Arc::clone(&sandbox),
                router: Arc::clone(&router),
            };
            sprints.insert(repo.clone(), Arc::new(sprint));
        }
        Ok(sprints)
    }

    /// A sprint on a repository, with everything it needs.
    pub(crate) async fn sprint(
        &self,
        repo: &RepoName,
        model: &ModelArguments,
        store: Store,
        connection: &Connection,
    ) -> Result<Sprint, Problem> {
        let sandbox = self.sandbox(model.unsandboxed()).await?;
        let (router, secrets) = self.router(model, &store).await?;
        let desk = self.desk(repo, store, connection, &secrets).await?;
        Ok(Sprint {
            desk,
            sandbox,
            router,
        })
    }
}

/// What the machines of providers take from the socket, where that is declared.
fn watts(providers: &[ProviderSettings]) -> BTreeMap<String, u32> {
    let declared = |provider: &ProviderSettings| Some((provider.name.clone(), provider.watts?));
    providers.iter().filter_map(declared).collect()
}

/// Providers and models in the order in which they are asked.
fn models(providers: &[ProviderSettings]) -> String {
    let name = |provider: &ProviderSettings| {
        let model = provider.model.as_deref().unwrap_or("default");
        format!("{}/{model}", provider.name)
    };
    providers.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// How this program starts itself inside the sandbox.
pub(crate) fn helper() -> Result<Helper, Problem> {
    Ok(Helper {
        argv: vec![program()?.into(), "sandbox-exec".into()],
    })
}

/// This program's own file.
pub(crate) fn program() -> Result<PathBuf, Problem> {
    std::env::current_exe().map_err(|error| {
        Problem::new(
            timmy_core::Code::new(109),
            timmy_core::ExitStatus::Internal,
            "timmy cannot find its own program file",
        )
        .at(error.to_string())
        .fix("start it by its full path, with /proc mounted")
    })
}

/// A setting, or an option of the command line, without which the command cannot go on.
pub(crate) fn incomplete(setting: &'static str, reason: String) -> Problem {
    if setting.starts_with("--") {
        return Problem::new(
            timmy_core::Code::new(111),
            timmy_core::ExitStatus::Usage,
            reason,
        )
        .at(setting)
        .fix(format!(
            "give {setting}; `--help` after the command explains it"
        ));
    }
    ConfigError::Incomplete { setting, reason }.problem()
}

fn config_path(cli: &Cli) -> Result<PathBuf, Problem> {
    match &cli.config {
        Some(path) => Ok(path.clone()),
        None => home::config_file().map_err(|error| error.problem()),
    }
}

pub(crate) fn make_directory(path: &Path) -> Result<(), Problem> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            timmy_store::StoreError::Root {
                path: path.to_owned(),
                reason: error.to_string(),
            }
            .problem()
        })
}
