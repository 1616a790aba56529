//! What the configuration says about a provider.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use timmy_core::money::MicroUsd;
use url::Url;

use crate::error::Failure;
use crate::error::ModelError;

/// The context assumed for a model when the configuration names none, in tokens.
pub const DEFAULT_CONTEXT_TOKENS: u64 = 32_768;
/// How long a server may stay silent, in seconds. A local model may read a long prompt for minutes.
pub const DEFAULT_IDLE_TIMEOUT_S: u64 = 300;
/// Keys are short; a longer file is a mistake.
const LONGEST_KEY_FILE: u64 = 64 << 10;

/// What kind of server or program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// `OpenAI`, or a server that copies it closely.
    Openai,
    /// Ollama through its own API, the only one that lets a request choose its context.
    Ollama,
    /// Ollama through its OpenAI-compatible API.
    OllamaV1,
    /// vLLM.
    Vllm,
    /// llama-server of llama.cpp.
    LlamaServer,
    /// The Nous inference API.
    Nous,
    /// Any other server with `/chat/completions`, whatever it leaves out.
    Generic,
    /// The API server of a running Hermes gateway.
    HermesGateway,
    /// The `hermes chat` command.
    HermesCli,
    /// Whatever ~/.hermes/config.yaml and auth.json name.
    HermesImport,
    /// A recording, played back.
    Replay,
}

/// Where a secret is kept. The configuration never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretReference {
    /// A file that holds nothing else.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl SecretReference {
    /// Reads the secret.
    ///
    /// # Errors
    /// A sentence that names the file or the variable, when it is missing, empty or no text.
    pub fn resolve(&self) -> Result<SecretString, String> {
        let (value, place) = match self {
            Self::File(path) => {
                let size = std::fs::metadata(path).map(|data| data.len());
                let value = match size {
                    Ok(size) if size > LONGEST_KEY_FILE => {
                        return Err(format!("{} is too long for a key", path.display()));
                    }
                    _ => std::fs::read_to_string(path).map_err(|error| error.to_string()),
                };
                (value, path.display().to_string())
            }
            Self::Env(name) => (
                std::env::var(name).map_err(|error| error.to_string()),
                format!("${name}"),
            ),
        };
        let value = value.map_err(|error| format!("the key in {place} cannot be read: {error}"))?;
        match value.trim() {
            "" => Err(format!("the key in {place} is empty")),
            key => Ok(SecretString::from(key)),
        }
    }
}

/// One provider of the cascade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its name, for reports and `--provider`.
    pub name: String,
    /// What answers there.
    pub kind: ProviderKind,
    /// Where it listens, up to and without `/chat/completions` (Ollama: without `/api`).
    #[serde(default)]
    pub base_url: Option<Url>,
    /// The model to ask for.
    #[serde(default)]
    pub model: Option<String>,
    /// Where its key is kept.
    #[serde(default)]
    pub key: Option<SecretReference>,
    /// How many tokens request and reply may have together.
    #[serde(default)]
    pub context_tokens: Option<u64>,
    /// US dollars per million input tokens.
    #[serde(default)]
    pub price_input: Price,
    /// US dollars per million output tokens.
    #[serde(default)]
    pub price_output: Price,
    /// Whether replies are streamed. The kind decides when nothing is said.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Whether tools are described in the prompt and called by text, for models whose server does
    /// not offer tools. The kind decides when nothing is said.
    #[serde(default)]
    pub tools_as_text: Option<bool>,
    /// Seconds without a byte from the server after which it is given up.
    #[serde(default)]
    pub idle_timeout_s: Option<u64>,
    /// What the machine that answers takes from the socket while it does, in watts. With it the energy
    /// of a run's calls is recorded.
    #[serde(default)]
    pub watts: Option<u32>,
    /// Attempts of a loop at once while this provider is the first choice, at most. A small machine
    /// answers one conversation at a time.
    #[serde(default)]
    pub runs: Option<u32>,
    /// The recording, for `replay`.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The home of Hermes, for `hermes-cli` and `hermes-import`. `$HERMES_HOME`, then `~/.hermes`.
    #[serde(default)]
    pub hermes_home: Option<PathBuf>,
    /// The profile of Hermes.
    #[serde(default)]
    pub hermes_profile: Option<String>,
    /// The program of Hermes, for `hermes-cli`. `hermes` on the PATH when nothing is said.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// Lets a Hermes gateway run tools of its own, as the user it runs as and outside the sandbox.
    #[serde(default)]
    pub allow_tools_outside_sandbox: bool,
}

impl ProviderSettings {
    /// A provider with nothing but a name and a kind.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: ProviderKind) -> Self {
        Self {
            name: name.into(),
            kind,
            base_url: None,
            model: None,
            key: None,
            context_tokens: None,
            price_input: Price::default(),
            price_output: Price::default(),
            stream: None,
            tools_as_text: None,
            idle_timeout_s: None,
            watts: None,
            runs: None,
            file: None,
            hermes_home: None,
            hermes_profile: None,
            program: None,
            allow_tools_outside_sandbox: false,
        }
    }

    /// The provider that `--provider replay:FILE` names.
    #[must_use]
    pub fn replay(file: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(file.into()),
            ..Self::new("replay", ProviderKind::Replay)
        }
    }

    /// How long the server may stay silent.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s.unwrap_or(DEFAULT_IDLE_TIMEOUT_S))
    }

    /// Reads the key, where the configuration names one.
    ///
    /// # Errors
    /// [`ModelError::Settings`] when it cannot be read.
    pub fn resolve_key(&self) -> Result<Option<SecretString>, ModelError> {
        let key = self.key.as_ref().map(SecretReference::resolve);
        key.transpose().map_err(|reason| self.wrong(reason))
    }

    pub(crate) fn wrong(&self, detail: impl Into<String>) -> ModelError {
        ModelError::Settings(Failure {
            provider: self.name.clone(),
            place: "timmy.toml".to_owned(),
            detail: detail.into(),
        })
    }
}

/// A price in US dollars per million tokens, written as a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(into = "f64")]
pub struct Price(pub MicroUsd);

impl From<Price> for f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "prices are far below 2^53 millionths"
    )]
    fn from(price: Price) -> Self {
        price.0.0 as Self / 1e6
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// No model costs more than this per million tokens.
        const HIGHEST: f64 = 1e6;
        let dollars = f64::deserialize(deserializer)?;
        if !(0.0..=HIGHEST).contains(&dollars) {
            let message = "a price is dollars per million tokens, from 0 to 1000000";
            return Err(serde::de::Error::custom(message));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie between 0 and 1e12"
        )]
        let micros = (dollars * 1e6).ceil() as u64;
        Ok(Self(MicroUsd(micros)))
    }
}
