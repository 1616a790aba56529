//! Captured shapes of hermes-agent 0.19.0, served by a scripted gateway and by a shell script that
//! stands in for the program. The real program is tried by hand.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_core::Redactor;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use timmy_model::Arguments;
use timmy_model::ModelError;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::Recorder;

use crate::parts;

const CALL: &str = "I look.\n<tool_call>\n{\"name\": \"run_command\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>";

struct Gateway {
    toolsets: (StatusCode, Value),
    completion: Value,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Handler for Gateway {
    async fn handle(&self, request: Request) -> Reply {
        let path = request.uri().path().to_owned();
        let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        self.seen.lock().unwrap().push((path.clone(), body));
        match path.as_str() {
            "/v1/health" => {
                let health =
                    json!({"status": "ok", "platform": "hermes-agent", "version": "0.19.0"});
                Reply::json(StatusCode::OK, health.to_string())
            }
            "/v1/toolsets" => Reply::json(self.toolsets.0, self.toolsets.1.to_string()),
            "/v1/chat/completions" => Reply::json(StatusCode::OK, self.completion.to_string()),
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }
}

fn completion(content: &str) -> Value {
    json!({"id": "chatcmpl-a66fbd78664b4ab180ba992491a47", "object": "chat.completion",
        "created": 1_795_180_986, "model": "hermes-agent",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content},
            "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 534, "completion_tokens": 1, "total_tokens": 535}})
}

fn no_tools() -> (StatusCode, Value) {
    let toolsets = json!({"object": "list", "platform": "api_server", "data": [
        {"name": "terminal", "enabled": false, "tools": ["process", "terminal"]}]});
    (StatusCode::OK, toolsets)
}

type Seen = Arc<Mutex<Vec<(String, Value)>>>;

async fn gateway(toolsets: (StatusCode, Value), completion: Value) -> (Server, Seen) {
    let seen = Seen::default();
    let gateway = Gateway {
        toolsets,
        completion,
        seen: Arc::clone(&seen),
    };
    (Server::start(gateway).await.unwrap(), seen)
}

fn gateway_settings(server: &Server) -> ProviderSettings {
    let base = format!("{}/v1", server.url());
    ProviderSettings {
        model: None,
        ..parts::settings("hermes", ProviderKind::HermesGateway, &base)
    }
}

#[tokio::test]
async fn a_gateway_without_tools_serves_as_a_model() {
    let (server, seen) = gateway(no_tools(), completion(CALL)).await;
    let model = parts::model(&gateway_settings(&server)).await;
    let reply = model.chat(&parts::question()).await.unwrap();
    let expected = json!({"command": "ls"}).as_object().unwrap().clone();
    assert_eq!(Arguments::Object(expected), reply.calls[0].arguments);
    model.chat(&parts::question()).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let paths: Vec<&str> = seen.iter().map(|(path, _)| path.as_str()).collect();
    let chat = "/v1/chat/completions";
    assert_eq!(vec!["/v1/health", "/v1/toolsets", chat, chat], paths);
    let rules = seen[2].1["messages"][0]["content"].as_str().unwrap();
    assert!(
        rules.contains("<tools>") && rules.contains("[conversation "),
        "{rules}"
    );
}

#[tokio::test]
async fn two_conversations_that_begin_alike_get_sessions_of_their_own() {
    let (server, seen) = gateway(no_tools(), completion("ok")).await;
    for _ in 0..2 {
        let model = parts::model(&gateway_settings(&server)).await;
        model.chat(&parts::question()).await.unwrap();
    }
    let seen = seen.lock().unwrap().clone();
    let chats: Vec<&Value> = seen
        .iter()
        .filter(|(path, _)| path.ends_with("completions"))
        .map(|(_, body)| &body["messages"][0])
        .collect();
    assert_ne!(chats[0], chats[1]);
}

#[tokio::test]
async fn a_gateway_that_would_run_tools_is_not_asked() {
    let terminal = json!({"data": [{"name": "terminal", "enabled": true, "tools": ["terminal"]}]});
    for toolsets in [
        (StatusCode::OK, terminal),
        (StatusCode::NOT_FOUND, Value::Null),
    ] {
        let (server, seen) = gateway(toolsets, completion("ok")).await;
        let model = parts::model(&gateway_settings(&server)).await;
        let error = model.chat(&parts::question()).await.unwrap_err();
        assert!(matches!(error, ModelError::HermesTools(_)), "{error}");
        assert!(
            seen.lock()
                .unwrap()
                .iter()
                .all(|(path, _)| !path.ends_with("completions"))
        );
    }
}

#[tokio::test]
async fn failures_of_a_gateway_with_status_200_are_failures() {
    let failed = |error: &str| {
        let mut failed = completion(&format!("API call failed after 3 retries: {error}"));
        failed["choices"][0]["finish_reason"] = json!("error");
        failed["hermes"] = json!({"completed": false, "partial": false, "failed": true,
            "error": error, "error_code": "agent_error"});
        failed
    };
    let cases = [
        (failed("HTTP 429: Rate limit reached"), 602),
        (failed("HTTP 401: invalid api key"), 604),
        (failed("HTTP 402: insufficient credits"), 603),
        (failed("HTTP 500: oops"), 602),
        (
            completion("⚠️ No reply: the model returned empty content"),
            606,
        ),
    ];
    for (body, code) in cases {
        let (server, _) = gateway(no_tools(), body.clone()).await;
        let model = parts::model(&gateway_settings(&server)).await;
        let error = model.chat(&parts::question()).await.unwrap_err();
        assert_eq!(timmy_core::Code::new(code), error.code(), "{body}: {error}");
    }
}

fn stand_in(directory: &Path, script: &str) -> ProviderSettings {
    let program = directory.join("hermes");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    ProviderSettings {
        program: Some(program),
        hermes_home: Some(PathBuf::from("/nonexistent/hermes")),
        ..ProviderSettings::new("hermes", ProviderKind::HermesCli)
    }
}

#[tokio::test]
async fn the_command_gets_the_conversation_in_a_file_with_a_stand_in_script() {
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "printf '%s\\n' \"$@\" > {0}/argv; env > {0}/env; cp \"$HERMES_PREFILL_MESSAGES_FILE\" {0}/sent\n\
         echo 'Warning: Unknown toolsets: none'\ncat <<'END'\n{CALL}\nEND\n\
         echo 'session_id: 20261120_132220_b76d74' >&2",
        directory.path().display()
    );
    let settings = stand_in(directory.path(), &script);
    let private = directory.path().join("private");
    let recording = directory.path().join("run.jsonl");
    let recorder = Arc::new(Recorder::create(&recording, Redactor::default()).unwrap());
    let provider = parts::opened_in(&settings, &private, Some(recorder))
        .await
        .unwrap();
    let reply = provider.model.chat(&parts::question()).await.unwrap();
    assert_eq!(("I look.", 1), (reply.text.as_str(), reply.calls.len()));

    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    insta::assert_snapshot!(read("argv"));
    let sent: Value = serde_json::from_str(&read("sent")).unwrap();
    assert_eq!(json!("user"), sent[0]["role"]);
    assert!(
        sent[0]["content"]
            .as_str()
            .unwrap()
            .contains("Mend the test."),
        "{sent}"
    );
    assert!(!read("env").contains("CARGO"), "{}", read("env"));
    assert_eq!(0, std::fs::read_dir(&private).unwrap().count());

    let replay = parts::opened(&ProviderSettings::replay(&recording))
        .await
        .unwrap()
        .model;
    let again = replay.chat(&parts::question()).await.unwrap();
    assert_eq!((reply.text, reply.calls), (again.text, again.calls));
}

#[tokio::test]
async fn failures_of_the_command_are_named_with_a_stand_in_script() {
    let cases = [
        ("echo 'HTTP 401: invalid api key'; exit 1", 604),
        (
            "echo 'API call failed after 3 retries: HTTP 429: slow down'; exit 1",
            602,
        ),
        (
            "echo 'API call failed after 3 retries: HTTP 402: insufficient credits'; exit 1",
            603,
        ),
        (
            "echo 'Context length exceeded. Cannot compress further.'; exit 1",
            605,
        ),
        ("echo 'Response truncated due to output length limit'", 606),
        ("echo '⚠️ No reply: the model returned empty content'", 606),
        (
            "echo \"I reached the iteration limit and couldn't generate a summary.\"",
            606,
        ),
        ("true", 606),
        ("kill -9 $$", 602),
    ];
    for (script, code) in cases {
        let directory = tempfile::tempdir().unwrap();
        let settings = stand_in(directory.path(), script);
        let provider = parts::opened_in(&settings, directory.path(), None)
            .await
            .unwrap();
        let error = provider.model.chat(&parts::question()).await.unwrap_err();
        assert_eq!(
            timmy_core::Code::new(code),
            error.code(),
            "{script}: {error}"
        );
    }
}

#[tokio::test]
async fn a_missing_command_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ProviderSettings {
        program: Some(directory.path().join("hermes")),
        ..ProviderSettings::new("hermes", ProviderKind::HermesCli)
    };
    let provider = parts::opened_in(&settings, directory.path(), None)
        .await
        .unwrap();
    let error = provider.model.chat(&parts::question()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unreachable(_)), "{error}");
}
