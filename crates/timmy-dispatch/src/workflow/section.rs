//! Reading typed values out of one mapping of the front matter.

use std::time::Duration;

use serde_yaml_ng::Mapping;
use serde_yaml_ng::Value;
use timmy_core::text;

use super::error::WorkflowError;
use super::front_matter::kind;

/// The longest value that an error repeats, in bytes.
const SHOWN_BYTES: usize = 60;

/// A mapping and its name. An absent one reads as an empty one.
pub(super) struct Section<'a> {
    name: &'static str,
    mapping: Option<&'a Mapping>,
}

impl<'a> Section<'a> {
    /// The mapping below `name`.
    pub(super) fn of(root: &'a Mapping, name: &'static str) -> Result<Self, WorkflowError> {
        let mapping = match root.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::Mapping(mapping)) => Some(mapping),
            Some(other) => return Err(wrong(name.to_owned(), "a mapping", other)),
        };
        Ok(Self { name, mapping })
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.mapping?.get(key).filter(|value| !value.is_null())
    }

    /// Every key that is a text.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.mapping
            .into_iter()
            .flat_map(Mapping::keys)
            .map(|key| key.as_str().unwrap_or(""))
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, WorkflowError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| self.wrong(key, "a text", value))?;
        Ok(Some(text.to_owned()))
    }

    /// A whole number, also when it is written as a text.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, WorkflowError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let number = as_integer(value).ok_or_else(|| self.wrong(key, "a whole number", value))?;
        Ok(Some(number))
    }

    /// A whole number from 1 on that fits 32 bits.
    pub(super) fn count(&self, key: &str, default: u32) -> Result<u32, WorkflowError> {
        let Some(value) = self.value(key) else {
            return Ok(default);
        };
        as_count(value).ok_or_else(|| self.wrong(key, "a whole number from 1 on", value))
    }

    /// A time in whole milliseconds from 1 on.
    pub(super) fn milliseconds(&self, key: &str, default: u64) -> Result<Duration, WorkflowError> {
        let Some(value) = self.value(key) else {
            return Ok(Duration::from_millis(default));
        };
        let number = as_integer(value).and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| *number > 0);
        let expected = "a whole number of milliseconds from 1 on";
        number
            .map(Duration::from_millis)
            .ok_or_else(|| self.wrong(key, expected, value))
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>, WorkflowError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let wrong = || self.wrong(key, "a list of texts", value);
        let texts = value.as_sequence().ok_or_else(wrong)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        texts
            .iter()
            .map(text)
            .collect::<Option<_>>()
            .map(Some)
            .ok_or_else(wrong)
    }

    /// The error for a value that this key cannot have.
    pub(super) fn wrong(&self, key: &str, expected: &'static str, value: &Value) -> WorkflowError {
        wrong(format!("{}.{key}", self.name), expected, value)
    }
}

/// A whole number, also when it is written as a text.
fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A whole number from 1 on, also when it is written as a text.
pub(super) fn as_count(value: &Value) -> Option<u32> {
    as_integer(value)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number > 0)
}

fn wrong(key: String, expected: &'static str, value: &Value) -> WorkflowError {
    let found = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            format!("`{}`", text::bound(&text::clean_line(text), SHOWN_BYTES))
        }
        other => kind(other).to_owned(),
    };
    WorkflowError::Value {
        key,
        expected,
        found,
    }
}
