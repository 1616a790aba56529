//! Making hostile text safe to store, show and publish.

use std::borrow::Cow;

/// Removes everything from a text that could steer a terminal or hide meaning from a reader.
///
/// Gone are: escape sequences (CSI, OSC, DCS, SOS, PM, APC and the two-character ones), all C0 and
/// C1 controls but newline and tab, carriage returns (a line keeps what was written last),
/// bidirectional overrides and isolates (U+202A-202E, U+2066-2069, U+200E, U+200F, U+061C),
/// zero-width characters, the byte-order mark and the tag block (U+E0000-E007F).
#[must_use]
pub fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\u{9b}' => skip_control_sequence(&mut characters),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut characters),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => forget_line(&mut kept),
            '\n' | '\t' => kept.push(character),
            _ if is_hidden(character) => {}
            _ => kept.push(character),
        }
    }
    kept
}

/// [`clean`], and on one line: every run of white space becomes one space.
#[must_use]
pub fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn forget_line(kept: &mut String) {
    let line_start = kept.rfind('\n').map_or(0, |newline| newline + 1);
    kept.truncate(line_start);
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_escape(characters: &mut Characters<'_>) {
    match characters.peek() {
        Some('[') => {
            characters.next();
            skip_control_sequence(characters);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            characters.next();
            skip_string(characters);
        }
        Some(' '..='/') => {
            while characters.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            characters.next_if(|c| matches!(c, '0'..='~'));
        }
        Some('0'..='~') => {
            characters.next();
        }
        _ => {}
    }
}

/// Parameters and intermediates, then one final byte. Anything else ends it and is kept.
fn skip_control_sequence(characters: &mut Characters<'_>) {
    while characters.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    characters.next_if(|c| matches!(c, '@'..='~'));
}

/// Up to BEL, ST or `ESC \`. A string that never ends is cut at the end of its line, so that an
/// unfinished sequence cannot swallow the rest of a log.
fn skip_string(characters: &mut Characters<'_>) {
    while let Some(&next) = characters.peek() {
        if next == '\n' {
            return;
        }
        characters.next();
        match next {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                characters.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Cuts a text to at most `limit` bytes by taking out its middle, and says how much is gone.
///
/// A third of the room goes to the head, the rest to the tail: the end of an output says more. The
/// result never exceeds `limit` by more than the mark itself (under 64 bytes).
#[must_use]
pub fn bound(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let head_end = floor_boundary(text, limit / 3);
    let tail_start = ceiling_boundary(text, text.len() - (limit - limit / 3));
    let omitted = tail_start - head_end;
    Cow::Owned(format!(
        "{}\n[… {omitted} bytes left out …]\n{}",
        &text[..head_end],
        &text[tail_start..]
    ))
}

/// The last `limit` bytes of a text, starting at a character, with a mark when something is gone.
#[must_use]
pub fn tail(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let start = ceiling_boundary(text, text.len() - limit);
    Cow::Owned(format!("[… {start} bytes left out …]\n{}", &text[start..]))
}

fn floor_boundary(text: &str, mut index: usize) -> usize {
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

fn ceiling_boundary(text: &str, mut index: usize) -> usize {
    while !text.is_char_boundary(index) {
        index += 1;
    }
    index
}

/// Cleaned text as Markdown that a forge will not act on: no mention, no issue reference, no
/// closing keyword takes effect, no HTML and no link or image survives.
#[must_use]
pub fn defuse_markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in clean(text).chars() {
        match character {
            '@' => safe.push_str("&#64;"),
            '#' => safe.push_str("&#35;"),
            '!' => safe.push_str("&#33;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '[' => safe.push_str("&#91;"),
            ']' => safe.push_str("&#93;"),
            ':' => safe.push_str("&#58;"),
            '.' if ends_with_www(&safe) => safe.push_str("&#46;"),
            _ => safe.push(character),
        }
    }
    safe
}

/// Such a start of a link needs no scheme in front of it.
fn ends_with_www(text: &str) -> bool {
    let last = text.as_bytes().last_chunk::<3>();
    last.is_some_and(|last| last.eq_ignore_ascii_case(b"www"))
}

/// [`clean_line`] for places that know no escaping, such as titles and commit messages: a space
/// after `#`, `!`, `@` and `://` keeps a forge from seeing an issue, a pull request, a person or an
/// address there, and so from closing or telling them.
#[must_use]
pub fn defuse_line(text: &str) -> String {
    let line = clean_line(text);
    let mut safe = String::with_capacity(line.len());
    for character in line.chars() {
        let joins = safe.ends_with(['#', '!', '@']) && character.is_alphanumeric();
        if joins || (safe.ends_with("://") && character != ' ') {
            safe.push(' ');
        }
        safe.push(character);
    }
    safe
}

/// Cleaned text inside a Markdown code fence that it cannot close.
#[must_use]
pub fn fence(text: &str, language: &str) -> String {
    let text = clean(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!(
        "{fence}{language}\n{}\n{fence}",
        text.trim_end_matches('\n')
    )
}

/// Bytes as lower-case hexadecimal digits, two a byte: digests and random values.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_that_steer_a_terminal_are_gone() {
        let hostile = "a\u{1b}[31mred\u{1b}[0m\u{1b}]52;c;aGk=\u{7}b\u{1b}]8;;http://x\u{1b}\\c\u{9b}2Jd\
                       \u{1b}Pq#0\u{1b}\\e\u{202e}f\u{200b}g\u{e0041}h\u{1b}(Bi\u{1b}cj";
        assert_eq!("aredbcdefghij", clean(hostile));
    }

    #[test]
    fn a_carriage_return_keeps_what_a_terminal_would_show() {
        assert_eq!("one\n100%\nend\n", clean("one\n 1%\r 50%\r100%\r\nend\n"));
    }

    #[test]
    fn an_unfinished_sequence_cannot_swallow_the_rest() {
        assert_eq!("\nvisible", clean("\u{1b}]0;title\nvisible"));
    }

    #[test]
    fn a_fence_cannot_be_closed_from_inside() {
        assert_eq!("`````text\n````\n`````", fence("````", "text"));
    }

    #[test]
    fn markdown_that_acts_is_defused() {
        assert_eq!(
            "Fixes &#35;1 &#64;root &#33;&#91;x&#93;(http&#58;//e)",
            defuse_markdown("Fixes #1 @root ![x](http://e)")
        );
    }

    #[test]
    fn a_link_without_a_scheme_is_defused() {
        assert_eq!("WwW&#46;e.example", defuse_markdown("WwW.e.example"));
    }

    #[test]
    fn a_line_that_acts_is_defused() {
        assert_eq!(
            "Fixes # 1, a/b# 2, ! 3 for @ root, closes https:// forge/a/b/issues/4 in C#!",
            defuse_line("Fixes #1, a/b#2, !3 for\n@root, closes https://forge/a/b/issues/4 in C#!")
        );
    }

    proptest! {
        #[test]
        fn clean_leaves_no_control_and_is_stable(text in any::<String>()) {
            let once = clean(&text);
            let visible = |c: char| c == '\n' || c == '\t' || !is_hidden(c);
            prop_assert!(once.chars().all(visible));
            prop_assert_eq!(&clean(&once), &once);
        }

        #[test]
        fn bound_holds(text in any::<String>(), limit in 0_usize..200) {
            prop_assert!(bound(&text, limit).len() <= limit + 64);
            prop_assert!(tail(&text, limit).len() <= limit + 64);
        }
    }
}
