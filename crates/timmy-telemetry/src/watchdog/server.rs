//! The models that a server has loaded, or lists.

use std::time::Duration;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use timmy_core::text;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::call::Call;
use timmy_model::call::CallError;
use timmy_model::call::Caller;
use url::Url;

use super::look::Found;
use super::look::Standing;
use super::look::same_model;

/// How long a server may take to tell what it has.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long loading a model may take: a large one comes from a slow disk.
const LOADING: Duration = Duration::from_mins(10);
/// Models that are named at once.
const MOST_NAMED: usize = 4;
/// The part of a server's own words that is repeated, in bytes.
const WORDS: usize = 300;

/// The models in an Ollama's memory, where the expected one is not among them.
pub(super) async fn loaded(address: &Url, expected: &str) -> Result<Found, Standing> {
    let models = names(address, "api/ps", "models", None).await?;
    let evidence = format!("{}api/ps", slashed(address));
    if models.iter().any(|model| same_model(model, expected)) {
        return Err(Standing::AsExpected { evidence });
    }
    let there = names(address, "api/tags", "models", None).await?;
    let fixable = match there.iter().any(|model| same_model(model, expected)) {
        true => Ok(()),
        false => Err(format!(
            "that Ollama does not have it; `ollama pull {}` fetches it",
            text::clean_line(expected)
        )),
    };
    Ok(Found {
        model: told(&models),
        evidence,
        fixable,
    })
}

/// The models that a provider's server lists, where the expected one is not among them.
pub(super) async fn listed(
    provider: &ProviderSettings,
    expected: Option<&str>,
) -> Result<Found, Standing> {
    let no_answer = |reason: String| Standing::NotAsked { reason };
    let (path, list) = match provider.kind {
        ProviderKind::Ollama => ("api/tags", "models"),
        ProviderKind::Openai
        | ProviderKind::OllamaV1
        | ProviderKind::Vllm
        | ProviderKind::LlamaServer
        | ProviderKind::Nous
        | ProviderKind::Generic
        | ProviderKind::HermesGateway => ("models", "data"),
        ProviderKind::HermesCli | ProviderKind::HermesImport | ProviderKind::Replay => {
            let reason = "it is no server that lists models; expect its profile instead";
            return Err(no_answer(reason.to_owned()));
        }
    };
    let Some(base) = &provider.base_url else {
        return Err(no_answer("it has no base_url".to_owned()));
    };
    let expected = expected.or(provider.model.as_deref());
    let Some(expected) = expected else {
        return Err(no_answer("no model is named for it".to_owned()));
    };
    let key = provider.resolve_key();
    let key = key.map_err(|error| no_answer(error.to_string()))?;
    let models = names(base, path, list, key).await?;
    let evidence = format!("{}{path}", slashed(base));
    if models.iter().any(|model| same_model(model, expected)) {
        return Err(Standing::AsExpected { evidence });
    }
    Ok(Found {
        model: told(&models),
        evidence,
        fixable: Err("the server's own configuration says what it serves".to_owned()),
    })
}

/// Has an Ollama load a model. What else it has loaded is its own business.
pub(super) async fn load(
    address: &Url,
    model: &str,
    keep_alive: Option<&str>,
) -> Result<(), String> {
    let mut body = json!({"model": model, "prompt": "", "stream": false});
    if let Some(keep_alive) = keep_alive {
        // A number of seconds is a number, everything else a text such as "30m".
        let number = keep_alive.parse::<i64>().map(Value::from);
        body["keep_alive"] = number.unwrap_or_else(|_| Value::from(keep_alive));
    }
    let caller = Caller::new(address, LOADING).map_err(|error| error.to_string())?;
    let body = body.to_string().into_bytes();
    let call = Call::post("api/generate", "application/json", body);
    let called = caller.call(call).await.map_err(|error| error.to_string())?;
    if called.is_success() {
        return Ok(());
    }
    Err(format!(
        "it answered {}: {}",
        called.status,
        words(&called.body)
    ))
}

/// The names in a list of models.
async fn names(
    base: &Url,
    path: &str,
    list: &str,
    key: Option<SecretString>,
) -> Result<Vec<String>, Standing> {
    let no_answer = |reason: String| Standing::NotAsked { reason };
    let caller = Caller::new(base, PATIENCE).map_err(|error| no_answer(error.to_string()))?;
    let mut call = Call::get(path);
    if let Some(key) = key {
        let value = format!("Bearer {}", key.expose_secret());
        call = call.with(http::header::AUTHORIZATION, SecretString::from(value));
    }
    let called = caller.call(call).await.map_err(|error| match error {
        CallError::Unreachable { .. } | CallError::Unanswered { .. } | CallError::Address(_) => {
            no_answer(error.to_string())
        }
    })?;
    let place = caller.place(path);
    if !called.is_success() {
        let reason = format!("{place} answered {}", called.status);
        return Err(no_answer(reason));
    }
    let value: Value = serde_json::from_slice(&called.body).unwrap_or_default();
    let Some(models) = value[list].as_array() else {
        return Err(no_answer(format!("{place} gave no list of models")));
    };
    let name = |model: &Value| {
        let named = ["id", "name", "model"].into_iter();
        let mut named = named.filter_map(|field| model[field].as_str());
        named.next().map(text::clean_line)
    };
    Ok(models.iter().filter_map(name).collect())
}

fn told(models: &[String]) -> Option<String> {
    let named = models.iter().take(MOST_NAMED);
    let mut named = named.cloned().collect::<Vec<_>>().join(", ");
    if models.len() > MOST_NAMED {
        named.push_str(&format!(" and {} more", models.len() - MOST_NAMED));
    }
    (!named.is_empty()).then(|| text::bound(&named, WORDS).into_owned())
}

fn words(body: &[u8]) -> String {
    let said = text::clean_line(&String::from_utf8_lossy(body));
    text::bound(&said, WORDS).into_owned()
}

fn slashed(address: &Url) -> String {
    format!("{}/", address.as_str().trim_end_matches('/'))
}
