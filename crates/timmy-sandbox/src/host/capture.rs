//! The beginning and the end of an output stream.

use std::collections::VecDeque;

/// Keeps at most `limit` bytes of what it is given: a third from the beginning, the rest from the
/// end.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    seen: u64,
}

impl Capture {
    pub(super) fn new(limit: usize) -> Self {
        let head_limit = limit / 3;
        Self {
            head: Vec::new(),
            head_limit,
            tail: VecDeque::new(),
            tail_limit: limit - head_limit,
            seen: 0,
        }
    }

    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let room = self.head_limit - self.head.len();
        let (to_head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(to_head);
        bytes = &rest[rest.len().saturating_sub(self.tail_limit)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    /// How many bytes it was given.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The beginning of it, for a message.
    pub(super) fn head_text(&self) -> String {
        const LONGEST: usize = 400;
        let bytes: Vec<u8> = self
            .head
            .iter()
            .chain(&self.tail)
            .take(LONGEST)
            .copied()
            .collect();
        timmy_core::text::clean_line(&String::from_utf8_lossy(&bytes))
    }

    fn omitted(&self) -> u64 {
        self.seen - (self.head.len() + self.tail.len()) as u64
    }

    /// What was kept, with a mark where something was left out, and whether something was.
    pub(super) fn finish(self) -> (Vec<u8>, bool) {
        let omitted = self.omitted();
        let mut kept = self.head;
        if omitted > 0 {
            let mark = format!("\n[… {omitted} bytes left out …]\n");
            kept.extend_from_slice(mark.as_bytes());
        }
        kept.extend(self.tail);
        (kept, omitted > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn beginning_and_end_are_kept(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            limit in 0_usize..200,
        ) {
            let all = pieces.concat();
            let mut capture = Capture::new(limit);
            pieces.iter().for_each(|piece| capture.take(piece));
            prop_assert_eq!(all.len() as u64, capture.seen());
            let (kept, truncated) = capture.finish();
            prop_assert_eq!(all.len() > limit, truncated);
            if truncated {
                let tail = limit - limit / 3;
                prop_assert!(kept.starts_with(&all[..limit / 3]));
                prop_assert!(kept.ends_with(&all[all.len() - tail..]));
                prop_assert!(kept.len() <= limit + 64);
            } else {
                prop_assert_eq!(all, kept);
            }
        }
    }
}
