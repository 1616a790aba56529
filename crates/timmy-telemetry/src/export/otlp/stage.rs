//! A log, a collector that keeps what it gets, and the events of a run.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use http::HeaderValue;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tempfile::TempDir;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use timmy_model::SecretReference;
use timmy_testkit::ManualClock;

use super::*;

pub(super) const RUN: &str = "01890000-0000-7000-8000-0000000000aa";
pub(super) const SECRET: &str = "bearer-of-the-collector";

/// A collector that keeps what it gets, and answers as it is told.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) requests: Mutex<Vec<Request>>,
    pub(super) answers: Mutex<VecDeque<http::Response<Vec<u8>>>>,
}

#[derive(Clone)]
pub(super) struct Receiver(pub(super) Arc<Kept>);

impl Handler for Receiver {
    async fn handle(&self, request: Request) -> Reply {
        self.0.requests.lock().unwrap().push(request);
        let answer = self.0.answers.lock().unwrap().pop_front();
        Reply::Whole(answer.unwrap_or_default().map(Into::into))
    }
}

impl Kept {
    pub(super) fn take(&self, path: &str) -> Vec<Vec<u8>> {
        let mut requests = self.requests.lock().unwrap();
        let (taken, left) = std::mem::take(&mut *requests)
            .into_iter()
            .partition(|request| request.uri().path() == path);
        *requests = left;
        let taken: Vec<Request> = taken;
        taken
            .into_iter()
            .map(|one| one.into_body().into())
            .collect()
    }

    /// The spans of each request.
    pub(super) fn spans(&self) -> Vec<Vec<Span>> {
        let requests = self.take("/v1/traces").into_iter();
        let decoded = requests.map(|body| {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let [of_resource] = request.resource_spans.as_slice() else {
                panic!("one resource");
            };
            of_resource.scope_spans[0].spans.clone()
        });
        decoded.collect()
    }

    pub(super) fn answer(&self, status: u16, header: Option<&'static str>, body: Vec<u8>) {
        let mut answer = http::Response::new(body);
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(seconds) = header {
            let name = http::header::RETRY_AFTER;
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(seconds));
        }
        self.answers.lock().unwrap().push_back(answer);
    }
}

/// A log, a collector, and what is between them.
pub(super) struct Stage {
    pub(super) root: TempDir,
    pub(super) store: Store,
    pub(super) clock: Arc<ManualClock>,
    pub(super) kept: Arc<Kept>,
    pub(super) server: Server,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let kept = Arc::new(Kept::default());
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(root.path(), private).unwrap();
        Self {
            store: Store::open(root.path()).await.unwrap(),
            root,
            clock: Arc::new(ManualClock::default()),
            server: Server::start(Receiver(Arc::clone(&kept))).await.unwrap(),
            kept,
        }
    }

    pub(super) fn settings(&self) -> ExportSettings {
        let key = self.root.path().join("key");
        std::fs::write(&key, SECRET).unwrap();
        ExportSettings {
            otlp: Some(self.server.url().parse().unwrap()),
            headers: BTreeMap::from([("x-key".to_owned(), SecretReference::File(key))]),
            ..ExportSettings::default()
        }
    }

    pub(super) fn exporter(&self, settings: &ExportSettings) -> Exporter {
        let models = BTreeMap::from([("scripted".to_owned(), "asked".to_owned())]);
        let dir = self.root.path().join("telemetry");
        let clock = Arc::clone(&self.clock);
        let exporter = Exporter::new(settings, models, &self.store, &dir, clock).unwrap();
        exporter.unwrap()
    }

    pub(super) async fn tick(&self) -> Result<Sent, ExportError> {
        self.exporter(&self.settings()).tick().await
    }

    pub(super) async fn say(&self, run: &RunId, kind: EventKind) {
        self.clock.advance(Duration::from_secs(1));
        let log = self.store.log(Arc::clone(&self.clock) as Arc<dyn Clock>);
        log.append(Some(run), kind).await.unwrap();
    }

    pub(super) async fn run(&self, run: &str, kinds: Vec<EventKind>) {
        let run = run.parse().unwrap();
        for kind in kinds {
            self.say(&run, kind).await;
        }
    }
}

pub(super) fn started() -> EventKind {
    EventKind::RunStarted {
        repo: "a/b".parse().unwrap(),
        issue: 7,
        title: "hostile title".to_owned(),
        provider: "scripted".to_owned(),
        provenance: Provenance::Live,
        sandbox: SandboxLevel::L2,
        fingerprint: None,
        answers: None,
    }
}

pub(super) fn reserved(call: u32) -> EventKind {
    EventKind::ModelCallReserved {
        call,
        provider: "scripted".to_owned(),
        reserved: Usage::default(),
    }
}

pub(super) fn settled(call: u32) -> EventKind {
    EventKind::ModelCallSettled {
        call,
        provider: "scripted".to_owned(),
        model: "answered".to_owned(),
        usage: Usage {
            input_tokens: 100,
            output_tokens: 10,
            cost: MicroUsd(5),
        },
        measured: true,
        duration_ms: 900,
    }
}

pub(super) fn failed(call: u32) -> EventKind {
    EventKind::ModelCallFailed {
        call,
        provider: "scripted".to_owned(),
        code: Code::new(604),
        what: "words of a server".to_owned(),
        answer: "a retry".to_owned(),
    }
}

pub(super) fn called(step: u32) -> EventKind {
    EventKind::ToolCalled {
        step,
        tool: "run_command".to_owned(),
        arguments: "secret arguments".to_owned(),
    }
}

pub(super) fn finished(step: u32, ok: bool) -> EventKind {
    EventKind::ToolFinished {
        step,
        tool: "run_command".to_owned(),
        ok,
        duration_ms: 5,
        result: "secret result".to_owned(),
    }
}

pub(super) fn checked() -> EventKind {
    let object: timmy_core::ObjectName = "a".repeat(40).parse().unwrap();
    EventKind::CheckFinished {
        receipt: Receipt {
            command: "sh test.sh".to_owned(),
            exit_code: Some(1),
            tree: object.clone(),
            commit: object,
            duration_ms: 400,
            output_tail: "secret output".to_owned(),
            sandbox: SandboxLevel::L2,
            output_sha256: String::new(),
        },
    }
}

pub(super) fn ended(outcome: Outcome) -> EventKind {
    EventKind::RunEnded {
        outcome,
        duration_ms: 9_000,
    }
}

pub(super) fn whole() -> Vec<EventKind> {
    vec![
        started(),
        reserved(1),
        failed(1),
        reserved(1),
        settled(1),
        called(1),
        finished(1, false),
        called(2),
        reserved(2),
        checked(),
        EventKind::BranchPushed {
            branch: "timmy/7".to_owned(),
            commit: "b".repeat(40).parse().unwrap(),
        },
        ended(Outcome::Draft { number: 3 }),
    ]
}
