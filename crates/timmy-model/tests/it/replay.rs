use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use timmy_core::Redactor;
use timmy_core::receipt::Provenance;
use timmy_model::Message;
use timmy_model::ModelError;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::Recorder;
use timmy_model::Reply;
use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

use crate::parts;
use crate::parts::Desk;

fn script() -> Vec<Turn> {
    vec![
        Turn::call("run_command", json!({"command": "ls"})).with_reasoning("hm"),
        Turn::fault(Fault::RateLimited { retry_after_s: 0 }),
        Turn::fault(Fault::CutStream {
            text: "this breaks off".to_owned(),
        }),
        Turn::say("done"),
    ]
}

type Outcomes = Vec<Result<Reply, u16>>;

async fn record(path: &Path, kind: ProviderKind) -> Outcomes {
    let server = ModelServer::start(script()).await;
    let base = match kind {
        ProviderKind::Ollama => server.root_url(),
        _ => server.base_url(),
    };
    let recorder = Arc::new(Recorder::create(path, Redactor::default()).unwrap());
    let settings = parts::settings("p", kind, &base);
    let provider = parts::opened_in(&settings, path, Some(recorder))
        .await
        .unwrap();
    ask_four(&*provider.model).await
}

async fn ask_four(model: &dyn timmy_model::ChatModel) -> Outcomes {
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let outcome = model.chat(&parts::question()).await;
        outcomes.push(outcome.map_err(|error| match error {
            ModelError::Transient { .. } => 602,
            ModelError::CutOff(_) => 618,
            other => panic!("{other}"),
        }));
    }
    outcomes
}

#[tokio::test]
async fn what_was_recorded_is_played_back_in_every_wire_format() {
    for kind in [
        ProviderKind::Generic,
        ProviderKind::Openai,
        ProviderKind::Ollama,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.jsonl");
        let recorded = record(&path, kind).await;
        let replay = parts::opened(&ProviderSettings::replay(&path))
            .await
            .unwrap()
            .model;
        assert_eq!(Provenance::Replayed, replay.provenance());
        assert_eq!(recorded, ask_four(&*replay).await, "{kind:?}");
        let error = replay.chat(&parts::question()).await.unwrap_err();
        assert!(matches!(error, ModelError::RecordingUsedUp(_)), "{error}");
    }
}

#[tokio::test]
async fn a_run_that_differs_from_its_recording_is_served_and_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.jsonl");
    record(&path, ProviderKind::Generic).await;
    let replay = parts::opened(&ProviderSettings::replay(&path))
        .await
        .unwrap()
        .model;
    let mut request = parts::question();
    request
        .messages
        .push(Message::User("And one more thing.".to_owned()));
    let reply = replay.chat(&request).await.unwrap();
    let warning = "the recorded request had 2 messages, this one 3".to_owned();
    assert_eq!((1, vec![warning]), (reply.calls.len(), reply.warnings));
}

#[tokio::test]
async fn the_warning_reaches_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.jsonl");
    record(&path, ProviderKind::Generic).await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("run_command", "run_other", 1)).unwrap();
    let desk = Desk::new(&[ProviderSettings::replay(&path)], Default::default()).await;
    desk.ask(1).await.unwrap();
    let expected = [
        "reserved replay",
        "settled replay measured=true",
        "warned TIMMY-0620",
    ];
    assert_eq!(expected.to_vec(), desk.told());
    assert_eq!(Provenance::Replayed, desk.router.provenance());
}

#[tokio::test]
async fn a_recording_is_checked_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.jsonl");
    let settings = ProviderSettings::replay(&path);
    let missing = parts::opened(&settings).await.err();
    assert!(
        matches!(missing, Some(ModelError::RecordingFile(_))),
        "{missing:?}"
    );
    std::fs::write(&path, "{\"timmy_recording\": 1}\n").unwrap();
    let damaged = parts::opened(&settings).await.err();
    assert!(
        matches!(damaged, Some(ModelError::RecordingDamaged(_))),
        "{damaged:?}"
    );
    std::fs::write(&path, "{\"timmy_recording\": 99}\n").unwrap();
    let newer = parts::opened(&settings).await.err();
    assert!(
        matches!(newer, Some(ModelError::RecordingTooNew(_))),
        "{newer:?}"
    );
}
