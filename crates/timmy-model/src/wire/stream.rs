//! Replies as they arrive: bounded, timed by silence and not by length, cut wherever the network
//! likes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::EventStreamError;
use eventsource_stream::Eventsource;
use futures_util::Stream;
use futures_util::StreamExt;
use serde_json::Value;
use timmy_core::text;

use crate::wire::draft::Draft;

/// The longest line of a stream, in bytes.
const LONGEST_LINE: usize = 4 << 20;
/// The longest reply, in bytes, with everything around it.
const LONGEST_REPLY: usize = 64 << 20;
/// How long the end of a stream is waited for after the model said that it is done.
const LAST_BYTES: Duration = Duration::from_millis(200);
/// How much of a line that is no JSON is shown, in bytes.
const SHOWN: usize = 200;

/// Why a reply ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No byte came for the idle timeout.
    Silent,
    /// The connection broke, or ended before the model was done.
    Cut(String),
    /// Longer than anything a model says, or no text.
    Unreadable(String),
    /// The server reported an error inside of the reply.
    Reported(Value),
}

/// Pieces of a body.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send>>;

/// Keeps what went by, for a recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tee(Arc<Mutex<Vec<u8>>>);

impl Tee {
    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
    }

    /// What went by so far, as text.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

/// The same pieces, held against the bounds.
pub(crate) fn bounded<E: std::error::Error + Send + 'static>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    idle: Duration,
    tee: Option<Tee>,
) -> Chunks {
    let state = Bounds {
        pieces: Box::pin(pieces),
        idle,
        tee,
        line: 0,
        total: 0,
        over: false,
    };
    Box::pin(futures_util::stream::unfold(state, |mut state| async {
        let next = state.next().await?;
        state.over = next.is_err();
        Some((next, state))
    }))
}

struct Bounds<S> {
    pieces: Pin<Box<S>>,
    idle: Duration,
    tee: Option<Tee>,
    line: usize,
    total: usize,
    over: bool,
}

impl<E: std::error::Error, S: Stream<Item = Result<Bytes, E>>> Bounds<S> {
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        if self.over {
            return None;
        }
        let Ok(next) = tokio::time::timeout(self.idle, self.pieces.next()).await else {
            return Some(Err(Fault::Silent));
        };
        let piece = match next? {
            Ok(piece) => piece,
            Err(error) => return Some(Err(Fault::Cut(chain(&error)))),
        };
        self.total += piece.len();
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line += line.len();
            if self.line > LONGEST_LINE {
                break;
            }
            if line.ends_with(b"\n") {
                self.line = 0;
            }
        }
        if self.line > LONGEST_LINE || self.total > LONGEST_REPLY {
            return Some(Err(Fault::Unreadable("the reply is too long".to_owned())));
        }
        if let Some(tee) = &self.tee {
            tee.keep(&piece);
        }
        Some(Ok(piece))
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}

/// The whole body.
pub(crate) async fn read_all(mut chunks: Chunks) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk?);
    }
    Ok(body)
}

/// A whole completion. Some servers stream although nobody asked them to; that is understood too.
pub(crate) async fn read_completion(chunks: Chunks) -> Result<Value, Fault> {
    json(&String::from_utf8_lossy(&read_all(chunks).await?))
}

/// Server-sent events, up to `[DONE]` or the end.
pub(crate) async fn read_events(chunks: Chunks) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut events = chunks.eventsource();
    let mut done = false;
    while let Some(event) = events.next().await {
        let event = event.map_err(event_fault)?;
        if event.data.trim() == "[DONE]" {
            done = true;
            break;
        }
        match json(&event.data) {
            Ok(chunk) => draft.take_chunk(&chunk),
            // Comments and progress of Hermes travel under names of their own.
            Err(Fault::Unreadable(_)) if event.event != "message" => {}
            Err(fault) => return Err(fault),
        }
    }
    if done {
        // The connection can be used again only when its body was read to the end.
        let rest = async { while events.next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_BYTES, rest).await;
    }
    match draft.is_complete(done) {
        true => Ok(draft),
        false => Err(Fault::Cut("it ended before the model was done".to_owned())),
    }
}

fn event_fault(error: EventStreamError<Fault>) -> Fault {
    match error {
        EventStreamError::Transport(fault) => fault,
        EventStreamError::Utf8(_) | EventStreamError::Parser(_) => {
            Fault::Unreadable("it is no stream of events".to_owned())
        }
    }
}

/// Lines of JSON, as Ollama streams them. One whole object is such a stream, too.
pub(crate) async fn read_lines(mut chunks: Chunks) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut line: Vec<u8> = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                take_line(&mut draft, &line)?;
                line.clear();
            }
        }
    }
    take_line(&mut draft, &line)?;
    match draft.has_finish() {
        true => Ok(draft),
        false => Err(Fault::Cut("it ended before the model was done".to_owned())),
    }
}

fn take_line(draft: &mut Draft, line: &[u8]) -> Result<(), Fault> {
    let line = String::from_utf8_lossy(line);
    if !line.trim().is_empty() {
        draft.take_ollama(&json(&line)?);
    }
    Ok(())
}

/// A JSON object that is no error.
fn json(body: &str) -> Result<Value, Fault> {
    match serde_json::from_str::<Value>(body) {
        Ok(value) if value.get("error").is_some_and(|error| !error.is_null()) => {
            Err(Fault::Reported(value))
        }
        Ok(value) if value.is_object() => Ok(value),
        _ => {
            let shown = text::clean_line(&text::bound(body, SHOWN));
            Err(Fault::Unreadable(format!("this is no reply: {shown}")))
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
