use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;
use prost::Message;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::event::SCHEMA_VERSION;
use timmy_loopback::Server;

use super::stage::*;
use super::*;

fn value(attribute: &KeyValue) -> serde_json::Value {
    match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.as_str().into(),
        Value::IntValue(number) => (*number).into(),
        Value::BoolValue(truth) => (*truth).into(),
        other => panic!("{other:?}"),
    }
}

/// A span with its times as seconds after 2026 began.
fn shown(span: &Span) -> serde_json::Value {
    const START: u64 = 1_767_225_600_000_000_000;
    let seconds = |time: u64| (time - START) / 1_000_000;
    let attributes: serde_json::Map<String, serde_json::Value> = span
        .attributes
        .iter()
        .map(|one| (one.key.clone(), value(one)))
        .collect();
    serde_json::json!({
        "name": span.name,
        "trace": timmy_core::text::hexadecimal(&span.trace_id),
        "id": timmy_core::text::hexadecimal(&span.span_id),
        "parent": timmy_core::text::hexadecimal(&span.parent_span_id),
        "kind": span.kind,
        "from_ms": seconds(span.start_time_unix_nano),
        "to_ms": seconds(span.end_time_unix_nano),
        "attributes": attributes,
        "status": span.status.as_ref().map(|status| (status.code, status.message.clone())),
    })
}

#[tokio::test]
async fn a_run_is_one_trace() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    let sent = stage.tick().await.unwrap();
    assert_eq!((1, 8, true), (sent.runs, sent.spans, sent.figures));
    {
        let requests = stage.kept.requests.lock().unwrap();
        for request in requests.iter() {
            let header = |name: &str| request.headers()[name].to_str().unwrap();
            assert_eq!("application/x-protobuf", header("content-type"));
            assert_eq!(SECRET, header("x-key"));
        }
    }
    let spans = stage.kept.spans();
    let shown: Vec<serde_json::Value> = spans[0].iter().map(shown).collect();
    let text = serde_json::to_string(&shown).unwrap();
    assert!(
        !text.contains("secret") && !text.contains("words"),
        "{text}"
    );
    insta::assert_json_snapshot!(shown);
    // What was sent is not sent again, and nothing says that it is the second time.
    let again = stage.tick().await.unwrap();
    assert_eq!((0, 0), (again.runs, again.spans));
    std::fs::remove_file(stage.root.path().join("telemetry/otlp.json")).unwrap();
    stage.tick().await.unwrap();
    assert_eq!(spans, stage.kept.spans());
}

#[tokio::test]
async fn texts_are_told_only_where_that_is_wanted() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    let settings = ExportSettings {
        content: true,
        ..stage.settings()
    };
    stage.exporter(&settings).tick().await.unwrap();
    let spans = stage.kept.spans().concat();
    let told = |name: &str| {
        let of = |span: &Span| {
            span.attributes
                .iter()
                .find(|one| one.key == name)
                .map(value)
        };
        spans.iter().find_map(of)
    };
    assert_eq!(
        Some("secret arguments".into()),
        told("gen_ai.tool.call.arguments")
    );
    assert_eq!(
        Some("secret result".into()),
        told("gen_ai.tool.call.result")
    );
}

#[tokio::test]
async fn a_collector_that_asks_for_patience_gets_it() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    stage.kept.answer(503, Some("90"), Vec::new());
    for _ in 0..2 {
        let error = stage.tick().await.unwrap_err();
        assert!(
            matches!(error, ExportError::Busy { seconds: 90 }),
            "{error:?}"
        );
    }
    assert_eq!(1, stage.kept.spans().len());
    stage.clock.advance(Duration::from_secs(91));
    assert_eq!(1, stage.tick().await.unwrap().runs);
}

#[tokio::test]
async fn a_collector_that_is_away_gets_everything_later() {
    let mut stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    let settings = stage.settings();
    let address = stage.server.address();
    stage.server = Server::start(Receiver(Arc::default())).await.unwrap();
    let error = stage.exporter(&settings).tick().await.unwrap_err();
    assert_eq!(Code::new(1052), error.problem().code, "{error:?} {address}");
    stage.server = Server::start(Receiver(Arc::clone(&stage.kept)))
        .await
        .unwrap();
    assert_eq!(1, stage.tick().await.unwrap().runs);
}

#[tokio::test]
async fn what_is_refused_is_not_repeated_and_who_is_refused_tries_again() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    stage
        .kept
        .answer(401, None, format!("no {SECRET}").into_bytes());
    let error = stage.tick().await.unwrap_err();
    let problem = error.problem();
    assert_eq!(Code::new(1054), problem.code);
    assert!(!problem.to_string().contains(SECRET), "{problem}");
    let partly = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "two are\u{1b}[2J bad".to_owned(),
        }),
    };
    stage.kept.answer(200, None, partly.encode_to_vec());
    let sent = stage.tick().await.unwrap();
    assert_eq!(
        (1, 2, Some("two are bad")),
        (sent.runs, sent.rejected, sent.said.as_deref())
    );
    stage
        .run("01890000-0000-7000-8000-0000000000bb", whole())
        .await;
    stage.kept.answer(400, None, Vec::new());
    assert_eq!(8, stage.tick().await.unwrap().rejected);
    stage.kept.take("/v1/traces");
    stage.tick().await.unwrap();
    assert_eq!(0, stage.kept.spans().len());
}

#[tokio::test]
async fn a_long_run_is_sent_in_parts() {
    let stage = Stage::new().await;
    let steps = (0..600).flat_map(|step| [called(step), finished(step, true)]);
    let end = ended(Outcome::NoChange);
    let kinds = [started()].into_iter().chain(steps).chain([end]);
    stage.run(RUN, kinds.collect()).await;
    assert_eq!(601, stage.tick().await.unwrap().spans);
    let lengths: Vec<usize> = stage.kept.spans().iter().map(Vec::len).collect();
    assert_eq!([SPANS, 601 - SPANS], *lengths);
}

#[tokio::test]
async fn old_runs_and_unfinished_ones_are_left_out() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    stage.clock.advance(Duration::from_secs(8 * 86_400));
    let second = "01890000-0000-7000-8000-0000000000bb";
    stage.run(second, vec![started(), reserved(1)]).await;
    let sent = stage.tick().await.unwrap();
    assert_eq!((0, 1), (sent.runs, sent.too_old));
    stage.run(second, vec![ended(Outcome::Abandoned)]).await;
    assert_eq!(1, stage.tick().await.unwrap().runs);
}

#[tokio::test]
async fn a_damaged_cursor_is_told_and_another_log_begins_anew() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    stage.tick().await.unwrap();
    let path = stage.root.path().join("telemetry/otlp.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let later = text.replacen(r#""traces":12"#, r#""traces":1200"#, 1);
    assert_ne!(text, later);
    std::fs::write(&path, later).unwrap();
    assert_eq!(1, stage.tick().await.unwrap().runs);
    std::fs::write(&path, &text[..20]).unwrap();
    let error = stage.tick().await.unwrap_err();
    assert_eq!(Code::new(1055), error.problem().code);
}

#[tokio::test]
async fn figures_are_sums_since_the_first_event() {
    let stage = Stage::new().await;
    stage.run(RUN, whole()).await;
    stage.tick().await.unwrap();
    stage.kept.take("/v1/metrics");
    stage
        .run("01890000-0000-7000-8000-0000000000bb", whole())
        .await;
    stage.tick().await.unwrap();
    let bodies = stage.kept.take("/v1/metrics");
    let request = ExportMetricsServiceRequest::decode(bodies[0].as_slice()).unwrap();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let data = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name);
        metric.unwrap().data.clone().unwrap()
    };
    let Data::Sum(runs) = data("timmy.runs") else {
        panic!("a sum");
    };
    assert!(runs.is_monotonic);
    assert_eq!(2, runs.aggregation_temporality);
    let [point] = runs.data_points.as_slice() else {
        panic!("one outcome");
    };
    assert!(point.start_time_unix_nano < point.time_unix_nano);
    assert_eq!(Some(2.0), number(point));
    let Data::Histogram(tokens) = data("gen_ai.client.token.usage") else {
        panic!("a histogram");
    };
    let input = tokens.data_points.iter().find(|point| {
        let input = |one: &KeyValue| one.key == "gen_ai.token.type" && value(one) == "input";
        point.attributes.iter().any(input)
    });
    let input = input.unwrap();
    assert_eq!((2, Some(200.0)), (input.count, input.sum));
    assert_eq!(input.explicit_bounds.len() + 1, input.bucket_counts.len());
    assert_eq!(2, input.bucket_counts[4]);
    let Data::Gauge(running) = data("timmy.runs.running") else {
        panic!("a gauge");
    };
    assert_eq!(Some(0.0), number(&running.data_points[0]));
}

fn number(point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint) -> Option<f64> {
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    match point.value? {
        Value::AsDouble(value) => Some(value),
        Value::AsInt(_) => None,
    }
}

fn some_event() -> impl Strategy<Value = (i64, EventKind)> {
    let kind = (0_u8..8, 0_u32..3).prop_map(|(kind, number)| match kind {
        0 => reserved(number),
        1 => settled(number),
        2 => failed(number),
        3 => called(number),
        4 => finished(number, number == 0),
        5 => checked(),
        6 => started(),
        _ => ended(Outcome::NoChange),
    });
    (-100_i64..100, kind)
}

proptest! {
    /// Whatever the log holds of a run, its trace is one: unique ids, one root, everything inside it.
    #[test]
    fn a_trace_holds_together(kinds in proptest::collection::vec(some_event(), 0..40)) {
        let run: RunId = RUN.parse().unwrap();
        let events: Vec<Event> = (1..).zip(&kinds).map(|(seq, (second, kind))| Event {
            seq,
            schema: SCHEMA_VERSION,
            at: Timestamp::from_second(1_767_225_600 + second).unwrap(),
            run: Some(run.clone()),
            kind: kind.clone(),
        }).collect();
        let models = BTreeMap::new();
        let told = spans::Told { content: false, models: &models };
        let spans = spans::of_run(&run, &events, &told);
        let Some((root, others)) = spans.split_first() else {
            return Ok(());
        };
        prop_assert!(root.parent_span_id.is_empty());
        let ids: BTreeSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
        prop_assert_eq!(spans.len(), ids.len());
        for span in others {
            prop_assert_eq!(&root.span_id, &span.parent_span_id);
            prop_assert_eq!(&root.trace_id, &span.trace_id);
            prop_assert!(root.start_time_unix_nano <= span.start_time_unix_nano);
            prop_assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            prop_assert!(span.end_time_unix_nano <= root.end_time_unix_nano);
            prop_assert_eq!((16, 8), (span.trace_id.len(), span.span_id.len()));
        }
    }
}
