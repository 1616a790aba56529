//! Text in cells of a terminal: cut, filled up and wrapped by its width, not its bytes.

use ratatui::text::Span;

/// How many cells a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

fn of(character: char) -> usize {
    let mut bytes = [0; 4];
    width(character.encode_utf8(&mut bytes))
}

/// The beginning of a text that fits, with a mark where something is cut.
pub(super) fn cut(text: &str, room: usize, mark: char) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(of(mark));
    let mut kept = String::new();
    let mut taken = 0;
    for character in text.chars() {
        taken += of(character);
        if taken > room {
            break;
        }
        kept.push(character);
    }
    if width(text) > 0 && room + of(mark) > 0 {
        kept.push(mark);
    }
    kept
}

/// As [`cut`], filled up with spaces.
pub(super) fn fit(text: &str, room: usize, mark: char) -> String {
    let mut fitted = if room == 0 {
        String::new()
    } else {
        cut(text, room, mark)
    };
    let missing = room.saturating_sub(width(&fitted));
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// A line in parts that fit, broken between words where that is possible. At least one part.
pub(super) fn wrap(line: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut taken = 0;
    for character in line.chars() {
        let wide = of(character);
        if taken + wide > room && !part.is_empty() {
            let rest = break_off(&mut part);
            parts.push(std::mem::replace(&mut part, rest));
            taken = width(&part);
        }
        part.push(character);
        taken += wide;
    }
    parts.push(part);
    parts
}

/// Takes the last word off a part, unless it is most of it.
fn break_off(part: &mut String) -> String {
    let Some(space) = part.rfind(' ') else {
        return String::new();
    };
    if space * 2 < part.len() {
        return String::new();
    }
    let rest = part.split_off(space + 1);
    part.truncate(space);
    rest
}

/// `999`, `12.3k`, `4.5M`.
pub(super) fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{}.{}k", number / 1_000, number % 1_000 / 100),
        _ => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

/// `42 s`, `3 min`, `2 h 5 m`, `3 d`.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {} m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_and_wrapped_by_its_width() {
        assert_eq!("日本…", cut("日本語テキスト", 6, '…'));
        assert_eq!("ab   ", fit("ab", 5, '…'));
        assert_eq!(vec!["one two", "three"], wrap("one two three", 8));
        assert_eq!(vec!["abcdef", "gh"], wrap("abcdefgh", 6));
        assert_eq!(vec![""], wrap("", 6));
        assert_eq!("1.2k", count(1_234));
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_its_room(text in any::<String>(), room in 2_usize..40) {
            let text = timmy_core::text::clean_line(&text);
            prop_assert!(width(&cut(&text, room, '…')) <= room);
            prop_assert_eq!(room, width(&fit(&text, room, '…')));
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            let parts = wrap(&text, room);
            for part in &parts {
                prop_assert!(width(part) <= room, "{part:?} in {room}");
            }
            prop_assert_eq!(letters(&text), letters(&parts.concat()));
        }
    }
}
