//! `timmy.toml`: what an operator decides about this host.

mod error;
mod layers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use timmy_agent::Limits as AgentLimits;
use timmy_core::RepoName;
use timmy_dispatch::policy::PublishSettings;
use timmy_dispatch::selection::SelectionSettings;
use timmy_forge::ForgeKind;
use timmy_model::ProviderSettings;
use timmy_model::SecretReference;
use timmy_sandbox::Limits as CommandLimits;
use timmy_sandbox::Settings as SandboxLevels;
use timmy_store::SpendLimits;
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
    /// Decisions about single repositories.
    pub(crate) repository: BTreeMap<RepoName, RepositorySettings>,
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
    /// Which level, and as whom.
    pub(crate) isolation: SandboxLevels,
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
