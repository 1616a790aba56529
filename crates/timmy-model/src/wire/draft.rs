//! A reply as it comes together, from one message or from many chunks.

use serde_json::Value;

use crate::chat::Arguments;
use crate::chat::Finish;
use crate::chat::Reply;
use crate::chat::TokenCount;
use crate::chat::ToolCall;
use crate::chat::ToolSpec;
use crate::wire::arguments;
use crate::wire::reasoning;
use crate::wire::text_calls;

/// The three spellings of reasoning that servers use.
const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];
/// More calls than this in one reply are a model that repeats itself.
const MOST_CALLS: usize = 128;

/// A reply in the making.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    text: String,
    reasoning: String,
    calls: Vec<CallDraft>,
    finish: Option<String>,
    tokens: Option<TokenCount>,
    model: String,
    refused: bool,
}

#[derive(Debug, Default)]
struct CallDraft {
    index: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
}

/// What is needed to make a reply of a draft.
pub(crate) struct Ending<'a> {
    /// Whether calls written as text count as calls.
    pub(crate) text_calls: bool,
    /// The tools that were offered.
    pub(crate) tools: &'a [ToolSpec],
    /// Goes into invented ids, so that they differ from turn to turn.
    pub(crate) turn: usize,
}

/// A draft that is no reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Neither text nor calls.
    Empty,
    /// The content filter left nothing.
    Filtered,
}

impl Draft {
    /// Takes one chunk of a stream.
    pub(crate) fn take_chunk(&mut self, chunk: &Value) {
        self.take_envelope(chunk);
        let Some(choice) = chunk.pointer("/choices/0") else {
            return;
        };
        let said = choice.get("delta").filter(|delta| delta.is_object());
        if let Some(said) = said.or_else(|| choice.get("message")) {
            self.take_said(said);
            for call in listed_calls(said) {
                self.take_fragment(&call);
            }
        }
        self.take_finish(choice.get("finish_reason"));
    }

    /// Takes a whole completion, where each entry of `tool_calls` is a call of its own.
    pub(crate) fn take_completion(&mut self, completion: &Value) {
        self.take_envelope(completion);
        let Some(choice) = completion.pointer("/choices/0") else {
            return;
        };
        if let Some(said) = choice.get("message") {
            self.take_said(said);
            for call in listed_calls(said) {
                self.open_call(&call);
            }
        }
        self.take_finish(choice.get("finish_reason"));
    }

    /// Takes one object of Ollama's own API: a line of a stream, or the whole reply.
    pub(crate) fn take_ollama(&mut self, line: &Value) {
        self.take_envelope(line);
        if let Some(said) = line.get("message") {
            self.take_said(said);
            for call in listed_calls(said) {
                self.open_call(&call);
            }
        }
        if line["done"] == Value::Bool(true) {
            let reason = line.get("done_reason").and_then(Value::as_str);
            self.finish = Some(reason.unwrap_or("stop").to_owned());
        }
        let count = |name: &str| line.get(name).and_then(Value::as_u64);
        if let Some(output) = count("eval_count") {
            let input = count("prompt_eval_count").unwrap_or(0);
            self.tokens = Some(TokenCount { input, output });
        }
    }

    /// Whether the server said that it is done.
    pub(crate) fn has_finish(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether a stream that ended here brought everything: the server said why the model stopped,
    /// or at least that it is done, and left no call half-written.
    pub(crate) fn is_complete(&self, done: bool) -> bool {
        let whole = |call: &CallDraft| {
            call.arguments.trim().is_empty() || arguments::is_whole(&call.arguments)
        };
        self.has_finish() || (done && self.calls.iter().all(whole))
    }

    fn take_envelope(&mut self, envelope: &Value) {
        if let Some(model) = envelope.get("model").and_then(Value::as_str)
            && !model.is_empty()
        {
            model.clone_into(&mut self.model);
        }
        if let Some(tokens) = envelope.get("usage").and_then(token_count) {
            self.tokens = Some(tokens);
        }
    }

    fn take_said(&mut self, said: &Value) {
        take_content(&said["content"], &mut self.text, &mut self.reasoning);
        let spelled = REASONING_FIELDS.iter();
        let thought = spelled
            .filter_map(|field| said.get(field).and_then(Value::as_str))
            .find(|thought| !thought.is_empty());
        self.reasoning.push_str(thought.unwrap_or_default());
        if let Some(refusal) = said.get("refusal").and_then(Value::as_str)
            && !refusal.is_empty()
        {
            self.text.push_str(refusal);
            self.refused = true;
        }
    }

    fn take_finish(&mut self, finish: Option<&Value>) {
        if let Some(reason) = finish.and_then(Value::as_str)
            && !reason.is_empty()
        {
            self.finish = Some(reason.to_owned());
        }
    }

    /// Finds the call a fragment belongs to: by its id, then by its index, then the last one. A new
    /// id opens a call, and so does a name on a call that is whole already: Ollama sends `index` 0
    /// for all calls, others send none.
    fn take_fragment(&mut self, fragment: &Fragment) {
        let target = match &fragment.id {
            Some(id) => self
                .calls
                .iter()
                .rposition(|call| call.id.as_ref() == Some(id)),
            None => self.position_by_index(fragment.index),
        };
        let target = target.filter(|at| !opens_another(&self.calls[*at], fragment));
        match target {
            Some(at) => self.calls[at].extend(fragment),
            None => self.open_call(fragment),
        }
    }

    fn position_by_index(&self, index: Option<u64>) -> Option<usize> {
        let by_index = index.and_then(|index| {
            let mut calls = self.calls.iter();
            calls.rposition(|call| call.index == Some(index))
        });
        match (by_index, index) {
            (Some(at), _) => Some(at),
            (None, Some(_)) => None,
            (None, None) => self.calls.len().checked_sub(1),
        }
    }

    fn open_call(&mut self, fragment: &Fragment) {
        if self.calls.len() < MOST_CALLS {
            let mut call = CallDraft {
                index: fragment.index,
                id: fragment.id.clone(),
                ..CallDraft::default()
            };
            call.extend(fragment);
            self.calls.push(call);
        }
    }

    /// Makes the reply.
    pub(crate) fn finish(self, ending: &Ending<'_>) -> Result<Reply, Unusable> {
        let (thought, mut text) = reasoning::split(&self.text);
        let reasoning = [Some(self.reasoning), thought];
        let reasoning: Vec<String> = reasoning.into_iter().flatten().collect();
        let reasoning = reasoning.join("\n").trim().to_owned();
        let mut calls: Vec<ToolCall> = finished_calls(self.calls);
        if calls.is_empty() && ending.text_calls && !ending.tools.is_empty() {
            (calls, text) = text_calls::parse(&text);
        }
        let finish = named_finish(self.finish.as_deref(), &calls, self.refused);
        // A call that was cut off is another call than the one that was meant.
        if finish == Finish::Length {
            calls.clear();
        }
        let said_nothing = text.trim().is_empty() && calls.is_empty();
        match &finish {
            Finish::Filtered if said_nothing => return Err(Unusable::Filtered),
            Finish::Length => {}
            _ if said_nothing => return Err(Unusable::Empty),
            _ => {}
        }
        name_calls(&mut calls, ending.turn);
        Ok(Reply {
            text,
            calls,
            reasoning: (!reasoning.is_empty()).then_some(reasoning),
            finish,
            tokens: self.tokens,
            model: self.model,
            warnings: Vec::new(),
        })
    }
}

struct Fragment {
    index: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    arguments: String,
}

impl CallDraft {
    fn extend(&mut self, fragment: &Fragment) {
        if let Some(name) = &fragment.name
            && self.name.is_empty()
        {
            self.name.clone_from(name);
        }
        if self.id.is_none() {
            self.id.clone_from(&fragment.id);
        }
        self.arguments.push_str(&fragment.arguments);
    }
}

fn opens_another(call: &CallDraft, fragment: &Fragment) -> bool {
    let Some(name) = &fragment.name else {
        return false;
    };
    let elsewhere = fragment.index != call.index || *name != call.name;
    let repeats = !elsewhere && fragment.id.is_some();
    !call.name.is_empty() && arguments::is_whole(&call.arguments) && !repeats
}

/// The entries of `tool_calls`, and the older `function_call`.
fn listed_calls(said: &Value) -> Vec<Fragment> {
    let listed = said.get("tool_calls").and_then(Value::as_array);
    let mut fragments: Vec<Fragment> = listed.into_iter().flatten().map(fragment).collect();
    if let Some(function) = said.get("function_call").filter(|call| call.is_object()) {
        fragments.push(fragment(
            &serde_json::json!({"index": 0, "function": function}),
        ));
    }
    fragments
}

fn fragment(call: &Value) -> Fragment {
    let id = match &call["id"] {
        Value::String(id) if !id.is_empty() && id != "null" => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    let function = call.get("function").unwrap_or(call);
    let name = function["name"].as_str().filter(|name| !name.is_empty());
    let arguments = match &function["arguments"] {
        Value::String(written) => written.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let index = call["index"].as_u64();
    Fragment {
        index: index.or_else(|| function["index"].as_u64()),
        id,
        name: name.map(str::to_owned),
        arguments,
    }
}

/// Text, or a list of parts of which some are thoughts.
fn take_content(content: &Value, text: &mut String, reasoning: &mut String) {
    match content {
        Value::String(piece) => text.push_str(piece),
        Value::Array(parts) => {
            for part in parts {
                let thought = part["type"] == "thinking" || part["type"] == "reasoning";
                let target = if thought { &mut *reasoning } else { &mut *text };
                let inner = part.get("text").or_else(|| part.get("thinking"));
                target.push_str(inner.and_then(Value::as_str).unwrap_or_default());
            }
        }
        _ => {}
    }
}

fn token_count(usage: &Value) -> Option<TokenCount> {
    let count = |names: [&str; 2]| {
        let mut found = names.iter().filter_map(|name| usage.get(name));
        found.next().and_then(Value::as_u64)
    };
    let input = count(["prompt_tokens", "input_tokens"]);
    let output = count(["completion_tokens", "output_tokens"]);
    match (input, output) {
        // Zeros stand for "not counted".
        (None | Some(0), None | Some(0)) => None,
        (input, output) => Some(TokenCount {
            input: input.unwrap_or(0),
            output: output.unwrap_or(0),
        }),
    }
}

fn finished_calls(drafts: Vec<CallDraft>) -> Vec<ToolCall> {
    let meant = |call: &CallDraft| !call.name.is_empty() || !call.arguments.trim().is_empty();
    let meant = drafts.into_iter().filter(meant);
    meant
        .map(|call| ToolCall {
            id: call.id.unwrap_or_default(),
            name: call.name,
            arguments: arguments::parse(&call.arguments),
        })
        .collect()
}

/// Servers say "stop" with tool calls, and "tool_calls" without any.
fn named_finish(finish: Option<&str>, calls: &[ToolCall], refused: bool) -> Finish {
    match finish {
        Some("length" | "max_tokens" | "model_length") => Finish::Length,
        Some("content_filter" | "safety" | "SAFETY") => Finish::Filtered,
        _ if !calls.is_empty() => Finish::ToolCalls,
        _ if refused => Finish::Filtered,
        None | Some("stop" | "tool_calls" | "function_call" | "end_turn" | "eos") => Finish::Stop,
        Some(other) => Finish::Other(other.chars().take(40).collect()),
    }
}

/// Gives every call an id of its own.
fn name_calls(calls: &mut [ToolCall], turn: usize) {
    for at in 0..calls.len() {
        let id = &calls[at].id;
        let taken = calls[..at].iter().any(|earlier| earlier.id == *id);
        if id.is_empty() || taken {
            calls[at].id = format!("call_{turn}_{at}");
        }
    }
}

/// What a person may see of a call's arguments.
impl Arguments {
    /// The arguments as JSON text; what the model wrote, when that is none.
    #[must_use]
    pub fn as_text(&self) -> String {
        match self {
            Self::Object(object) => Value::Object(object.clone()).to_string(),
            Self::Invalid { text, .. } => text.clone(),
        }
    }
}
