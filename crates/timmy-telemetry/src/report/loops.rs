//! When loops worked. The log does not say which loop ended, so it is the newest that is still open.

use jiff::Timestamp;
use timmy_core::Event;
use timmy_core::EventKind;

/// When a loop began, and when it ended, where the log says so.
type Span = (Timestamp, Option<Timestamp>);

/// The loops of all hosts while the log is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Loops {
    spans: Vec<Span>,
}

impl Loops {
    pub(super) fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::LoopStarted { .. } => self.spans.push((event.at, None)),
            EventKind::LoopEnded { .. } => {
                let mut newest = self.spans.iter_mut().rev();
                if let Some((_, end)) = newest.find(|(_, end)| end.is_none()) {
                    *end = Some(event.at);
                }
            }
            _ => {}
        }
    }

    /// Whether loops beside the one that an event is about are at work.
    pub(super) fn others_work(&self, event: &Event) -> bool {
        let open = self.spans.iter().filter(|(_, end)| end.is_none()).count();
        let ending = usize::from(matches!(event.kind, EventKind::LoopEnded { .. }));
        open > ending
    }

    /// The loops as far as they worked after a moment, in the order in which they began.
    pub(super) fn within(self, since: Timestamp) -> Vec<Span> {
        let mut spans = self.spans;
        spans.retain(|(_, end)| end.is_none_or(|end| end > since));
        for (begin, _) in &mut spans {
            *begin = since.max(*begin);
        }
        spans.sort_by_key(|(begin, _)| *begin);
        spans
    }
}

/// Until when loops work without a break from a moment on: none when none does, `Some(None)` when the
/// log knows no end.
pub(super) fn end_from(loops: &[Span], at: Timestamp) -> Option<Option<Timestamp>> {
    let mut until = at;
    for (begin, end) in loops {
        if *begin > until {
            break;
        }
        match end {
            Some(end) => until = until.max(*end),
            None => return Some(None),
        }
    }
    (until > at).then_some(Some(until))
}
