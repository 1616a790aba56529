//! Conversations as request bodies.

use serde_json::Value;
use serde_json::json;

use crate::chat::Arguments;
use crate::chat::ChatRequest;
use crate::chat::Message;
use crate::chat::ToolCall;
use crate::chat::ToolSpec;
use crate::wire::dialect::Api;
use crate::wire::dialect::Dialect;
use crate::wire::dialect::Tools;
use crate::wire::text_calls;

/// What a request body needs beside the conversation.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) dialect: Dialect,
    pub(crate) model: String,
    pub(crate) context_tokens: u64,
}

impl Shape {
    /// The path below the base URL.
    pub(crate) fn path(&self) -> &'static str {
        match self.dialect.api {
            Api::ChatCompletions => "chat/completions",
            Api::Ollama => "api/chat",
        }
    }

    /// The body for a conversation.
    pub(crate) fn body(&self, request: &ChatRequest) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": self.messages(request),
            "stream": self.dialect.stream,
        });
        if self.dialect.tools == Tools::Native && !request.tools.is_empty() {
            body["tools"] = request.tools.iter().map(tool).collect();
        }
        match self.dialect.api {
            Api::ChatCompletions => {
                if let Some(field) = self.dialect.max_tokens {
                    body[field] = json!(request.max_output_tokens);
                }
                if self.dialect.stream && self.dialect.ask_usage {
                    body["stream_options"] = json!({"include_usage": true});
                }
            }
            Api::Ollama => self.add_ollama_options(&mut body, request),
        }
        body
    }

    /// Without `num_ctx` Ollama gives a small context; without `truncate` and `shift` it drops the
    /// beginning of a long conversation and says nothing.
    fn add_ollama_options(&self, body: &mut Value, request: &ChatRequest) {
        body["options"] = json!({
            "num_ctx": self.context_tokens,
            "num_predict": request.max_output_tokens,
        });
        body["truncate"] = json!(false);
        body["shift"] = json!(false);
    }

    fn messages(&self, request: &ChatRequest) -> Value {
        if let Tools::Text(tags) = self.dialect.tools {
            let flat = text_calls::flatten(&request.messages, &request.tools, tags);
            let plain = flat.into_iter();
            return plain
                .map(|plain| json!({"role": plain.role, "content": plain.text}))
                .collect();
        }
        let messages = request.messages.iter();
        messages.map(|message| self.message(message)).collect()
    }

    fn message(&self, message: &Message) -> Value {
        match message {
            Message::System(text) => json!({"role": "system", "content": text}),
            Message::User(text) => json!({"role": "user", "content": text}),
            Message::Assistant {
                text,
                calls,
                reasoning,
            } => {
                let mut said = json!({"role": "assistant", "content": text});
                if !calls.is_empty() {
                    said["tool_calls"] = calls.iter().map(|call| self.call(call)).collect();
                }
                if let (Some(field), Some(reasoning)) = (self.dialect.echo_reasoning, reasoning) {
                    said[field] = json!(reasoning);
                }
                said
            }
            Message::Tool {
                call_id,
                name,
                text,
            } => match self.dialect.api {
                Api::ChatCompletions => {
                    json!({"role": "tool", "tool_call_id": call_id, "content": text})
                }
                Api::Ollama => json!({"role": "tool", "tool_name": name, "content": text}),
            },
        }
    }

    /// Templates of local models parse the arguments in the history, so they are always an object.
    fn call(&self, call: &ToolCall) -> Value {
        let arguments = match &call.arguments {
            Arguments::Object(object) => Value::Object(object.clone()),
            Arguments::Invalid { text, .. } => json!({"unreadable_arguments": text}),
        };
        let name = sendable(&call.name);
        match self.dialect.api {
            Api::ChatCompletions => json!({"id": call.id, "type": "function",
                "function": {"name": name, "arguments": arguments.to_string()}}),
            Api::Ollama => json!({"function": {"name": name, "arguments": arguments}}),
        }
    }
}

/// A tool's name as servers take it back. A model can make up any name; OpenAI rejects a history
/// with one that has other characters than these or more than 64 of them.
fn sendable(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = name.chars().take(64);
    let name: String = name.map(|c| if legal(c) { c } else { '_' }).collect();
    if name.is_empty() {
        return "unnamed".to_owned();
    }
    name
}

fn tool(tool: &ToolSpec) -> Value {
    json!({"type": "function", "function": {"name": tool.name,
        "description": tool.description, "parameters": tool.parameters}})
}
