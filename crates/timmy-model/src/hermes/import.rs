//! Providers and keys from the configuration of Hermes, read-only.
//!
//! Tokens are never refreshed here: refresh tokens are single-use, and a second refresher revokes
//! the login of the first. A key that is about to expire is an error that says to run Hermes.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use timmy_core::Clock;
use url::Url;

use crate::error::Failure;
use crate::error::ModelError;
use crate::hermes::configuration::Home;
use crate::hermes::configuration::directory;
use crate::settings::ProviderKind;
use crate::settings::ProviderSettings;

/// A key of the Nous Portal with less life than this is not used.
const SHORTEST_LIFE: Duration = Duration::from_secs(120);
const NOUS_BASE: &str = "https://inference-api.nousresearch.com/v1";
/// Providers of Hermes that speak chat completions: name, base URL, variable of the key.
const KNOWN: [(&str, &str, &str); 5] = [
    (
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
    ),
    ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    (
        "deepseek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
    ),
    ("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    ("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
];
const LOCAL: [&str; 6] = ["custom", "ollama", "vllm", "llamacpp", "llama.cpp", "local"];

/// A provider that Hermes is set up with.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Its settings; never with a key.
    pub settings: ProviderSettings,
    /// Its key.
    pub key: Option<SecretString>,
}

/// Takes over the main provider of Hermes and its fallbacks, in Hermes' order.
///
/// # Errors
/// [`ModelError::HermesImport`] when the main provider cannot be used.
pub fn import(wanted: &ProviderSettings, clock: &dyn Clock) -> Result<Vec<Imported>, ModelError> {
    let place = directory(
        wanted.hermes_home.as_deref(),
        wanted.hermes_profile.as_deref(),
    );
    let home = place.and_then(|place| Home::read(&place));
    let home = home.map_err(|detail| failed(wanted, "~/.hermes", detail))?;
    let import = Import {
        wanted,
        home: &home,
        now: clock.now(),
    };
    let main = main_choice(&home.config["model"]);
    let main = import.provider(&main, &wanted.name);
    let place = home.directory.display().to_string();
    let mut imported = vec![main.map_err(|detail| failed(wanted, &place, detail))?];
    for (at, choice) in fallbacks(&home.config).iter().enumerate() {
        match import.provider(choice, &format!("{}-fallback-{}", wanted.name, at + 1)) {
            Ok(fallback) => imported.push(fallback),
            Err(reason) => tracing::warn!(reason, "a fallback of Hermes is left out"),
        }
    }
    Ok(imported)
}

fn failed(wanted: &ProviderSettings, place: &str, detail: String) -> ModelError {
    ModelError::HermesImport(Failure {
        provider: wanted.name.clone(),
        place: place.to_owned(),
        detail,
    })
}

/// `model:` is a name or a record.
pub(super) fn main_choice(model: &Value) -> Value {
    match model {
        Value::String(name) => json!({"default": name}),
        other => other.clone(),
    }
}

/// The model that a choice names.
pub(super) fn main_model(choice: &Value) -> Option<String> {
    text_of(choice, &["default", "model", "name"])
}

/// `fallback_providers`, then the older `fallback_model`.
fn fallbacks(config: &Value) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for name in ["fallback_providers", "fallback_model"] {
        match &config[name] {
            Value::Array(list) => found.extend(list.iter().cloned()),
            Value::Object(_) => found.push(config[name].clone()),
            _ => {}
        }
    }
    found.dedup();
    found
}

struct Import<'a> {
    wanted: &'a ProviderSettings,
    home: &'a Home,
    now: Timestamp,
}

/// A base URL with its key and what else is known of it.
struct Source {
    base: String,
    key: Option<String>,
    kind: ProviderKind,
    model: Option<String>,
}

impl Import<'_> {
    fn provider(&self, choice: &Value, name: &str) -> Result<Imported, String> {
        let source = self.source(choice)?;
        let mode = text_of(choice, &["api_mode"]);
        if let Some(mode) = mode.filter(|mode| mode != "chat_completions") {
            return Err(format!(
                "its api_mode is {mode}, timmy speaks chat_completions"
            ));
        }
        let Some(model) = main_model(choice).or(source.model) else {
            return Err("it names no model".to_owned());
        };
        let base = Url::parse(&source.base);
        let base = base.map_err(|error| format!("its base_url is no URL: {error}"))?;
        let mut settings = ProviderSettings {
            name: name.to_owned(),
            kind: source.kind,
            base_url: Some(base),
            model: Some(model),
            ..self.wanted.clone()
        };
        if settings.context_tokens.is_none() {
            settings.context_tokens = choice["context_length"].as_u64();
        }
        settings.key = None;
        Ok(Imported {
            settings,
            key: source.key.map(SecretString::from),
        })
    }

    fn source(&self, choice: &Value) -> Result<Source, String> {
        let provider = text_of(choice, &["provider"]).or_else(|| self.default_provider(choice));
        let base = text_of(choice, &["base_url"]);
        let Some(provider) = provider else {
            return match base {
                Some(base) => Ok(self.local(base, choice)),
                None => Err("it names neither a provider nor a base_url".to_owned()),
            };
        };
        if provider == "nous" {
            return self.nous();
        }
        if let Some(source) = self.named(&provider, choice) {
            return source;
        }
        if let Some((_, usual, variable)) = KNOWN.iter().find(|(name, ..)| *name == provider) {
            let key = self.key(choice).or_else(|| self.home.variable(variable));
            let Some(key) = key else {
                return Err(format!("its key ${variable} is not set"));
            };
            return Ok(Source {
                base: base.unwrap_or_else(|| (*usual).to_owned()),
                key: Some(key),
                kind: kind_at(usual),
                model: None,
            });
        }
        match base {
            Some(base) => Ok(self.local(base, choice)),
            None if provider == "ollama" => {
                Ok(self.local("http://127.0.0.1:11434/v1".to_owned(), choice))
            }
            None if LOCAL.contains(&provider.as_str()) => {
                Err(format!("its provider {provider} has no base_url"))
            }
            None => Err(format!("timmy does not know its provider {provider}")),
        }
    }

    /// What Hermes does without `model.provider`.
    fn default_provider(&self, choice: &Value) -> Option<String> {
        if text_of(choice, &["base_url"]).is_some() {
            return None;
        }
        if let Some(named) = self.home.variable("HERMES_INFERENCE_PROVIDER") {
            return Some(named);
        }
        let with_key = KNOWN
            .iter()
            .find(|(.., variable)| self.home.variable(variable).is_some());
        if let Some((name, ..)) = with_key {
            return Some((*name).to_owned());
        }
        let mut auth = self.home.auth.iter();
        auth.find_map(|auth| text_of(auth, &["active_provider"]))
    }

    fn local(&self, base: String, choice: &Value) -> Source {
        Source {
            kind: kind_at(&base),
            base,
            key: self.key(choice),
            model: None,
        }
    }

    /// A provider of the `providers` record or the older `custom_providers` list.
    fn named(&self, provider: &str, choice: &Value) -> Option<Result<Source, String>> {
        let plain = provider.strip_prefix("custom:").unwrap_or(provider);
        let listed = self.home.config["custom_providers"].as_array();
        let mut listed = listed.into_iter().flatten();
        let record = self.home.config["providers"].get(plain);
        let record = record.or_else(|| listed.find(|entry| entry["name"] == json!(plain)))?;
        if record["enabled"] == json!(false) {
            return Some(Err(format!("its provider {plain} is not enabled")));
        }
        let Some(base) = text_of(record, &["base_url", "api", "url"]) else {
            return Some(Err(format!("its provider {plain} has no base_url")));
        };
        Some(Ok(Source {
            kind: kind_at(&base),
            base,
            key: self.key(choice).or_else(|| self.key(record)),
            model: text_of(record, &["default_model", "model"]),
        }))
    }

    fn key(&self, record: &Value) -> Option<String> {
        let named = text_of(record, &["key_env"]).and_then(|name| self.home.variable(&name));
        named.or_else(|| text_of(record, &["api_key"]))
    }

    /// The key of the Nous Portal: the login's, then one of its pool, each with enough life left.
    fn nous(&self) -> Result<Source, String> {
        let mut stale = None;
        for auth in &self.home.auth {
            let login = auth.pointer("/providers/nous");
            let login = login.or_else(|| auth.pointer("/systems/nous_portal"));
            let pool = auth
                .pointer("/credential_pool/nous")
                .and_then(Value::as_array);
            let pool = pool.into_iter().flatten();
            let usable = pool.filter(|entry| {
                !matches!(entry["last_status"].as_str(), Some("exhausted" | "dead"))
            });
            for record in login.into_iter().chain(usable) {
                match self.nous_key(record) {
                    Some(Ok(source)) => return Ok(source),
                    Some(Err(expired)) => stale = Some(expired),
                    None => {}
                }
            }
        }
        Err(stale.unwrap_or_else(|| "auth.json holds no login to the Nous Portal".to_owned()))
    }

    fn nous_key(&self, record: &Value) -> Option<Result<Source, String>> {
        let key = text_of(record, &["agent_key"])?;
        let expires = text_of(record, &["agent_key_expires_at", "expires_at"]);
        let expires = expires.and_then(|time| time.parse::<Timestamp>().ok());
        let alive = expires.is_some_and(|at| {
            Duration::try_from(at.duration_since(self.now)).is_ok_and(|left| left > SHORTEST_LIFE)
        });
        if !alive {
            return Some(Err(
                "its key to the Nous Portal has expired or is about to: run `hermes` once, which \
                 refreshes it"
                    .to_owned(),
            ));
        }
        let base = text_of(record, &["inference_base_url"]);
        Some(Ok(Source {
            base: base.unwrap_or_else(|| NOUS_BASE.to_owned()),
            key: Some(key),
            kind: ProviderKind::Nous,
            model: None,
        }))
    }
}

fn kind_at(base: &str) -> ProviderKind {
    if base.contains("api.openai.com") {
        ProviderKind::Openai
    } else if base.contains(":11434") {
        ProviderKind::OllamaV1
    } else {
        ProviderKind::Generic
    }
}

/// The first of these fields that is a text with something in it.
pub(super) fn text_of(record: &Value, names: &[&str]) -> Option<String> {
    let mut fields = names.iter().filter_map(|name| record.get(name)?.as_str());
    let field = fields.find(|field| !field.trim().is_empty())?;
    Some(field.trim().to_owned())
}
