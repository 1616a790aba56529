//! Single values of YAML in a text: where they begin and end, and how they are written.

use std::ops::Range;

/// Words that are no texts, in YAML 1.1 or 1.2. Hermes reads 1.1.
const NO_TEXTS: [&str; 11] = [
    "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf",
];
/// What a value cannot begin with when it is looked for here: anchors, aliases, tags, texts of several
/// lines, lists.
const OTHER_FORMS: &str = "&*!|>%@`[]},?";

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Empty,
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A record in braces.
    Braces,
}

/// A value in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// From its first to behind its last byte, quotes included.
    pub(super) range: Range<usize>,
    pub(super) style: Style,
}

/// A field of a record in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) key: &'a str,
    pub(super) value: Span,
}

/// The value behind a colon on a line that ends at `end`. None for a form that is not known.
pub(super) fn block(text: &str, colon: usize, end: usize) -> Option<Span> {
    let rest = &text[colon..end];
    let spaces = rest.len() - rest.trim_start_matches(' ').len();
    let start = colon + spaces;
    let rest = &text[start..end];
    if rest.is_empty() || (rest.starts_with('#') && spaces > 0) {
        let range = colon..colon;
        let style = Style::Empty;
        return Some(Span { range, style });
    }
    if rest.starts_with('{') {
        let range = start..end;
        let style = Style::Braces;
        return Some(Span { range, style });
    }
    if let Some(span) = quoted(text, start, end) {
        let behind = text[span.range.end..end].trim_start();
        return (behind.is_empty() || behind.starts_with('#')).then_some(span);
    }
    if rest.starts_with(['"', '\'']) || rest.starts_with(|c| OTHER_FORMS.contains(c)) {
        return None;
    }
    let value = rest.split(" #").next().unwrap_or(rest).trim_end();
    (!value.contains(": ") && !value.contains('\t')).then(|| Span {
        range: start..start + value.len(),
        style: Style::Plain,
    })
}

/// A value in quotes that begins here and ends before `end`.
fn quoted(text: &str, start: usize, end: usize) -> Option<Span> {
    let mut characters = text[start..end].char_indices().peekable();
    let (_, quote) = characters.next()?;
    let style = match quote {
        '"' => Style::Double,
        '\'' => Style::Single,
        _ => return None,
    };
    while let Some((at, character)) = characters.next() {
        if character == '\\' && style == Style::Double {
            characters.next();
        } else if character == quote {
            let doubled =
                style == Style::Single && characters.next_if(|(_, next)| *next == '\'').is_some();
            if !doubled {
                let range = start..start + at + 1;
                return Some(Span { range, style });
            }
        }
    }
    None
}

/// The fields of a record in braces that opens here. None for a form that is not known.
pub(super) fn fields(text: &str, open: usize) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut at = open + 1;
    loop {
        at = skip_space(text, at);
        match text[at..].chars().next()? {
            '}' => return Some(fields),
            ',' => at += 1,
            _ => {
                let (field, behind) = field(text, at)?;
                fields.push(field);
                at = behind;
            }
        }
    }
}

/// One field, and where it ends.
fn field(text: &str, start: usize) -> Option<(Field<'_>, usize)> {
    let (key, colon) = match quoted(text, start, text.len()) {
        Some(span) => {
            let key = &text[span.range.start + 1..span.range.end - 1];
            (key, skip_space(text, span.range.end))
        }
        None => {
            let length = text[start..].find([':', ',', '}', '\n'])?;
            (text[start..start + length].trim_end(), start + length)
        }
    };
    let behind = text[colon..].strip_prefix(':')?;
    let colon = colon + 1;
    if !behind.starts_with([' ', '\n', '\r', ',', '}']) {
        return None;
    }
    let start = skip_space(text, colon);
    let rest = &text[start..];
    let value = if rest.starts_with([',', '}']) {
        let range = colon..colon;
        let style = Style::Empty;
        Span { range, style }
    } else if let Some(span) = quoted(text, start, text.len()) {
        span
    } else if rest.starts_with(['{', '[']) {
        let range = start..nested_end(text, start)?;
        let style = Style::Braces;
        Span { range, style }
    } else if rest.starts_with(|c| OTHER_FORMS.contains(c)) || rest.starts_with(['"', '\'']) {
        return None;
    } else {
        let length = rest.find([',', '}', '\n', '\r'])?;
        let value = rest[..length].split(" #").next()?.trim_end();
        let range = start..start + value.len();
        let style = Style::Plain;
        Span { range, style }
    };
    let end = value.range.end.max(colon);
    Some((Field { key, value }, end))
}

/// Where a record or list that opens here ends.
fn nested_end(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = open;
    loop {
        if let Some(span) = quoted(text, at, text.len()) {
            at = span.range.end;
            continue;
        }
        let character = text[at..].chars().next()?;
        at += character.len_utf8();
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Behind spaces, ends of lines and comments.
fn skip_space(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let space = rest.len() - rest.trim_start_matches([' ', '\n', '\r', '\t']).len();
        at += space;
        if space == 0 || !text[at..].starts_with('#') {
            return at;
        }
        at += text[at..].find('\n').unwrap_or(text.len() - at);
    }
}

/// A value on a line of its own, in a style where that is possible.
pub(super) fn written(value: &str, style: Style) -> String {
    match style {
        Style::Single => format!("'{}'", value.replace('\'', "''")),
        Style::Double => double(value),
        Style::Empty | Style::Plain | Style::Braces if is_plain(value) => value.to_owned(),
        Style::Empty | Style::Plain | Style::Braces => double(value),
    }
}

/// The same inside of braces, where a colon needs quotes for older readers.
pub(super) fn in_braces(value: &str, style: Style) -> String {
    match style {
        Style::Empty | Style::Plain | Style::Braces if value.contains(':') => double(value),
        style => written(value, style),
    }
}

fn double(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Whether a text is read as that text without quotes, by every reader.
fn is_plain(value: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._/:@+-".contains(c);
    let begins = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let lower = value.to_ascii_lowercase();
    begins
        && value.chars().all(known)
        && !value.ends_with(':')
        && !NO_TEXTS.contains(&lower.as_str())
}
