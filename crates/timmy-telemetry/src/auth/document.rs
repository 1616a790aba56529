//! A JSON file with tokens, and the record of one login in it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Map;
use serde_json::Value;

use super::settings::AuthProvider;
use super::settings::Pointer;
use super::settings::Rule;

/// Such files are short; a longer one is something else.
const LONGEST_FILE: u64 = 16 << 20;
/// The rights that others must not have.
const OF_OTHERS: u32 = 0o077;

/// A file that was read. Its `Debug` form shows no content.
#[derive(Clone)]
pub(super) struct Document {
    /// Where it really is, after all links.
    pub(super) path: PathBuf,
    /// Its content.
    pub(super) value: Value,
    /// Its bytes, to see whether it changed.
    pub(super) bytes: Vec<u8>,
    /// Its rights.
    pub(super) mode: u32,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({})", self.path.display())
    }
}

impl Document {
    /// Reads a file; none when it does not exist.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let problem = |reason: &dyn std::fmt::Display| {
            format!("{} is not readable: {reason}", path.display())
        };
        let path = match std::fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(&error)),
        };
        let data = std::fs::metadata(&path).map_err(|error| problem(&error))?;
        if !data.is_file() || data.len() > LONGEST_FILE {
            return Err(problem(&"it is no file of a sensible size"));
        }
        let bytes = std::fs::read(&path).map_err(|error| problem(&error))?;
        // What the parser says names a place and no content.
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| problem(&error))?;
        if !value.is_object() {
            return Err(problem(&"it holds no JSON object"));
        }
        Ok(Some(Self {
            path,
            value,
            bytes,
            mode: data.mode() & 0o7777,
        }))
    }

    /// Whether others than its owner have rights.
    pub(super) fn is_open(&self) -> bool {
        self.mode & OF_OTHERS != 0
    }

    /// Where the record of a login is; none when there is none.
    pub(super) fn record_at<'a>(&self, provider: &'a AuthProvider) -> Option<&'a Pointer> {
        let mut places = provider.records.iter();
        if provider.rule == Some(Rule::HermesNous) && self.has_todays_form() {
            // The older form beside today's is a leftover.
            return places.next().filter(|place| self.object(place).is_some());
        }
        places.find(|place| self.object(place).is_some())
    }

    fn has_todays_form(&self) -> bool {
        let table = |name: &str| self.value.get(name).is_some_and(Value::is_object);
        table("providers") || table("credential_pool")
    }

    /// An object in it.
    pub(super) fn object(&self, place: &Pointer) -> Option<&Map<String, Value>> {
        self.value.pointer(place.as_str())?.as_object()
    }

    /// Whether writing it again keeps every number. Whole numbers beyond 64 bits would be rounded.
    pub(super) fn can_be_kept(&self) -> bool {
        numbers(&self.bytes).iter().all(|number| {
            let whole = !number.contains(['.', 'e', 'E']);
            !whole || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
        })
    }
}

/// The numbers outside of texts, as they are written.
fn numbers(json: &[u8]) -> Vec<String> {
    let mut numbers = Vec::new();
    let mut number = String::new();
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        if byte.is_ascii_digit() || b"+-.eE".contains(byte) {
            number.push(char::from(*byte));
            continue;
        }
        // The letters of `true` and its like are no numbers.
        if number.contains(|c: char| c.is_ascii_digit()) {
            numbers.push(std::mem::take(&mut number));
        }
        number.clear();
        if *byte == b'"' {
            skip_text(&mut bytes);
        }
    }
    numbers
}

/// Behind the end of a text that has begun.
fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

/// Puts a value at a pointer below an object, making the objects on the way.
pub(super) fn put(record: &mut Map<String, Value>, place: &Pointer, value: Value) {
    let mut names = place.as_str().split('/').skip(1).peekable();
    let mut at = record;
    while let Some(name) = names.next() {
        let name = name.replace("~1", "/").replace("~0", "~");
        if names.peek().is_none() {
            at.insert(name, value);
            return;
        }
        let inner = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        match inner {
            Value::Object(inner) => at = inner,
            _ => return,
        }
    }
}

/// A text at a pointer below an object, with something in it.
pub(super) fn text<'a>(record: &'a Map<String, Value>, place: &Pointer) -> Option<&'a str> {
    let text = at(record, place)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

/// A value at a pointer below an object.
pub(super) fn at<'a>(record: &'a Map<String, Value>, place: &Pointer) -> Option<&'a Value> {
    let rest = place.as_str().strip_prefix('/')?;
    let (first, rest) = match rest.split_once('/') {
        Some((first, rest)) => (first, format!("/{rest}")),
        None => (rest, String::new()),
    };
    let first = first.replace("~1", "/").replace("~0", "~");
    record.get(&first)?.pointer(&rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_value_is_put_where_it_is_found_again() {
        let mut record = json!({"a": {"b": 1}, "c": 2}).as_object().unwrap().clone();
        for place in ["/a/b", "/c", "/c/d", "/new/er", "/x~1y"] {
            put(&mut record, &pointer(place), json!(place));
            assert_eq!(Some(place), text(&record, &pointer(place)), "{place}");
        }
        let expected = json!({"a": {"b": "/a/b"}, "c": {"d": "/c/d"}, "new": {"er": "/new/er"}, "x/y": "/x~1y"});
        assert_eq!(expected, Value::Object(record));
    }

    #[test]
    fn numbers_are_found_and_texts_are_none() {
        for (json, found) in [
            (r#"{"a": 12}"#, vec!["12"]),
            (
                r#"{"a": -123456789012345678901}"#,
                vec!["-123456789012345678901"],
            ),
            (
                r#"{"a": 1.5e-300, "b": [7,88], "c": true}"#,
                vec!["1.5e-300", "7", "88"],
            ),
            (r#"{"a": "12 \" 3", "4": null, "\\": 5}"#, vec!["5"]),
        ] {
            assert_eq!(found, numbers(json.as_bytes()), "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_kept_is_kept(number in "(0|-?[1-9][0-9]{0,25})(\\.[0-9]{1,20})?(e-?[0-9]{1,2})?") {
            let bytes = format!("{{\"a\": {number}}}").into_bytes();
            let document = Document {
                path: PathBuf::new(),
                value: serde_json::from_slice(&bytes).unwrap(),
                bytes,
                mode: 0o600,
            };
            let exact: f64 = number.parse().unwrap();
            prop_assert_eq!(Some(exact), document.value["a"].as_f64());
            if document.can_be_kept() && !number.contains(['.', 'e']) {
                prop_assert_eq!(number, document.value["a"].to_string());
            }
        }
    }
}
