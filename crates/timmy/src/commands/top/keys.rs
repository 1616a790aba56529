//! Keys out of the bytes that a terminal sends.
//!
//! Only those that the view has a use for; what else a terminal can send is passed over. crossterm has
//! a reader too. It loses a key that comes together with a change of size, and asks for more for ever
//! once the terminal is gone.

use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyModifiers;

const ESCAPE: u8 = 0x1b;
/// No sequence that a terminal sends is longer.
const LONGEST: usize = 64;

/// Bytes that are no key yet.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pending: Vec<u8>,
}

/// What the first bytes are.
enum First {
    /// A key, or nothing that is of use, and how many bytes that took.
    Whole(usize, Option<KeyEvent>),
    /// The beginning of something.
    Part,
}

impl Keys {
    /// The keys that are whole after further bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<KeyEvent> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while !self.pending.is_empty() {
            match first(&self.pending) {
                First::Whole(taken, key) => {
                    self.pending.drain(..taken.min(self.pending.len()));
                    keys.extend(key);
                }
                First::Part if self.pending.len() > LONGEST => self.pending.clear(),
                First::Part => break,
            }
        }
        keys
    }

    /// Whether something has begun that may go on.
    pub(super) fn is_open(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing followed: an escape was the key of that name, anything else was cut off.
    pub(super) fn close(&mut self) -> Option<KeyEvent> {
        let escape = self.pending == [ESCAPE];
        self.pending.clear();
        escape.then(|| plain(KeyCode::Esc))
    }
}

fn plain(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn first(bytes: &[u8]) -> First {
    match bytes {
        [] | [ESCAPE] => First::Part,
        [ESCAPE, b'[', rest @ ..] => sequence(rest),
        [ESCAPE, b'O', key, ..] => First::Whole(3, named(*key, b"")),
        [ESCAPE, b'O'] => First::Part,
        [ESCAPE, ESCAPE, ..] => First::Whole(1, Some(plain(KeyCode::Esc))),
        // Together with Alt.
        [ESCAPE, rest @ ..] => match character(rest) {
            First::Whole(taken, _) => First::Whole(taken + 1, None),
            First::Part => First::Part,
        },
        [b'\r' | b'\n', ..] => First::Whole(1, Some(plain(KeyCode::Enter))),
        [0x08 | 0x7f, ..] => First::Whole(1, Some(plain(KeyCode::Backspace))),
        [control @ 0x01..0x1b, ..] => {
            let letter = char::from(b'a' + control - 1);
            let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
            First::Whole(1, Some(key))
        }
        [0x00..0x20, ..] => First::Whole(1, None),
        _ => character(bytes),
    }
}

/// What follows `ESC [`: parameters, then one byte that says which key.
fn sequence(rest: &[u8]) -> First {
    let is_last = |byte: &u8| (0x40..=0x7e).contains(byte);
    let Some(end) = rest.iter().position(is_last) else {
        return First::Part;
    };
    First::Whole(end + 3, named(rest[end], &rest[..end]))
}

/// A key by the end of its sequence and the parameters before it. With Shift or Control it is the
/// same key here.
fn named(last: u8, parameters: &[u8]) -> Option<KeyEvent> {
    let number = parameters.split(|byte| *byte == b';').next();
    let code = match (last, number.unwrap_or_default()) {
        (b'A', _) => KeyCode::Up,
        (b'B', _) => KeyCode::Down,
        (b'C', _) => KeyCode::Right,
        (b'D', _) => KeyCode::Left,
        (b'H', _) | (b'~', b"1" | b"7") => KeyCode::Home,
        (b'F', _) | (b'~', b"4" | b"8") => KeyCode::End,
        (b'M', b"") => KeyCode::Enter,
        (b'~', b"5") => KeyCode::PageUp,
        (b'~', b"6") => KeyCode::PageDown,
        _ => return None,
    };
    Some(plain(code))
}

/// A character of UTF-8. Bytes that are none are passed over.
fn character(bytes: &[u8]) -> First {
    let length = match bytes.first() {
        None => return First::Part,
        Some(0x00..0x80) => 1,
        Some(0xc2..0xe0) => 2,
        Some(0xe0..0xf0) => 3,
        Some(0xf0..0xf5) => 4,
        Some(_) => return First::Whole(1, None),
    };
    let Some(whole) = bytes.get(..length) else {
        return First::Part;
    };
    let text = std::str::from_utf8(whole).ok();
    let typed = text.and_then(|text| text.chars().next());
    let typed = typed.filter(|typed| !typed.is_control());
    let taken = if text.is_some() { length } else { 1 };
    First::Whole(taken, typed.map(|typed| plain(KeyCode::Char(typed))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes(bytes: &[u8]) -> Vec<KeyCode> {
        let mut keys = Keys::default();
        let mut found = keys.take(bytes);
        found.extend(keys.close());
        found.into_iter().map(|key| key.code).collect()
    }

    #[test]
    fn keys_are_known_by_their_bytes() {
        use KeyCode::*;
        let cases: [(&[u8], Vec<KeyCode>); 12] = [
            (b"jq?", vec![Char('j'), Char('q'), Char('?')]),
            (b"\r\x7f\x08", vec![Enter, Backspace, Backspace]),
            (b"\x1b[A\x1b[B\x1bOA\x1bOB", vec![Up, Down, Up, Down]),
            (
                b"\x1b[5~\x1b[6~\x1b[1~\x1b[4~",
                vec![PageUp, PageDown, Home, End],
            ),
            (b"\x1b[H\x1bOF\x1b[1;5A", vec![Home, End, Up]),
            (b"\x1b", vec![Esc]),
            (b"\x1b\x1b[A", vec![Esc, Up]),
            // Alt and a letter, a mouse, an answer of the terminal: none of ours.
            (b"\x1bs\x1b[<0;1;1M\x1b[?1;2cx", vec![Char('x')]),
            ("é日".as_bytes(), vec![Char('é'), Char('日')]),
            (b"\xff\xc3(y", vec![Char('('), Char('y')]),
            (b"\x1b[", vec![]),
            (b"", vec![]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(expected, codes(bytes), "{bytes:?}");
        }
        let interrupt = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
        assert_eq!(vec![interrupt], Keys::default().take(b"\x03"));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_arrive(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(ESCAPE), Just(b'['), Just(b'5'), Just(b'~')], 0..40),
            at in 0_usize..40,
        ) {
            let (one, other) = bytes.split_at(at.min(bytes.len()));
            let mut keys = Keys::default();
            let mut parts = keys.take(one);
            parts.extend(keys.take(other));
            let mut whole = Keys::default();
            prop_assert_eq!(whole.take(&bytes), parts);
            prop_assert_eq!(whole.close(), keys.close());
            prop_assert!(!keys.is_open());
        }
    }
}
