//! The arguments of a tool call: parsed once, at the end, and mended only where there is one way to
//! mend them.

use serde_json::Map;
use serde_json::Value;
use timmy_core::text;

use crate::chat::Arguments;

/// How much of unusable arguments is kept to be shown, in bytes.
const KEPT_OF_INVALID: usize = 2_000;

/// Reads the arguments of a call that was not cut off.
pub(crate) fn parse(written: &str) -> Arguments {
    let trimmed = without_fence(written.trim());
    if trimmed.is_empty() || trimmed == "null" || trimmed == "None" {
        return Arguments::Object(Map::new());
    }
    let error = match object(trimmed) {
        Ok(object) => return Arguments::Object(object),
        Err(error) => error,
    };
    match mend(trimmed).map(|mended| object(&mended)) {
        Some(Ok(object)) => Arguments::Object(object),
        _ => Arguments::Invalid {
            text: text::bound(written, KEPT_OF_INVALID).into_owned(),
            error,
        },
    }
}

/// Whether a text is a complete JSON object already.
pub(crate) fn is_whole(written: &str) -> bool {
    matches!(serde_json::from_str(written), Ok(Value::Object(_)))
}

/// An object, or a string that holds one: some servers encode the arguments twice.
fn object(written: &str) -> Result<Map<String, Value>, String> {
    let value = match serde_json::from_str(written) {
        Ok(Value::String(inner)) => serde_json::from_str(&inner),
        other => other,
    };
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the arguments are not a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not JSON: {error}")),
    }
}

fn without_fence(written: &str) -> &str {
    let Some(rest) = written.strip_prefix("```") else {
        return written;
    };
    let Some(rest) = rest.strip_suffix("```") else {
        return written;
    };
    match rest.split_once('\n') {
        Some((language, body)) if !language.contains('{') => body.trim(),
        _ => rest.trim(),
    }
}

/// Drops commas before a closing bracket, writes Python's literals as JSON's, escapes raw control
/// characters inside strings, and closes brackets at the end when the last value is complete.
/// Nothing is mended inside of an unfinished string or after a number, which may lack digits.
fn mend(written: &str) -> Option<String> {
    let mut mender = Mender::default();
    for character in written.chars() {
        mender.take(character)?;
    }
    mender.finish()
}

#[derive(Default)]
struct Mender {
    mended: String,
    word: String,
    open: Vec<char>,
    in_string: bool,
    escaped: bool,
}

impl Mender {
    fn take(&mut self, character: char) -> Option<()> {
        if self.in_string {
            self.take_in_string(character);
            return Some(());
        }
        if character.is_alphabetic() {
            self.word.push(character);
            return Some(());
        }
        self.end_word();
        match character {
            '"' => self.in_string = true,
            '{' => self.open.push('}'),
            '[' => self.open.push(']'),
            '}' | ']' => {
                self.drop_trailing_comma();
                if self.open.pop() != Some(character) {
                    return None;
                }
            }
            _ => {}
        }
        self.mended.push(character);
        Some(())
    }

    fn take_in_string(&mut self, character: char) {
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = true,
            '"' => self.in_string = false,
            '\n' => return self.mended.push_str("\\n"),
            '\r' => return self.mended.push_str("\\r"),
            '\t' => return self.mended.push_str("\\t"),
            _ => {}
        }
        self.mended.push(character);
    }

    fn end_word(&mut self) {
        self.mended.push_str(match self.word.as_str() {
            "None" => "null",
            "True" => "true",
            "False" => "false",
            other => other,
        });
        self.word.clear();
    }

    fn drop_trailing_comma(&mut self) {
        let kept = self.mended.trim_end().strip_suffix(',').map(str::len);
        if let Some(length) = kept {
            self.mended.truncate(length);
        }
    }

    fn finish(mut self) -> Option<String> {
        if self.in_string {
            return None;
        }
        self.end_word();
        if !self.open.is_empty() {
            let last = self.mended.trim_end().chars().next_back()?;
            if !matches!(last, '"' | '}' | ']') {
                return None;
            }
        }
        while let Some(bracket) = self.open.pop() {
            self.mended.push(bracket);
        }
        Some(self.mended)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(written: &str) -> Option<Value> {
        match parse(written) {
            Arguments::Object(object) => Some(Value::Object(object)),
            Arguments::Invalid { .. } => None,
        }
    }

    #[test]
    fn each_listed_slip_is_mended() {
        let cases = [
            ("", json!({})),
            ("null", json!({})),
            (r#"{"a": 1,}"#, json!({"a": 1})),
            (
                r#"{"a": [1, 2, ], "b": "x,}"}"#,
                json!({"a": [1, 2], "b": "x,}"}),
            ),
            ("```json\n{\"a\": 1}\n```", json!({"a": 1})),
            ("```\n{\"a\": 1}```", json!({"a": 1})),
            (
                r#"{"a": None, "b": True, "c": "None"}"#,
                json!({"a": null, "b": true, "c": "None"}),
            ),
            ("{\"a\": \"x\ny\"}", json!({"a": "x\ny"})),
            (r#"{"a": {"b": "c""#, json!({"a": {"b": "c"}})),
            (r#""{\"a\": 1}""#, json!({"a": 1})),
        ];
        for (written, expected) in cases {
            assert_eq!(Some(expected), parsed(written), "{written}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_not_mended() {
        let cases = [
            r#"{"command": "rm -rf /tmp/x"#,
            r#"{"lines": 12"#,
            r#"{"a": "x", "#,
            r#"{"a": "x", "b"#,
            r#"{"a": "x", "b""#,
            r#"{"a": tru"#,
            r#"{"a": 1]"#,
            "[1, 2]",
            "ls -la",
            r#"{"a": 1} {"b": 2}"#,
        ];
        for written in cases {
            assert_eq!(None, parsed(written), "{written}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(written in any::<String>()) {
            parse(&written);
        }

        #[test]
        fn text_like_json_is_answered(written in r#"[\[\]{}",: \\a-cN1\n`]{0,60}"#) {
            parse(&written);
        }

        #[test]
        fn right_json_is_never_changed(key in ".{0,8}", value in any::<String>()) {
            let right = json!({key: value, "n": [1, null, {"x": true}]});
            prop_assert_eq!(Some(right.clone()), parsed(&right.to_string()));
        }

        #[test]
        fn a_prefix_never_gives_a_shortened_string(value in "[a-z \"\\\\]{1,20}", cut in 0_usize..80) {
            let whole = json!({"command": value});
            let written = whole.to_string();
            let cut = cut.min(written.len());
            if let Some(Value::Object(object)) = parsed(&written[..cut])
                && let Some(command) = object.get("command")
            {
                prop_assert_eq!(command, &json!(value));
            }
        }
    }
}
