use serde_json::Value;
use serde_json::json;
use timmy_core::Coded;
use timmy_model::Arguments;
use timmy_model::Finish;
use timmy_model::Message;
use timmy_model::ModelError;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::Reply;
use timmy_testkit::model_server::Fault;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

use crate::parts;
use crate::parts::run_command;

const KINDS: [ProviderKind; 7] = [
    ProviderKind::Openai,
    ProviderKind::Ollama,
    ProviderKind::OllamaV1,
    ProviderKind::Vllm,
    ProviderKind::LlamaServer,
    ProviderKind::Nous,
    ProviderKind::Generic,
];

fn settings(kind: ProviderKind, server: &ModelServer, stream: bool) -> ProviderSettings {
    let base = match kind {
        ProviderKind::Ollama => server.root_url(),
        _ => server.base_url(),
    };
    ProviderSettings {
        stream: Some(stream),
        ..parts::settings("p", kind, &base)
    }
}

async fn ask(kind: ProviderKind, stream: bool, turn: Turn) -> Result<Reply, ModelError> {
    let server = ModelServer::start(vec![turn]).await;
    let model = parts::model(&settings(kind, &server, stream)).await;
    model.chat(&parts::question()).await
}

fn commands(reply: &Reply) -> Vec<Value> {
    let calls = reply.calls.iter();
    calls
        .map(|call| match &call.arguments {
            Arguments::Object(object) => object["command"].clone(),
            Arguments::Invalid { error, .. } => json!({ "invalid": error }),
        })
        .collect()
}

#[tokio::test]
async fn a_conversation_goes_through_in_every_dialect() {
    for kind in KINDS {
        for stream in [true, false] {
            let server = ModelServer::start(vec![
                Turn::call("run_command", json!({"command": "true"}))
                    .with_text("I look.")
                    .with_reasoning("hm"),
                Turn::say("done").with_usage(90, 5),
            ])
            .await;
            let model = parts::model(&settings(kind, &server, stream)).await;
            let mut request = parts::question();
            let reply = model.chat(&request).await.unwrap();
            assert_eq!(vec![json!("true")], commands(&reply), "{kind:?} {stream}");
            let said = (
                reply.text.as_str(),
                reply.reasoning.as_deref(),
                &reply.finish,
            );
            assert_eq!(
                ("I look.", Some("hm"), &Finish::ToolCalls),
                said,
                "{kind:?} {stream}"
            );
            request.messages.push(Message::from_reply(&reply));
            request
                .messages
                .push(Message::result(&reply.calls[0], "exit code 0"));
            let reply = model.chat(&request).await.unwrap();
            assert_eq!(("done", Finish::Stop), (reply.text.as_str(), reply.finish));
            let tokens = reply.tokens.map(|tokens| (tokens.input, tokens.output));
            assert_eq!(Some((90, 5)), tokens, "{kind:?} {stream}");
        }
    }
}

#[tokio::test]
async fn request_bodies_have_the_habits_of_their_server() {
    let mut bodies = Vec::new();
    for kind in [
        ProviderKind::Openai,
        ProviderKind::Ollama,
        ProviderKind::LlamaServer,
    ] {
        let server = ModelServer::start(vec![Turn::say("ok")]).await;
        let model = parts::model(&settings(kind, &server, true)).await;
        let call = timmy_model::ToolCall {
            id: "call_1".to_owned(),
            name: "run_command".to_owned(),
            arguments: Arguments::Invalid {
                text: "{x".to_owned(),
                error: "no JSON".to_owned(),
            },
        };
        let request = parts::request(vec![
            Message::User("Go.".to_owned()),
            Message::Assistant {
                text: String::new(),
                calls: vec![call.clone()],
                reasoning: Some("hm".to_owned()),
            },
            Message::result(&call, "the arguments are not JSON"),
        ]);
        model.chat(&request).await.unwrap();
        bodies.push(server.chats()[0].body.clone());
    }
    insta::assert_json_snapshot!(bodies);
}

#[tokio::test]
async fn tools_can_be_offered_as_text() {
    let said = "So.\n<tool_call>\n{\"name\": \"run_command\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>";
    let server = ModelServer::start(vec![Turn::say(said)]).await;
    let settings = ProviderSettings {
        tools_as_text: Some(true),
        ..settings(ProviderKind::Openai, &server, true)
    };
    let reply = parts::model(&settings)
        .await
        .chat(&parts::question())
        .await
        .unwrap();
    assert_eq!(
        ("So.", vec![json!("ls")]),
        (reply.text.as_str(), commands(&reply))
    );
    let body = &server.chats()[0].body;
    assert_eq!(Value::Null, body["tools"]);
    let rules = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        rules.contains("<tools>") && rules.contains("run_command"),
        "{rules}"
    );
}

#[tokio::test]
async fn each_listed_defect_has_a_recovery() {
    let two = || vec![run_command("a"), run_command("b")];
    for stream in [true, false] {
        for fault in [
            Fault::IndexZero(two()),
            Fault::NoIndex(two()),
            Fault::NoId(two()),
        ] {
            let said = format!("{fault:?}");
            let reply = ask(ProviderKind::OllamaV1, stream, Turn::fault(fault))
                .await
                .unwrap();
            assert_eq!(vec![json!("a"), json!("b")], commands(&reply), "{said}");
            assert_ne!(reply.calls[0].id, reply.calls[1].id, "{said}");
            assert!(reply.calls.iter().all(|call| !call.id.is_empty()), "{said}");
        }
        let mended = Fault::Arguments {
            tool: "run_command".to_owned(),
            text: "```json\n{\"command\": \"ls\",}\n```".to_owned(),
        };
        let reply = ask(ProviderKind::Generic, stream, Turn::fault(mended))
            .await
            .unwrap();
        assert_eq!(vec![json!("ls")], commands(&reply));

        let unclear = Fault::Arguments {
            tool: "run_command".to_owned(),
            text: "ls -la".to_owned(),
        };
        let reply = ask(ProviderKind::Generic, stream, Turn::fault(unclear))
            .await
            .unwrap();
        assert!(matches!(
            reply.calls[0].arguments,
            Arguments::Invalid { .. }
        ));

        let cut = Fault::CutCall {
            tool: "run_command".to_owned(),
            text: "{\"command\": \"rm -rf build\"}".to_owned(),
        };
        let reply = ask(ProviderKind::Generic, stream, Turn::fault(cut))
            .await
            .unwrap();
        assert_eq!((Finish::Length, 0), (reply.finish, reply.calls.len()));
    }
}

#[tokio::test]
async fn every_fault_is_named() {
    let cases = [
        (Turn::fault(Fault::RateLimited { retry_after_s: 1 }), 602),
        (
            Turn::fault(Fault::Quota {
                resets_at_s: 1_767_300_000,
            }),
            603,
        ),
        (Turn::fault(Fault::WrongKey), 604),
        (Turn::fault(Fault::ServerError), 602),
        (Turn::fault(Fault::ContextOverflow), 605),
        (Turn::fault(Fault::NoSuchModel), 608),
        (
            Turn::fault(Fault::CutStream {
                text: "half of a long answer".to_owned(),
            }),
            618,
        ),
        (Turn::fault(Fault::DroppedConnection), 602),
        (Turn::fault(Fault::EmptyReply), 606),
        (Turn::fault(Fault::InvalidJson), 606),
        (
            Turn::raw(302, "").with_header("location", "http://example.org/"),
            610,
        ),
        (
            Turn::raw(200, "{\"error\": \"model requires more system memory\"}"),
            602,
        ),
    ];
    for (turn, code) in cases {
        for (kind, stream) in [(ProviderKind::Generic, true), (ProviderKind::Ollama, false)] {
            let error = ask(kind, stream, turn.clone()).await.unwrap_err();
            assert_eq!(
                timmy_core::Code::new(code),
                error.code(),
                "{turn:?}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = ModelServer::start(vec![Turn::fault(Fault::NeverAnswers)]).await;
    let settings = ProviderSettings {
        idle_timeout_s: Some(0),
        ..settings(ProviderKind::Generic, &server, true)
    };
    let error = parts::model(&settings)
        .await
        .chat(&parts::question())
        .await
        .unwrap_err();
    assert!(matches!(error, ModelError::TooSlow(_)), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_place_and_setting() {
    let server = ModelServer::start(Vec::new()).await;
    let settings = settings(ProviderKind::Generic, &server, true);
    let base = server.base_url();
    drop(server);
    let model = parts::model(&settings).await;
    // The port closes when the server's task has ended.
    let error = loop {
        match model.chat(&parts::question()).await {
            Err(error @ ModelError::Unreachable(_)) => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    let problem = error.problem();
    assert_eq!(
        Some(format!("provider `p`, {base}/chat/completions")),
        problem.place
    );
    let fix = "start the server, or correct `base_url` of provider `p` in timmy.toml";
    assert_eq!(Some(fix), problem.fix.as_deref());
}

#[tokio::test]
async fn the_key_travels_in_the_header_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "sk-secret-secret-secret\n").unwrap();
    let echo = r#"{"error": {"message": "Incorrect API key provided: sk-secret-secret-secret"}}"#;
    let server = ModelServer::start(vec![Turn::raw(401, echo)]).await;
    let settings = ProviderSettings {
        key: Some(timmy_model::SecretReference::File(file)),
        ..settings(ProviderKind::Generic, &server, true)
    };
    let error = parts::model(&settings)
        .await
        .chat(&parts::question())
        .await
        .unwrap_err();
    let received = &server.requests()[0];
    assert_eq!(
        Some("Bearer sk-secret-secret-secret"),
        received.header("authorization")
    );
    assert!(!received.body.to_string().contains("sk-secret"));
    assert!(
        !format!("{error:?} {}", error.problem()).contains("sk-secret"),
        "{error:?}"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let base = "http://user:password@127.0.0.1/v1";
    let cases = [
        ProviderSettings::new("p", ProviderKind::Generic),
        parts::settings("p", ProviderKind::Generic, base),
        parts::settings("p", ProviderKind::Generic, "file:///etc/passwd"),
        ProviderSettings {
            key: Some(timmy_model::SecretReference::Env(
                "TIMMY_TEST_NO_SUCH_KEY".to_owned(),
            )),
            ..parts::settings("p", ProviderKind::Generic, "http://127.0.0.1/v1")
        },
        ProviderSettings::new("p", ProviderKind::Replay),
    ];
    for settings in cases {
        let refused = parts::opened(&settings).await.err();
        assert!(
            matches!(refused, Some(ModelError::Settings(_))),
            "{settings:?}: {refused:?}"
        );
    }
}
