//! Serves a conversation written by hand as an OpenAI-compatible model, for `script/record-demo` and
//! `script/bench`.
//!
//! Takes the path of a JSON list of turns, each with `text` and `calls` (`tool`, `arguments`). Which
//! turn answers a request is told by the number of assistant messages in it, so any number of
//! conversations can run at once. Prints its address and serves until it is killed.

#![allow(clippy::print_stdout, reason = "the address is this program's output")]

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;

#[derive(Deserialize)]
struct Turn {
    #[serde(default)]
    text: String,
    #[serde(default)]
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    tool: String,
    arguments: Value,
}

struct Script(Vec<Turn>);

impl Handler for Script {
    async fn handle(&self, request: Request) -> Reply {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let messages = body["messages"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let said = messages
            .iter()
            .filter(|message| message["role"] == "assistant")
            .count();
        let Some(turn) = self.0.get(said) else {
            let error = json!({"error": {"message": "the script has no further turn"}});
            return Reply::json(StatusCode::NOT_FOUND, error.to_string());
        };
        let input_tokens = request.body().len() / 4;
        Reply::json(
            StatusCode::OK,
            turn.completion(said, input_tokens).to_string(),
        )
    }
}

impl Turn {
    fn completion(&self, number: usize, input_tokens: usize) -> Value {
        let call = |(index, call): (usize, &Call)| {
            json!({
                "id": format!("call_{number}_{index}"),
                "type": "function",
                "function": {"name": call.tool, "arguments": call.arguments.to_string()},
            })
        };
        let calls: Vec<Value> = self.calls.iter().enumerate().map(call).collect();
        let finish = if calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        };
        let mut message = json!({"role": "assistant", "content": self.text});
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        json!({
            "id": format!("completion-{number}"),
            "object": "chat.completion",
            "created": 0,
            "model": "written-by-hand",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": input_tokens,
                "completion_tokens": 40,
                "total_tokens": input_tokens + 40,
            },
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: model_server TURNS.json")?;
    let turns: Vec<Turn> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let server = Server::start(Script(turns)).await?;
    println!("{}/v1", server.url());
    server.join().await;
    Ok(())
}
