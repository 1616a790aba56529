//! Figures and traces of a real run, as other programs get them.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::json;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpStream;

use crate::home::Home;
use crate::home::mender;
use crate::home::provider;

/// A collector that takes everything.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Request>>>);

impl Handler for Collector {
    async fn handle(&self, request: Request) -> Reply {
        self.0.lock().unwrap().push(request);
        Reply::empty(http::StatusCode::OK)
    }
}

impl Collector {
    fn taken(&self, path: &str) -> Vec<Request> {
        let taken = self.0.lock().unwrap();
        let of_path = taken.iter().filter(|request| request.uri().path() == path);
        of_path.cloned().collect()
    }

    /// The names of the spans of each request, in order.
    fn spans(&self) -> Vec<Vec<String>> {
        let requests = self.taken("/v1/traces").into_iter();
        let names = requests.map(|request| {
            let request = ExportTraceServiceRequest::decode(request.into_body()).unwrap();
            let scopes = &request.resource_spans[0].scope_spans;
            scopes[0]
                .spans
                .iter()
                .map(|span| span.name.clone())
                .collect()
        });
        names.collect()
    }
}

/// A home whose one issue was worked on.
async fn worked() -> Home {
    let home = Home::with_project().await;
    let model = mender().await;
    home.configure_small(&provider("openai", &model.base_url()));
    home.run(&["sprint"]).await.well();
    home
}

#[tokio::test]
async fn a_run_reaches_a_collector_once() {
    let home = worked().await;
    let collector = Collector::default();
    let server = Server::start(collector.clone()).await.unwrap();
    let key = home.beside("key");
    std::fs::write(&key, "a-key-for-the-collector").unwrap();
    home.configure_small(&format!(
        "[export]\notlp = \"{}\"\n[export.headers]\nx-key = {{ file = \"{}\" }}\n",
        server.url(),
        key.display()
    ));
    let sent = home.json(&["telemetry", "export"]).await.well().json();
    assert_eq!((&json!(1), &json!(true)), (&sent["runs"], &sent["figures"]));
    let spans = collector.spans();
    assert_eq!("invoke_agent timmy", spans[0][0]);
    for name in [
        "execute_tool write_file",
        "execute_tool finish",
        "check",
        "push",
    ] {
        assert!(
            spans[0].iter().any(|span| span == name),
            "{name}: {spans:?}"
        );
    }
    let chats = spans[0]
        .iter()
        .filter(|name| name.starts_with("chat"))
        .count();
    assert_eq!(3, chats);
    let figures = collector.taken("/v1/metrics").pop().unwrap();
    assert_eq!("a-key-for-the-collector", figures.headers()["x-key"]);
    let figures = ExportMetricsServiceRequest::decode(figures.into_body()).unwrap();
    let metrics = &figures.resource_metrics[0].scope_metrics[0].metrics;
    assert!(
        metrics
            .iter()
            .any(|metric| metric.name == "gen_ai.client.token.usage")
    );
    let again = home.json(&["telemetry", "export"]).await.well().json();
    assert_eq!(json!(0), again["spans"]);
    assert_eq!(1, collector.taken("/v1/traces").len());
    drop(server);
    let away = home.json(&["telemetry", "export"]).await.refusal();
    assert_eq!((69, "TIMMY-1052".to_owned()), away);
}

#[tokio::test]
async fn a_scrape_tells_of_the_run() {
    let home = worked().await;
    let mut serving = home
        .command(&["telemetry", "serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let (address, path) = address.split_once('/').unwrap();
    assert_eq!("metrics", path);
    let text = get(address, "/metrics").await;
    assert!(text.contains("text/plain; version=0.0.4"), "{text}");
    for line in [
        "timmy_runs_total{outcome=\"pull_request\"} 1",
        "timmy_runs_running 0",
        "timmy_tool_calls_total{tool=\"write_file\",ok=\"true\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    home.issue("Another", "").await;
    let again = get(address, "/metrics").await;
    assert!(again.contains("timmy_runs_total"), "{again}");
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn nothing_is_exported_unless_it_is_configured() {
    let home = Home::with_project().await;
    for command in ["export", "serve"] {
        let refused = home.json(&["telemetry", command]).await.refusal();
        assert_eq!((78, "TIMMY-0105".to_owned()), refused);
    }
    let facing = ["telemetry", "serve", "--listen", "0.0.0.0:0"];
    let refused = home.json(&facing).await.refusal();
    assert_eq!((78, "TIMMY-1050".to_owned()), refused);
    home.configure_small("[export]\notlp = \"ftp://collector\"\n");
    let refused = home.json(&["telemetry", "export"]).await.refusal();
    assert_eq!((78, "TIMMY-1051".to_owned()), refused);
}

#[tokio::test]
async fn a_loop_sends_and_answers_beside_its_work() {
    let home = Home::with_project().await;
    let model = mender().await;
    let collector = Collector::default();
    let server = Server::start(collector.clone()).await.unwrap();
    let settings = format!(
        "{}[export]\nprometheus = \"127.0.0.1:0\"\notlp = \"{}\"\n",
        provider("openai", &model.base_url()),
        server.url()
    );
    home.configure_small(&settings);
    home.run(&["loop", "--until-idle"]).await.well();
    let spans = collector.spans().concat();
    let roots = spans.iter().filter(|name| *name == "invoke_agent timmy");
    assert_eq!(1, roots.count());
    assert!(!collector.taken("/v1/metrics").is_empty());
}
