//! What the tests have in common.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use timmy_core::EventKind;
use timmy_core::RunId;
use timmy_model::Answer;
use timmy_model::ChatModel;
use timmy_model::ChatRequest;
use timmy_model::Message;
use timmy_model::ModelError;
use timmy_model::Patience;
use timmy_model::Provider;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::Recorder;
use timmy_model::RouteError;
use timmy_model::Router;
use timmy_model::Surroundings;
use timmy_model::ToolSpec;
use timmy_store::Account;
use timmy_store::SpendLimits;
use timmy_store::Spending;
use timmy_store::Store;
use timmy_testkit::EventList;
use timmy_testkit::ManualClock;

pub(crate) fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest {
        messages,
        tools: vec![ToolSpec {
            name: "run_command".to_owned(),
            description: "Runs a command.".to_owned(),
            parameters: json!({"type": "object",
                "properties": {"command": {"type": "string"}}, "required": ["command"]}),
        }],
        max_output_tokens: 1_000,
    }
}

pub(crate) fn question() -> ChatRequest {
    request(vec![
        Message::System("You are careful.".to_owned()),
        Message::User("Mend the test.".to_owned()),
    ])
}

pub(crate) fn settings(name: &str, kind: ProviderKind, base: &str) -> ProviderSettings {
    ProviderSettings {
        base_url: Some(base.parse().unwrap()),
        model: Some("m".to_owned()),
        ..ProviderSettings::new(name, kind)
    }
}

pub(crate) async fn opened(settings: &ProviderSettings) -> Result<Provider, ModelError> {
    opened_in(settings, Path::new("/nonexistent"), None).await
}

pub(crate) async fn opened_in(
    settings: &ProviderSettings,
    private: &Path,
    recorder: Option<Arc<Recorder>>,
) -> Result<Provider, ModelError> {
    let surroundings = Surroundings {
        private: private.to_owned(),
        recorder,
        clock: Arc::new(ManualClock::default()),
    };
    let mut opened = timmy_model::open(std::slice::from_ref(settings), &surroundings).await?;
    Ok(opened.providers.remove(0))
}

pub(crate) async fn model(settings: &ProviderSettings) -> Arc<dyn ChatModel> {
    opened(settings).await.unwrap().model
}

/// A router with everything around it.
pub(crate) struct Desk {
    pub(crate) router: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) events: EventList,
    pub(crate) spending: Spending,
    pub(crate) run: RunId,
    _home: tempfile::TempDir,
}

impl Desk {
    /// A router that does not wait between tries.
    pub(crate) async fn new(settings: &[ProviderSettings], limits: SpendLimits) -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let store = Store::open(&home.path().join("timmy")).await.unwrap();
        let surroundings = Surroundings {
            private: home.path().join("private"),
            recorder: None,
            clock: clock.clone(),
        };
        let opened = timmy_model::open(settings, &surroundings).await.unwrap();
        let spending = store.spending(clock.clone());
        let patience = Patience {
            first_wait: std::time::Duration::ZERO,
            ..Patience::default()
        };
        let router = Router::new(opened.providers, limits, spending.clone(), clock.clone())
            .with_patience(patience);
        Self {
            router,
            clock,
            events: EventList::default(),
            spending,
            run: RunId::generate(),
            _home: home,
        }
    }

    pub(crate) async fn ask(&self, call: u32) -> Result<Answer, RouteError> {
        let account = Account {
            run: self.run.clone(),
            issue: None,
        };
        self.router
            .call(&account, call, &question(), &self.events)
            .await
    }

    /// Each event in a few words.
    pub(crate) fn told(&self) -> Vec<String> {
        let events = self.events.kinds().into_iter();
        events
            .map(|event| match event {
                EventKind::ModelCallReserved { provider, .. } => format!("reserved {provider}"),
                EventKind::ModelCallSettled {
                    provider, measured, ..
                } => {
                    format!("settled {provider} measured={measured}")
                }
                EventKind::ModelCallFailed {
                    provider,
                    code,
                    answer,
                    ..
                } => {
                    format!("failed {provider} {code}: {answer}")
                }
                EventKind::Warned { problem } => format!("warned {}", problem.code),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

pub(crate) fn run_command(command: &str) -> (String, Value) {
    ("run_command".to_owned(), json!({"command": command}))
}
