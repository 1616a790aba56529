//! Turns as bytes, in the wire formats of the servers that timmy talks to.

use std::io;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use serde_json::json;
use timmy_loopback::Reply;
use tokio::sync::mpsc;

use super::MODEL;
use super::turn::Ids;
use super::turn::Message;

/// Streamed text and arguments are cut into pieces of this many characters.
const PIECE: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    OpenAi,
    Ollama,
}

impl Wire {
    pub(super) fn of_line(line: &str) -> Option<Self> {
        match line {
            "POST /v1/chat/completions" | "POST /chat/completions" => Some(Self::OpenAi),
            "POST /api/chat" => Some(Self::Ollama),
            _ => None,
        }
    }

    pub(super) fn reply(self, message: &Message, request: &Value) -> Reply {
        let streamed = match self {
            Self::OpenAi => request["stream"].as_bool().unwrap_or(false),
            Self::Ollama => request["stream"].as_bool().unwrap_or(true),
        };
        let spoken = Spoken { message, request };
        match (self, streamed) {
            (Self::OpenAi, true) => stream(spoken.events(), message.cut, "text/event-stream"),
            (Self::OpenAi, false) => whole(&spoken.completion(), message.cut),
            (Self::Ollama, true) => stream(spoken.lines(), message.cut, "application/x-ndjson"),
            (Self::Ollama, false) => whole(&spoken.ollama(), message.cut),
        }
    }
}

struct Spoken<'a> {
    message: &'a Message,
    request: &'a Value,
}

impl Spoken<'_> {
    fn model(&self) -> &str {
        self.request["model"].as_str().unwrap_or(MODEL)
    }

    fn finish(&self) -> &str {
        match &self.message.finish {
            Some(finish) => finish,
            None if self.message.calls.is_empty() => "stop",
            None => "tool_calls",
        }
    }

    /// The scripted figures, or a token for every four bytes.
    fn usage(&self) -> (u64, u64) {
        let arguments: usize = self.message.calls.iter().map(|(_, a)| text(a).len()).sum();
        let said = self.message.text.len() + arguments;
        let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX);
        let counted = (tokens(self.request.to_string().len()), tokens(said).max(1));
        self.message.usage.unwrap_or(counted)
    }

    fn usage_json(&self) -> Value {
        let (input, output) = self.usage();
        json!({"prompt_tokens": input, "completion_tokens": output,
            "total_tokens": input + output})
    }

    fn call(&self, position: usize, arguments: &str) -> Value {
        let name = &self.message.calls[position].0;
        let function = json!({"name": name, "arguments": arguments});
        let id = format!("call_{}_{position}", self.turn_number());
        match self.message.ids {
            Ids::Right => {
                json!({"index": position, "id": id, "type": "function", "function": function})
            }
            Ids::IndexZero => {
                json!({"index": 0, "id": id, "type": "function", "function": function})
            }
            Ids::NoIndex => json!({"id": id, "type": "function", "function": function}),
            Ids::NoId => json!({"index": position, "type": "function", "function": function}),
        }
    }

    /// Differs from request to request, so that ids are unique in a conversation.
    fn turn_number(&self) -> usize {
        self.request["messages"].as_array().map_or(0, Vec::len)
    }

    fn completion(&self) -> Value {
        let calls = self.message.calls.iter().enumerate();
        let calls: Vec<Value> = calls.map(|(at, (_, a))| self.call(at, &text(a))).collect();
        let mut said = json!({"role": "assistant", "content": self.message.text});
        if !calls.is_empty() {
            said["tool_calls"] = Value::Array(calls);
        }
        if let Some(reasoning) = &self.message.reasoning {
            said["reasoning_content"] = json!(reasoning);
        }
        json!({"id": "chatcmpl-scripted", "object": "chat.completion", "model": self.model(),
            "choices": [{"index": 0, "message": said, "finish_reason": self.finish()}],
            "usage": self.usage_json()})
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>) -> String {
        let chunk = json!({"id": "chatcmpl-scripted", "object": "chat.completion.chunk",
            "model": self.model(),
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    }

    fn events(&self) -> Vec<String> {
        let mut events = vec![self.chunk(&json!({"role": "assistant"}), None)];
        for piece in pieces(self.message.reasoning.as_deref().unwrap_or_default()) {
            events.push(self.chunk(&json!({"reasoning_content": piece}), None));
        }
        for piece in pieces(&self.message.text) {
            events.push(self.chunk(&json!({"content": piece}), None));
        }
        for (position, (_, arguments)) in self.message.calls.iter().enumerate() {
            self.call_events(position, &text(arguments), &mut events);
        }
        events.push(self.chunk(&json!({}), Some(self.finish())));
        if self.request["stream_options"]["include_usage"] == json!(true) {
            let usage = json!({"object": "chat.completion.chunk", "model": self.model(),
                "choices": [], "usage": self.usage_json()});
            events.push(format!("data: {usage}\n\n"));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    /// Well-behaved servers send arguments in pieces; the others send a call whole.
    fn call_events(&self, position: usize, arguments: &str, events: &mut Vec<String>) {
        if self.message.ids != Ids::Right {
            let delta = json!({"tool_calls": [self.call(position, arguments)]});
            events.push(self.chunk(&delta, None));
            return;
        }
        let first = json!({"tool_calls": [self.call(position, "")]});
        events.push(self.chunk(&first, None));
        for piece in pieces(arguments) {
            let delta = json!({"tool_calls": [
                {"index": position, "function": {"arguments": piece}}]});
            events.push(self.chunk(&delta, None));
        }
    }

    fn ollama(&self) -> Value {
        let calls = self.message.calls.iter();
        let calls: Vec<Value> = calls
            .map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}}))
            .collect();
        let mut said = json!({"role": "assistant", "content": self.message.text});
        if !calls.is_empty() {
            said["tool_calls"] = Value::Array(calls);
        }
        if let Some(reasoning) = &self.message.reasoning {
            said["thinking"] = json!(reasoning);
        }
        let (input, output) = self.usage();
        let reason = self.message.finish.as_deref().unwrap_or("stop");
        json!({"model": self.model(), "message": said, "done": true, "done_reason": reason,
            "prompt_eval_count": input, "eval_count": output})
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = pieces(&self.message.text)
            .map(|piece| {
                let line = json!({"model": self.model(), "done": false,
                    "message": {"role": "assistant", "content": piece}});
                format!("{line}\n")
            })
            .collect();
        let mut last = self.ollama();
        last["message"]["content"] = json!("");
        lines.push(format!("{last}\n"));
        lines
    }
}

/// Arguments that are a string are sent as they are: they stand for what is no JSON.
fn text(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn pieces(text: &str) -> impl Iterator<Item = String> {
    let characters: Vec<char> = text.chars().collect();
    let count = characters.len().div_ceil(PIECE);
    (0..count).map(move |at| characters.iter().skip(at * PIECE).take(PIECE).collect())
}

fn whole(body: &Value, cut: bool) -> Reply {
    if cut {
        return stream(vec![body.to_string()], true, "application/json");
    }
    Reply::json(StatusCode::OK, body.to_string())
}

/// A cut stream loses its second half and ends with a broken connection.
fn stream(parts: Vec<String>, cut: bool, content_type: &'static str) -> Reply {
    let kept = if cut { parts.len() / 2 } else { parts.len() };
    let (sender, receiver) = mpsc::channel(kept + 1);
    for part in parts.into_iter().take(kept) {
        // The channel has room for every part.
        let sent = sender.try_send(Ok(Bytes::from(part)));
        debug_assert!(sent.is_ok());
    }
    if cut {
        let broken = io::Error::from(io::ErrorKind::ConnectionReset);
        let sent = sender.try_send(Err(broken));
        debug_assert!(sent.is_ok());
    }
    let mut response = http::Response::new(receiver);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Reply::Streamed(response)
}
