//! From settings to providers.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use timmy_core::Clock;

use crate::chat::ChatModel;
use crate::error::ModelError;
use crate::hermes::command::HermesCommand;
use crate::hermes::gateway::HermesGateway;
use crate::hermes::import;
use crate::hermes::import::Imported;
use crate::recording::Recorder;
use crate::replay::Replay;
use crate::router::Provider;
use crate::server::ModelAtServer;
use crate::settings::ProviderKind;
use crate::settings::ProviderSettings;

/// What providers need from the program around them.
#[derive(Clone)]
pub struct Surroundings {
    /// A directory of ours for files that live as long as a call.
    pub private: PathBuf,
    /// Where exchanges are recorded, if they are.
    pub recorder: Option<Arc<Recorder>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Providers that are ready to be asked.
#[derive(Default)]
pub struct Opened {
    /// In the order of the settings.
    pub providers: Vec<Provider>,
    /// Every key, for the redactor of the program. The recorder knows them already.
    pub secrets: Vec<SecretString>,
    /// Providers that cannot be used, beside others that can.
    pub left_out: Vec<ModelError>,
}

/// Opens every provider. Nothing is asked yet.
///
/// # Errors
/// The first error, when no provider can be used.
pub async fn open(
    settings: &[ProviderSettings],
    surroundings: &Surroundings,
) -> Result<Opened, ModelError> {
    let mut opened = Opened::default();
    for settings in settings {
        match expand(settings, surroundings) {
            Ok(imported) => {
                for imported in imported {
                    add(&mut opened, imported, surroundings).await;
                }
            }
            Err(error) => opened.left_out.push(error),
        }
    }
    if opened.providers.is_empty() && !opened.left_out.is_empty() {
        return Err(opened.left_out.swap_remove(0));
    }
    Ok(opened)
}

fn expand(
    settings: &ProviderSettings,
    surroundings: &Surroundings,
) -> Result<Vec<Imported>, ModelError> {
    if settings.kind == ProviderKind::HermesImport {
        return import::import(settings, &*surroundings.clock);
    }
    let key = settings.resolve_key()?;
    let settings = settings.clone();
    Ok(vec![Imported { settings, key }])
}

async fn add(opened: &mut Opened, imported: Imported, surroundings: &Surroundings) {
    if let Some(key) = &imported.key {
        opened.secrets.push(key.clone());
        if let Some(recorder) = &surroundings.recorder {
            recorder.learn(key);
        }
    }
    let (input, output) = (
        imported.settings.price_input.0,
        imported.settings.price_output.0,
    );
    match model(imported, surroundings).await {
        Ok(model) => opened.providers.push(Provider {
            model,
            price_input: input,
            price_output: output,
        }),
        Err(error) => opened.left_out.push(error),
    }
}

async fn model(
    imported: Imported,
    surroundings: &Surroundings,
) -> Result<Arc<dyn ChatModel>, ModelError> {
    let Imported { settings, key } = imported;
    let recorder = surroundings.recorder.clone();
    let clock = Arc::clone(&surroundings.clock);
    Ok(match settings.kind {
        ProviderKind::Replay => Arc::new(Replay::open(&settings, recorder, clock).await?),
        ProviderKind::HermesGateway => {
            Arc::new(HermesGateway::open(&settings, key, recorder, clock)?)
        }
        ProviderKind::HermesCli => {
            let private = &surroundings.private;
            Arc::new(HermesCommand::new(&settings, private, recorder, clock))
        }
        ProviderKind::HermesImport
        | ProviderKind::Openai
        | ProviderKind::Ollama
        | ProviderKind::OllamaV1
        | ProviderKind::Vllm
        | ProviderKind::LlamaServer
        | ProviderKind::Nous
        | ProviderKind::Generic => Arc::new(ModelAtServer::open(&settings, key, recorder, clock)?),
    })
}
