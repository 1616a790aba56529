//! `timmy.toml`: what an operator decides about this host.

mod error;
mod layers;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use timmy_agent::Limits as AgentLimits;
use timmy_core::RepoName;
use timmy_core::receipt::SandboxLevel;
use timmy_dispatch::follow_up::FollowUpSettings;
use timmy_dispatch::merge_queue::MergeQueueSettings;
use timmy_dispatch::policy::PublishSettings;
use timmy_dispatch::selection::SelectionSettings;
use timmy_dispatch::shell::NightSettings;
use timmy_dispatch::workspace::WorkspaceSettings;
use timmy_forge::ForgeKind;
use timmy_model::ProviderSettings;
use timmy_model::SecretReference;
use timmy_model::hermes::homes::HermesSettings;
use timmy_sandbox::Limits as CommandLimits;
use timmy_sandbox::Settings as IsolationSettings;
use timmy_store::SpendLimits;
use timmy_telemetry::alert::AlertSettings;
use timmy_telemetry::auth::AuthSettings;
use timmy_telemetry::export::ExportSettings;
use timmy_telemetry::health::HealthSettings;
use timmy_telemetry::report::ReportSettings;
use timmy_telemetry::settings::TelemetrySettings;
use timmy_telemetry::watchdog::WatchdogSettings;
use url::Url;

pub(crate) use error::ConfigError;
pub(crate) use layers::Loaded;
pub(crate) use layers::load;

/// Everything in `timmy.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The forge.
    pub(crate) forge: ForgeSettings,
    /// Model providers, in the order in which they are asked.
    pub(crate) provider: Vec<ProviderSettings>,
    /// The most that may be spent.
    pub(crate) budget: SpendLimits,
    /// How far an agent may go.
    pub(crate) agent: AgentLimits,
    /// How commands are isolated.
    pub(crate) sandbox: SandboxSettings,
    /// Which issues are worked on.
    pub(crate) selection: SelectionSettings,
    /// What may be published.
    pub(crate) publish: PublishSettings,
    /// Claims on the forge.
    pub(crate) claim: ClaimSettings,
    /// Where log and books are kept.
    pub(crate) store: StoreSettings,
    /// What becomes of own pull requests after they were opened.
    pub(crate) follow_up: FollowUpSettings,
    /// Merging what was checked together.
    pub(crate) merge_queue: MergeQueueSettings,
    /// Being told by the forge that something changed.
    pub(crate) webhook: WebhookSettings,
    /// Room on the disk, build caches, and workspaces of named agents.
    pub(crate) workspace: WorkspaceSettings,
    /// The loop.
    pub(crate) night: NightSettings,
    /// What counts as a finding.
    pub(crate) health: HealthSettings,
    /// Who is told of findings, and when again.
    pub(crate) alerts: AlertSettings,
    /// Where Hermes keeps its homes.
    pub(crate) hermes: HermesSettings,
    /// Which model is expected where.
    pub(crate) watchdog: WatchdogSettings,
    /// Logins whose tokens expire.
    pub(crate) auth: AuthSettings,
    /// What is sampled, how often, and how long it is kept.
    pub(crate) telemetry: TelemetrySettings,
    /// Where morning reports go.
    pub(crate) report: ReportSettings,
    /// Figures and traces for other programs.
    pub(crate) export: ExportSettings,
    /// Decisions about single repositories.
    pub(crate) repository: BTreeMap<RepoName, RepositorySettings>,
}

impl Config {
    /// Whether it names the same forge and the same database: what a running loop cannot change.
    pub(crate) fn same_places(&self, other: &Self) -> bool {
        let places = |config: &Self| {
            let forge = &config.forge;
            let url = forge.url.clone();
            (
                forge.kind,
                url,
                forge.user.clone(),
                forge.port,
                config.store.postgres.is_some(),
            )
        };
        places(self) == places(other)
    }
}

/// `[forge]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ForgeSettings {
    /// `gitea`, `forgejo`, or `embedded` for the one inside timmy.
    pub(crate) kind: ForgeKind,
    /// The address a person opens, without `/api/v1`. Not for the embedded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<Url>,
    /// The login the token belongs to.
    pub(crate) user: String,
    /// Where the token is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<SecretReference>,
    /// The repositories to work on.
    pub(crate) repositories: Vec<RepoName>,
    /// The port of the embedded forge on 127.0.0.1; 0 takes a free one.
    pub(crate) port: u16,
}

impl Default for ForgeSettings {
    fn default() -> Self {
        Self {
            kind: ForgeKind::Embedded,
            url: None,
            user: "timmy".to_owned(),
            token: None,
            repositories: Vec::new(),
            port: 0,
        }
    }
}

/// `[sandbox]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SandboxSettings {
    /// Demand exactly this level. Without it the strongest one that works is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<SandboxLevel>,
    /// The user that commands run as when timmy is root; `timmy-agent` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_user: Option<String>,
    /// The beginning of the command line of a container runner, for level L1.
    pub(crate) runner: Vec<String>,
    /// Whether a run may ask for no isolation at all. The run has to ask as well.
    pub(crate) allow_unsandboxed: bool,
    /// What one command may use.
    pub(crate) limits: CommandLimits,
    /// Further paths that commands may read: toolchains, caches.
    pub(crate) read_only: Vec<PathBuf>,
    /// Directories put before the ordinary PATH.
    pub(crate) path: Vec<PathBuf>,
    /// Further environment variables. Names that look like secrets are refused.
    pub(crate) environment: BTreeMap<String, String>,
    /// Leaves out the toolchains that timmy finds by itself.
    pub(crate) no_detected_toolchains: bool,
}

impl SandboxSettings {
    /// Which level, and as whom.
    pub(crate) fn isolation(&self) -> IsolationSettings {
        IsolationSettings {
            level: self.level,
            agent_user: self.agent_user.clone(),
            runner: self.runner.clone(),
            allow_unsandboxed: self.allow_unsandboxed,
        }
    }
}

/// `[claim]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClaimSettings {
    /// Seconds without renewal after which another host may take an issue over.
    pub(crate) ttl_s: u64,
}

impl Default for ClaimSettings {
    fn default() -> Self {
        Self { ttl_s: 600 }
    }
}

/// `[webhook]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhookSettings {
    /// Where a loop listens for the forge's deliveries, at the path `/webhook`. A forge on another
    /// machine needs an address of a network here.
    pub(crate) listen: SocketAddr,
    /// Where the secret is kept that the webhook was made with on the forge. Without it nothing
    /// listens, and changes are found by polling alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<SecretReference>,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)),
            secret: None,
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreSettings {
    /// Where the address of a PostgreSQL server is kept, `postgres://user:password@host/database`.
    /// Without it everything is in the private root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<SecretReference>,
}

/// `[repository."owner/name"]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RepositorySettings {
    /// The command that decides whether a change is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<String>,
    /// The branch to work from and to, when it is not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_branch: Option<String>,
}
