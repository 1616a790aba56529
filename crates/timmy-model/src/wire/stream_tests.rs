use std::io;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::chat::Arguments;
use crate::chat::Finish;
use crate::chat::Reply;
use crate::wire::draft::Ending;

fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// The body in pieces that end at `cuts`.
fn chunks(body: &str, cuts: &[usize]) -> Chunks {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    ends.push(body.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for end in ends {
        pieces.push(Ok::<_, io::Error>(Bytes::copy_from_slice(
            &body.as_bytes()[start..end],
        )));
        start = end;
    }
    bounded(
        futures_util::stream::iter(pieces),
        Duration::from_secs(60),
        None,
    )
}

fn events(chunks: &[Value]) -> String {
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events.collect::<String>() + "data: [DONE]\n\n"
}

fn ending() -> Ending<'static> {
    Ending {
        text_calls: false,
        tools: &[],
        turn: 3,
    }
}

fn streamed(deltas: &[Value], finish: &str) -> Reply {
    let mut chunks: Vec<Value> = deltas
        .iter()
        .map(|delta| json!({"model": "m", "choices": [{"index": 0, "delta": delta}]}))
        .collect();
    chunks.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}));
    let body = events(&chunks);
    let draft = block(read_events(self::chunks(&body, &[]))).unwrap();
    draft.finish(&ending()).unwrap()
}

/// `(id, name, arguments)` of each call.
fn calls(reply: &Reply) -> Vec<(String, String, String)> {
    let calls = reply.calls.iter();
    calls
        .map(|call| (call.id.clone(), call.name.clone(), call.arguments.as_text()))
        .collect()
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), arguments.to_owned())
}

#[test]
fn calls_of_every_shape_are_put_together() {
    let cases = [
        (
            "fragments by index",
            vec![
                json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "a", "arguments": ""}}]}),
                json!({"tool_calls": [{"index": 1, "id": "y", "function": {"name": "b", "arguments": "{\"q\""}}]}),
                json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"p\":1}"}}]}),
                json!({"tool_calls": [{"index": 1, "function": {"arguments": ":2}"}}]}),
            ],
            vec![call("x", "a", "{\"p\":1}"), call("y", "b", "{\"q\":2}")],
        ),
        (
            "index always 0, as Ollama sends it",
            vec![
                json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "terminal", "arguments": "{\"p\":1}"}}]}),
                json!({"tool_calls": [{"index": 0, "id": "y", "function": {"name": "terminal", "arguments": "{\"p\":2}"}}]}),
            ],
            vec![
                call("x", "terminal", "{\"p\":1}"),
                call("y", "terminal", "{\"p\":2}"),
            ],
        ),
        (
            "index always 0 and no id",
            vec![
                json!({"tool_calls": [{"index": 0, "function": {"name": "a", "arguments": "{\"p\":1}"}}]}),
                json!({"tool_calls": [{"index": 0, "function": {"name": "a", "arguments": "{\"p\":2}"}}]}),
            ],
            vec![
                call("call_3_0", "a", "{\"p\":1}"),
                call("call_3_1", "a", "{\"p\":2}"),
            ],
        ),
        (
            "no index",
            vec![
                json!({"tool_calls": [{"id": "x", "function": {"name": "a", "arguments": "{"}}]}),
                json!({"tool_calls": [{"function": {"arguments": "\"p\":1}"}}]}),
                json!({"tool_calls": [{"id": "y", "function": {"name": "b", "arguments": "{}"}}]}),
            ],
            vec![call("x", "a", "{\"p\":1}"), call("y", "b", "{}")],
        ),
        (
            "null and numeric ids, arguments as an object",
            vec![
                json!({"tool_calls": [{"index": 0, "id": null, "function": {"name": "a", "arguments": {"p": 1}}}]}),
                json!({"tool_calls": [{"index": 1, "id": 7, "function": {"name": "b", "arguments": {}}}]}),
                json!({"tool_calls": [{"index": 2, "id": "null", "function": {"name": "c", "arguments": null}}]}),
            ],
            vec![
                call("call_3_0", "a", "{\"p\":1}"),
                call("7", "b", "{}"),
                call("call_3_2", "c", "{}"),
            ],
        ),
        (
            "the same id for all calls",
            vec![
                json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "a", "arguments": "{}"}}]}),
                json!({"tool_calls": [{"index": 1, "id": "x", "function": {"name": "b", "arguments": "{}"}}]}),
            ],
            vec![call("x", "a", "{}"), call("call_3_1", "b", "{}")],
        ),
        (
            "id and name repeated with every fragment",
            vec![
                json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "a", "arguments": "{\"p\":"}}]}),
                json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "a", "arguments": "1}"}}]}),
            ],
            vec![call("x", "a", "{\"p\":1}")],
        ),
    ];
    for (what, deltas, expected) in cases {
        let reply = streamed(&deltas, "stop");
        assert_eq!(expected, calls(&reply), "{what}");
        assert_eq!(Finish::ToolCalls, reply.finish, "{what}");
    }
}

#[test]
fn a_call_that_was_cut_off_is_never_handed_out() {
    let half = json!({"tool_calls": [{"index": 0, "id": "x",
        "function": {"name": "run", "arguments": "{\"command\": \"rm -rf build\""}}]});
    let reply = streamed(std::slice::from_ref(&half), "length");
    assert_eq!((Finish::Length, 0), (reply.finish, reply.calls.len()));

    let chunk = json!({"choices": [{"delta": half}]});
    let ended = block(read_events(chunks(&events(&[chunk]), &[])));
    assert!(matches!(ended, Err(Fault::Cut(_))), "{ended:?}");
}

#[test]
fn reasoning_is_kept_apart_in_every_spelling() {
    for field in ["reasoning_content", "reasoning", "thinking"] {
        let reply = streamed(
            &[
                json!({field: "so "}),
                json!({field: "be it", "content": "ok"}),
            ],
            "stop",
        );
        assert_eq!(
            (Some("so be it".to_owned()), "ok".to_owned()),
            (reply.reasoning, reply.text)
        );
    }
    let reply = streamed(
        &[
            json!({"content": "<think>so be it</th"}),
            json!({"content": "ink>ok"}),
        ],
        "stop",
    );
    assert_eq!(
        (Some("so be it".to_owned()), "ok".to_owned()),
        (reply.reasoning, reply.text)
    );
}

#[test]
fn a_stream_without_an_end_is_cut() {
    let chunk = json!({"choices": [{"delta": {"content": "half a"}}]});
    let ended = block(read_events(chunks(&format!("data: {chunk}\n\n"), &[])));
    assert!(matches!(ended, Err(Fault::Cut(_))), "{ended:?}");
}

#[test]
fn an_error_inside_of_a_stream_is_an_error() {
    let error = json!({"error": {"message": "overloaded"}});
    let ended = block(read_events(chunks(&format!("data: {error}\n\n"), &[])));
    assert_eq!(Some(Fault::Reported(error)), ended.err());
}

#[test]
fn a_line_without_end_is_not_kept_in_memory() {
    let endless = (0..).map(|_| Ok::<_, io::Error>(Bytes::from(vec![b'x'; 1 << 20])));
    let endless = bounded(
        futures_util::stream::iter(endless),
        Duration::from_secs(60),
        None,
    );
    let ended = block(read_events(endless));
    assert!(matches!(ended, Err(Fault::Unreadable(_))), "{ended:?}");
}

#[test]
fn silence_is_told_from_slowness() {
    let silent = futures_util::stream::pending::<Result<Bytes, io::Error>>();
    let ended = block(read_events(bounded(silent, Duration::ZERO, None)));
    assert_eq!(Some(Fault::Silent), ended.err());
}

#[test]
fn usage_and_model_come_from_wherever_they_are() {
    let chunk = json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]});
    let usage = json!({"model": "m", "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let draft = block(read_events(chunks(&events(&[chunk, usage]), &[]))).unwrap();
    let reply = draft.finish(&ending()).unwrap();
    let expected = crate::chat::TokenCount {
        input: 5,
        output: 2,
    };
    assert_eq!(
        (Some(expected), "m".to_owned()),
        (reply.tokens, reply.model)
    );
}

fn said() -> impl Strategy<Value = Vec<Value>> {
    let delta = prop_oneof![
        ".{0,12}".prop_map(|text| json!({"content": text})),
        ".{0,12}".prop_map(|text| json!({"reasoning": text})),
        (0_u64..3, "[a-z]{0,3}", "[a-c]{0,2}", any::<String>()).prop_map(
            |(index, id, name, arguments)| {
                json!({"tool_calls": [{"index": index, "id": id,
                    "function": {"name": name, "arguments": arguments}}]})
            }
        ),
    ];
    proptest::collection::vec(delta, 0..8)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_reply(
        deltas in said(), cuts in proptest::collection::vec(any::<usize>(), 0..12)
    ) {
        let mut parts: Vec<Value> = deltas
            .iter()
            .map(|delta| json!({"choices": [{"delta": delta}]}))
            .collect();
        parts.push(json!({"choices": [{"delta": {"content": "."}, "finish_reason": "stop"}]}));
        let body = events(&parts);
        let whole = block(read_events(chunks(&body, &[]))).unwrap().finish(&ending());
        let cut = block(read_events(chunks(&body, &cuts))).unwrap().finish(&ending());
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn any_bytes_are_read(body in any::<String>(), cuts in proptest::collection::vec(any::<usize>(), 0..4)) {
        let _ = block(read_events(chunks(&body, &cuts)));
        let _ = block(read_lines(chunks(&body, &cuts)));
    }

    #[test]
    fn whole_and_streamed_calls_read_alike(value in any::<String>()) {
        let arguments = json!({"value": value});
        let call = json!({"index": 0, "id": "x",
            "function": {"name": "a", "arguments": arguments.to_string()}});
        let streamed = streamed(&[json!({"tool_calls": [call]})], "tool_calls");
        let mut draft = Draft::default();
        draft.take_completion(&json!({"model": "m", "choices": [{"finish_reason": "tool_calls",
            "message": {"tool_calls": [call]}}]}));
        prop_assert_eq!(&streamed, &draft.finish(&ending()).unwrap());
        let expected = Arguments::Object(arguments.as_object().unwrap().clone());
        prop_assert_eq!(&expected, &streamed.calls[0].arguments);
    }
}
