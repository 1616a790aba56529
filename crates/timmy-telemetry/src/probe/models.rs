//! Model servers: whether they answer, and what they have loaded.
//!
//! Ollama says what is in memory at `/api/ps`. Servers with the API of OpenAI list models; for those
//! that serve a model of one's own, that is what is loaded. No model is ever called.

use std::time::Duration;

use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Value;
use timmy_core::Redactor;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::call::Call;
use timmy_model::call::Caller;
use tokio::task::JoinSet;
use url::Url;

use super::name;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Models of one server that are told, at most.
const MOST: usize = 64;

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelServer {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Whether it answers.
    pub state: ServerState,
    /// What it has loaded; none when it does not say.
    pub loaded: Option<Vec<Loaded>>,
}

/// Whether a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// It does.
    Answers,
    /// It does not, or not as it should.
    Fails,
    /// It does not take the key.
    Refused,
}

impl ServerState {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Fails => "fails",
            Self::Refused => "refused",
        }
    }
}

/// A loaded model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its name, cleaned and bounded.
    pub model: String,
    /// Bytes of graphics memory it takes, where the server says so.
    pub vram: Option<u64>,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Ollama: what is in memory.
    Running,
    /// A server of models of one's own: what it lists is loaded.
    Served,
    /// A service for many: only whether it answers.
    Standing,
}

/// Asks every provider that is a server, all at once.
pub async fn read(providers: &[ProviderSettings], redactor: &Redactor) -> Vec<ModelServer> {
    let mut asked = JoinSet::new();
    for (place, provider) in providers.iter().enumerate() {
        let Some((url, path, question)) = server(provider) else {
            continue;
        };
        let (provider, redactor) = (provider.clone(), redactor.clone());
        asked.spawn(async move {
            let (state, loaded) = ask(&provider, &url, path, question, &redactor).await;
            let server = ModelServer {
                provider: provider.name,
                state,
                loaded,
            };
            (place, server)
        });
    }
    let mut servers = Vec::new();
    while let Some(answer) = asked.join_next().await {
        servers.extend(answer);
    }
    servers.sort_by_key(|(place, _)| *place);
    servers.into_iter().map(|(_, server)| server).collect()
}

/// Where and what to ask.
fn server(provider: &ProviderSettings) -> Option<(Url, &'static str, Question)> {
    let url = provider.server_url()?;
    match provider.kind {
        ProviderKind::Ollama => Some((url, "api/ps", Question::Running)),
        ProviderKind::OllamaV1 => Some((without_v1(url), "api/ps", Question::Running)),
        ProviderKind::Vllm | ProviderKind::LlamaServer | ProviderKind::Generic => {
            Some((url, "models", Question::Served))
        }
        ProviderKind::Openai | ProviderKind::Nous | ProviderKind::HermesGateway => {
            Some((url, "models", Question::Standing))
        }
        ProviderKind::HermesCli | ProviderKind::HermesImport | ProviderKind::Replay => None,
    }
}

fn without_v1(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    url
}

async fn ask(
    provider: &ProviderSettings,
    url: &Url,
    path: &str,
    question: Question,
    redactor: &Redactor,
) -> (ServerState, Option<Vec<Loaded>>) {
    let Ok(caller) = Caller::new(url, PATIENCE) else {
        return (ServerState::Fails, None);
    };
    let mut call = Call::get(path);
    match provider.resolve_key() {
        Ok(Some(key)) => {
            let value = format!("Bearer {}", key.expose_secret());
            call = call.with(AUTHORIZATION, SecretString::from(value));
        }
        Ok(None) => {}
        // A key that cannot be read is refused before anybody is asked.
        Err(_) => return (ServerState::Refused, None),
    }
    let Ok(answer) = caller.call(call).await else {
        return (ServerState::Fails, None);
    };
    if [401, 403].contains(&answer.status) {
        return (ServerState::Refused, None);
    }
    if !answer.is_success() {
        return (ServerState::Fails, None);
    }
    match question {
        Question::Standing => (ServerState::Answers, None),
        Question::Running | Question::Served => match loaded(&answer.body, redactor) {
            Some(loaded) => (ServerState::Answers, Some(loaded)),
            None => (ServerState::Fails, None),
        },
    }
}

/// The models of an answer: `models` at Ollama, `data` elsewhere. None when it is no such list.
fn loaded(body: &[u8], redactor: &Redactor) -> Option<Vec<Loaded>> {
    // llama-server gives both lists, Ollama both names.
    let value: Value = serde_json::from_slice(body).ok()?;
    let list = value.get("data").or_else(|| value.get("models"))?;
    let models = match list {
        Value::Null => Vec::new(),
        list => list.as_array()?.clone(),
    };
    let model = |model: Value| {
        let named = model.get("id").or_else(|| model.get("name"));
        let named = named.or_else(|| model.get("model"))?.as_str()?;
        let vram = model.get("size_vram").and_then(Value::as_u64);
        let model = name(named, redactor);
        (!model.is_empty()).then_some(Loaded { model, vram })
    };
    let mut loaded: Vec<Loaded> = models.into_iter().filter_map(model).collect();
    loaded.sort_by(|one, other| one.model.cmp(&other.model));
    loaded.dedup_by(|one, other| one.model == other.model);
    loaded.truncate(MOST);
    Some(loaded)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;
    use timmy_loopback::Handler;
    use timmy_loopback::Reply;
    use timmy_loopback::Request;
    use timmy_loopback::Server;

    use super::*;

    struct Stub;

    impl Handler for Stub {
        async fn handle(&self, request: Request) -> Reply {
            let keyed = request.headers().get(AUTHORIZATION);
            match (request.uri().path(), keyed) {
                ("/api/ps", _) => Reply::json(
                    StatusCode::OK,
                    r#"{"models":[{"name":"qwen3:8b","model":"qwen3:8b","size_vram":6442450944}]}"#,
                ),
                ("/v1/models", Some(key)) if key == "Bearer open-sesame" => Reply::json(
                    StatusCode::OK,
                    r#"{"object":"list","data":[{"id":"b"},{"id":"a"}]}"#,
                ),
                ("/v1/models", _) => Reply::empty(StatusCode::UNAUTHORIZED),
                _ => Reply::json(StatusCode::OK, "<html>"),
            }
        }
    }

    #[tokio::test]
    async fn servers_say_what_they_have_loaded() {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server::start(Stub).await.unwrap();
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("key");
        std::fs::write(&key, "open-sesame\n").unwrap();
        let at = |name: &str, kind, path: &str| {
            let base_url = format!("{}{path}", server.url()).parse().ok();
            ProviderSettings {
                base_url,
                ..ProviderSettings::new(name, kind)
            }
        };
        let keyed = |provider| ProviderSettings {
            key: Some(timmy_model::SecretReference::File(key.clone())),
            ..provider
        };
        let providers = [
            at("ollama", ProviderKind::Ollama, ""),
            at("ollama-v1", ProviderKind::OllamaV1, "/v1"),
            keyed(at("vllm", ProviderKind::Vllm, "/v1")),
            at("no key", ProviderKind::Vllm, "/v1"),
            keyed(at("nous", ProviderKind::Nous, "/v1")),
            at("other", ProviderKind::Generic, "/other"),
            ProviderSettings::replay("tape"),
        ];
        let servers = read(&providers, &Redactor::default()).await;
        let told: Vec<String> = servers
            .iter()
            .map(|server| {
                let loaded = server.loaded.as_ref().map(|loaded| {
                    let names = loaded.iter().map(|one| match one.vram {
                        Some(vram) => format!("{} {vram}", one.model),
                        None => one.model.clone(),
                    });
                    names.collect::<Vec<_>>().join(", ")
                });
                format!("{} {} {loaded:?}", server.provider, server.state.word())
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        ollama answers Some("qwen3:8b 6442450944")
        ollama-v1 answers Some("qwen3:8b 6442450944")
        vllm answers Some("a, b")
        no key refused None
        nous answers None
        other fails None
        "#);
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(body in proptest::collection::vec(any::<u8>(), 0..200), id in any::<String>()) {
            loaded(&body, &Redactor::default());
            let list = serde_json::json!({"data": [{"id": id}, 7, {}]});
            prop_assert!(loaded(list.to_string().as_bytes(), &Redactor::default()).is_some());
        }
    }
}
