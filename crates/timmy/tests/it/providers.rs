//! A sprint with every kind of provider, against the embedded forge over HTTP.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use serde_json::json;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;

use crate::home::Home;
use crate::home::mender;
use crate::home::mending;
use crate::home::provider;

/// Does one sprint with these providers and looks at what it says and leaves.
async fn sprint_with(home: &Home, providers: &str, arguments: &[&str]) -> Value {
    home.configure_small(providers);
    let report = home
        .json(&[&["sprint"], arguments].concat())
        .await
        .well()
        .json();
    assert_eq!(
        json!("pull_request"),
        report["outcome"]["outcome"],
        "{report}"
    );
    assert_eq!(json!(0), report["check"]["exit_code"], "{report}");
    home.assert_nothing_is_left().await;
    let pulls = home.pulls().await;
    assert_eq!(1, pulls.len(), "{pulls:?}");
    let diff = home.run(&["pr", "diff", "#2"]).await.well().stdout;
    assert!(diff.contains("+fixed"), "{diff}");
    report
}

/// A sprint with a server of this kind; gives the paths and bodies of the requests for a chat.
async fn at_server(kind: &str, more: &str) -> Vec<(String, Value)> {
    let home = Home::with_project().await;
    let server = mender().await;
    let base = match kind {
        "ollama" => server.root_url(),
        _ => server.base_url(),
    };
    let report = sprint_with(&home, &format!("{}{more}", provider(kind, &base)), &[]).await;
    assert_eq!(json!("live"), report["model"]);
    assert_eq!(0, server.turns_left());
    let chats = server.chats();
    assert_eq!(mending().len(), chats.len());
    chats
        .into_iter()
        .map(|chat| (chat.line, chat.body))
        .collect()
}

const CHAT: &str = "POST /v1/chat/completions";

#[tokio::test]
async fn openai_streamed_and_whole() {
    for streamed in [true, false] {
        let chats = at_server("openai", &format!("stream = {streamed}\n")).await;
        for (line, body) in chats {
            assert_eq!(
                (CHAT, streamed),
                (line.as_str(), body["stream"] == json!(true)),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn every_server_that_copies_openai() {
    for kind in ["generic", "ollama-v1", "vllm", "llama-server"] {
        let chats = at_server(kind, "").await;
        assert!(chats.iter().all(|(line, _)| line == CHAT), "{kind}");
    }
}

#[tokio::test]
async fn ollama_by_its_own_api() {
    let chats = at_server("ollama", "context_tokens = 20000\n").await;
    for (line, body) in chats {
        assert_eq!("POST /api/chat", line);
        assert_eq!(json!(20000), body["options"]["num_ctx"], "{body}");
    }
}

#[tokio::test]
async fn nous_with_its_key() {
    let home = Home::with_project().await;
    let server = mender().await;
    let key = ["portal", "key", "of", "a", "test"].join("-");
    std::fs::write(home.beside("key"), &key).unwrap();
    let text = provider("nous", &server.base_url());
    let file = home.beside("key");
    let text = format!("{text}key = {{ file = \"{}\" }}\n", file.display());
    sprint_with(&home, &text, &[]).await;
    let bearer = format!("Bearer {key}");
    assert!(
        server
            .chats()
            .iter()
            .all(|chat| chat.header("authorization") == Some(&bearer))
    );
    let events = home.json(&["events"]).await.stdout;
    assert!(!events.contains(&key), "{events}");
}

/// The calls that mend the project, as a model without tools of its own writes them.
fn mending_as_text() -> Vec<String> {
    let call = |(tool, arguments): (&str, Value)| {
        let call = json!({"name": tool, "arguments": arguments});
        format!("I go on.\n<timmy_call>\n{call}\n</timmy_call>")
    };
    mending().map(call).into()
}

#[tokio::test]
async fn a_hermes_gateway_without_tools() {
    let home = Home::with_project().await;
    let turns = mending_as_text().into_iter().map(Turn::say).collect();
    let server = ModelServer::start(turns).await;
    sprint_with(&home, &provider("hermes-gateway", &server.base_url()), &[]).await;
    let requests = server.requests();
    let lines: Vec<&str> = requests
        .iter()
        .map(|request| request.line.as_str())
        .collect();
    assert_eq!(
        ["GET /v1/health", "GET /v1/toolsets", CHAT, CHAT, CHAT].to_vec(),
        lines
    );
    // Its tools would run outside the sandbox: none are offered, ours are described in the prompt.
    assert!(
        requests[2].body.get("tools").is_none(),
        "{}",
        requests[2].body
    );
}

#[tokio::test]
async fn the_hermes_command_with_a_stand_in_script() {
    let home = Home::with_project().await;
    let answers = home.beside("answers");
    std::fs::create_dir(&answers).unwrap();
    for (number, text) in mending_as_text().iter().enumerate() {
        std::fs::write(answers.join(number.to_string()), text).unwrap();
    }
    // Each call answers with the next file, and keeps what it was sent.
    let script = format!(
        "#!/bin/sh\nset -eu\ncd '{}'\nn=$(ls | grep -c '^sent-' || true)\n\
         cp \"$HERMES_PREFILL_MESSAGES_FILE\" \"sent-$n\"\ncat \"$n\"\n",
        answers.display()
    );
    let program = home.beside("hermes");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "[[provider]]\nname = \"stand-in\"\nkind = \"hermes-cli\"\nprogram = \"{}\"\n\
         hermes_home = \"{}\"\n",
        program.display(),
        home.beside("hermes-home").display()
    );
    sprint_with(&home, &text, &[]).await;
    let last: Value =
        serde_json::from_slice(&std::fs::read(answers.join("sent-2")).unwrap()).unwrap();
    assert!(last.to_string().contains("broken"), "{last}");
    assert_eq!(
        Vec::<std::path::PathBuf>::new(),
        crate::home::entries(&home.root().join("model"))
    );
}

#[tokio::test]
async fn what_hermes_is_set_up_with() {
    let home = Home::with_project().await;
    let server = mender().await;
    let hermes = home.beside("hermes-home");
    std::fs::create_dir(&hermes).unwrap();
    let config = format!(
        "model: {{default: house-model, provider: custom, base_url: '{}', api_key: '${{HOUSE_KEY}}'}}\n",
        server.base_url()
    );
    let key = ["house", "key"].join("-");
    std::fs::write(hermes.join("config.yaml"), config).unwrap();
    std::fs::write(hermes.join(".env"), format!("HOUSE_KEY={key}\n")).unwrap();
    let text = format!(
        "[[provider]]\nname = \"imported\"\nkind = \"hermes-import\"\nhermes_home = \"{}\"\n",
        hermes.display()
    );
    sprint_with(&home, &text, &[]).await;
    let bearer = format!("Bearer {key}");
    for chat in server.chats() {
        assert_eq!(json!("house-model"), chat.body["model"]);
        assert_eq!(Some(bearer.as_str()), chat.header("authorization"));
    }
}

#[tokio::test]
async fn a_recorded_sprint_is_played_back_and_called_replayed() {
    let home = Home::with_project().await;
    let server = mender().await;
    let recording = home.beside("run.jsonl");
    let recording = recording.to_str().unwrap();
    let live = provider("generic", &server.base_url());
    sprint_with(&home, &live, &["--record", recording]).await;

    let home = Home::with_project().await;
    let named = format!("replay:{recording}");
    let report = sprint_with(&home, "", &["--provider", &named]).await;
    assert_eq!(json!("replayed"), report["model"]);
    let body = home.pulls().await[0]["body"].as_str().unwrap().to_owned();
    assert!(body.contains("**replayed**"), "{body}");
}
